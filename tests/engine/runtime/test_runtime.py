"""Timers, restarts, performers, scopes and followers, put together."""

import pytest
import trio
import trio.testing

from engine.effects import Send
from engine.errors import JournalCorruptError, UnavailableError
from engine.journal.memory import MemoryJournal
from engine.machine.step import Outcome
from engine.machine.table import OnRestart
from engine.runtime.performers import Asked
from engine.runtime.runtime import AT_ONCE_MAX, open_runtime
from engine.vocabulary import Address
from tests.engine.runtime import doorbell as d
from tests.engine.runtime.running import FRONT, STREAM, running, state_of


async def test_more_restarts_than_the_journal_queues_are_all_applied() -> None:
    bells = range(2 * AT_ONCE_MAX + 1)
    async with MemoryJournal(queue_max=AT_ONCE_MAX) as journal:
        async with running(journal, OnRestart.DROP) as runtime:
            pressed = [(Address(d.BELL, f"{one}"), d.Press(seconds=1_000.0)) for one in bells]
            answers = await runtime.ask_all(pressed)
            assert {answer.error for answer in answers} == {None}
            assert len(await journal.timers()) == len(bells)
        async with running(journal, OnRestart.DROP):
            assert not await journal.timers()


async def test_answers_of_many_come_in_the_order_of_the_questions() -> None:
    async with running() as runtime:
        asked = [(FRONT, d.Press()), (FRONT, d.Forbid()), (Address(d.BELL, "back"), d.Press())]
        outcomes = [answer.outcome for answer in await runtime.ask_all(asked)]
        assert outcomes == [Outcome.MOVED, Outcome.REFUSED, Outcome.MOVED]
        assert await runtime.ask_all([]) == []


async def test_a_performer_does_what_is_asked_and_tells_what_it_learned() -> None:
    asked: list[Asked] = []

    async def tone(one: Asked) -> None:
        asked.append(one)
        one.tell(d.Press())

    async with running(tone=tone) as runtime:
        await runtime.ask(FRONT, d.Wire("high"))
        while await state_of(runtime) is not d.S.RINGING:
            await runtime.wait_change(STREAM)
        assert [(one.key, one.request) for one in asked] == [(f"{STREAM}:1:0", d.Tone("high"))]


async def test_an_effect_is_performed_once_however_often_it_is_said() -> None:
    asked: list[Asked] = []

    async def tone(one: Asked) -> None:
        asked.append(one)

    async with running(tone=tone) as runtime:
        await runtime.ask(FRONT, d.Wire(), command_id="once")
        await runtime.ask(FRONT, d.Wire(), command_id="once")
        await trio.testing.wait_all_tasks_blocked()
        assert len(asked) == 1


async def test_a_performer_that_fails_ends_its_call() -> None:
    async def tone(one: Asked) -> None:
        raise OSError("no tone")

    async with running(tone=tone) as runtime:
        await runtime.ask(FRONT, d.Wire())
        while await state_of(runtime) is not d.S.BROKEN:
            await runtime.wait_change(STREAM)


async def test_a_port_that_nobody_performs_ends_the_call() -> None:
    async with running() as runtime:
        await runtime.ask(FRONT, d.Wire())
        while await state_of(runtime) is not d.S.BROKEN:
            await runtime.wait_change(STREAM)


async def test_what_a_call_owns_ends_with_the_call() -> None:
    ended = trio.Event()

    async def tone(one: Asked) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with running(tone=tone) as runtime:
        await runtime.ask(FRONT, d.Press())
        await runtime.ask(FRONT, d.Wire())
        await trio.testing.wait_all_tasks_blocked()
        assert len(runtime.scopes) == 1
        await runtime.ask(FRONT, d.Answer("ann"))
        await ended.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert len(runtime.scopes) == 0


async def test_what_calls_own_ends_with_the_runtime() -> None:
    ended = []

    async def tone(one: Asked) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(one.member)

    async with running(tone=tone) as runtime:
        for name in ("front", "back"):
            await runtime.ask(Address(d.BELL, name), d.Wire())
        await trio.testing.wait_all_tasks_blocked()
    assert len(ended) == 2


async def test_a_command_told_and_forgotten_is_done() -> None:
    async with running() as runtime:
        runtime.tell(FRONT, d.Press())
        await runtime.wait_change(STREAM)
        assert await state_of(runtime) is d.S.RINGING


