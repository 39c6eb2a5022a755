"""One heap of deadlines for the whole process."""

import heapq
from collections.abc import Callable
from itertools import count

import trio

from engine.vocabulary import Address

LOOK_AGAIN_SECONDS = 5.0
"""The wall clock may be set while we sleep; the heap is looked at this often at the least."""


FIRED_MAX = 500
"""Timers fired in one go; after an outage many are due, and other tasks must get their turn."""


class TimerHeap:
    """Deadlines in UTC seconds, fired in order; a stale one is found out by whoever is told.

    An entry is never taken out early: the machine knows which timers are pending and drops a late firing.
    """

    def __init__(self, clock: Callable[[], float], fire: Callable[[Address, str, float], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._heap: list[tuple[float, int, Address, str]] = []
        self._order = count()
        self._sooner = trio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def start(self, address: Address, name: str, due: float) -> None:
        """Fire the timer at `due` or as soon after as the loop allows, never before."""
        entry = (due, next(self._order), address, name)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._sooner.set()

    async def run(self) -> None:
        """Fire what is due, for ever."""
        while True:
            now = self._clock()
            for _ in range(FIRED_MAX):
                if not self._heap or self._heap[0][0] > now:
                    break
                due, _, address, name = heapq.heappop(self._heap)
                self._fire(address, name, due)
            self._sooner = trio.Event()
            wait = min(self._heap[0][0] - now, LOOK_AGAIN_SECONDS) if self._heap else float("inf")
            with trio.move_on_after(max(wait, 0.0)):
                await self._sooner.wait()
