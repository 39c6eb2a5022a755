"""The embedded journal: one SQLite file, one writing thread, readers beside it."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import apsw
import trio

from engine.errors import JournalError, UnavailableError
from engine.journal import reading
from engine.journal.base import CLOSED, QUEUE_MAX, JournalBase, heads_or_raise
from engine.journal.lane import Chore, Lane
from engine.journal.lockfile import Lockfile
from engine.journal.port import Due, Loaded
from engine.journal.readers import Readers
from engine.journal.schema import (
    closing_on_error,
    open_reader,
    open_writer,
    read_epoch,
    refuse_old_sqlite,
    settle_epoch,
    translated,
)
from engine.journal.writer import Writer
from engine.journal.writes import Append, Result

_READ_ONLY = "the journal was opened read-only"

P = ParamSpec("P")
T = TypeVar("T")


class SqliteJournal(JournalBase):
    """A journal in the file `path`, which one engine owns and anybody may read.

    With `read_only` it takes no lock, needs an existing journal and refuses to write: for commands
    beside a running server. `vfs` names another SQLite VFS, for tests of a failing disk.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Callable[[], float] = time.time,
        read_only: bool = False,
        queue_max: int = QUEUE_MAX,
        busy_seconds: float = 5.0,
        vfs: str | None = None,
        sqlite_version: str = apsw.sqlite_lib_version(),
    ) -> None:
        super().__init__(queue_max)
        self._path = Path(path)
        self._clock = clock
        self._read_only = read_only
        self._busy_seconds = busy_seconds
        self._vfs = vfs
        self._sqlite_version = sqlite_version
        self._readers: Readers | None = None
        self._lane: Lane | None = None
        self._opened: AbstractAsyncContextManager[None] | None = None

    async def __aenter__(self) -> Self:
        """Open the file.

        Raises:
            UnavailableError: it is owned by another engine, cannot be opened or needs another version.
            JournalCorruptError: it is no database.
        """
        if self._readers is not None:
            raise RuntimeError("the journal is open already")
        refuse_old_sqlite(self._sqlite_version)
        opened = self._reading() if self._read_only else self._owning()
        await opened.__aenter__()
        self._opened = opened
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._opened is not None
        return await self._opened.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[None]:
        # Opened once for its errors, and not only by the first read.
        await trio.to_thread.run_sync(lambda: open_reader(self._path, self._busy_seconds, self._vfs).close())
        with self._lending():
            self._shut = _READ_ONLY
            yield

    @asynccontextmanager
    async def _owning(self) -> AsyncIterator[None]:
        lockfile = Lockfile(self._path)
        writer = await trio.to_thread.run_sync(self._open_writer, lockfile)
        try:
            with self._lending():
                async with self._delivering(lambda: lane.close()) as nursery:
                    lane = self._lane = Lane(writer, self._delivery)
                    nursery.start_soon(self._write, lane)
                    yield
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(_close, writer, lockfile)

    @contextmanager
    def _lending(self) -> Iterator[None]:
        self._readers = Readers(self._path, self._busy_seconds, self._vfs)
        try:
            yield
        finally:
            self._readers.close()
            self._readers = None
            self._shut = CLOSED

    def _open_writer(self, lockfile: Lockfile) -> Writer:
        lockfile.acquire()
        try:
            connection = open_writer(self._path, self._busy_seconds, self._vfs)
            with closing_on_error(connection):
                settle_epoch(connection, lockfile)
            return Writer(connection, lockfile, self._busy_seconds)
        except BaseException as error:
            lockfile.release()
            if isinstance(error, apsw.Error):
                raise translated(error, self._path.name) from error
            raise

    async def _write(self, lane: Lane) -> None:
        try:
            await lane.run()
        finally:
            self._shut = self._shut or "the journal's thread has failed"

    def _take(self, append: Append) -> None:
        assert self._lane is not None
        self._lane.put(append)

    def _backlog(self) -> int:
        assert self._lane is not None
        return self._lane.backlog

    async def load(self, stream: str, after: int = 0, *, snapshot: bool = True) -> Loaded:
        """See the port."""
        return await self._read(stream, reading.load, stream, after, snapshot)

    async def heads(self, topics: Sequence[str]) -> Sequence[tuple[str, int]]:
        """See the port."""
        return await self._read(self._path.name, reading.heads, topics)

    async def timers(self) -> Sequence[Due]:
        """See the port."""
        return await self._read(self._path.name, reading.timers, inf, -1)

    async def due(self, limit: int) -> Sequence[Due]:
        """See the port."""
        return await self._read(self._path.name, reading.timers, self._clock(), limit)

    async def streams(self, after: str = "", limit: int = 1000) -> Sequence[tuple[str, int]]:
        """See the port."""
        return await self._read(self._path.name, reading.streams, after, limit)

    async def quiet(self, before: float, after: str = "", limit: int = 1000) -> Sequence[str]:
        """See the port."""
        return await self._read(self._path.name, reading.quiet, before, after, limit)

    async def epoch(self) -> str:
        """See the port."""
        return await self._read(self._path.name, read_epoch)

    async def check(self) -> Sequence[str]:
        """See the port; in pieces, so that it can be cancelled."""
        found = list(await self._read(self._path.name, reading.faults_of_file))
        after: str | None = ""
        while after is not None:
            faults, after = await self._read(self._path.name, reading.faults_of_streams, after)
            found += faults
        return found

    async def forget(self, streams: Sequence[str]) -> None:
        """See the port."""
        with trio.CancelScope(shield=True):
            heads_or_raise(await self._do(lambda writer: writer.forget(streams)))

    async def writable(self) -> bool:
        """See the port; found out by writing."""
        try:
            return not isinstance(await self._do(Writer.probe), JournalError)
        except UnavailableError:
            return False

    async def _read(
        self, name: str, read: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self._readers is None:
            raise UnavailableError(self._shut or CLOSED)
        return await self._readers.read(name, read, *args, **kwargs)

    async def _do(self, work: Callable[[Writer], Result]) -> Result:
        self._check_open()
        told: list[Result] = []
        news = trio.Event()

        def done(result: Result) -> None:
            told.append(result)
            news.set()

        assert self._lane is not None
        self._lane.put(Chore(work, done))
        await news.wait()
        return told[0]


def _close(writer: Writer, lockfile: Lockfile) -> None:
    try:
        writer.close()
    finally:
        lockfile.release()
