"""Timers, restarts, performers, scopes and followers, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from engine.effects import Send
from engine.errors import JournalCorruptError, UnavailableError
from engine.journal.memory import MemoryJournal
from engine.machine.family import LATE
from engine.machine.step import Outcome
from engine.machine.table import OnRestart
from engine.runtime.answers import Answer
from engine.runtime.performers import Asked, Performer
from engine.runtime.runtime import AT_ONCE_MAX, Runtime, open_runtime
from engine.runtime.timers import SUPERSEDED_MAX
from engine.runtime.world import World
from engine.vocabulary import Address
from tests.engine.journal.full import Full
from tests.engine.runtime import doorbell as d

FRONT = Address(d.BELL, "front")
STREAM = f"{d.BELL}:front"


def virtual() -> World:
    """A world whose seconds are trio's own, which `autojump_clock` moves."""
    return World(clock=trio.current_time)


@asynccontextmanager
async def running(
    journal: MemoryJournal | None = None,
    on_restart: OnRestart = OnRestart.KEEP,
    **performers: Performer,
) -> AsyncIterator[Runtime]:
    family, codec = d.doorbell(on_restart)
    if journal is not None:
        async with open_runtime(journal, codec, family, world=virtual(), performers=performers) as runtime:
            yield runtime
        return
    async with (
        MemoryJournal(clock=trio.current_time) as opened,
        open_runtime(opened, codec, family, world=virtual(), performers=performers) as runtime,
    ):
        yield runtime


async def state_of(runtime: Runtime, address: Address = FRONT) -> object:
    return (await runtime.snapshot(address)).state


