"""Packets that a source should have sent: when to ask for them again, and when to give them up."""

import math
from collections.abc import Sequence

import attrs

from engine.media.router.rtp import distance

GAP_MAX = 200
"""A larger gap is not filled: a key frame is cheaper."""
MISSING_MAX = 512
RETRY_SECONDS = 0.015
"""Asked again no sooner, so that it is with the next tick."""
RETRY_ROUND_TRIPS = 1.25
"""From the second time on, an answer has this long to come. Chromium takes no request within a round trip."""
PATIENT_TRIES = 3
"""So often in this rhythm; every later pause is longer by half, because the way may be blocked."""
TRIES_MAX = 8
GIVE_UP_SECONDS = 1.0
ROUND_TRIP_SECONDS = 0.1
"""Until one is measured."""
_NEWS = 1 / 8
"""The weight of a new round trip (RFC 6298 section 2)."""


@attrs.define
class _Wanted:
    since: float
    tries: int = 0
    first_tried_at: float = -math.inf
    tried_at: float = -math.inf


@attrs.define
class Missing:
    """Sequence numbers of one source."""

    given_up: int = 0
    asked: int = 0
    unasked: bool = False
    """There is a new gap that nobody has asked for."""
    round_trip_seconds: float | None = None
    """From a request to what it brings, smoothed."""
    _wanted: dict[int, _Wanted] = attrs.field(factory=dict)

    def gap(self, after: int, before: int, now: float) -> bool:
        """Everything between two numbers is missing; False when that is too much to ask for."""
        count = distance(before, after) - 1
        if count > GAP_MAX or len(self._wanted) + count > MISSING_MAX:
            self.given_up += count
            return False
        for number in range(after + 1, after + 1 + count):
            self._wanted[number & 0xFFFF] = _Wanted(now)
        self.unasked = True
        return True

    def found(self, sequence: int) -> bool:
        """It has come; whether it was missing."""
        return bool(self._wanted) and self._wanted.pop(sequence, None) is not None

    def answered(self, sequence: int, now: float) -> bool:
        """It has come because it was asked for; whether it was missing."""
        wanted = self._wanted.pop(sequence, None)
        # The second request is close behind the first one; of later ones nobody knows which is answered.
        if wanted is not None and 1 <= wanted.tries <= 2:
            taken, known = now - wanted.first_tried_at, self.round_trip_seconds
            self.round_trip_seconds = taken if known is None else known + _NEWS * (taken - known)
        return wanted is not None

    def due(self, now: float) -> tuple[Sequence[int], int]:
        """Those to ask for now, and how many were given up."""
        asked, lost = [], 0
        self.unasked = False
        for sequence, wanted in list(self._wanted.items()):
            if wanted.tries >= TRIES_MAX or now - wanted.since > GIVE_UP_SECONDS:
                del self._wanted[sequence]
                lost += 1
            elif now - wanted.tried_at >= self._pause(wanted.tries):
                if not wanted.tries:
                    wanted.first_tried_at = now
                wanted.tries, wanted.tried_at = wanted.tries + 1, now
                asked.append(sequence)
        self.given_up += lost
        self.asked += len(asked)
        return asked, lost

    def _pause(self, tries: int) -> float:
        # The first request is as easily lost as the packet was, so the second one waits for nothing.
        if tries <= 1:
            return RETRY_SECONDS
        trip = ROUND_TRIP_SECONDS if self.round_trip_seconds is None else self.round_trip_seconds
        return float(max(RETRY_SECONDS, RETRY_ROUND_TRIPS * trip) * 1.5 ** max(0, tries - PATIENT_TRIES))

    def clear(self) -> None:
        """The numbers begin anew."""
        self.given_up += len(self._wanted)
        self.unasked = False
        self._wanted.clear()

    def __len__(self) -> int:
        return len(self._wanted)
