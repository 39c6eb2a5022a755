"""Copies of a journal: whole, beside its owner, never over anything, and nothing left of one that failed."""

import stat
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
import trio

from engine.errors import JournalCorruptError, UnavailableError
from engine.journal import copying
from engine.journal.copying import copy_journal
from engine.journal.sqlite import SqliteJournal
from tests.engine.journal.test_sqlite import note, overwrite


async def made(path: Path) -> None:
    """A journal with one event in the stream `a`."""
    async with SqliteJournal(path) as journal:
        await journal.append(note("a", 0, "1"))


def names(folder: Path) -> list[str]:
    """What is in a folder; the `-wal` and `-shm` of a reader do not count."""
    return sorted(path.name for path in folder.iterdir() if "-" not in path.name)


async def test_a_copy_has_what_is_acknowledged_while_the_owner_goes_on(tmp_path: Path) -> None:
    source, target = tmp_path / "calls.db", tmp_path / "copy.db"
    async with SqliteJournal(source) as journal:
        await journal.append(note("a", 0, "1"))
        await trio.to_thread.run_sync(copy_journal, source, target)
        await journal.append(note("a", 1, "2"))
    async with SqliteJournal(target, read_only=True) as copy:
        assert [head for _, head in await copy.streams()] == [1]
        assert await copy.check() == []


async def test_a_copy_is_for_its_owner_alone_and_leaves_no_part(tmp_path: Path) -> None:
    await made(tmp_path / "calls.db")
    copy_journal(tmp_path / "calls.db", tmp_path / "copy.db")
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600
    assert names(tmp_path) == ["calls.db", "calls.db.lock", "copy.db"]


async def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    await made(tmp_path / "calls.db")
    (tmp_path / "copy.db").write_text("mine")
    with pytest.raises(UnavailableError, match="there already"):
        copy_journal(tmp_path / "calls.db", tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "mine"


async def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    await made(tmp_path / "calls.db")
    with pytest.raises(UnavailableError, match=r"copy\.db\.part cannot be written: No such file"):
        copy_journal(tmp_path / "calls.db", tmp_path / "none" / "copy.db")


def _full(*_arguments: object) -> None:
    raise OSError(28, "No space left on device")


def _half(_descriptor: int) -> None:
    raise apsw.FullError("database or disk is full")


@pytest.mark.parametrize(("fault", "reason"), [(_full, "No space left"), (_half, "disk is full")])
async def test_a_disk_that_is_full_leaves_nothing_behind(
    fault: Callable[..., None], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made(tmp_path / "calls.db")
    monkeypatch.setattr(copying.os, "fsync", fault)
    with pytest.raises(UnavailableError, match=reason):
        copy_journal(tmp_path / "calls.db", tmp_path / "copy.db")
    assert names(tmp_path) == ["calls.db", "calls.db.lock"]


def test_without_a_journal_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not exist"):
        copy_journal(tmp_path / "calls.db", tmp_path / "copy.db")
    assert names(tmp_path) == []


async def test_a_damaged_journal_is_not_copied(tmp_path: Path) -> None:
    await made(tmp_path / "calls.db")
    overwrite(tmp_path / "calls.db")
    with pytest.raises(JournalCorruptError):
        copy_journal(tmp_path / "calls.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
