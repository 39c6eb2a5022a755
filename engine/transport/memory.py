"""A pair of links in memory, with the weather of a network: loss, delay, reordering, breaking; all seeded."""

import heapq
import random

import attrs
import trio
from attrs.validators import and_, ge, gt, le

from engine.errors import TransportBrokenError, TransportClosedError, TransportError

NORMAL = 1000
ABNORMAL = 1006

probability = and_(ge(0.0), le(1.0))


@attrs.frozen(kw_only=True)
class Weather:
    """What happens to messages on their way. The probabilities are those of each single message."""

    loss: float = attrs.field(default=0.0, validator=probability)
    breaking: float = attrs.field(default=0.0, validator=probability)
    """The whole link breaks instead of carrying the message."""
    reordering: float = attrs.field(default=0.0, validator=probability)
    """The message does not wait for those before it."""
    delay_seconds: float = attrs.field(default=0.0, validator=ge(0.0))
    """The longest delay; each is drawn evenly from zero up to it."""
    inbox_messages_max: int = attrs.field(default=64, validator=gt(0))
    """Messages under way in one direction; the next sender waits."""


FAIR = Weather()


class MemoryLink:
    """One end of a pair made by `pair`."""

    def __init__(self, chance: random.Random, weather: Weather) -> None:
        self._chance = chance
        self._weather = weather
        self._other = self
        self._inbox: list[tuple[float, int, str]] = []
        """A heap by due time, then by number."""
        self._sent = 0
        self._last_due = float("-inf")
        self._changed = trio.Event()
        self._closed = self._broken = self._other_closed = False

    async def send(self, text: str) -> None:
        """Send one message; waits while the other side's inbox is full."""
        await trio.lowlevel.checkpoint()
        while True:
            self._check_sending()
            if len(self._other._inbox) < self._weather.inbox_messages_max:
                break
            await self._other._changed.wait()
        if self._chance.random() < self._weather.breaking:
            self.break_link()
            self._check_sending()
        if self._chance.random() >= self._weather.loss:
            self._post(text)

    def _check_sending(self) -> None:
        if self._closed or self._broken or self._other_closed:
            raise self._ended()

    def _post(self, text: str) -> None:
        due = trio.current_time() + self._chance.random() * self._weather.delay_seconds
        if self._chance.random() >= self._weather.reordering:
            due = self._last_due = max(due, self._last_due)
        self._sent += 1
        heapq.heappush(self._other._inbox, (due, self._sent, text))
        self._other._wake()

    async def receive(self) -> str:
        """The next message, when it is due."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._closed or self._broken:
                raise self._ended()
            due = self._inbox[0][0] if self._inbox else float("inf")
            if due <= trio.current_time():
                self._wake()
                return heapq.heappop(self._inbox)[2]
            if self._other_closed and not self._inbox:
                raise self._ended()
            with trio.move_on_at(due):
                await self._changed.wait()

    def _ended(self) -> TransportError:
        if self._closed:
            return TransportClosedError("this link is closed")
        if self._broken:
            return TransportBrokenError("the link broke", ABNORMAL)
        return TransportBrokenError("the other side closed", NORMAL)

    async def aclose(self) -> None:
        """Close. The other side still receives what is under way, and then TransportBrokenError(1000)."""
        self._closed = self._other._other_closed = True
        self._wake()
        self._other._wake()
        await trio.lowlevel.checkpoint()

    def break_link(self) -> None:
        """Cut the wire: both sides lose what is under way."""
        for end in (self, self._other):
            end._broken = True
            end._inbox.clear()
            end._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


def pair(seed: int, weather: Weather = FAIR) -> tuple[MemoryLink, MemoryLink]:
    """Two ends of one link. The same seed and the same order of sends give the same weather."""
    chance = random.Random(seed)  # noqa: S311  simulated weather, not a secret
    left, right = MemoryLink(chance, weather), MemoryLink(chance, weather)
    left._other, right._other = right, left
    return left, right
