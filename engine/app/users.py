"""Who users are: the port, and its two embedded forms. Tokens are kept as SHA-256 only."""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import apsw
import attrs
import msgspec
import trio

from engine.app.digests import digest_of
from engine.app.expiring import Expiring
from engine.errors import UnavailableError

Rows = list[tuple[Any, ...]]

CACHE_SECONDS = 5.0
"""How long a change made by another process may go unnoticed."""

CACHE_MAX = 10_000
BUSY_SECONDS = 5.0
"""How long another process may keep us from the file."""

TOKEN_BYTES = 32


@attrs.frozen(kw_only=True)
class Avatar3d:
    """A three-dimensional avatar."""

    asset_id: str = ""
    asset_skins: Mapping[str, str] = attrs.field(factory=dict)
    avatar_url: str = ""
    avatar_user_id: str = ""


@attrs.frozen(kw_only=True)
class User:
    """A user of the call APIs ("User Simple" of the videochat handshake)."""

    id: str
    first_name: str = ""
    last_name: str = ""
    privacy_mode: int = 0
    """0 default, 1 incognito."""
    avatar: str = ""
    avatar3d: Avatar3d | None = None
    company_name: str = ""
    company_title: str = ""
    do_not_disturb: bool = False
    push: bool = False
    """The configured webhook reaches him when he has no socket."""


class UserDirectory(Protocol):
    """Where users come from; a host may bring its own."""

    async def by_token(self, token: str) -> User | None:
        """Whose token this is."""

    async def get(self, user_id: str) -> User | None:
        """The user with this id."""

    async def set(self, user: User) -> None:
        """Add the user, or change him."""

    async def add_token(self, user_id: str) -> str:
        """A new token for the user, told once; older ones stay valid.

        Raises:
            KeyError: there is no such user.
        """


