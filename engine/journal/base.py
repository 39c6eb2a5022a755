"""What every journal does alike: taking writes in, waiting for them, hints, being open or not."""

import abc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from engine.errors import JournalError, UnavailableError
from engine.journal.delivery import Delivery
from engine.journal.hub import Hub
from engine.journal.port import Done, Gap, Hint, Write
from engine.journal.writes import Append, Result, refuse_unstorable
from engine.nurseries import open_block_nursery

QUEUE_MAX = 10_000
"""Appends that wait at most; the next one is told that the queue is full."""


CLOSED = "the journal is closed"


class JournalBase(abc.ABC):
    """The part of a journal that does not know where things are kept."""

    def __init__(self, queue_max: int) -> None:
        self._queue_max = queue_max
        self._hub = Hub()
        self._delivery = Delivery(self._hub)
        self._shut: str | None = "the journal is not open"
        """Why nothing can be asked of the journal now."""

    @abc.abstractmethod
    def _take(self, append: Append) -> None:
        """Queue `append`."""

    @abc.abstractmethod
    def _backlog(self) -> int:
        """How many appends wait."""

    def submit(self, writes: Sequence[Write], done: Done) -> None:
        """See the port.

        Raises:
            ValueError: no journal could store this; `done` is not called.
        """
        refuse_unstorable(writes)
        if self._shut is not None:
            # Nobody owns a task of a journal that is not open, so trio itself tells.
            trio.lowlevel.current_trio_token().run_sync_soon(done, UnavailableError(self._shut))
        elif self._backlog() >= self._queue_max:
            self._delivery.put((done, (), UnavailableError("the journal's queue is full")))
            self._delivery.wake()
        else:
            self._take(Append(tuple(writes), done))

    async def append(self, *writes: Write) -> Sequence[int]:
        """See the port."""
        task = trio.lowlevel.current_task()
        told: list[Result] = []

        def done(result: Result) -> None:
            told.append(result)
            trio.lowlevel.reschedule(task)

        self.submit(writes, done)
        # Half an append does not exist: a cancelled caller waits for the outcome like any other.
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        return heads_or_raise(told[0])

    def hints(self, limit: int = 1024) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[Hint | Gap]]:
        """See the port.

        Raises:
            UnavailableError: the journal is not open for writing.
        """
        self._check_open()
        return self._hub.subscribe(limit)

    def _check_open(self) -> None:
        if self._shut is not None:
            raise UnavailableError(self._shut)

    @asynccontextmanager
    async def _delivering(self, leave: Callable[[], None]) -> AsyncIterator[trio.Nursery]:
        """Take writes in while the body runs; `leave` then makes sure that the delivery is ended."""
        if self._shut is None:
            raise RuntimeError("the journal is open already")
        self._delivery = Delivery(self._hub)
        try:
            async with open_block_nursery() as nursery:
                nursery.start_soon(self._delivery.run, nursery)
                self._shut = None
                try:
                    yield nursery
                finally:
                    self._shut = CLOSED
                    leave()
        finally:
            self._hub.close()


def heads_or_raise(result: Result) -> Sequence[int]:
    """What an awaited append returns or raises."""
    if isinstance(result, JournalError):
        raise result
    return result
