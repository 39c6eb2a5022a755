"""One heap of deadlines for the whole process."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import TypeAlias

import trio

from engine.vocabulary import Address

LOOK_AGAIN_SECONDS = 5.0
"""The wall clock may be set while we sleep; the heap is looked at this often at the least."""


FIRED_MAX = 500
"""Timers fired in one go; after an outage many are due, and other tasks must get their turn."""


SUPERSEDED_MAX = 1_000
"""Entries beside those that count, which few timers may have; many may have as many as they are."""


_Entry: TypeAlias = tuple[float, int, Address, str]
"""When it is due, its number, and which timer of which machine it is."""


class TimerHeap:
    """Deadlines in UTC seconds, fired in order: one for each timer of each machine, the one started last.

    What was superseded or stopped stays in the heap until it comes to the front, or until such entries are
    more than half: keepalives prolong a timer of an hour every few seconds. Whoever is told checks all the
    same, for only the machine knows which timers are pending.
    """

    def __init__(self, clock: Callable[[], float], fire: Callable[[Address, str], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._heap: list[_Entry] = []
        self._order = count()
        self._standing: dict[tuple[Address, str], int] = {}
        """By timer the number of the entry that counts."""
        self._sooner = trio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def start(self, address: Address, name: str, due: float) -> None:
        """Fire the timer at `due` or as soon after as the loop allows, never before."""
        number = self._standing[address, name] = next(self._order)
        entry = (due, number, address, name)
        heapq.heappush(self._heap, entry)
        self._tidy()
        if self._heap[0] is entry:
            self._sooner.set()

    def stop(self, address: Address, name: str) -> None:
        """Do not fire the timer; one that does not run is stopped."""
        self._standing.pop((address, name), None)
        self._tidy()

    def is_started(self, address: Address, name: str) -> bool:
        """Whether the timer has been started and has not fired since."""
        return (address, name) in self._standing

    async def run(self) -> None:
        """Fire what is due, for ever."""
        while True:
            now = self._clock()
            for _ in range(FIRED_MAX):
                if not self._heap or self._heap[0][0] > now:
                    break
                self._take(heapq.heappop(self._heap))
            self._sooner = trio.Event()
            wait = min(self._heap[0][0] - now, LOOK_AGAIN_SECONDS) if self._heap else float("inf")
            with trio.move_on_after(max(wait, 0.0)):
                await self._sooner.wait()

    def _take(self, entry: _Entry) -> None:
        if self._counts(entry):
            _, _, address, name = entry
            del self._standing[address, name]
            self._fire(address, name)

    def _counts(self, entry: _Entry) -> bool:
        _, number, address, name = entry
        return self._standing.get((address, name)) == number

    def _tidy(self) -> None:
        counting = len(self._standing)
        if len(self._heap) > counting + max(counting, SUPERSEDED_MAX):
            self._heap = [entry for entry in self._heap if self._counts(entry)]
            heapq.heapify(self._heap)
