"""One heap of deadlines."""

import pytest
import trio
import trio.testing

from engine.runtime.timers import FIRED_MAX, SUPERSEDED_MAX, TimerHeap
from engine.vocabulary import Address

Fired = list[tuple[str, str, float]]


def heap(fired: Fired) -> TimerHeap:
    def fire(address: Address, name: str) -> None:
        fired.append((address.key, name, trio.current_time()))

    return TimerHeap(trio.current_time, fire)


async def test_deadlines_fire_in_order_and_an_earlier_one_is_not_slept_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    fired: Fired = []
    timers = heap(fired)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.testing.wait_all_tasks_blocked()
        begin = trio.current_time()
        for key, seconds in (("late", 30.0), ("soon", 2.0), ("sooner", 1.0)):
            timers.start(Address("a", key), "ring", begin + seconds)
        assert len(timers) == 3
        await trio.sleep(1.5)
        assert [key for key, _, _ in fired] == ["sooner"]
        await trio.sleep(60)
        assert [key for key, _, _ in fired] == ["sooner", "soon", "late"]
        assert [round(at - begin, 6) for _, _, at in fired] == [1.0, 2.0, 30.0]
        assert len(timers) == 0
        nursery.cancel_scope.cancel()


async def test_a_crowd_of_deadlines_lets_other_tasks_run_in_between() -> None:
    fired: Fired = []
    timers = heap(fired)
    for number in range(3 * FIRED_MAX):
        timers.start(Address("a", str(number)), "ring", 0.0)
    seen: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        while len(fired) < 3 * FIRED_MAX:
            await trio.lowlevel.checkpoint()
            seen.append(len(fired))
        nursery.cancel_scope.cancel()
    # Tasks of one round run in any order, so one number may be jumped over.
    assert {*seen} & {FIRED_MAX, 2 * FIRED_MAX}


async def test_of_a_timer_that_is_started_again_and_again_the_last_deadline_counts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    fired: Fired = []
    timers = heap(fired)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        begin = trio.current_time()
        for seconds in (10.0, 30.0, 20.0):
            timers.start(Address("a", "x"), "ring", begin + seconds)
        timers.start(Address("a", "x"), "rest", begin + 5.0)
        await trio.sleep(60)
        assert [(name, round(at - begin, 6)) for _, name, at in fired] == [("rest", 5.0), ("ring", 20.0)]
        nursery.cancel_scope.cancel()


async def test_a_stopped_timer_does_not_fire(autojump_clock: trio.testing.MockClock) -> None:
    fired: Fired = []
    timers = heap(fired)
    front = Address("a", "x")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        timers.start(front, "ring", trio.current_time() + 10.0)
        assert timers.is_started(front, "ring")
        timers.stop(front, "ring")
        timers.stop(front, "ring")
        assert not timers.is_started(front, "ring")
        await trio.sleep(60)
        assert fired == []
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("live", [1, 10 * SUPERSEDED_MAX])
def test_superseded_entries_are_never_the_most(live: int) -> None:
    """An hour that a keepalive prolongs every second would stand there 3600 times."""
    timers = heap([])
    for number in range(live):
        timers.start(Address("a", str(number)), "ring", 3600.0)
    for second in range(3 * max(live, SUPERSEDED_MAX)):
        timers.start(Address("a", "0"), "ring", second + 3600.0)
        assert len(timers) <= live + max(live, SUPERSEDED_MAX)


async def test_when_superseded_entries_are_taken_out_the_others_fire_in_order(
    autojump_clock: trio.testing.MockClock,
) -> None:
    fired: Fired = []
    timers = heap(fired)
    begin = trio.current_time()
    order = [(7 * number) % 50 for number in range(50)]
    for place in order:
        timers.start(Address("a", str(place)), "ring", begin + 10.0 + place)
    for _ in range(2 * SUPERSEDED_MAX):
        timers.start(Address("a", "49"), "ring", begin + 100.0)
    assert len(timers) < SUPERSEDED_MAX + 100
    for place in (3, 4):
        timers.stop(Address("a", str(place)), "ring")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.sleep(200)
        assert [int(key) for key, _, _ in fired] == [one for one in range(50) if one not in (3, 4)]
        assert len(timers) == 0
        nursery.cancel_scope.cancel()
