"""One heap of deadlines."""

import trio
import trio.testing

from engine.runtime.timers import FIRED_MAX, TimerHeap
from engine.vocabulary import Address

Fired = list[tuple[str, str, float]]


def heap(fired: Fired) -> TimerHeap:
    def fire(address: Address, name: str, due: float) -> None:
        fired.append((address.key, name, due))

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
        assert [due - begin for _, _, due in fired] == [1.0, 2.0, 30.0]
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
