"""A machine in memory: what it asks for is done, its timers fire, and its end is told once."""

import trio
import trio.testing

from engine.effects import Request
from engine.runtime.local import LocalMachine
from tests.engine.runtime import doorbell as d


class Bell:
    """A bell of one program, and what it had to do."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.ended = 0
        self.machine = LocalMachine(d.bell_table(), "front", self.asked.append, self._end)

    def _end(self) -> None:
        self.ended += 1


async def test_what_it_asks_for_is_done_in_order() -> None:
    bell = Bell()
    for what in ("ding", "dong"):
        bell.machine.tell(d.Wire(what))
    assert bell.asked == [d.Tone("ding"), d.Tone("dong")]
    assert (bell.machine.state, bell.machine.data) == (d.S.IDLE, d.Bell("front"))


async def test_its_end_is_told_once() -> None:
    bell = Bell()
    bell.machine.tell(d.Press())
    assert (bell.machine.is_over, bell.ended) == (False, 0)
    bell.machine.tell(d.Answer("ann"))
    bell.machine.tell(d.Answer("bob"))
    assert (bell.machine.is_over, bell.ended, bell.machine.data.who) == (True, 1, "ann")


async def test_a_machine_without_an_end_to_tell_just_ends() -> None:
    machine = LocalMachine(d.bell_table(), "front", lambda _: None)
    machine.tell(d.HangUp())
    assert machine.is_over


async def test_who_waits_hears_of_each_step_and_of_what_is_woken(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bell = Bell()
    for change in (lambda: bell.machine.tell(d.Press()), bell.machine.wake):
        with trio.fail_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(bell.machine.wait)
                await trio.testing.wait_all_tasks_blocked()
                change()


async def test_its_timers_fire_until_it_is_over(autojump_clock: trio.testing.MockClock) -> None:
    bell = Bell()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.machine.fire_timers)
        bell.machine.tell(d.Press(seconds=30.0))
        await trio.sleep(29.9)
        assert bell.machine.state is d.S.RINGING
        await trio.sleep(0.2)
        assert bell.machine.state is d.S.IDLE
        # One that is answered has no timer left, and the task ends with the machine.
        bell.machine.tell(d.Press(seconds=30.0))
        bell.machine.tell(d.Answer("ann"))
    assert trio.current_time() < 59
