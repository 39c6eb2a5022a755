"""Who owns a database, and the mark that its last owner left."""

from pathlib import Path

import pytest

from engine.errors import UnavailableError
from engine.journal.lockfile import Lockfile


@pytest.fixture
def lockfile(tmp_path: Path) -> Lockfile:
    lockfile = Lockfile(tmp_path / "calls.db")
    lockfile.acquire()
    return lockfile


def test_what_is_signed_and_noted_is_recalled(lockfile: Lockfile) -> None:
    assert lockfile.recall() is None
    lockfile.sign("epoch", 7)
    assert lockfile.recall() == ("epoch", 7)
    lockfile.note(12345)
    assert lockfile.recall() == ("epoch", 12345)
    lockfile.release()


def test_a_mark_outlives_its_owner(tmp_path: Path, lockfile: Lockfile) -> None:
    lockfile.sign("epoch", 7)
    lockfile.release()
    again = Lockfile(tmp_path / "calls.db")
    again.acquire()
    assert again.recall() == ("epoch", 7)
    again.release()


@pytest.mark.parametrize("content", [b"", b"\0" * 60, b"12", b"twelve epoch pid 1", b"\xff\xfe epoch"])
def test_a_mark_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "calls.db.lock").write_bytes(content)
    lockfile = Lockfile(tmp_path / "calls.db")
    lockfile.acquire()
    assert lockfile.recall() is None
    lockfile.release()


def test_there_is_one_owner(tmp_path: Path, lockfile: Lockfile) -> None:
    with pytest.raises(UnavailableError, match=r"another engine \(unknown\)"):
        Lockfile(tmp_path / "calls.db").acquire()
    lockfile.sign("epoch", 0)
    with pytest.raises(UnavailableError, match=r"another engine \(pid \d+ on \S+\)"):
        Lockfile(tmp_path / "calls.db").acquire()
    lockfile.release()
    Lockfile(tmp_path / "calls.db").acquire()


def test_a_mark_that_cannot_be_noted_stops_nobody(lockfile: Lockfile) -> None:
    lockfile.sign("epoch", 7)
    lockfile.release()
    lockfile.note(8)
    with pytest.raises(UnavailableError, match="cannot be written"):
        lockfile.sign("epoch", 8)


def test_it_may_be_released_twice(lockfile: Lockfile) -> None:
    lockfile.release()
    lockfile.release()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"there is no folder .*none for calls\.db; make it first"):
        Lockfile(tmp_path / "none" / "calls.db").acquire()


def test_a_lock_that_cannot_be_opened_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "calls.db.lock").mkdir()
    with pytest.raises(UnavailableError, match=r"calls\.db\.lock cannot be opened: Is a directory"):
        Lockfile(tmp_path / "calls.db").acquire()
