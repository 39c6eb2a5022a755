"""Who users are: the port, and its two embedded forms. Tokens are kept as SHA-256 only."""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import apsw
import attrs
import msgspec
import trio

from engine.errors import UnavailableError

T = TypeVar("T")

CACHE_SECONDS = 5.0
"""How long a change made by another process may go unnoticed."""

CACHE_MAX = 10_000
BUSY_SECONDS = 5.0


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


class UserDirectory(Protocol):
    """Where users come from; a host may bring its own."""

    async def by_token(self, token: str) -> User | None:
        """Whose token this is."""

    async def get(self, user_id: str) -> User | None:
        """The user with this id."""

    async def set(self, user: User) -> None:
        """Add the user, or change him."""

    async def add_token(self, user_id: str) -> str:
        """A new token for the user, told once.

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
        return self._users.get(self._tokens.get(_digest(token), ""))

    async def get(self, user_id: str) -> User | None:
        """The user with this id."""
        return self._users.get(user_id)

    async def set(self, user: User) -> None:
        """Add the user, or change him."""
        self._users[user.id] = user

    async def add_token(self, user_id: str) -> str:
        """A new token for the user.

        Raises:
            KeyError: there is no such user.
        """
        if user_id not in self._users:
            raise KeyError(user_id)
        token = secrets.token_urlsafe(32)
        self._tokens[_digest(token)] = user_id
        return token


_TABLES = """
CREATE TABLE IF NOT EXISTS users(id TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS user_tokens(
    digest BLOB PRIMARY KEY, user TEXT NOT NULL, created REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS user_tokens_user ON user_tokens(user);
"""


class SqliteUsers:
    """Users in tables of their own, in the journal's file; several processes may use it at once."""

    def __init__(self, path: str | Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._cache: OrderedDict[str, tuple[float, User | None]] = OrderedDict()

    async def by_token(self, token: str) -> User | None:
        """Whose token this is; read anew each time, so that a removed one is dead at once."""
        rows = await self._run(
            "SELECT u.data FROM user_tokens t JOIN users u ON u.id = t.user WHERE t.digest = ?",
            (_digest(token),),
        )
        return _user(rows[0][0]) if rows else None

    async def get(self, user_id: str) -> User | None:
        """The user with this id, as he was at most five seconds ago."""
        cached = self._cache.get(user_id)
        if cached is not None and self._clock() - cached[0] < CACHE_SECONDS:
            return cached[1]
        rows = await self._run("SELECT data FROM users WHERE id = ?", (user_id,))
        user = _user(rows[0][0]) if rows else None
        self._cache[user_id] = (self._clock(), user)
        self._cache.move_to_end(user_id)
        if len(self._cache) > CACHE_MAX:
            self._cache.popitem(last=False)
        return user

    async def set(self, user: User) -> None:
        """Add the user, or change him."""
        data = msgspec.json.encode(user)
        await self._run(
            "INSERT INTO users VALUES(?, ?) ON CONFLICT(id) DO UPDATE SET data = excluded.data",
            (user.id, data),
        )
        self._cache.pop(user.id, None)

    async def add_token(self, user_id: str) -> str:
        """A new token for the user; older ones stay valid.

        Raises:
            KeyError: there is no such user.
        """
        token = secrets.token_urlsafe(32)
        rows = await self._run(
            "INSERT INTO user_tokens SELECT ?, id, unixepoch('subsec') FROM users WHERE id = ? RETURNING 1",
            (_digest(token), user_id),
        )
        if not rows:
            raise KeyError(user_id)
        return token

    async def remove(self, user_id: str) -> bool:
        """Remove the user and his tokens; False when there was none."""
        await self._run("DELETE FROM user_tokens WHERE user = ?", (user_id,))
        rows = await self._run("DELETE FROM users WHERE id = ? RETURNING 1", (user_id,))
        self._cache.pop(user_id, None)
        return bool(rows)

    async def all(self) -> list[User]:
        """Every user in the order of ids."""
        return [_user(row[0]) for row in await self._run("SELECT data FROM users ORDER BY id", ())]

    async def _run(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return await trio.to_thread.run_sync(partial(self._execute, statement, values))

    def _execute(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = self._open()
                return list(self._connection.execute(statement, values))
            except apsw.Error as error:
                raise UnavailableError(f"users in {self._path}: {error}") from error

    def _open(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        connection.set_busy_timeout(round(BUSY_SECONDS * 1000))
        connection.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")
        connection.execute(_TABLES)
        return connection


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _user(data: bytes) -> User:
    return msgspec.json.decode(data, type=User)
