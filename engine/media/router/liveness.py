"""Deadlines of a peer, and the one timer that all of them share."""

import asyncio
import time
from collections.abc import Callable
from enum import StrEnum

import attrs

TICK_SECONDS = 0.02


class Verdict(StrEnum):
    """What silence means."""

    FAILED = "failed"
    LOST = "lost"
    STALLED = "stalled"
    RESUMED = "resumed"


@attrs.define(kw_only=True)
class Liveness:
    """Of one peer. All times are in seconds of one steady clock."""

    connect_seconds: float
    stalled_seconds: float
    lost_seconds: float
    opened_at: float
    connected_at: float | None = None
    heard_at: float = 0.0
    """When anything authentic came last."""
    media_at: float | None = None
    """When RTP came last; it stays None for a peer that owes us none."""
    stalled: bool = False

    def connected(self, now: float, *, sends: bool) -> None:
        """ICE and DTLS are done; whoever `sends` owes media from now on."""
        self.connected_at = self.heard_at = now
        self.media_at = now if sends else None

    def check(self, now: float) -> Verdict | None:
        """What has changed."""
        if self.connected_at is None:
            return Verdict.FAILED if now - self.opened_at > self.connect_seconds else None
        if now - self.heard_at > self.lost_seconds:
            return Verdict.LOST
        silent = self.media_at is not None and now - self.media_at > self.stalled_seconds
        if silent == self.stalled:
            return None
        self.stalled = silent
        return Verdict.STALLED if silent else Verdict.RESUMED


class Ticker:
    """Calls `on_tick` every twenty milliseconds; what it raises is told and changes nothing."""

    def __init__(self, on_tick: Callable[[], None], on_fault: Callable[[str, BaseException], None]) -> None:
        self._on_tick, self._on_fault = on_tick, on_fault
        self._handle: asyncio.TimerHandle | None = None
        self._due_at = 0.0
        self.lag_seconds = 0.0
        """How late the last tick was."""

    def start(self) -> None:
        """Begin."""
        self._due_at = time.monotonic() + TICK_SECONDS
        self._handle = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def stop(self) -> None:
        """No tick comes after this."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _tick(self) -> None:
        now = time.monotonic()
        self.lag_seconds = max(0.0, now - self._due_at)
        # A late tick does not make the next ones come in a burst.
        self._due_at = max(self._due_at + TICK_SECONDS, now + TICK_SECONDS / 2)
        self._handle = asyncio.get_running_loop().call_later(self._due_at - now, self._tick)
        try:
            self._on_tick()
        except Exception as error:  # The other peers' deadlines must go on.
            self._on_fault("tick", error)
