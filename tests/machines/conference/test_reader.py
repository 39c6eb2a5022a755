"""A client that counts events as those of the source's maker do: no event is lost to it, and none is early.

Their rule: a local number begins as the version of the simple view. An event with a lower version is dropped;
one with this version is handled, and the number goes up by one; one with a higher version is put aside, and
may be lost there. An event without a version is handled always. Events that one's own endpoint has caused are
not acted on, but count.
"""

import random
from collections.abc import Sequence
from functools import cache

import attrs
import pytest

from engine.effects import Send
from engine.machine.family import Decision
from engine.vocabulary import Address, Command
from machines.conference import vocabulary as v
from tests.machines.conference.world import World

LIVES = 1_000
BLOCK = 50
"""Lives of one test."""
ACTIONS = 120
STARTS = 4
"""Views of each conference from which a reader begins."""


@attrs.define
class Reader:
    """Written from the rule above, and from nothing of ours."""

    version: int
    """Of the simple view."""
    handled: list[v.NumberedEvent] = attrs.field(factory=list)
    dropped: list[v.NumberedEvent] = attrs.field(factory=list)
    put_aside: list[v.NumberedEvent] = attrs.field(factory=list)
    unnumbered: int = 0

    def read(self, event: object) -> None:
        if not isinstance(event, v.NumberedEvent):
            self.unnumbered += 1
        elif event.version < self.version:
            self.dropped.append(event)
        elif event.version > self.version:
            self.put_aside.append(event)
        else:
            self.handled.append(event)
            self.version += 1


class Told(World):
    """A world that keeps what followers are told, and what the simple view said in between."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.told: dict[str, list[object]] = {}
        self.views: dict[str, list[tuple[int, int]]] = {}
        """(version of the simple view, events told before it), after each step."""
        self.watch = self._keep

    def _keep(self, to: Address, command: Command, decision: Decision) -> None:
        for one in decision.performances:
            if isinstance(one.effect, Send) and isinstance(one.effect.message, v.EventNotice):
                # Whoever has caused it counts it too.
                assert (one.effect.only, one.effect.skip) == (None, None)
                self.told.setdefault(one.effect.to, []).append(one.effect.message.event)
        for key, told in self.told.items():
            self.views.setdefault(key, []).append((self.conference(key).data.version, len(told)))


def read(version: int, events: Sequence[object]) -> Reader:
    """A reader of `events` who begins with the simple view of this version."""
    reader = Reader(version)
    for event in events:
        reader.read(event)
    return reader


def repeated(events: Sequence[object], rng: random.Random) -> list[object]:
    """The same in its order, some again: a link that was down is fed from the last event it acknowledged."""
    fed: list[object] = []
    for place, event in enumerate(events):
        fed.append(event)
        if rng.random() < 0.2:
            fed += events[rng.randrange(place + 1) : place + 1]
    return fed


def numbered(events: Sequence[object]) -> list[object]:
    return [one for one in events if isinstance(one, v.NumberedEvent)]


@cache
def lives(first: int) -> list[Told]:
    """A block of lives; both tests follow the same."""
    block = [Told(seed) for seed in range(first, first + BLOCK)]
    for world in block:
        world.play(ACTIONS)
    return block


SEEDED = pytest.mark.parametrize("first", range(0, LIVES, BLOCK))


@SEEDED
def test_whoever_views_and_then_listens_handles_every_event_at_once(first: int) -> None:
    rng = random.Random(first)
    for world in lives(first):
        assert world.told
        for key, told in world.told.items():
            whole = read(0, told)
            assert (whole.handled, whole.dropped, whole.put_aside) == (numbered(told), [], [])
            for version, heard in rng.choices(world.views[key], k=STARTS):
                late = read(version, told[heard:])
                assert (late.handled, late.dropped, late.put_aside) == (numbered(told[heard:]), [], [])
                # Whoever began to listen before he viewed drops what the view has, and nothing else.
                early = read(version, told)
                assert (early.handled, early.put_aside) == (numbered(told[heard:]), [])
                assert early.dropped == numbered(told[:heard])


@SEEDED
def test_what_is_sent_again_does_no_harm(first: int) -> None:
    rng = random.Random(first)
    for world in lives(first):
        for told in world.told.values():
            again = read(0, repeated(told, rng))
            assert (again.handled, again.put_aside) == (numbered(told), [])


def test_the_reader_drops_and_puts_aside() -> None:
    left = [v.ParticipantLeft(event_id=str(number), version=number) for number in range(4)]
    reader = read(1, [left[0], left[1], left[3], left[1], object()])
    assert (reader.dropped, reader.handled, reader.put_aside) == ([left[0], left[1]], [left[1]], [left[3]])
    assert reader.unnumbered == 1
