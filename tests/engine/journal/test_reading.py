"""Reading looks at everything it hands out."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from engine.errors import JournalCorruptError
from engine.journal import reading
from engine.journal.lockfile import Lockfile
from engine.journal.port import Write
from engine.journal.schema import event_crc, open_writer
from engine.journal.writer import Writer
from engine.journal.writes import Append
from tests.engine.journal.shelf import event


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    """Two streams of three events, the first with a snapshot; damage is done by SQL."""
    connection = open_writer(tmp_path / "calls.db", 1.0, None)
    writer = Writer(connection, Lockfile(tmp_path / "calls.db"), 1.0)
    events = (event("1"), event("2"), event("3"))
    first = Write("a", 0, events[:2], timers=(("ring", 1.0),), members=(("ann", True),), snapshot=b"two")
    for write in (first, Write("a", 2, events[2:]), Write("b", 0, events)):
        writer.commit([Append((write,), lambda result: None)])
    yield connection
    connection.close()


def faults(connection: apsw.Connection) -> list[str]:
    streams, _ = reading.faults_of_streams(connection, "")
    return [*reading.faults_of_file(connection), *streams]


def test_a_sound_journal_has_no_faults(connection: apsw.Connection) -> None:
    assert faults(connection) == []


UNMADE = """
DELETE FROM events WHERE sid=2 AND version=2;
UPDATE events SET version=2 WHERE sid=2 AND version=3;
UPDATE heads SET version=2 WHERE sid=2;
"""
"""As if the second had never been; but what came behind it has its own version in its checksum."""


@pytest.mark.parametrize(
    ("damage", "version", "fault"),
    [
        ("UPDATE events SET data=x'00' WHERE sid=2 AND version=2", 2, "checksum"),
        ("UPDATE events SET type='Other' WHERE sid=2 AND version=3", 3, "checksum"),
        ("UPDATE events SET ts=ts + 1 WHERE sid=2 AND version=1", 1, "checksum"),
        ("UPDATE events SET crc=crc + 1 WHERE sid=2 AND version=1", 1, "checksum"),
        ("UPDATE events SET version=4 WHERE sid=2 AND version=3", 3, "version 4 stands"),
        ("DELETE FROM events WHERE sid=2 AND version=2", 2, "version 3 stands"),
        ("DELETE FROM events WHERE sid=2 AND version=3", 3, "the head is said to be 3"),
        (UNMADE, 2, "checksum"),
        ("UPDATE heads SET version=2 WHERE sid=2", 3, "the head is said to be 2"),
        ("UPDATE heads SET version=0 WHERE sid=2", 1, "the head is said to be 0"),
        ("UPDATE heads SET version=9 WHERE sid=2", 4, "the head is said to be 9"),
    ],
)
def test_damage_is_told_with_the_first_version_that_cannot_be_trusted(
    connection: apsw.Connection, damage: str, version: int, fault: str
) -> None:
    connection.execute(damage)
    with pytest.raises(JournalCorruptError, match=fault) as caught:
        reading.load(connection, "b", 0, True)
    assert (caught.value.stream, caught.value.version) == ("b", version)
    assert [text for text in faults(connection) if "b at version" in text] == [str(caught.value)]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE snaps SET data=x'00'",
        "UPDATE snaps SET version=1",
        "UPDATE snaps SET crc=crc - 1",
    ],
)
def test_a_damaged_snapshot_is_not_used(connection: apsw.Connection, damage: str) -> None:
    connection.execute(damage)
    with pytest.raises(JournalCorruptError, match="snapshot"):
        reading.load(connection, "a", 0, True)
    assert reading.load(connection, "a", 0, False).head == 3
    assert len(faults(connection)) == 1


@pytest.mark.parametrize("table", ["events", "timers", "members", "snaps"])
def test_rows_of_no_stream_are_found(connection: apsw.Connection, table: str) -> None:
    rows = connection.execute(f"SELECT count(*) FROM {table} WHERE sid=1").get
    connection.execute(f"UPDATE {table} SET sid=77 WHERE sid=1")
    assert f"{table}: {rows} rows belong to no stream" in faults(connection)


@pytest.mark.parametrize("column", ["type", "ts", "data"])
def test_a_column_that_has_become_another_type_is_damage(connection: apsw.Connection, column: str) -> None:
    # What a flipped bit in a record's header does; STRICT would refuse it, so the table is made anew.
    connection.execute(
        "CREATE TABLE loose AS SELECT * FROM events; DROP TABLE events; ALTER TABLE loose RENAME TO events;"
        f"UPDATE events SET {column}=NULL WHERE sid=2 AND version=2"
    )
    with pytest.raises(JournalCorruptError) as caught:
        reading.load(connection, "b", 0, True)
    assert caught.value.version == 2


def test_what_cannot_be_read_at_all_is_a_fault_too(connection: apsw.Connection) -> None:
    connection.execute("ALTER TABLE events RENAME TO elsewhere")
    assert any("file cannot be read" in fault for fault in faults(connection))
    assert "b cannot be read: no such table: events" in faults(connection)
    connection.execute("ALTER TABLE heads RENAME TO gone")
    assert "streams behind '' cannot be read: no such table: heads" in faults(connection)


def test_a_checksum_covers_everything_and_fits_four_bytes() -> None:
    facts = (1, 2, 3.0, "Type", b"data")
    others = [(9, 2, 3.0, "Type", b"data"), (1, 9, 3.0, "Type", b"data"), (1, 2, 9.0, "Type", b"data")]
    others += [(1, 2, 3.0, "Typo", b"data"), (1, 2, 3.0, "Type", b"date"), (1, 2, 3.0, "Typed", b"ata")]
    sums = {event_crc(*covered) for covered in (facts, *others)}
    assert len(sums) == 7
    assert all(-(2**31) <= one < 2**31 for one in sums)