async def test_a_cancelled_wait_does_not_take_the_command_back() -> None:
    async with running() as runtime:
        with trio.CancelScope() as scope:
            scope.cancel()
            await runtime.ask(FRONT, d.Press())
        await trio.testing.wait_all_tasks_blocked()
        answer = await runtime.ask(FRONT, d.Press())
        assert (answer.outcome, answer.reason) == (Outcome.REFUSED, "rings already")


async def test_a_journal_that_cannot_be_read_at_the_start_is_an_error() -> None:
    class Corrupt(MemoryJournal):
        async def timers(self):  # type: ignore[no-untyped-def]
            raise JournalCorruptError(STREAM, 1, "checksum")

    family, codec = d.doorbell()
    with pytest.raises(JournalCorruptError, match="checksum"):
        async with Corrupt() as journal, open_runtime(journal, codec, family):
            raise AssertionError("not reached")


async def test_what_was_asked_before_a_stop_is_asked_again_under_the_same_key() -> None:
    asked: list[Asked] = []

    async def slow(one: Asked) -> None:
        asked.append(one)
        await trio.sleep_forever()

    async def quick(one: Asked) -> None:
        asked.append(one)

    async with MemoryJournal() as journal:
        async with running(journal, tone=slow) as runtime:
            await runtime.ask(FRONT, d.Press())
            await runtime.ask(FRONT, d.Wire("high"))
            await trio.testing.wait_all_tasks_blocked()
        async with running(journal, tone=quick) as runtime:
            await trio.testing.wait_all_tasks_blocked()
        async with running(journal, tone=quick) as runtime:
            await trio.testing.wait_all_tasks_blocked()
    assert [one.key for one in asked] == [f"{STREAM}:2:0"] * 2
    assert asked[1].request == d.Tone("high")


async def test_what_an_ended_call_had_asked_is_not_asked_again() -> None:
    asked: list[Asked] = []

    async def slow(one: Asked) -> None:
        asked.append(one)
        await trio.sleep_forever()

    async with MemoryJournal() as journal:
        async with running(journal, tone=slow) as runtime:
            await runtime.ask(FRONT, d.Press())
            await runtime.ask(FRONT, d.Wire())
            await runtime.ask(FRONT, d.Answer("ann"))
            await trio.testing.wait_all_tasks_blocked()
        async with running(journal, tone=slow):
            await trio.testing.wait_all_tasks_blocked()
        assert not await journal.timers()
    assert len(asked) == 1


async def test_what_a_last_step_asks_is_done_and_not_cancelled() -> None:
    asked: list[Asked] = []

    async def tone(one: Asked) -> None:
        await trio.lowlevel.checkpoint()
        asked.append(one)

    async with running(tone=tone) as runtime:
        await runtime.ask(FRONT, d.HangUp())
        await trio.testing.wait_all_tasks_blocked()
        assert await state_of(runtime) is d.S.BROKEN
        assert len(asked) == 1


async def test_what_a_last_step_asked_is_asked_again_after_a_stop() -> None:
    asked: list[Asked] = []

    async def slow(one: Asked) -> None:
        asked.append(one)
        await trio.sleep_forever()

    async with MemoryJournal() as journal:
        for _ in range(2):
            async with running(journal, tone=slow) as runtime:
                runtime.tell(FRONT, d.HangUp())
                await trio.testing.wait_all_tasks_blocked()
    assert [one.key for one in asked] == [f"{STREAM}:1:0"] * 2


async def test_an_owed_effect_of_a_table_that_changed_is_forgotten() -> None:
    from engine.journal.port import Write

    async with MemoryJournal() as journal:
        async with running(journal) as runtime:
            await runtime.ask(FRONT, d.Press())
        owed = ((f"{d.BELL}:front/!1:0", 1.0), (f"{d.BELL}:front/!9:0", 1.0))
        await journal.append(Write(STREAM, 1, timers=(*owed, ("gone:x/!1:0", 1.0))))
        async with running(journal) as runtime:
            await trio.testing.wait_all_tasks_blocked()
            assert runtime.recovered
        assert [one.name for one in await journal.timers()] == ["test.bell:front/ring", "gone:x/!1:0"][::-1]


