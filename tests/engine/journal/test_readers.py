"""Reading connections: lent, kept, and closed with the journal."""

import threading
from pathlib import Path

import apsw
import pytest
import trio

from engine.errors import JournalCorruptError, UnavailableError
from engine.journal.readers import READERS_MAX, Readers
from engine.journal.schema import open_writer


@pytest.fixture
def readers(tmp_path: Path) -> Readers:
    path = tmp_path / "calls.db"
    connection = open_writer(path, 1.0, None)
    connection.execute("INSERT INTO meta(key, value) VALUES('schema', 1)")
    connection.close()
    return Readers(path, 1.0, None)


async def test_a_connection_is_used_again(readers: Readers) -> None:
    seen = [await readers.read("x", id) for _ in range(3)]
    assert len(set(seen)) == 1
    readers.close()


async def test_no_more_reads_than_connections_run_at_once(readers: Readers) -> None:
    lock, running, most = threading.Lock(), set(), []
    barrier = threading.Barrier(READERS_MAX)

    def read(connection: apsw.Connection) -> None:
        with lock:
            running.add(id(connection))
            most.append(len(running))
        barrier.wait()
        with lock:
            running.discard(id(connection))

    async with trio.open_nursery() as nursery:
        for _ in range(READERS_MAX * 2):
            nursery.start_soon(readers.read, "x", read)
    assert max(most) == READERS_MAX
    readers.close()


async def test_a_read_under_way_is_answered_and_its_connection_closed(readers: Readers) -> None:
    started, closed = trio.Event(), threading.Event()
    lent: list[apsw.Connection] = []
    answers: list[str] = []

    def read(connection: apsw.Connection) -> str:
        lent.append(connection)
        trio.from_thread.run_sync(started.set)
        closed.wait()
        return str(connection.execute("SELECT value FROM meta").get)

    async def ask() -> None:
        answers.append(await readers.read("x", read))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await started.wait()
        readers.close()
        closed.set()
    assert answers == ["1"]
    with pytest.raises(apsw.ConnectionClosedError):
        lent[0].execute("SELECT 1")


async def test_after_closing_nothing_is_read(readers: Readers) -> None:
    await readers.read("x", id)
    readers.close()
    with pytest.raises(UnavailableError, match="closed"):
        await readers.read("x", id)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (apsw.IOError("bad disk"), UnavailableError),
        (apsw.CorruptError("malformed"), JournalCorruptError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), JournalCorruptError),
    ],
)
async def test_an_error_of_the_database_is_translated(
    readers: Readers, raised: Exception, told: type[Exception]
) -> None:
    def read(connection: apsw.Connection) -> None:
        raise raised

    with pytest.raises(told, match="call:1"):
        await readers.read("call:1", read)
    assert await readers.read("x", lambda connection: connection.in_transaction)
    readers.close()


async def test_a_long_read_ends_when_it_is_cancelled(readers: Readers) -> None:
    started = trio.Event()
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"

    def read(connection: apsw.Connection) -> None:
        trio.from_thread.run_sync(started.set)
        connection.execute(endless).fetchall()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(readers.read, "x", read)
        await started.wait()
        nursery.cancel_scope.cancel()
    readers.close()
