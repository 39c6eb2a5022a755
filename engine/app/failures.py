"""Wrong secrets of the last minute, counted so that nobody can try many."""

import math
from collections import OrderedDict, deque
from collections.abc import Callable

from engine.app.digests import digest_of

KEYS_MAX = 10_000
"""Pairs of name and address that are remembered; the one that failed longest ago is forgotten first.

To be forgotten early, somebody must fail with ten thousand other names or addresses.
"""


class Failures:
    """The times of the latest failures, by name and address. A right secret forgives none of them."""

    def __init__(
        self, *, failures_max: int, seconds: float, clock: Callable[[], float], keys_max: int = KEYS_MAX
    ) -> None:
        self._failures_max = failures_max
        self._seconds = seconds
        self._clock = clock
        self._keys_max = keys_max
        self._times: OrderedDict[tuple[bytes, str], deque[float]] = OrderedDict()
        """In the order of the last failure. Digests, because a name from outside may be long."""

    def __len__(self) -> int:
        return len(self._times)

    def seconds_to_wait(self, name: str, peer: str) -> int:
        """Whole seconds until the next try is looked at; 0 when it is looked at now."""
        times = self._times.get((digest_of(name), peer), ())
        now = self._clock()
        recent = [at for at in times if self._is_recent(at, now)]
        if len(recent) < self._failures_max:
            return 0
        return max(1, math.ceil(recent[0] + self._seconds - now))

    def note(self, name: str, peer: str) -> None:
        """A secret was wrong."""
        now = self._clock()
        self._forget_old(now)
        key = (digest_of(name), peer)
        self._times.setdefault(key, deque(maxlen=self._failures_max)).append(now)
        self._times.move_to_end(key)
        if len(self._times) > self._keys_max:
            self._times.popitem(last=False)

    def _is_recent(self, at: float, now: float) -> bool:
        # What lies ahead was noted before the clock was set back; it must not block for longer than usual.
        return now - self._seconds < at <= now

    def _forget_old(self, now: float) -> None:
        while self._times and not self._is_recent(next(iter(self._times.values()))[-1], now):
            self._times.popitem(last=False)