# -- followers


Heard = list[tuple[int, str]]


def listener(heard: Heard):  # type: ignore[no-untyped-def]
    def hear(version: int, at: float, send: Send) -> None:
        assert isinstance(send.message, d.Told)
        heard.append((version, send.message.text))

    return hear


async def settle(heard: Heard, count: int) -> None:
    while len(heard) < count:
        await trio.testing.wait_all_tasks_blocked()


async def test_a_follower_hears_the_past_then_the_present_each_once() -> None:
    async with running() as runtime:
        await runtime.ask(FRONT, d.Press())
        heard: Heard = []
        runtime.followers.follow(STREAM, 0, listener(heard))
        await runtime.ask(FRONT, d.Answer("ann"))
        await settle(heard, 2)
        assert heard == [(1, "rang"), (2, "answered by ann")]


async def test_a_follower_with_a_cursor_hears_only_what_came_after() -> None:
    async with running() as runtime:
        await runtime.ask(FRONT, d.Press())
        heard: Heard = []
        runtime.followers.follow(STREAM, 1, listener(heard))
        await runtime.ask(FRONT, d.Answer("ann"))
        await settle(heard, 1)
        assert heard == [(2, "answered by ann")]


async def test_a_follower_that_left_hears_nothing() -> None:
    async with running() as runtime:
        heard: Heard = []
        follower = runtime.followers.follow(STREAM, 0, listener(heard))
        await trio.testing.wait_all_tasks_blocked()
        runtime.followers.leave(follower)
        runtime.followers.leave(follower)
        await runtime.ask(FRONT, d.Press())
        assert not heard
        assert len(runtime.followers) == 0


async def test_a_follower_may_leave_while_it_is_told() -> None:
    async with running() as runtime:
        await runtime.ask(FRONT, d.Press())
        await runtime.ask(FRONT, d.Answer("ann"))
        heard: list[int] = []

        def hear(version: int, at: float, send: Send) -> None:
            heard.append(version)
            runtime.followers.leave(follower)

        follower = runtime.followers.follow(STREAM, 0, hear)
        while not heard:
            await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        assert heard == [1]


async def test_many_followers_hear_the_same_under_load() -> None:
    async with running() as runtime:
        lists: list[Heard] = [[] for _ in range(20)]
        async with trio.open_nursery() as nursery:
            for number, heard in enumerate(lists):
                runtime.followers.follow(STREAM, 0, listener(heard))
                nursery.start_soon(runtime.ask, FRONT, d.Press() if number % 2 else d.Wire())
        await runtime.ask(FRONT, d.Answer("ann"))
        await settle(lists[-1], 1)
        await trio.testing.wait_all_tasks_blocked()
        assert all(heard == lists[0] for heard in lists)


async def test_a_follower_whose_stream_cannot_be_read_is_dropped() -> None:
    async with MemoryJournal() as journal, running(journal) as runtime:

        async def load(*_arguments: object, **_options: object) -> None:
            raise UnavailableError("closed")

        journal.load = load  # type: ignore[assignment,method-assign]
        runtime.followers.follow(STREAM, 0, listener([]))
        await trio.testing.wait_all_tasks_blocked()
        assert len(runtime.followers) == 0
        del journal.load  # type: ignore[attr-defined]


async def test_a_follower_that_raises_is_dropped_and_the_others_hear() -> None:
    def raises(version: int, at: float, send: Send) -> None:
        raise ZeroDivisionError("a follower of the test raises")

    async with running() as runtime:
        heard: Heard = []
        runtime.followers.follow(STREAM, 0, raises)
        runtime.followers.follow(STREAM, 0, listener(heard))
        await runtime.ask(FRONT, d.Press())
        await runtime.ask(FRONT, d.Answer("ann"))
        await settle(heard, 2)
        assert heard == [(1, "rang"), (2, "answered by ann")]
        assert len(runtime.followers) == 1


async def test_a_sender_that_chokes_on_its_answer_disturbs_nobody() -> None:
    def raises(answer: object) -> None:
        raise ZeroDivisionError("a callback of the test raises")

    async with running() as runtime:
        runtime.submit(FRONT, d.Press(), raises)
        answer = await runtime.ask(FRONT, d.Answer("ann"))
        assert answer.outcome is Outcome.MOVED
