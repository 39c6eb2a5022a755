"""Events on their way from a worker to trio: a frame a turn of the loop, numbered, never in media's way."""

from collections.abc import Callable

from engine.media import protocol as p
from engine.media.frames import Happened, seal

BATCH_MAX = 1000
"""Events of a frame; a large frame would hold up the answers behind it."""


class Outbox:
    """Collects events and writes them when the loop turns; holds them while the host does not read.

    `soon` calls a function at the loop's next turn. Of more than `limit` events that wait, the older ones are
    counted and dropped; that a peer is closed is kept, for nothing else would ever tell.
    """

    def __init__(
        self, write: Callable[[Happened], None], soon: Callable[[Callable[[], None]], object], limit: int
    ) -> None:
        self._write = write
        self._soon = soon
        self._limit = limit
        self._events: list[p.MediaEvent] = []
        self._number = 0
        self._armed = False
        self._held = False

    def put(self, event: p.MediaEvent) -> None:
        """Take an event; it never waits."""
        if len(self._events) >= self._limit:
            self._shed()
        self._events.append(event)
        self._arm()

    def hold(self) -> None:
        """The host does not read."""
        self._held = True

    def release(self) -> None:
        """It reads again."""
        self._held = False
        self._arm()

    def flush(self) -> None:
        """Write everything now, held or not, so that what is written next comes behind it."""
        events, self._events = self._events, []
        for at in range(0, len(events), BATCH_MAX):
            batch = events[at : at + BATCH_MAX]
            self._write(Happened(self._number, tuple([seal(each) for each in batch])))
            self._number += p.numbers_of(batch)

    def _arm(self) -> None:
        if self._events and not self._armed and not self._held:
            self._armed = True
            self._soon(self._turn)

    def _turn(self) -> None:
        self._armed = False
        if not self._held:
            self.flush()

    def _shed(self) -> None:
        kept = [each for each in self._events if isinstance(each, p.PeerClosed)]
        if len(kept) >= self._limit // 2:
            # A host that has not read for so many peers has lost its place anyway.
            kept = []
        lost = p.numbers_of(self._events) - len(kept)
        self._events = [p.EventsLost(count=lost), *kept]
