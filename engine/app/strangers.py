"""Sockets that have to say who they are within a time; a task for each would cost more."""

from typing import Protocol

import trio

SWEEP_SECONDS = 1.0
"""How often it is looked for those whose time is over."""


class Stranger(Protocol):
    """The receiver of a socket whose user is not known yet."""

    def turn_away(self) -> None:
        """Close it; its time is over."""


class Strangers:
    """All of a service. Who is known, or gone, is taken out by `forget`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[Stranger, float] = {}
        """By trio's clock."""

    def __len__(self) -> int:
        return len(self._until)

    def add(self, stranger: Stranger) -> None:
        """His time begins."""
        self._until[stranger] = trio.current_time() + self._seconds

    def forget(self, stranger: Stranger) -> None:
        """He is none any more."""
        self._until.pop(stranger, None)

    async def turn_away(self) -> None:
        """Turn those away whose time is over, for ever."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            now = trio.current_time()
            for stranger in [one for one, until in self._until.items() if until <= now]:
                stranger.turn_away()
