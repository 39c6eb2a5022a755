"""A journal without a disk: the same laws, for tests, simulation and throw-away engines."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import islice
from types import TracebackType
from typing import Self
from uuid import uuid4

import trio

from engine.errors import JournalError
from engine.journal.base import QUEUE_MAX, JournalBase
from engine.journal.port import Due, Loaded, StoredEvent, Write
from engine.journal.writes import MISSED_MAX, Append, Result, mismatch


class _Stream:
    """What is kept of one stream."""

    __slots__ = ("events", "snapshot", "snapshot_version", "timers", "topics")

    def __init__(self) -> None:
        self.events: list[StoredEvent] = []
        self.timers: dict[str, float] = {}
        self.topics: set[str] = set()
        self.snapshot: bytes | None = None
        self.snapshot_version = 0

    @property
    def head(self) -> int:
        return len(self.events)

    def apply(self, write: Write) -> None:
        for event in write.events:
            self.events.append(StoredEvent(self.head + 1, event.type, event.at, event.data))
        for name, due in write.timers:
            if due is None:
                self.timers.pop(name, None)
            else:
                self.timers[name] = due
        for topic, on in write.members:
            (self.topics.add if on else self.topics.discard)(topic)
        if write.snapshot is not None:
            self.snapshot, self.snapshot_version = write.snapshot, self.head

    def loaded(self, after: int, snapshot: bool) -> Loaded:
        if snapshot and self.snapshot_version >= after:
            events = self.events[self.snapshot_version :]
            return Loaded(self.snapshot, self.snapshot_version, tuple(events))
        return Loaded(None, 0, tuple(self.events[after:]))


_NOTHING = _Stream()


class MemoryJournal(JournalBase):
    """Keeps everything in this object; leaving and entering it again finds everything as it was.

    Writes are stored inside `submit`, in its order; their results are told later, in the same order.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, queue_max: int = QUEUE_MAX, epoch: str | None = None
    ) -> None:
        super().__init__(queue_max)
        self._clock = clock
        self._epoch = epoch or uuid4().hex
        self._streams: dict[str, _Stream] = {}
        self._opened: AbstractAsyncContextManager[trio.Nursery] | None = None

    async def __aenter__(self) -> Self:
        opened = self._delivering(lambda: self._delivery.end())
        await opened.__aenter__()
        self._opened = opened
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._opened is not None
        return await self._opened.__aexit__(kind, error, trace)

    def _backlog(self) -> int:
        return self._delivery.backlog

    def _take(self, append: Append) -> None:
        self._delivery.put((append.done, append.writes, self._store(append.writes)))
        self._delivery.wake()

    def _store(self, writes: tuple[Write, ...]) -> Result:
        error = self._first_mismatch(writes)
        if error is not None:
            return error
        for write in writes:
            # An assertion about a stream that does not exist leaves no trace of it.
            if write.events or write.expected:
                self._streams.setdefault(write.stream, _Stream()).apply(write)
        return [write.expected + len(write.events) for write in writes]

    def _first_mismatch(self, writes: tuple[Write, ...]) -> JournalError | None:
        ahead: dict[str, int] = {}
        for write in writes:
            stream = self._streams.get(write.stream, _NOTHING)
            head = ahead.get(write.stream, stream.head)
            if head != write.expected:
                missed = stream.events[write.expected : write.expected + MISSED_MAX]
                return mismatch(write, head, tuple(missed))
            ahead[write.stream] = head + len(write.events)
        return None

    async def load(self, stream: str, after: int = 0, *, snapshot: bool = True) -> Loaded:
        """See the port."""
        await self._pause()
        return self._streams.get(stream, _NOTHING).loaded(after, snapshot)

    async def heads(self, topics: Sequence[str]) -> Sequence[tuple[str, int]]:
        """See the port."""
        await self._pause()
        wanted = set(topics)
        return [(name, one.head) for name, one in sorted(self._streams.items()) if one.topics & wanted]

    async def timers(self) -> Sequence[Due]:
        """See the port."""
        await self._pause()
        return self._running()

    async def due(self, limit: int) -> Sequence[Due]:
        """See the port."""
        await self._pause()
        now = self._clock()
        return [timer for timer in self._running() if timer.due <= now][:limit]

    def _running(self) -> list[Due]:
        # The sort is stable: timers of one instant stay in the order of the streams' first events.
        running = [
            Due(name, timer, due)
            for name, stream in self._streams.items()
            for timer, due in sorted(stream.timers.items())
        ]
        return sorted(running, key=lambda timer: timer.due)

    async def streams(self, after: str = "", limit: int = 1000) -> Sequence[tuple[str, int]]:
        """See the port."""
        await self._pause()
        return [(name, one.head) for name, one in sorted(self._streams.items()) if name > after][:limit]

    async def quiet(self, before: float, after: str = "", limit: int = 1000) -> Sequence[str]:
        """See the port."""
        await self._pause()
        found = (
            name
            for name, one in sorted(self._streams.items())
            if name > after and not one.timers and one.events and one.events[-1].at < before
        )
        return list(islice(found, limit))

    async def epoch(self) -> str:
        """See the port."""
        await self._pause()
        return self._epoch

    async def forget(self, streams: Sequence[str]) -> None:
        """See the port."""
        await self._pause()
        for name in streams:
            self._streams.pop(name, None)

    async def check(self) -> Sequence[str]:
        """See the port; memory of this process has no way of its own to be at fault."""
        await self._pause()
        return []

    async def writable(self) -> bool:
        """See the port."""
        await trio.lowlevel.checkpoint()
        return self._shut is None and self._backlog() < self._queue_max

    async def _pause(self) -> None:
        self._check_open()
        await trio.lowlevel.checkpoint()
