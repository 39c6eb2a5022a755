"""Whether a worker can take one more peer: its loop's lateness and its processor time."""

from collections import deque

from engine.media.frames import Limits

SAMPLES = 100
RELIEF = 0.7
"""An overloaded worker takes peers again below this share of its limits, so that it does not flutter."""


class Gauge:
    """The last hundred latenesses and the last processor share, held against limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lags: deque[float] = deque(maxlen=SAMPLES)
        self.cpu_fraction = 0.0
        self.overloaded = False

    def note_lag(self, milliseconds: float) -> None:
        """Keep one lateness of the loop."""
        self._lags.append(max(milliseconds, 0.0))

    @property
    def lag_milliseconds(self) -> float:
        """The 99th percentile of what is kept: of a hundred, all but the worst."""
        if not self._lags:
            return 0.0
        return sorted(self._lags)[len(self._lags) * 99 // 100 - 1]

    def judge(self, cpu_fraction: float) -> bool:
        """Whether the worker has become overloaded by this."""
        self.cpu_fraction = cpu_fraction
        before = self.overloaded
        share = RELIEF if before else 1.0
        self.overloaded = (
            self.lag_milliseconds > share * self._limits.lag_max_milliseconds
            or cpu_fraction > share * self._limits.cpu_max_fraction
        )
        return self.overloaded and not before
