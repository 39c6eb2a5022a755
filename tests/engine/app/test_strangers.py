"""Sockets that have to say who they are."""

import attrs
import trio
from trio.testing import MockClock

from engine.app.strangers import SWEEP_SECONDS, Strangers


@attrs.define(eq=False)
class Guest:
    """Notes when he is turned away, and goes."""

    strangers: Strangers
    turned_away_at: list[float] = attrs.field(factory=list)

    def turn_away(self) -> None:
        self.turned_away_at.append(trio.current_time())
        self.strangers.forget(self)


async def test_who_does_not_say_in_time_who_he_is_is_turned_away_once(autojump_clock: MockClock) -> None:
    strangers = Strangers(10.0)
    silent, known, late = (Guest(strangers) for _ in range(3))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(strangers.turn_away)
        begun = trio.current_time()
        strangers.add(silent)
        strangers.add(known)
        await trio.sleep(5.5)
        strangers.add(late)
        strangers.forget(known)
        strangers.forget(known)
        assert len(strangers) == 2
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert known.turned_away_at == []
    for guest, due in ((silent, 10.0), (late, 15.5)):
        (turned_away_at,) = guest.turned_away_at
        assert due <= turned_away_at - begun <= due + SWEEP_SECONDS
    assert len(strangers) == 0