async def test_a_timer_fires_at_its_time_and_not_before(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as runtime:
        await runtime.ask(FRONT, d.Press(seconds=30.0))
        await trio.sleep(29.9)
        assert await state_of(runtime) is d.S.RINGING
        await trio.sleep(0.2)
        assert await state_of(runtime) is d.S.IDLE


async def test_timers_fire_in_the_order_of_their_deadlines(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as runtime:
        for seconds in (30.0, 10.0, 20.0):
            await runtime.ask(Address(d.BELL, f"{seconds:g}"), d.Press(seconds=seconds))
        await trio.sleep(15)
        states = [await state_of(runtime, Address(d.BELL, name)) for name in ("10", "20", "30")]
        assert states == [d.S.IDLE, d.S.RINGING, d.S.RINGING]


async def test_a_late_timer_does_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with running() as runtime:
        await runtime.ask(FRONT, d.Press(seconds=10.0))
        await runtime.ask(FRONT, d.Answer("ann"))
        await trio.sleep(20)
        assert (await runtime.journal.load(STREAM)).head == 2


async def test_a_deadline_survives_a_restart(autojump_clock: trio.testing.MockClock) -> None:
    async with MemoryJournal(clock=trio.current_time) as journal:
        async with running(journal) as runtime:
            await runtime.ask(FRONT, d.Press(seconds=30.0))
        await trio.sleep(20)
        async with running(journal) as runtime:
            await trio.sleep(9)
            assert await state_of(runtime) is d.S.RINGING
            await trio.sleep(2)
            assert await state_of(runtime) is d.S.IDLE


async def test_a_deadline_that_passed_meanwhile_fires_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with MemoryJournal(clock=trio.current_time) as journal:
        async with running(journal) as runtime:
            await runtime.ask(FRONT, d.Press(seconds=30.0))
        await trio.sleep(100)
        async with running(journal) as runtime:
            await trio.sleep(0.1)
            assert await state_of(runtime) is d.S.IDLE


async def test_a_timer_that_is_rearmed_gets_its_full_time_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with MemoryJournal(clock=trio.current_time) as journal:
        async with running(journal, OnRestart.REARM) as runtime:
            await runtime.ask(FRONT, d.Press(seconds=30.0))
        await trio.sleep(100)
        async with running(journal, OnRestart.REARM) as runtime:
            await trio.sleep(29)
            assert await state_of(runtime) is d.S.RINGING
            await trio.sleep(2)
            assert await state_of(runtime) is d.S.IDLE


async def test_a_prolonged_timer_fires_when_it_is_prolonged_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(on_restart=OnRestart.REARM) as runtime:
        await runtime.ask(FRONT, d.Press(seconds=30.0))
        for _ in range(10):
            await trio.sleep(29.0)
            await runtime.ask(FRONT, d.Linger())
        loaded = await runtime.journal.load(STREAM)
        assert loaded.head == 1
        assert [timer.due for timer in await runtime.journal.timers()] == [30.0]
        assert len(runtime.timers) == 1
        await trio.sleep(29.9)
        assert await state_of(runtime) is d.S.RINGING
        await trio.sleep(0.2)
        assert await state_of(runtime) is d.S.IDLE


async def test_a_timer_that_fires_while_it_is_being_prolonged_does_not_fire() -> None:
    """Who was heard in time is not late because the journal was busy."""
    now = [0.0]
    family, codec = d.doorbell(OnRestart.REARM)
    async with (
        MemoryJournal() as journal,
        open_runtime(journal, codec, family, world=World(clock=lambda: now[0])) as runtime,
    ):
        await runtime.ask(FRONT, d.Press(seconds=30.0))
        now[0] = 29.9
        answers: list[Answer] = []
        runtime.submit(FRONT, d.Linger(), answers.append)
        now[0] = 30.1
        runtime.dispatcher.submit(FRONT, d.Expire(), answers.append, timer="ring")
        assert answers == []
        await trio.testing.wait_all_tasks_blocked()
        assert [(one.outcome, one.reason) for one in answers] == [
            (Outcome.MOVED, ""),
            (Outcome.IGNORED, LATE),
        ]
        assert await state_of(runtime) is d.S.RINGING


async def test_a_stream_that_is_read_again_has_its_prolonged_time_all_the_same(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with running(on_restart=OnRestart.REARM) as runtime:
        await runtime.ask(FRONT, d.Press(seconds=30.0))
        await trio.sleep(20.0)
        await runtime.ask(FRONT, d.Linger())
        runtime.dispatcher._streams.drop((STREAM,))
        await trio.sleep(29.9)
        assert await state_of(runtime) is d.S.RINGING
        await trio.sleep(0.2)
        assert await state_of(runtime) is d.S.IDLE


async def test_a_restart_gives_a_prolonged_timer_its_full_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with MemoryJournal(clock=trio.current_time) as journal:
        async with running(journal, OnRestart.REARM) as runtime:
            await runtime.ask(FRONT, d.Press(seconds=30.0))
            await trio.sleep(29.0)
            await runtime.ask(FRONT, d.Linger())
        await trio.sleep(20.0)
        async with running(journal, OnRestart.REARM) as runtime:
            await trio.sleep(29.9)
            assert await state_of(runtime) is d.S.RINGING
            await trio.sleep(0.2)
            assert await state_of(runtime) is d.S.IDLE


async def test_a_timer_that_is_dropped_never_fires(autojump_clock: trio.testing.MockClock) -> None:
    async with MemoryJournal(clock=trio.current_time) as journal:
        async with running(journal, OnRestart.DROP) as runtime:
            await runtime.ask(FRONT, d.Press(seconds=30.0))
        async with running(journal, OnRestart.DROP) as runtime:
            await trio.sleep(1000)
            assert await state_of(runtime) is d.S.RINGING
        assert not await journal.timers()


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


async def test_a_timer_that_the_journal_could_not_take_fires_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with MemoryJournal(clock=trio.current_time) as journal, running(journal) as runtime:
        await runtime.ask(FRONT, d.Press(seconds=10.0))
        submit = journal.submit
        failed = []

        def full(writes, done):  # type: ignore[no-untyped-def]
            failed.append(writes)
            submit([], lambda _heads: done(UnavailableError("disk full")))

        journal.submit = full  # type: ignore[method-assign]
        await trio.sleep(10.5)
        journal.submit = submit  # type: ignore[method-assign]
        assert failed
        await trio.sleep(2)
        assert await state_of(runtime) is d.S.IDLE


async def test_a_timer_that_the_journal_could_not_take_and_that_is_prolonged_fires_at_its_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with (
        MemoryJournal(clock=trio.current_time) as journal,
        running(journal, OnRestart.REARM) as runtime,
    ):
        await runtime.ask(FRONT, d.Press(seconds=10.0))
        submit = journal.submit

        def full(_writes, done):  # type: ignore[no-untyped-def]
            submit([], lambda _heads: done(UnavailableError("disk full")))

        journal.submit = full  # type: ignore[method-assign]
        await trio.sleep(10.5)
        journal.submit = submit  # type: ignore[method-assign]
        await runtime.ask(FRONT, d.Linger())
        await trio.sleep(9.9)
        assert await state_of(runtime) is d.S.RINGING
        await trio.sleep(0.2)
        assert await state_of(runtime) is d.S.IDLE


async def test_a_timer_that_is_started_anew_while_it_is_to_be_fired_again_has_its_full_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with Full(clock=trio.current_time) as journal, running(journal) as runtime:
        await runtime.ask(FRONT, d.Press(seconds=10.0))
        journal.is_full = True
        await trio.sleep(10.5)
        journal.is_full = False
        assert await state_of(runtime) is d.S.RINGING
        await runtime.ask(FRONT, d.Expire())
        await runtime.ask(FRONT, d.Press(seconds=10.0))
        await trio.sleep(9.9)
        assert await state_of(runtime) is d.S.RINGING
        await trio.sleep(0.2)
        assert await state_of(runtime) is d.S.IDLE


async def test_calls_that_end_before_their_time_leave_no_timers_behind() -> None:
    async with running() as runtime:
        for number in range(2 * SUPERSEDED_MAX):
            bell = Address(d.BELL, f"{number}")
            await runtime.ask(bell, d.Press(seconds=3600.0))
            await runtime.ask(bell, d.Answer("ann"))
            assert len(runtime.timers) <= SUPERSEDED_MAX + 2


async def test_a_timer_of_a_table_that_is_gone_is_left_alone(autojump_clock: trio.testing.MockClock) -> None:
    from engine.journal.port import NewEvent, Write

    async with MemoryJournal(clock=trio.current_time) as journal:
        await journal.append(
            Write("gone:x", 0, (NewEvent("gone", 0.0, b""),), timers=(("gone:x/ring", 1.0),)),
            Write(STREAM, 0, (NewEvent("odd", 0.0, b""),), timers=((f"{d.BELL}:front/odd", 1.0),)),
        )
        async with running(journal) as runtime:
            await trio.sleep(5)
            assert runtime.recovered


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
