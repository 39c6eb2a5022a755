"""Timers of machines at work: fired, prolonged, fired again, over restarts."""

import trio
import trio.testing

from engine.errors import UnavailableError
from engine.journal.memory import MemoryJournal
from engine.machine.family import LATE
from engine.machine.step import Outcome
from engine.machine.table import OnRestart
from engine.runtime.answers import Answer
from engine.runtime.runtime import open_runtime
from engine.runtime.timers import SUPERSEDED_MAX
from engine.runtime.world import World
from engine.vocabulary import Address
from tests.engine.journal.full import Full
from tests.engine.runtime import doorbell as d
from tests.engine.runtime.running import FRONT, STREAM, running, state_of


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
