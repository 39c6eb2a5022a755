"""Packets that a source should have sent: when to ask for them again, and when to give them up."""

import math
from collections.abc import Sequence

import attrs

from engine.media.router.rtp import distance

GAP_MAX = 200
"""A larger gap is not filled: a key frame is cheaper."""
MISSING_MAX = 512
RETRY_SECONDS = 0.04
TRIES_MAX = 8
GIVE_UP_SECONDS = 1.0


@attrs.define
class _Wanted:
    since: float
    tries: int = 0
    tried_at: float = -math.inf


@attrs.define
class Missing:
    """Sequence numbers of one source."""

    given_up: int = 0
    asked: int = 0
    _wanted: dict[int, _Wanted] = attrs.field(factory=dict)

    def gap(self, after: int, before: int, now: float) -> bool:
        """Everything between two numbers is missing; False when that is too much to ask for."""
        count = distance(before, after) - 1
        if count > GAP_MAX or len(self._wanted) + count > MISSING_MAX:
            self.given_up += count
            return False
        for number in range(after + 1, after + 1 + count):
            self._wanted[number & 0xFFFF] = _Wanted(now)
        return True

    def found(self, sequence: int) -> bool:
        """It has come; whether it was missing."""
        return bool(self._wanted) and self._wanted.pop(sequence, None) is not None

    def due(self, now: float) -> tuple[Sequence[int], int]:
        """Those to ask for now, and how many were given up."""
        asked, lost = [], 0
        for sequence, wanted in list(self._wanted.items()):
            if wanted.tries >= TRIES_MAX or now - wanted.since > GIVE_UP_SECONDS:
                del self._wanted[sequence]
                lost += 1
            elif now - wanted.tried_at >= RETRY_SECONDS:
                wanted.tries, wanted.tried_at = wanted.tries + 1, now
                asked.append(sequence)
        self.given_up += lost
        self.asked += len(asked)
        return asked, lost

    def clear(self) -> None:
        """The numbers begin anew."""
        self.given_up += len(self._wanted)
        self._wanted.clear()

    def __len__(self) -> int:
        return len(self._wanted)