class MemoryUsers:
    """Users of one process: for tests, and for engines on `memory:`."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._tokens: dict[bytes, str] = {}

    async def by_token(self, token: str) -> User | None:
        """Whose token this is."""
        user_id = self._tokens.get(digest_of(token))
        return None if user_id is None else self._users.get(user_id)

    async def get(self, user_id: str) -> User | None:
        """The user with this id."""
        return self._users.get(user_id)

    def get_cached(self, user_id: str) -> User | None:
        """The user with this id."""
        return self._users.get(user_id)

    async def set(self, user: User) -> None:
        """Add the user, or change him."""
        self._users[user.id] = user

    async def add_token(self, user_id: str) -> str:
        """A new token for the user; older ones stay valid.

        Raises:
            KeyError: there is no such user.
        """
        if user_id not in self._users:
            raise KeyError(user_id)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._tokens[digest_of(token)] = user_id
        return token

    async def revoke_tokens(self, user_id: str) -> int:
        """Make all tokens of the user invalid, and say how many there were."""
        revoked = [digest for digest, owner in self._tokens.items() if owner == user_id]
        for digest in revoked:
            del self._tokens[digest]
        return len(revoked)

    async def remove(self, user_id: str) -> bool:
        """Remove the user and his tokens; False when there was none."""
        await self.revoke_tokens(user_id)
        return self._users.pop(user_id, None) is not None

    async def all(self) -> list[User]:
        """Every user in the order of ids."""
        return [self._users[user_id] for user_id in sorted(self._users)]

    def close(self) -> None:
        """There is nothing to close."""


_TABLES = """
CREATE TABLE IF NOT EXISTS users(id TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS user_tokens(
    digest BLOB PRIMARY KEY, user TEXT NOT NULL, created REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS user_tokens_user ON user_tokens(user);
"""


class SqliteUsers:
    """Users in tables of their own, in the journal's file; several processes may use it at once.

    What another process changes is noticed after five seconds at most, also that a token was revoked; what
    it adds, at once. Every call may raise UnavailableError when the file cannot be used.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        busy_seconds: float = BUSY_SECONDS,
        cache_max: int = CACHE_MAX,
    ) -> None:
        self._path = Path(path)
        self._busy_seconds = busy_seconds
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._users: Expiring[str, User] = Expiring(clock, cache_max)
        self._tokens: Expiring[bytes, str] = Expiring(clock, cache_max)
        self._clock = clock
        # Counts our own changes: what was read before one and arrives after it is not kept.
        self._changes = 0

    async def by_token(self, token: str) -> User | None:
        """Whose token this is."""
        digest = digest_of(token)
        owner = self._tokens.get(digest)
        user = None if owner is None else self._users.get(owner)
        if user is not None:
            return user
        statement = "SELECT u.data FROM user_tokens t JOIN users u ON u.id = t.user WHERE t.digest = ?"
        return await self._read(statement, digest, token=digest)

    async def get(self, user_id: str) -> User | None:
        """The user with this id, as he was at most five seconds ago."""
        user = self._users.get(user_id)
        if user is not None:
            return user
        return await self._read("SELECT data FROM users WHERE id = ?", user_id)

    def get_cached(self, user_id: str) -> User | None:
        """The user with this id, if he was asked for in the last five seconds; without waiting."""
        return self._users.get(user_id)

    async def set(self, user: User) -> None:
        """Add the user, or change him."""
        await self._change(
            "INSERT INTO users VALUES(?, ?) ON CONFLICT(id) DO UPDATE SET data = excluded.data",
            (user.id, msgspec.json.encode(user)),
        )

    async def add_token(self, user_id: str) -> str:
        """A new token for the user; older ones stay valid.

        Raises:
            KeyError: there is no such user.
        """
        token = secrets.token_urlsafe(TOKEN_BYTES)
        rows = await self._run(
            "INSERT INTO user_tokens SELECT ?, id, unixepoch('subsec') FROM users WHERE id = ? RETURNING 1",
            (digest_of(token), user_id),
        )
        if not rows:
            raise KeyError(user_id)
        return token

    async def revoke_tokens(self, user_id: str) -> int:
        """Make all tokens of the user invalid, and say how many there were."""
        statement = "DELETE FROM user_tokens WHERE user = ? RETURNING 1"
        return len(await self._change(statement, (user_id,)))

    async def remove(self, user_id: str) -> bool:
        """Remove the user and his tokens; False when there was none."""
        # Tokens first: if the second statement is never reached, a user without tokens is left.
        await self.revoke_tokens(user_id)
        return bool(await self._change("DELETE FROM users WHERE id = ? RETURNING 1", (user_id,)))

    async def all(self) -> list[User]:
        """Every user in the order of ids."""
        return [self._user(row[0]) for row in await self._run("SELECT data FROM users ORDER BY id", ())]

    def close(self) -> None:
        """Let go of the file; a later call opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    async def _read(self, statement: str, value: str | bytes, token: bytes | None = None) -> User | None:
        changes = self._changes
        rows = await self._run(statement, (value,))
        if not rows:
            return None
        user = self._user(rows[0][0])
        if changes == self._changes:
            until = self._clock() + CACHE_SECONDS
            self._users.put(user.id, user, until)
            if token is not None:
                self._tokens.put(token, user.id, until)
        return user

    async def _change(self, statement: str, values: tuple[Any, ...]) -> Rows:
        try:
            return await self._run(statement, values)
        finally:
            self._changes += 1
            self._users.clear()
            self._tokens.clear()

    async def _run(self, statement: str, values: tuple[Any, ...]) -> Rows:
        return await trio.to_thread.run_sync(partial(self._execute, statement, values))

    def _execute(self, statement: str, values: tuple[Any, ...]) -> Rows:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                return list(self._connection.execute(statement, values))
            except UnicodeEncodeError:
                # An id from outside with a lone surrogate: nobody has it, because `set` cannot encode it.
                return []
            except apsw.Error as error:
                raise UnavailableError(f"users in {self._path}: {error}") from error

    def _open(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        try:
            connection.set_busy_timeout(round(self._busy_seconds * 1000))
            connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
            connection.execute(_TABLES)
        except apsw.Error:
            connection.close()
            raise
        return connection

    def _user(self, data: bytes) -> User:
        try:
            return msgspec.json.decode(data, type=User)
        except msgspec.DecodeError as error:
            raise UnavailableError(f"users in {self._path}: a row is damaged") from error
