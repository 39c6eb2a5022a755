"""Results on their way back to whoever submitted, in one task of the journal's own nursery."""

from collections import deque
from typing import TypeAlias

import trio

from engine.errors import JournalError
from engine.journal.hub import Hub
from engine.journal.port import Done, Write
from engine.journal.writes import Result

Settled: TypeAlias = tuple[Done, tuple[Write, ...], Result]
"""Whom to tell, what was written, and what came of it."""


class Delivery:
    """Tells results and publishes hints in the order of commits.

    The task is shielded: an append that waits for its result cannot be cancelled, so it must be told.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._settled: deque[Settled] = deque()
        self._news = trio.Event()
        self._ended = False

    @property
    def backlog(self) -> int:
        """How many results are not told yet."""
        return len(self._settled)

    def put(self, settled: Settled) -> None:
        """Queue a result; from any thread. `wake` has to follow on trio's."""
        self._settled.append(settled)

    def wake(self) -> None:
        """Have everything told that was put."""
        self._news.set()

    def end(self) -> None:
        """Nothing is put any more: the task ends when all is told."""
        self._ended = True
        self.wake()

    async def run(self, nursery: trio.Nursery) -> None:
        """Tell until the end. What a `done` raises leaves through `nursery`."""
        with trio.CancelScope(shield=True):
            try:
                await self._tell_all()
            finally:
                # A `done` that raises ends the journal's owner, but nobody else may wait for ever.
                if self._settled or not self._ended:
                    self.wake()
                    nursery.start_soon(self.run, nursery)

    async def _tell_all(self) -> None:
        while not self._ended or self._settled:
            await self._news.wait()
            self._news = trio.Event()
            for _ in range(len(self._settled)):
                self._tell(*self._settled.popleft())

    def _tell(self, done: Done, writes: tuple[Write, ...], result: Result) -> None:
        done(result)
        # The writer hears first, so that a hint finds it up to date.
        if not isinstance(result, JournalError):
            self._hub.publish(writes, result)
