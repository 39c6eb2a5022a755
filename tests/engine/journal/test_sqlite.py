"""What is particular to the SQLite journal: its file, its owner, and disks and processes that fail."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
import trio

from engine.errors import (
    JournalCorruptError,
    UnavailableError,
    UnknownOutcomeError,
)
from engine.journal.port import NewEvent, Write
from engine.journal.sqlite import SqliteJournal
from engine.journal.writer import Writer
from tests.engine.journal.faulty import FaultyDisk
from tests.engine.journal.shelf import Told, bodies, event, foreign_lock, note

ROOT = Path(__file__).parents[3]
KILLS = 25 if os.environ.get("SWITCHHOOK_CHAOS") == "large" else 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    async with SqliteJournal(path) as journal:
        yield journal


def overwrite(path: Path) -> None:
    path.write_bytes(b"this is not a database at all, it is a text\n" * 100)


def remove(path: Path) -> None:
    path.unlink()


def folder_of(path: Path) -> list[Path]:
    return list(path.parent.iterdir())


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def place(path: Path, wanted: bytes) -> int:
    return path.read_bytes().index(wanted)


def damage(path: Path, offset: int, flips: int = 0x01) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= flips
    path.write_bytes(content)


async def killed_after(path: Path, lines: int) -> list[tuple[str, int]]:
    """Let a writer acknowledge so many appends, kill it, and return all that it acknowledged."""
    command = [sys.executable, "-m", "tests.engine.journal.victim", str(path)]
    victim = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert victim.stdout is not None
    said = b""
    async with victim.stdout:
        while said.count(b"\n") < lines:
            said += await victim.stdout.receive_some()
        victim.kill()
        async for chunk in victim.stdout:
            said += chunk
    await victim.wait()
    whole = said[: said.rindex(b"\n")].decode().split("\n")
    return [(stream, int(version)) for stream, version in (line.split() for line in whole)]


@pytest.mark.slow
async def test_a_killed_writer_loses_nothing_that_it_acknowledged(path: Path) -> None:
    chance = random.Random(7)
    acknowledged: dict[str, int] = {}
    epochs = set()
    for _ in range(KILLS):
        acknowledged.update(await killed_after(path, chance.randrange(1, 3000)))
        async with SqliteJournal(path) as journal:
            assert await journal.check() == []
            epochs.add(await journal.epoch())
            for stream, version in acknowledged.items():
                loaded = await journal.load(stream)
                assert loaded.head >= version
                assert bodies(loaded.events) == [f"{stream} {one.version}" for one in loaded.events]
    assert len(epochs) == 1


async def test_a_full_disk_stores_nothing_and_the_journal_goes_on_when_there_is_space(
    path: Path, disk: FaultyDisk
) -> None:
    told = Told()
    async with SqliteJournal(path, vfs=disk.name) as journal:
        await journal.append(note("a", 0, "before"))
        disk.full = True
        for name in ("a", "b"):
            journal.submit([note(name, 1 if name == "a" else 0, "lost")], told.done(name))
        with pytest.raises(UnavailableError, match="FullError"):
            await journal.append(note("c", 0, "lost"))
        assert not await journal.writable()
        assert all(isinstance(result, UnavailableError) for _, result in told.results)
        assert await journal.append(Write("a", 1)) == [1]
        disk.full = False
        assert await journal.writable()
        assert await journal.append(note("a", 1, "after"), note("c", 0, "new")) == [2, 1]
        assert await journal.streams() == [("a", 2), ("c", 1)]
        assert await journal.check() == []


async def test_a_disk_that_cannot_sync_leaves_the_outcome_unknown(path: Path, disk: FaultyDisk) -> None:
    async with SqliteJournal(path, vfs=disk.name) as journal:
        await journal.append(note("a", 0, "before"))
        disk.broken = True
        with pytest.raises(UnknownOutcomeError):
            await journal.append(note("a", 1, "perhaps"))
        with pytest.raises(UnknownOutcomeError):
            await journal.forget(["a"])
        assert not await journal.writable()
        disk.broken = False
        # Whoever reads first learns the truth, and a retry cannot be stored twice.
        head = (await journal.load("a")).head
        assert await journal.append(note("a", head, "again")) == [head + 1]
        assert await journal.check() == []


async def test_a_short_foreign_lock_is_waited_for(path: Path) -> None:
    told = Told()
    async with SqliteJournal(path) as journal:
        with foreign_lock(path):
            journal.submit([note("a", 0, "1")], told.done("a"))
            await trio.lowlevel.checkpoint()
        assert await journal.append(note("b", 0, "1")) == [1]
    assert told["a"] == [1]


async def test_a_long_foreign_lock_fails_the_batch_and_no_later_one(path: Path) -> None:
    async with SqliteJournal(path, busy_seconds=0.01) as journal:
        with foreign_lock(path):
            with pytest.raises(UnavailableError, match="locked"):
                await journal.append(note("a", 0, "1"))
            assert not await journal.writable()
            assert (await journal.load("a")).head == 0
        assert await journal.append(note("a", 0, "1")) == [1]


async def test_tables_of_others_live_beside_the_journal(path: Path, journal: SqliteJournal) -> None:
    users = apsw.Connection(str(path))
    users.set_busy_timeout(5000)
    users.execute("CREATE TABLE users(name TEXT); INSERT INTO users VALUES('ann')")
    assert await journal.append(note("a", 0, "1")) == [1]
    assert users.execute("SELECT name FROM users").get == "ann"
    users.close()
    assert await journal.check() == []


async def test_a_second_owner_is_told_who_the_first_is(path: Path, journal: SqliteJournal) -> None:
    with pytest.raises(UnavailableError, match=rf"pid {os.getpid()} on .*read-only"):
        await SqliteJournal(path).__aenter__()
    assert await journal.append(note("a", 0, "1")) == [1]


async def test_the_next_owner_comes_when_the_first_has_left(path: Path) -> None:
    for version in range(2):
        async with SqliteJournal(path) as journal:
            assert await journal.append(note("a", version, "1")) == [version + 1]


async def test_read_only_sees_what_a_running_writer_stores(path: Path, journal: SqliteJournal) -> None:
    write = Write("a", 0, (event("1"),), timers=(("ring", 5.0),), members=(("ann", True),))
    await journal.append(write)
    async with SqliteJournal(path, read_only=True) as reader:
        assert bodies((await reader.load("a")).events) == ["1"]
        await journal.append(note("a", 1, "2"))
        assert bodies((await reader.load("a")).events) == ["1", "2"]
        assert await reader.heads(["ann"]) == [("a", 2)]
        assert [one.name for one in await reader.timers()] == ["ring"]
        assert await reader.epoch() == await journal.epoch()
        assert await reader.check() == []


async def test_read_only_refuses_to_write(path: Path, journal: SqliteJournal) -> None:
    async with SqliteJournal(path, read_only=True) as reader:
        with pytest.raises(UnavailableError, match="read-only"):
            await reader.append(note("a", 0, "1"))
        with pytest.raises(UnavailableError, match="read-only"):
            await reader.forget(["a"])
        with pytest.raises(UnavailableError, match="read-only"):
            reader.hints()
        assert not await reader.writable()
    with pytest.raises(UnavailableError, match="closed"):
        await reader.load("a")


async def test_read_only_needs_no_running_writer(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.append(note("a", 0, "1"))
    async with SqliteJournal(path, read_only=True) as reader:
        assert await reader.streams() == [("a", 1)]
    async with SqliteJournal(path) as journal:
        assert await journal.append(note("a", 1, "2")) == [2]


async def test_read_only_makes_no_file(path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not exist"):
        await SqliteJournal(path, read_only=True).__aenter__()
    assert folder_of(path) == []


async def test_a_database_without_a_journal_is_not_read(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE users(name TEXT)")
    connection.close()
    with pytest.raises(UnavailableError, match=r"holds no journal; .* begins one"):
        await SqliteJournal(path, read_only=True).__aenter__()
    async with SqliteJournal(path) as journal:
        assert await journal.append(note("a", 0, "1")) == [1]


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_journal_of_a_newer_version_is_left_alone(path: Path, read_only: bool) -> None:
    async with SqliteJournal(path):
        pass
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE meta SET value=99 WHERE key='schema'")
    connection.close()
    with pytest.raises(UnavailableError, match="schema 99"):
        await SqliteJournal(path, read_only=read_only).__aenter__()


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_damaged_header_is_a_clear_error(path: Path, read_only: bool) -> None:
    overwrite(path)
    with pytest.raises(JournalCorruptError, match=r"calls\.db.*not a database.*backup"):
        await SqliteJournal(path, read_only=read_only).__aenter__()


async def test_a_failed_opening_lets_the_next_owner_in(path: Path) -> None:
    overwrite(path)
    for _ in range(2):
        with pytest.raises(JournalCorruptError):
            await SqliteJournal(path).__aenter__()
    remove(path)
    async with SqliteJournal(path) as journal:
        assert await journal.writable()


async def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="there is no folder"):
        await SqliteJournal(tmp_path / "none" / "calls.db").__aenter__()


async def test_a_file_that_keeps_no_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnavailableError, match="write-ahead log"):
        await SqliteJournal(":memory:").__aenter__()


async def test_a_disk_that_fails_while_the_epoch_is_settled_is_a_clear_error(
    path: Path, disk: FaultyDisk
) -> None:
    async with SqliteJournal(path, vfs=disk.name):
        pass
    remove(path.with_name("calls.db.lock"))
    disk.full = True
    with pytest.raises(UnavailableError, match="FullError"):
        await SqliteJournal(path, vfs=disk.name).__aenter__()


@pytest.mark.parametrize(("version", "old"), [("3.51.2", True), ("3.40.1", True), ("3.51.3", False)])
async def test_an_old_sqlite_is_refused(path: Path, version: str, old: bool) -> None:
    journal = SqliteJournal(path, sqlite_version=version)
    if old:
        with pytest.raises(UnavailableError, match=rf"SQLite {version} .* 3\.51\.3 or newer"):
            await journal.__aenter__()
        assert folder_of(path) == []
    else:
        async with journal:
            assert await journal.writable()


async def test_a_flipped_byte_of_an_event_is_found(path: Path) -> None:
    secret = b"some body that can be found in the file"
    async with SqliteJournal(path) as journal:
        await journal.append(Write("bad", 0, (event("x"), NewEvent("T", 1.0, secret), event("y"))))
        await journal.append(note("good", 0, "z"))
    damage(path, place(path, secret))
    async with SqliteJournal(path) as journal:
        with pytest.raises(JournalCorruptError) as caught:
            await journal.load("bad")
        assert (caught.value.stream, caught.value.version) == ("bad", 2)
        assert await journal.check() == ["bad at version 2: the checksum is wrong"]
        assert bodies((await journal.load("good")).events) == ["z"]


async def test_a_flipped_byte_of_a_snapshot_is_found(path: Path) -> None:
    async with SqliteJournal(path) as journal:
        await journal.append(Write("bad", 0, (event("x"),), snapshot=b"a folded stream"))
    damage(path, place(path, b"a folded stream"))
    async with SqliteJournal(path) as journal:
        assert await journal.check() == ["bad at version 1: the snapshot's checksum is wrong"]
        assert (await journal.load("bad", snapshot=False)).head == 1


@pytest.mark.slow
async def test_damage_anywhere_is_found_or_harmless(path: Path, tmp_path: Path) -> None:
    async with SqliteJournal(path) as journal:
        for number in range(40):
            write = Write(
                f"call{number:02}",
                0,
                tuple(event(f"body {number}.{version}") for version in range(8)),
                timers=(("ring", 10.0 + number),),
                members=((f"user:{number}", True),),
                snapshot=b"folded",
            )
            await journal.append(write)
        whole = await read_out(journal)
    chance, size = random.Random(11), len(content_of(path))
    copy = tmp_path / "copy.db"
    silent = []
    for _ in range(60):
        shutil.copy(path, copy)
        offset = chance.randrange(size)
        damage(copy, offset, 1 << chance.randrange(8))
        try:
            async with SqliteJournal(copy, read_only=True) as journal:
                if await journal.check() == [] and await read_out(journal) != whole:
                    silent.append(offset)
        except (JournalCorruptError, UnavailableError):
            # A header that cannot be read is found by opening it.
            continue
    assert silent == []


async def read_out(journal: SqliteJournal) -> list[object]:
    names = [name for name, _ in await journal.streams()]
    loaded = [await journal.load(name, snapshot=snapshot) for name in names for snapshot in (True, False)]
    users = [f"user:{number}" for number in range(40)]
    return [names, loaded, await journal.heads(users), await journal.timers()]


async def test_a_restored_backup_begins_a_new_epoch(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    async with SqliteJournal(path) as journal:
        first = await journal.epoch()
        await journal.append(note("a", 0, "1"))
    shutil.copy(path, backup)
    async with SqliteJournal(path) as journal:
        await journal.append(note("a", 1, "2"))
    shutil.copy(backup, path)
    async with SqliteJournal(path) as journal:
        second = await journal.epoch()
        assert second != first
        assert await journal.append(note("a", 1, "another")) == [2]
    async with SqliteJournal(path) as journal:
        assert await journal.epoch() == second


async def test_a_database_moved_elsewhere_begins_a_new_epoch(path: Path, tmp_path: Path) -> None:
    async with SqliteJournal(path) as journal:
        first = await journal.epoch()
        await journal.append(note("a", 0, "1"))
    moved = tmp_path / "moved.db"
    shutil.copy(path, moved)
    async with SqliteJournal(moved) as journal:
        assert await journal.epoch() != first
        assert bodies((await journal.load("a")).events) == ["1"]


async def test_a_lost_end_of_the_log_begins_a_new_epoch(path: Path, tmp_path: Path) -> None:
    # A copy of the running database is what a crash leaves; then the end of its log is cut off.
    crashed = tmp_path / "crashed.db"
    async with SqliteJournal(path) as journal:
        first = await journal.epoch()
        for version in range(3):
            await journal.append(note("a", version, "x" * 5000))
        for suffix in ("", "-wal", ".lock"):
            shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")
    kept = tmp_path / "kept.db"
    for suffix in ("", "-wal", ".lock"):
        shutil.copy(f"{crashed}{suffix}", f"{kept}{suffix}")
    log = Path(f"{crashed}-wal")
    os.truncate(log, len(content_of(log)) - 10)
    async with SqliteJournal(kept) as journal:
        assert (await journal.load("a")).head == 3
        assert await journal.epoch() == first
    async with SqliteJournal(crashed) as journal:
        assert (await journal.load("a")).head == 2
        assert await journal.epoch() != first


async def test_what_is_forgotten_is_in_no_file_any_more(path: Path, journal: SqliteJournal) -> None:
    secret = b"a very private body " * 10
    await journal.append(Write("a", 0, (NewEvent("T", 1.0, secret),), snapshot=secret))
    await journal.append(note("b", 0, "kept"))
    await journal.forget(["a"])
    for file in folder_of(path):
        assert secret not in content_of(file)


async def test_forgetting_does_not_wait_for_a_long_reader(path: Path, journal: SqliteJournal) -> None:
    await journal.append(note("a", 0, "1"))
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM events").get == 1
    await journal.forget(["a"])
    assert await journal.streams() == []
    reader.execute("COMMIT")
    reader.close()


async def test_a_check_of_many_streams_goes_page_by_page(journal: SqliteJournal) -> None:
    await journal.append(*(note(f"s{number}", 0, "a") for number in range(450)))
    assert await journal.check() == []


async def test_a_check_can_be_cancelled(journal: SqliteJournal) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(30):
            await journal.append(note(f"s{number}", 0, *("x" for _ in range(300))))
        nursery.start_soon(journal.check)
        nursery.cancel_scope.cancel()
    assert await journal.check() == []


async def test_reading_goes_on_while_a_writer_waits_for_a_lock(path: Path, journal: SqliteJournal) -> None:
    await journal.append(note("a", 0, "1"))
    told = Told()
    with foreign_lock(path):
        journal.submit([note("a", 1, "2")], told.done("a"))
        assert bodies((await journal.load("a")).events) == ["1"]
        assert told.names == []
    await journal.append()
    assert told["a"] == [2]


async def test_a_bug_in_the_writing_thread_ends_the_owner_and_nobody_waits_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(writer: Writer, appends: object) -> None:
        raise LookupError("a bug")

    monkeypatch.setattr(Writer, "commit", commit)
    with pytest.RaisesGroup(LookupError):
        async with SqliteJournal(path) as journal:
            with pytest.raises(UnknownOutcomeError):
                await journal.append(note("a", 0, "1"))
            with trio.CancelScope(shield=True), pytest.raises(UnavailableError, match="thread has failed"):
                await journal.append(note("a", 0, "1"))
            assert not await journal.writable()
            await trio.sleep_forever()
    monkeypatch.undo()
    async with SqliteJournal(path) as journal:
        assert await journal.append(note("a", 0, "1")) == [1]
