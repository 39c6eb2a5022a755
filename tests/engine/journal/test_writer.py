"""Batches into transactions, and what each kind of failure means for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from engine.errors import ConflictError, UnavailableError, UnknownOutcomeError
from engine.journal import writer as writer_module
from engine.journal.lockfile import Lockfile
from engine.journal.port import Write
from engine.journal.schema import open_writer, settle_epoch
from engine.journal.writer import Writer
from engine.journal.writes import Append, Result
from tests.engine.journal.faulty import FaultyDisk
from tests.engine.journal.shelf import event, foreign_lock, note


def appends(*writes: Write) -> list[Append]:
    return [Append((write,), lambda result: None) for write in writes]


class Desk:
    """A writer and its connection."""

    def __init__(self, path: Path, disk: FaultyDisk) -> None:
        self.path = path
        self.lockfile = Lockfile(path)
        self.lockfile.acquire()
        self.connection = open_writer(path, 0.0, disk.name)
        settle_epoch(self.connection, self.lockfile)
        self.writer = Writer(self.connection, self.lockfile, 0.0)

    def commit(self, *writes: Write) -> list[Result]:
        return list(self.writer.commit(appends(*writes)))

    def close(self) -> None:
        self.writer.close()
        self.lockfile.release()


@pytest.fixture
def desk(tmp_path: Path, disk: FaultyDisk) -> Iterator[Desk]:
    desk = Desk(tmp_path / "calls.db", disk)
    yield desk
    desk.close()


def test_a_batch_is_one_transaction(desk: Desk, disk: FaultyDisk) -> None:
    before = disk.syncs
    assert desk.commit(*(note(f"s{number}", 0, "a") for number in range(100))) == [[1]] * 100
    assert disk.syncs == before + 1


def test_assertions_and_conflicts_alone_cost_no_transaction(desk: Desk, disk: FaultyDisk) -> None:
    desk.commit(note("a", 0, "1"))
    before = disk.syncs
    with foreign_lock(desk.path):
        right, stale = desk.commit(Write("a", 1), note("a", 0, "x"))
    assert right == [1]
    assert isinstance(stale, ConflictError)
    assert disk.syncs == before


def test_a_database_at_its_limit_fails_the_batch_before_the_commit(desk: Desk) -> None:
    desk.commit(note("a", 0, "1"))
    desk.connection.execute("PRAGMA max_page_count=1")
    results = desk.commit(note("a", 1, "x" * 9000), note("b", 0, "x"), note("a", 0, "conflict"))
    assert [type(result) for result in results] == [UnavailableError] * 3
    # Each has its own, for each may be raised in another task.
    assert len({id(result) for result in results}) == 3
    assert isinstance(desk.writer.probe(), UnavailableError)
    desk.connection.execute("PRAGMA max_page_count=100000")
    assert desk.writer.probe() == []
    assert desk.commit(note("a", 1, "x" * 9000), note("b", 0, "x")) == [[2], [1]]


def test_a_full_disk_at_the_commit_stored_nothing(desk: Desk, disk: FaultyDisk) -> None:
    disk.full = True
    (result,) = desk.commit(note("a", 0, "1"))
    assert isinstance(result, UnavailableError)
    disk.full = False
    assert desk.commit(Write("a", 0)) == [[0]]


def test_any_other_failure_of_a_commit_leaves_its_outcome_unknown(desk: Desk, disk: FaultyDisk) -> None:
    desk.commit(note("a", 0, "1"))
    disk.broken = True
    results = desk.commit(note("a", 1, "2"), note("b", 0, "1"))
    assert [type(result) for result in results] == [UnknownOutcomeError] * 2
    assert isinstance(desk.writer.probe(), UnknownOutcomeError)
    disk.broken = False
    head: Any = desk.connection.execute("SELECT version FROM heads WHERE stream='a'").get
    assert desk.commit(note("a", head, "again")) == [[head + 1]]


def test_a_commit_that_leaves_its_transaction_open_is_rolled_back(desk: Desk) -> None:
    # A deferred constraint of another table is such a failure: SQLite keeps the transaction.
    desk.connection.execute("PRAGMA foreign_keys=ON")
    desk.connection.execute("CREATE TABLE other(sid REFERENCES heads(sid) DEFERRABLE INITIALLY DEFERRED)")
    desk.connection.execute(
        "CREATE TRIGGER odd AFTER INSERT ON timers BEGIN INSERT INTO other VALUES(-1); END"
    )
    (result,) = desk.commit(Write("a", 0, (event(),), timers=(("ring", 1.0),)))
    assert isinstance(result, UnknownOutcomeError)
    assert not desk.connection.in_transaction
    assert desk.commit(note("a", 0, "1")) == [[1]]


def test_a_batch_that_fails_halfway_leaves_nothing(desk: Desk) -> None:
    desk.connection.execute("ALTER TABLE snaps RENAME TO elsewhere")
    results = desk.commit(note("b", 0, "1"), Write("a", 0, (event(),), snapshot=b"s"))
    assert [type(result) for result in results] == [UnavailableError] * 2
    assert not desk.connection.in_transaction
    assert desk.connection.execute("SELECT count(*) FROM events").get == 0
    assert desk.commit(note("a", 0, "1"), note("b", 0, "1")) == [[1], [1]]


def test_a_locked_database_refuses_the_batch(desk: Desk) -> None:
    with foreign_lock(desk.path):
        (result,) = desk.commit(note("a", 0, "1"))
        assert isinstance(result, UnavailableError)
        assert isinstance(desk.writer.forget(["a"]), UnavailableError)
    assert desk.commit(note("a", 0, "1")) == [[1]]


def test_heads_that_cannot_be_read_refuse_the_batch(desk: Desk) -> None:
    desk.connection.execute("ALTER TABLE heads RENAME TO elsewhere")
    assert isinstance(desk.writer.forget(["a"]), UnavailableError)
    (result,) = desk.commit(note("a", 0, "1"))
    assert isinstance(result, UnavailableError)
    desk.connection.execute("ALTER TABLE elsewhere RENAME TO heads")
    assert desk.commit(note("a", 0, "1")) == [[1]]


def test_missed_events_that_are_damaged_are_not_passed_on(desk: Desk) -> None:
    desk.commit(note("a", 0, "1", "2"))
    desk.connection.execute("UPDATE events SET data=x'00' WHERE version=2")
    (result,) = desk.commit(note("a", 1, "x"))
    assert isinstance(result, ConflictError)
    assert (result.head, result.missed) == (2, None)


def test_heads_are_found_again_when_too_many_are_remembered(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "SEATS_MAX", 2)
    names = [f"s{number}" for number in range(6)]
    for version in range(3):
        for name in names:
            assert desk.commit(note(name, version, "a")) == [[version + 1]]


def test_a_snapshot_replaces_the_one_before(desk: Desk) -> None:
    desk.commit(Write("a", 0, (event(),), snapshot=b"1"))
    desk.commit(Write("a", 1, (event(),), snapshot=b"2"), Write("a", 2, (event(),), snapshot=b"3"))
    assert desk.connection.execute("SELECT version, data FROM snaps").fetchall() == [(3, b"3")]


def test_the_position_of_the_newest_event_is_noted_beside_the_database(desk: Desk) -> None:
    desk.commit(note("a", 0, "1", "2"), note("b", 0, "3"))
    noted = desk.lockfile.recall()
    assert noted is not None
    assert noted[1] == 3
    desk.writer.forget(["b"])
    assert desk.lockfile.recall() == (noted[0], 2)


def test_closing_folds_the_log_into_the_database(tmp_path: Path, disk: FaultyDisk) -> None:
    desk = Desk(tmp_path / "calls.db", disk)
    desk.commit(note("a", 0, "1"))
    desk.close()
    assert not (tmp_path / "calls.db-wal").exists()
    connection = apsw.Connection(str(desk.path))
    assert connection.execute("SELECT count(*) FROM events").get == 1
    connection.close()
