"""The order of arrival, poisoned commands, rebuilt machines, and engines that are left."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from engine.errors import (
    CallCrashedError,
    CodecError,
    EngineError,
    JournalCorruptError,
    UnavailableError,
)
from engine.journal.memory import MemoryJournal
from engine.journal.port import Done, Loaded, NewEvent, Write
from engine.journal.sqlite import SqliteJournal
from engine.machine.family import Family
from engine.machine.step import Outcome
from engine.machine.table import OnRestart, RebuildOnCrash
from engine.runtime.answers import Answer
from engine.runtime.runtime import Runtime, open_runtime
from engine.runtime.world import World
from engine.vocabulary import Address
from tests.engine.runtime import doorbell as d

FRONT, BACK, HALL = Address(d.BELL, "front"), Address(d.BELL, "back"), Address(d.BOARD, "hall")
STREAM = str(FRONT)


class Held(MemoryJournal):
    """Keeps appends back until they are let go, and reads while `reading` is unset."""

    def __init__(self) -> None:
        super().__init__()
        self.holding = False
        self.held: list[tuple[Sequence[Write], Done]] = []
        self.reading: trio.Event | None = None

    def submit(self, writes: Sequence[Write], done: Done) -> None:
        if self.holding:
            self.held.append((writes, done))
        else:
            super().submit(writes, done)

    def let_go(self) -> None:
        self.holding = False
        held, self.held = self.held, []
        for writes, done in held:
            self.submit(writes, done)

    async def load(self, stream: str, after: int = 0, *, snapshot: bool = True) -> Loaded:
        if self.reading is not None:
            await self.reading.wait()
        return await super().load(stream, after, snapshot=snapshot)


@asynccontextmanager
async def running(
    journal: MemoryJournal | None = None, family: Family | None = None, **more: Any
) -> AsyncIterator[Runtime]:
    known, codec = d.doorbell()
    async with (
        journal or MemoryJournal() as opened,
        open_runtime(opened, codec, family or known, **more) as runtime,
    ):
        yield runtime


def bell(**changes: Any) -> Family:
    """The doorbell with another table."""
    family, _ = d.doorbell()
    kind = family.kinds[d.BELL]
    table = attrs.evolve(kind.table, **changes)
    return Family((attrs.evolve(kind, table=table), family.kinds[d.BOARD]))


async def settled(condition: Callable[[], object]) -> None:
    with trio.fail_after(5):
        while not condition():
            await trio.testing.wait_all_tasks_blocked()


# -- order


async def test_what_an_answered_one_sends_at_once_waits_behind_what_came_before_it() -> None:
    answers: dict[str, Answer] = {}

    def took(name: str, answer: Answer) -> None:
        answers[name] = answer

    async with running() as runtime:
        await runtime.ask(FRONT, d.Wire("loaded"))

        def rang(answer: Answer) -> None:
            runtime.submit(FRONT, d.Answer("late"), partial(took, "late"))

        runtime.submit(FRONT, d.Press(), rang)
        runtime.submit(FRONT, d.Answer("early"), partial(took, "early"))
        await settled(lambda: len(answers) == 2)
    assert answers["early"].message == d.Told("hello early")
    assert answers["late"].reason == "done"


async def test_an_answer_that_is_not_taken_harms_nobody_else() -> None:
    answers: list[Answer] = []

    def fail(answer: Answer) -> None:
        raise LookupError("the asker is gone")

    async with running() as runtime:
        runtime.submit(FRONT, d.Press(), fail)
        runtime.submit(BACK, d.Press(), answers.append)
        await settled(lambda: answers)
        assert (await runtime.ask(FRONT, d.Answer("ann"))).outcome is Outcome.MOVED


# -- what cannot be journaled


@pytest.mark.parametrize("poison", [d.Wire(what=object()), d.Press(seconds=float("nan"))])  # type: ignore[arg-type]
async def test_a_command_that_cannot_be_journaled_never_fails_its_batch_mates(poison: Any) -> None:
    async def tone(_asked: object) -> None:
        """Done at once."""

    answers: list[Answer] = []
    async with running(performers={"tone": tone}) as runtime:
        await runtime.ask(HALL, d.Count())
        await runtime.ask(FRONT, d.Wire("loaded"))
        runtime.submit(FRONT, d.Wire("in flight"), answers.append)
        for command in (d.Wire("before"), poison, d.Wire("behind")):
            runtime.submit(FRONT, command, answers.append)
        await settled(lambda: len(answers) == 4)
        errors = [type(one.error) for one in answers]
        assert sorted(errors, key=str) == sorted([CodecError] + [type(None)] * 3, key=str)
        assert (await runtime.read(STREAM)).version == 4


async def test_a_name_that_is_no_text_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    family, codec = d.doorbell()
    nobody = Address(d.BELL, "\udcff")
    async with (
        SqliteJournal(tmp_path / "a.db") as journal,
        open_runtime(journal, codec, family) as runtime,
    ):
        assert isinstance((await runtime.ask(nobody, d.Press())).error, CodecError)
        with pytest.raises(CodecError):
            await runtime.snapshot(nobody)
        assert (await runtime.ask(FRONT, d.Press())).outcome is Outcome.MOVED


# -- rules that raise


async def test_a_machine_that_may_be_rebuilt_goes_on_until_its_limit() -> None:
    family, _ = d.doorbell()
    end = family.kinds[d.BELL].table.crash
    async with running(family=bell(crash=RebuildOnCrash(2, end))) as runtime:  # type: ignore[arg-type]
        await runtime.ask(FRONT, d.Press())
        for _ in range(2):
            assert isinstance((await runtime.ask(FRONT, d.Explode())).error, CallCrashedError)
            assert (await runtime.snapshot(FRONT)).state is d.S.RINGING
        await runtime.ask(FRONT, d.Explode())
        with trio.fail_after(5):
            while (await runtime.snapshot(FRONT)).state is not d.S.BROKEN:
                await runtime.wait_change(STREAM)


async def test_a_machine_is_not_rebuilt_under_what_is_on_its_way() -> None:
    family, _ = d.doorbell()
    end = family.kinds[d.BELL].table.crash
    answers: list[Answer] = []
    async with running(family=bell(crash=RebuildOnCrash(5, end))) as runtime:  # type: ignore[arg-type]
        for command in (d.Press(), d.Wire("a"), d.Explode(), d.Wire("b"), d.Explode()):
            runtime.submit(FRONT, command, answers.append)
        await settled(lambda: len(answers) == 5)
        assert [type(one.error) for one in answers].count(CallCrashedError) == 2
        # Nobody performs what the wires ask, and that is another crash.
        await trio.testing.wait_all_tasks_blocked()
        assert (await runtime.read(STREAM)).version >= 3


async def test_a_crash_without_a_policy_stops_the_machine_and_its_timers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    family, _ = d.doorbell()
    rows = tuple(
        attrs.evolve(row, then=d.explode) if row.on is d.Expire else row
        for row in family.kinds[d.BELL].table.rows
    )
    world = World(clock=trio.current_time)
    async with running(family=bell(rows=rows, crash=None), world=world) as runtime:
        await runtime.ask(FRONT, d.Press(seconds=1.0))
        await trio.sleep(100)
        assert runtime.dispatcher.counts[d.BELL, "Expire", "crashed"] == 1
        assert isinstance((await runtime.ask(FRONT, d.Answer("ann"))).error, CallCrashedError)
        assert len(runtime.timers) == 0


async def test_a_timer_that_another_machine_refuses_is_tried_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    family, _ = d.doorbell()
    rows = tuple(
        attrs.evolve(row, then=d.forbid) if row.on is d.Expire else row
        for row in family.kinds[d.BELL].table.rows
    )
    world = World(clock=trio.current_time)
    async with running(family=bell(rows=rows), world=world) as runtime:
        await runtime.ask(FRONT, d.Press(seconds=1.0))
        await trio.sleep(10.5)
        assert runtime.dispatcher.counts[d.BELL, "Expire", "refused"] == 10


async def test_a_timer_is_not_lost_when_the_clock_is_set_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Clock:
        """Goes back once, between the look that fires the timer and the stamp of its command."""

        looks = 0

        def __call__(self) -> float:
            now = trio.current_time() - begin
            self.looks += now >= 10.0
            return 9.0 if self.looks == 2 and now >= 10.0 else now

    begin = trio.current_time()
    async with running(world=World(clock=Clock())) as runtime:
        await runtime.ask(FRONT, d.Press(seconds=10.0))
        await trio.sleep(10.5)
        assert (await runtime.snapshot(FRONT)).state is d.S.IDLE
        assert runtime.dispatcher.counts[d.BELL, "Expire", "ignored"] == 1
        assert len(runtime.timers) == 0


# -- reading


async def test_what_is_being_read_is_not_forgotten_meanwhile() -> None:
    async with running() as runtime:
        runtime.dispatcher._streams._loaded_max = 1
        for number in range(5):
            await runtime.ask(Address(d.BELL, str(number)), d.Press())
        states: list[object] = []

        async def look(key: str) -> None:
            states.append((await runtime.snapshot(Address(d.BELL, key))).state)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(look, str(number))
        assert states == [d.S.RINGING] * 5
        assert runtime.dispatcher.statistics()["streams"] <= 2


async def test_a_damaged_call_keeps_no_other_from_starting() -> None:
    family, codec = d.doorbell(OnRestart.REARM)
    async with MemoryJournal() as journal:
        await journal.append(
            Write(
                STREAM,
                0,
                (NewEvent("x", 0.0, b"\x00"),),
                timers=((f"{STREAM}/ring", 1.0), (f"{STREAM}/!1:0", 1.0)),
            )
        )
        async with open_runtime(journal, codec, family) as runtime:
            assert runtime.recovered
            assert isinstance((await runtime.ask(FRONT, d.Press())).error, JournalCorruptError)
            assert (await runtime.ask(BACK, d.Press())).outcome is Outcome.MOVED


async def test_a_repeated_command_whose_history_is_damaged_gets_an_error() -> None:
    async with running() as runtime:
        await runtime.ask(FRONT, d.Press(), command_id="once")
        journal: Any = runtime.journal
        stream = journal._streams[STREAM]
        stream.events[0] = type(stream.events[0])(1, "x", 0.0, b"\x00")
        answer = await runtime.ask(FRONT, d.Press(), command_id="once")
        assert isinstance(answer.error, JournalCorruptError)


# -- followers


async def test_a_follower_that_fails_is_told_that_it_lost_and_others_hear_on() -> None:
    lost: list[str] = []
    heard: list[int] = []

    def fail(version: int, at: float, send: object) -> None:
        raise LookupError("a bug")

    async with running() as runtime:
        runtime.followers.follow(STREAM, 0, fail, lambda: lost.append("live"))
        runtime.followers.follow(STREAM, 0, lambda version, at, send: heard.append(version))
        runtime.followers.follow(STREAM, 0, fail)
        await trio.testing.wait_all_tasks_blocked()
        await runtime.ask(FRONT, d.Press())
        runtime.followers.follow(STREAM, 0, fail, lambda: lost.append("behind"))
        await trio.testing.wait_all_tasks_blocked()
        assert (lost, heard) == (["live", "behind"], [1])
        assert len(runtime.followers) == 1


async def test_a_follower_whose_past_cannot_be_told_is_told_that_it_lost() -> None:
    lost: list[bool] = []
    async with running() as runtime:
        await runtime.ask(FRONT, d.Press())
        kind = runtime.family.kinds[d.BELL]

        def announce(address: Address, event: object) -> Any:
            raise LookupError("a bug")

        runtime.family.kinds[d.BELL] = attrs.evolve(kind, announce=announce)
        runtime.followers.follow(STREAM, 0, lambda *_: None, lambda: lost.append(True))
        await trio.testing.wait_all_tasks_blocked()
        runtime.family.kinds[d.BELL] = kind
    assert lost == [True]


# -- leaving


def unavailable(answer: Answer) -> bool:
    return isinstance(answer.error, UnavailableError)


async def test_leaving_answers_who_waits_for_a_stream() -> None:
    answers: list[Answer] = []
    journal = Held()
    async with running(journal) as runtime:
        await runtime.ask(FRONT, d.Press(), command_id="once")
        journal.reading = trio.Event()
        runtime.submit(BACK, d.Press(), answers.append)
        runtime.submit(FRONT, d.Press(), answers.append, command_id="once")
        await trio.testing.wait_all_tasks_blocked()
        assert answers == []
    assert [unavailable(one) for one in answers] == [True, True]


async def test_who_asks_after_the_end_is_told_so() -> None:
    async with running() as runtime:
        pass
    assert unavailable(await runtime.ask(FRONT, d.Press()))
    with pytest.raises(UnavailableError):
        await runtime.wait_change(STREAM)


async def test_leaving_wakes_who_waits_for_a_change() -> None:
    woken: list[EngineError] = []

    async with trio.open_nursery() as nursery, running() as runtime:

        async def wait() -> None:
            try:
                await runtime.wait_change(STREAM)
            except EngineError as error:
                woken.append(error)

        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
    assert [type(one) for one in woken] == [UnavailableError] * 2


async def test_who_stops_waiting_for_a_change_leaves_nothing_behind() -> None:
    async with running() as runtime:
        for _ in range(3):
            with trio.move_on_after(0):
                await runtime.wait_change(STREAM)
        assert runtime._waiters == {}


async def test_an_append_that_ends_after_the_end_is_answered_and_not_performed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    asked: list[object] = []

    async def tone(one: object) -> None:
        asked.append(one)

    family, codec = d.doorbell()
    answers: list[Answer] = []
    async with Held() as journal:
        async with open_runtime(journal, codec, family, performers={"tone": tone}) as runtime:
            await runtime.ask(BACK, d.Press(), command_id="once")
            await runtime.ask(FRONT, d.Press())
            journal.holding = True
            runtime.submit(FRONT, d.Wire(), answers.append)
            runtime.submit(FRONT, d.Answer("parked"), answers.append)
            runtime.submit(BACK, d.Press(), answers.append, command_id="once")
        assert [unavailable(one) for one in answers] == [True], "what was parked is told at once"
        journal.let_go()
        await settled(lambda: len(answers) == 3)
        assert [one.outcome for one in answers[1:]] == [Outcome.MOVED, Outcome.REFUSED]
        assert unavailable(answers[2]), "a repeated command cannot be stepped again any more"
        assert asked == []
        assert len(await journal.timers()) == 3, "two rings, and the tone is owed"


async def test_an_append_that_fails_after_the_end_is_not_tried_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    from engine.errors import ConflictError

    family, codec = d.doorbell()
    answers: list[Answer] = []
    async with Held() as journal:
        async with open_runtime(journal, codec, family) as runtime:
            journal.reading = None
            await runtime.ask(FRONT, d.Press())
            journal.holding = True
            runtime.submit(FRONT, d.Answer("ann"), answers.append)
        ((_, done),) = journal.held
        done(ConflictError(STREAM, 1, 2))
        assert isinstance(answers[0].error, ConflictError)


async def test_what_the_block_raises_leaves_as_it_is() -> None:
    async def fail() -> None:
        async with running() as runtime:
            await runtime.ask(FRONT, d.Press())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
