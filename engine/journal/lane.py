"""The one thread that writes: what queues up during a commit is the next one."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from queue import SimpleQueue
from typing import Any, TypeAlias

import msgspec
import trio

from engine.errors import UnavailableError, UnknownOutcomeError
from engine.journal.delivery import Delivery
from engine.journal.port import Done
from engine.journal.writer import Writer
from engine.journal.writes import Append, Result

BATCH_MAX = 512


class Chore(msgspec.Struct, frozen=True):
    """Something for the writer to do between two batches, in a transaction of its own."""

    work: Callable[[Writer], Result]
    done: Done


Item: TypeAlias = Append | Chore


class Lane:
    """A queue, a thread and a way back: one commit for all appends that came during the last one."""

    def __init__(self, writer: Writer, delivery: Delivery, batch_max: int = BATCH_MAX) -> None:
        self._writer = writer
        self._delivery = delivery
        self._batch_max = batch_max
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._trio = trio.lowlevel.current_trio_token()

    @property
    def backlog(self) -> int:
        """How many items wait for the thread."""
        return self._queue.qsize()

    def put(self, item: Item) -> None:
        """Queue `item`; its `done` is told through the delivery."""
        self._queue.put(item)

    def close(self) -> None:
        """Let the thread end behind what is queued now. Nothing may be put any more."""
        self._queue.put(None)

    async def run(self) -> None:
        """Own the thread until `close`; then all results are with the delivery.

        Shielded, for an accepted append is finished; that is bounded by the queue.
        """
        try:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._write_batches)
        finally:
            self._give_up(self._waiting(self.backlog))
            self._delivery.end()

    def _write_batches(self) -> None:
        ended = False
        while not ended:
            batch = [self._queue.get(), *self._waiting(self._batch_max - 1)]
            ended = batch[-1] is None
            self._write([item for item in batch if item is not None])

    def _waiting(self, limit: int) -> list[Item | None]:
        # The only consumer may trust qsize.
        return [self._queue.get_nowait() for _ in range(min(self._queue.qsize(), limit))]

    def _write(self, items: Sequence[Item]) -> None:
        told = 0
        try:
            for appending, run in groupby(items, key=lambda item: isinstance(item, Append)):
                for item, result in self._results(list(run), appending):
                    self._settle(item, result)
                    told += 1
        finally:
            # Empty unless the writer has a bug; then its batch may or may not be on the disk.
            for item in items[told:]:
                self._settle(item, UnknownOutcomeError("the journal's thread has failed"))
            self._trio.run_sync_soon(self._delivery.wake, idempotent=True)

    def _results(self, run: Sequence[Any], appending: bool) -> Iterable[tuple[Item, Result]]:
        if appending:
            return zip(run, self._writer.commit(run), strict=True)
        return ((chore, chore.work(self._writer)) for chore in run)

    def _settle(self, item: Item, result: Result) -> None:
        self._delivery.put((item.done, item.writes if isinstance(item, Append) else (), result))

    def _give_up(self, items: Sequence[Item | None]) -> None:
        for item in items:
            if item is not None:
                self._settle(item, UnavailableError("the journal's thread has failed"))
