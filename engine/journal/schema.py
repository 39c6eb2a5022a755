"""The tables of the SQLite journal, how a connection is opened, and what a record's checksum covers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import pack
from uuid import uuid4
from zlib import crc32

import apsw

from engine.errors import JournalCorruptError, JournalError, UnavailableError
from engine.journal.lockfile import Lockfile

SQLITE_MIN = (3, 51, 3)
"""Older ones can damage a database in WAL mode when two connections checkpoint at once."""
SCHEMA = 1
DAMAGE = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)
"""What reading a damaged file raises."""

SEAT = "SELECT sid, ifnull(CAST(version AS INTEGER), -1) FROM heads WHERE stream=?"
"""A stream's id and head; the head is a number even in a damaged row."""

# Rowids in the order of arrival keep inserts at the right edge of the tree: a tenth of the bytes
# that a tree keyed by (stream, version) writes. The stream's name is stored once, in heads.
_TABLES = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS heads(
    sid INTEGER PRIMARY KEY, stream TEXT NOT NULL UNIQUE, version INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS events(
    pos INTEGER PRIMARY KEY, sid INTEGER NOT NULL, version INTEGER NOT NULL, type TEXT NOT NULL,
    ts REAL NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL, UNIQUE(sid, version)) STRICT;
CREATE TABLE IF NOT EXISTS timers(
    sid INTEGER NOT NULL, name TEXT NOT NULL, due REAL NOT NULL, PRIMARY KEY(sid, name))
    STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS timers_due ON timers(due);
CREATE TABLE IF NOT EXISTS members(
    topic TEXT NOT NULL, sid INTEGER NOT NULL, PRIMARY KEY(topic, sid)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_sid ON members(sid);
CREATE TABLE IF NOT EXISTS snaps(
    sid INTEGER PRIMARY KEY, version INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL) STRICT;
"""
_PRAGMAS = """
PRAGMA synchronous=FULL;
PRAGMA mmap_size=0;
PRAGMA cache_size=-16384;
PRAGMA temp_store=MEMORY;
PRAGMA trusted_schema=OFF;
"""
# What is forgotten is overwritten, and a WAL that a long reader made large shrinks again.
_WRITER_PRAGMAS = """
PRAGMA secure_delete=ON;
PRAGMA journal_size_limit=67108864;
"""


def refuse_old_sqlite(version: str) -> None:
    """Raises UnavailableError for a library below `SQLITE_MIN`."""
    if tuple(int(part) for part in version.split(".")[:3]) < SQLITE_MIN:
        oldest = ".".join(map(str, SQLITE_MIN))
        raise UnavailableError(
            f"SQLite {version} can damage a journal; {oldest} or newer is needed, as the apsw wheels bring it"
        )


def event_crc(stream_crc: int, version: int, at: float, type_: str, data: bytes) -> int:
    """Checksum of an event, as a signed 32-bit number because SQLite keeps that in four bytes."""
    # SQLite keeps no negative zero; adding zero makes it a positive one.
    prefix = crc32(pack("<qdI", version, at + 0.0, len(data)), stream_crc)
    return crc32(data, crc32(type_.encode(), prefix)) - 0x8000_0000


def snapshot_crc(stream_crc: int, version: int, data: bytes) -> int:
    """Checksum of a snapshot; like `event_crc`."""
    return crc32(data, crc32(pack("<q", version), stream_crc)) - 0x8000_0000


def open_writer(path: Path, busy_seconds: float, vfs: str | None) -> apsw.Connection:
    """The one connection that writes the journal, with its tables made.

    Raises:
        UnavailableError: it cannot be opened, or a newer version wrote it.
        JournalCorruptError: it is no database.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        with closing_on_error(_connected(path, flags, busy_seconds, vfs)) as connection:
            if connection.execute("PRAGMA journal_mode=WAL").get != "wal":
                raise UnavailableError(f"{path} cannot be kept as a write-ahead log there")
            connection.execute(_WRITER_PRAGMAS)
            _refuse_other_schema(connection, path, (None, SCHEMA))
            connection.execute(_TABLES)
            return connection
    except (*DAMAGE, apsw.Error) as error:
        raise translated(error, path.name) from error


def open_reader(path: Path, busy_seconds: float, vfs: str | None) -> apsw.Connection:
    """A connection that cannot write; raises what `open_writer` raises."""
    if not path.exists():
        raise UnavailableError(f"{path} does not exist; an engine or `switchhook serve` makes it")
    try:
        with closing_on_error(_connected(path, apsw.SQLITE_OPEN_READONLY, busy_seconds, vfs)) as connection:
            _refuse_other_schema(connection, path, (SCHEMA,))
            return connection
    except (*DAMAGE, apsw.Error) as error:
        raise translated(error, path.name) from error


def _connected(path: Path, flags: int, busy_seconds: float, vfs: str | None) -> apsw.Connection:
    connection = apsw.Connection(os.fspath(path), flags=flags, vfs=vfs)
    with closing_on_error(connection):
        connection.set_busy_timeout(int(busy_seconds * 1000))
        connection.execute(_PRAGMAS)
        return connection


@contextmanager
def closing_on_error(connection: apsw.Connection) -> Iterator[apsw.Connection]:
    """Close `connection` unless the body succeeds."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _refuse_other_schema(connection: apsw.Connection, path: Path, known: tuple[int | None, ...]) -> None:
    found = None
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name='meta'").get:
        found = connection.execute("SELECT value FROM meta WHERE key='schema'").get
    if found not in known:
        if found is None:
            raise UnavailableError(
                f"{path} holds no journal; an engine or `switchhook serve` begins one in it"
            )
        raise UnavailableError(
            f"{path} holds a journal of schema {found}; this version understands schema {SCHEMA}"
        )


def settle_epoch(connection: apsw.Connection, lockfile: Lockfile) -> None:
    """Keep the epoch if the database is as far as its last owner was, else begin a new one.

    A backup put in its place is behind the mark or has none, and clients must not trust versions that
    they saw before it.
    """
    epoch = read_epoch(connection)
    position = connection.execute("SELECT coalesce(max(pos), 0) FROM events").get
    noted = lockfile.recall()
    if noted is None or noted[0] != epoch or noted[1] > position:
        epoch = uuid4().hex
        rows = [("schema", SCHEMA), ("epoch", epoch)]
        connection.executemany("INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)", rows)
    lockfile.sign(epoch, position)


def read_epoch(connection: apsw.Connection) -> str:
    """The name of this history; empty in a database that is just being made."""
    return str(connection.execute("SELECT value FROM meta WHERE key='epoch'").get or "")


def translated(error: Exception, name: str) -> JournalError:
    """The journal's words for an error of SQLite about `name`; never for one of a COMMIT."""
    if isinstance(error, DAMAGE):
        advice = "restore a backup, or name another file if this is no journal"
        return JournalCorruptError(name, 0, f"the file is damaged ({error}); {advice}")
    return UnavailableError(f"{name}: {type(error).__name__}: {error}")
