"""What a viewer that loses packets gets beside its stream, and how much: copies, and a later playout."""

from collections import deque

import attrs

BURST_BYTES = 256 * 1024
"""May be sent again at once; in the long run no more than was sent."""
SPARE_BYTES = BURST_BYTES // 2
"""Kept for what was asked for: second copies are sent only while there is more than this."""
COPY_SECONDS = 0.01
"""A copy follows no sooner, so that what has lost the first one may be over. It goes with a tick."""
COPIES_MAX = 256
INCIDENTS = 4
INCIDENT_PACKETS = 200
"""So many requests in so many packets are two percent: then requests and their answers are lost as well."""
CALM_SECONDS = 10.0
"""Without such loss for this long, it is over."""
PLAYOUT_DELAY_MILLISECONDS = 250
"""Beside the round trip. Chromium finds the last packet of a frame lost by the next frame, asks again every
110 milliseconds, and a picture that is 150 late is no freeze yet: so it can ask four times."""
ROUND_TRIP_MILLISECONDS_MAX = 300
"""More is not waited for: who talks to each other would rather see a freeze."""
PLAYOUT_DELAY_MAX_MILLISECONDS = 10_000
"""What a receiver takes for its own limit."""
STEP_MILLISECONDS = 40
"""A frame is not delayed by more than this against the one before: that would be the freeze to be avoided."""
TELLINGS = 3
"""Frames that tell the last step, because each may be lost."""


@attrs.define
class Budget:
    """Octets that may be sent again to one viewer: as many as it was sent, and a burst."""

    _left: float = BURST_BYTES
    _sent: int = 0

    def take(self, octets: int, sent: int, *, spare: bool = False) -> bool:
        """Whether `octets` may go, when `sent` is what the stream has had so far; and if so, that they do."""
        self._left = min(BURST_BYTES, self._left + sent - self._sent)
        self._sent = sent
        if self._left < octets + (SPARE_BYTES if spare else 0):
            return False
        self._left -= octets
        return True


def _first_incidents() -> deque[int]:
    # Of a beginner one more is enough: better a while too careful than a freeze at the start.
    return deque((0,) * (INCIDENTS - 1), maxlen=INCIDENTS)


@attrs.define
class Losses:
    """Whether one viewer loses packets all the time."""

    heavy: bool = False
    _heavy_at: float = 0.0
    _incidents: deque[int] = attrs.field(factory=_first_incidents)
    """How many packets of the stream there had been."""

    def take(self, packets: int, now: float) -> bool:
        """It asks for what it was sent, after `packets` of the stream; whether it is heavy only now."""
        self._incidents.append(packets)
        if len(self._incidents) < INCIDENTS or packets - self._incidents[0] > INCIDENT_PACKETS:
            return False
        before, self.heavy, self._heavy_at = self.heavy, True, now
        return not before

    def likely(self, packets: int) -> bool:
        """Whether to expect more of it; of a beginner, until there is something to tell by."""
        return self.heavy or packets <= INCIDENT_PACKETS

    def calm(self, now: float) -> bool:
        """Whether it is over only now."""
        if not self.heavy or now - self._heavy_at < CALM_SECONDS:
            return False
        self.heavy = False
        return True


@attrs.define
class Copies:
    """Numbers that one viewer was sent again, and is to be sent once more."""

    _due: deque[tuple[float, int]] = attrs.field(factory=lambda: deque(maxlen=COPIES_MAX))

    def owe(self, number: int, now: float) -> None:
        """Once more, soon; the oldest is forgotten when there are too many."""
        self._due.append((now + COPY_SECONDS, number))

    def due(self, now: float) -> list[int]:
        """Those whose time has come."""
        found = []
        while self._due and self._due[0][0] <= now:
            found.append(self._due.popleft()[1])
        return found

    def __len__(self) -> int:
        return len(self._due)


@attrs.define
class Playout:
    """How late one viewer is told to play, at least, in milliseconds."""

    told: int = 0
    _wanted: int = 0
    _left: int = 0

    def want(self, milliseconds: int) -> None:
        """From now on so late, in steps."""
        self._wanted, self._left = milliseconds, TELLINGS

    @property
    def told_enough(self) -> bool:
        """Whether there is nothing to tell."""
        return self._left == 0

    def step(self) -> bytes:
        """The value of the header extension for the next frame."""
        self.told += max(-STEP_MILLISECONDS, min(STEP_MILLISECONDS, self._wanted - self.told))
        self._left -= self.told == self._wanted
        return (((self.told // 10) << 12) | (PLAYOUT_DELAY_MAX_MILLISECONDS // 10)).to_bytes(3, "big")


def delay_for(round_trip_seconds: float) -> int:
    """Milliseconds that a viewer with heavy loss needs for asking more than once."""
    trip = min(ROUND_TRIP_MILLISECONDS_MAX, round(1000 * round_trip_seconds))
    return PLAYOUT_DELAY_MILLISECONDS + trip
