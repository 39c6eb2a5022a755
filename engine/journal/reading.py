"""What is read from the tables, with every checksum and version looked at."""

import json
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from zlib import crc32

import apsw

from engine.errors import JournalCorruptError
from engine.journal.port import Due, Loaded, StoredEvent
from engine.journal.schema import SEAT, event_crc, snapshot_crc
from engine.journal.writes import MISSED_MAX

_ORPHANS = "SELECT count(*) FROM {} WHERE sid NOT IN (SELECT sid FROM heads)"
_CHECK_PAGE = 200
"""Streams that are checked in one go."""
_UNREADABLE = (apsw.Error, UnicodeDecodeError)


def load(connection: apsw.Connection, stream: str, after: int, snapshot: bool) -> Loaded:
    """A stream from its newest snapshot; nothing of one that does not exist.

    Raises:
        JournalCorruptError: at the first version that cannot be trusted.
    """
    seat = connection.execute(SEAT, (stream,)).fetchone()
    if seat is None:
        return Loaded(None, 0, ())
    sid, head = seat
    data, version = _snapshot(connection, stream, sid, after) if snapshot else (None, 0)
    loaded = Loaded(data, version, _events(connection, stream, sid, max(after, version), -1))
    if max(after, loaded.head) != max(after, head):
        raise JournalCorruptError(stream, min(loaded.head, head) + 1, f"the head is said to be {head}")
    return loaded


def missed_events(
    connection: apsw.Connection, stream: str, expected: int, head: int
) -> tuple[StoredEvent, ...]:
    """The first events behind `expected` up to `head`, as a ConflictError carries them."""
    seat = connection.execute(SEAT, (stream,)).fetchone()
    assert seat is not None
    sid, _ = seat
    return _events(connection, stream, sid, expected, min(head - expected, MISSED_MAX))


def heads(connection: apsw.Connection, topics: Sequence[str]) -> Sequence[tuple[str, int]]:
    """See the port. One parameter for all topics: SQLite limits how many a statement has."""
    sql = (
        "SELECT DISTINCT stream, version FROM members JOIN heads USING(sid) "
        "WHERE topic IN (SELECT value FROM json_each(?)) ORDER BY stream"
    )
    return _rows(connection, sql, json.dumps(list(topics)))


def timers(connection: apsw.Connection, now: float, limit: int) -> Sequence[Due]:
    """Timers up to `now`, earliest first; all of them with a `limit` of -1."""
    # The order is that of the index, so that a small limit reads little of a long backlog.
    sql = (
        "SELECT stream, name, due FROM timers JOIN heads USING(sid) "
        "WHERE due<=? ORDER BY due, timers.sid, name LIMIT ?"
    )
    return [Due(*row) for row in _rows(connection, sql, now, limit)]


def streams(connection: apsw.Connection, after: str, limit: int) -> Sequence[tuple[str, int]]:
    """See the port."""
    sql = "SELECT stream, version FROM heads WHERE stream>? AND typeof(stream)='text' ORDER BY stream LIMIT ?"
    return _rows(connection, sql, after, limit)


def quiet(connection: apsw.Connection, before: float, after: str, limit: int) -> Sequence[str]:
    """See the port."""
    sql = """
    SELECT stream FROM heads JOIN events USING (sid, version)
    WHERE stream>? AND typeof(stream)='text' AND ts<?
    AND NOT EXISTS (SELECT 1 FROM timers WHERE timers.sid=heads.sid)
    ORDER BY stream LIMIT ?"""
    return [stream for (stream,) in _rows(connection, sql, after, before, limit)]


def faults_of_file(connection: apsw.Connection) -> Sequence[str]:
    """What SQLite itself finds, and rows that belong to no stream."""
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(100)")]
        found = [fault for fault in found if fault != "ok"]
        for table in ("events", "timers", "members", "snaps"):
            orphans = connection.execute(_ORPHANS.format(table)).get
            if orphans:
                found.append(f"{table}: {orphans} rows belong to no stream")
    except _UNREADABLE as error:
        return [f"the file cannot be read: {error}"]
    return found


def faults_of_streams(connection: apsw.Connection, after: str) -> tuple[Sequence[str], str | None]:
    """Faults of the next streams behind `after`, and the name to go on from."""
    try:
        page = streams(connection, after, _CHECK_PAGE)
    except _UNREADABLE as error:
        return [f"streams behind {after!r} cannot be read: {error}"], None
    found = [fault for name, _ in page for fault in _faults_of(connection, name)]
    return found, page[-1][0] if page else None


def _rows(connection: apsw.Connection, sql: str, *bindings: Any) -> list[Any]:
    return connection.execute(sql, bindings).fetchall()


def _faults_of(connection: apsw.Connection, stream: str) -> Iterable[str]:
    # With its snapshot, as it is usually loaded, and every event from the first.
    found = []
    for snapshot in (True, False):
        try:
            load(connection, stream, 0, snapshot)
        except JournalCorruptError as error:
            found.append(str(error))
        except _UNREADABLE as error:
            found.append(f"{stream} cannot be read: {error}")
    return dict.fromkeys(found)


def _snapshot(connection: apsw.Connection, stream: str, sid: int, after: int) -> tuple[bytes | None, int]:
    sql = "SELECT version, crc, data FROM snaps WHERE sid=? AND version>=?"
    row = connection.execute(sql, (sid, after)).fetchone()
    if row is None:
        return None, 0
    version, crc, data = row
    if not _sound(crc, snapshot_crc, crc32(stream.encode()), version, data):
        raise JournalCorruptError(stream, version, "the snapshot's checksum is wrong")
    return data, version


def _events(
    connection: apsw.Connection, stream: str, sid: int, after: int, limit: int
) -> tuple[StoredEvent, ...]:
    name_crc = crc32(stream.encode())
    sql = "SELECT version, type, ts, crc, data FROM events WHERE sid=? AND version>? ORDER BY version LIMIT ?"
    found = []
    rows = connection.execute(sql, (sid, after, limit))
    for wanted, (version, type_, at, crc, data) in enumerate(rows, after + 1):
        if version != wanted:
            raise JournalCorruptError(stream, wanted, f"version {version} stands in its place")
        if not _sound(crc, event_crc, name_crc, version, at, type_, data):
            raise JournalCorruptError(stream, version, "the checksum is wrong")
        found.append(StoredEvent(version, type_, at, data))
    return tuple(found)


def _sound(stored: int, checksum: Callable[..., int], *covered: Any) -> bool:
    try:
        return checksum(*covered) == stored
    except (AttributeError, TypeError, struct.error):
        # Damage to a record's header turns a column into another type.
        return False
