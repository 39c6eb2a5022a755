"""Commands in, decisions out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from engine.errors import (
    CallCrashedError,
    CodecError,
    ConflictError,
    OverloadedError,
    UnavailableError,
    UnknownOutcomeError,
)
from engine.journal.fold import fold
from engine.journal.memory import MemoryJournal
from engine.journal.port import Done, Write
from engine.machine.step import Outcome
from engine.runtime import dispatcher as module
from engine.runtime.answers import Answer as Answered
from engine.runtime.runtime import Runtime, open_runtime
from engine.runtime.writes import SNAPSHOT_EVERY
from engine.vocabulary import Address
from tests.engine.runtime import doorbell as d

FRONT = Address(d.BELL, "front")
STREAM = f"{d.BELL}:front"


class FaultyJournal(MemoryJournal):
    """Fails the next appends as it is told; `stored` says whether they are done all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[tuple[Exception, bool]] = []

    def submit(self, writes: Sequence[Write], done: Done) -> None:
        if not self.faults:
            super().submit(writes, done)
            return
        fault, stored = self.faults.pop(0)
        if stored:
            super().submit(writes, lambda _heads: done(fault))  # type: ignore[arg-type]
        else:
            super().submit([Write("nobody", 0)], lambda _heads: done(fault))  # type: ignore[arg-type]


@asynccontextmanager
async def running(journal: MemoryJournal | None = None) -> AsyncIterator[tuple[Runtime, FaultyJournal]]:
    family, codec = d.doorbell()
    async with (
        journal or FaultyJournal() as opened,
        open_runtime(opened, codec, family) as runtime,
    ):
        yield runtime, opened  # type: ignore[misc]


async def test_a_command_is_journaled_before_it_is_answered() -> None:
    async with running() as (runtime, journal):
        answer = await runtime.ask(FRONT, d.Press())
        assert answer.outcome is Outcome.MOVED
        assert answer.message == d.Told("ringing")
        assert (await journal.load(STREAM)).head == 1


async def test_a_refusal_tells_its_reason_and_journals_nothing() -> None:
    async with running() as (runtime, journal):
        answer = await runtime.ask(FRONT, d.Answer("ann"))
        assert (answer.outcome, answer.reason) == (Outcome.REFUSED, "does not ring")
        assert (await journal.load(STREAM)).head == 0


async def test_what_arrives_during_an_append_is_decided_together_in_order() -> None:
    async with running() as (runtime, journal):
        answers: list[Answered] = []
        for command in (d.Press(), d.Press(), d.Answer("ann"), d.Answer("bob")):
            runtime.submit(FRONT, command, answers.append)
        while len(answers) < 4:
            await trio.testing.wait_all_tasks_blocked()
        assert [one.reason for one in answers] == ["", "rings already", "", "done"]
        assert (await journal.load(STREAM)).head == 2


async def test_a_told_machine_refuses_for_all() -> None:
    async with running() as (runtime, journal):
        answer = await runtime.ask(FRONT, d.Forbid())
        assert answer.reason == "forbidden"
        assert (await journal.load(STREAM)).head == 0


async def test_several_streams_change_together() -> None:
    async with running() as (runtime, _):
        await runtime.ask(FRONT, d.Press(board="hall"))
        assert (await runtime.snapshot(Address(d.BOARD, "hall"))).data.count == 1


async def test_a_stream_that_is_busy_with_another_call_makes_a_command_wait() -> None:
    async with running() as (runtime, _):
        answers: list[Answered] = []
        for name in ("front", "back", "side"):
            runtime.submit(Address(d.BELL, name), d.Press(board="hall"), answers.append)
        while len(answers) < 3:
            await trio.testing.wait_all_tasks_blocked()
        assert (await runtime.snapshot(Address(d.BOARD, "hall"))).data.count == 3


async def test_a_repeated_command_id_gets_the_answer_it_had_and_does_nothing() -> None:
    async with running() as (runtime, journal):
        await runtime.ask(FRONT, d.Press())
        first = await runtime.ask(FRONT, d.Answer("ann"), command_id="once")
        again = await runtime.ask(FRONT, d.Answer("bob"), command_id="once")
        assert again.message == first.message == d.Told("hello ann")
        assert again.reason == "duplicate"
        assert (await journal.load(STREAM)).head == 2


async def test_a_repeated_command_id_is_known_after_a_restart() -> None:
    family, codec = d.doorbell()
    async with MemoryJournal() as journal:
        async with open_runtime(journal, codec, family) as runtime:
            await runtime.ask(FRONT, d.Press(), command_id="once")
        async with open_runtime(journal, codec, family) as runtime:
            again = await runtime.ask(FRONT, d.Press(), command_id="once")
        assert again.message == d.Told("ringing")


async def test_a_repeated_command_without_an_answer_has_none_again() -> None:
    async with running() as (runtime, _):
        await runtime.ask(FRONT, d.Wire(), command_id="once")
        again = await runtime.ask(FRONT, d.Wire(), command_id="once")
        assert again.message is None
        assert again.error is None


async def test_a_conflict_reads_again_and_decides_anew() -> None:
    async with running() as (runtime, journal):
        await runtime.ask(FRONT, d.Press())
        journal.faults = [(ConflictError(STREAM, 1, 2), False)]
        answer = await runtime.ask(FRONT, d.Answer("ann"))
        assert answer.outcome is Outcome.MOVED
        assert (await journal.load(STREAM)).head == 2


async def test_conflicts_without_end_are_given_up() -> None:
    async with running() as (runtime, journal):
        journal.faults = [(ConflictError(STREAM, 0, 1), False)] * (module.RETRIES_MAX + 1)
        answer = await runtime.ask(FRONT, d.Press())
        assert isinstance(answer.error, ConflictError)


async def test_an_unknown_outcome_that_was_stored_is_not_done_twice() -> None:
    async with running() as (runtime, journal):
        journal.faults = [(UnknownOutcomeError("the disk went quiet"), True)]
        answer = await runtime.ask(FRONT, d.Press(), command_id="once")
        assert answer.message == d.Told("ringing")
        assert (await journal.load(STREAM)).head == 1


async def test_an_unknown_outcome_that_was_not_stored_is_done_once() -> None:
    async with running() as (runtime, journal):
        journal.faults = [(UnknownOutcomeError("the disk went quiet"), False)]
        answer = await runtime.ask(FRONT, d.Press())
        assert answer.message == d.Told("ringing")
        assert (await journal.load(STREAM)).head == 1


async def test_a_full_journal_fails_the_command_and_changes_nothing() -> None:
    async with running() as (runtime, journal):
        journal.faults = [(UnavailableError("disk full"), False)]
        failed = await runtime.ask(FRONT, d.Press())
        assert isinstance(failed.error, UnavailableError)
        answer = await runtime.ask(FRONT, d.Press())
        assert answer.outcome is Outcome.MOVED


async def test_a_rule_that_raises_ends_its_machine_and_no_other() -> None:
    async with running() as (runtime, journal):
        await runtime.ask(FRONT, d.Press())
        answer = await runtime.ask(FRONT, d.Explode())
        assert isinstance(answer.error, CallCrashedError)
        while (await runtime.snapshot(FRONT)).state is not d.S.BROKEN:
            await runtime.wait_change(STREAM)
        other = await runtime.ask(Address(d.BELL, "back"), d.Press())
        assert other.outcome is Outcome.MOVED
        assert (await journal.load(STREAM)).head == 2


async def test_a_machine_whose_crash_cannot_be_told_stops_and_says_so() -> None:
    def explode(bell: d.Bell, command: object) -> None:
        raise ZeroDivisionError("the crash reaction of the test raises")

    family, codec = d.doorbell()
    table = attrs.evolve(
        family.kinds[d.BELL].table, crash=attrs.evolve(family.kinds[d.BELL].table.crash, then=explode)
    )
    broken = type(family)(
        (attrs.evolve(family.kinds[d.BELL], table=table), family.kinds[d.BOARD]),
    )
    async with MemoryJournal() as journal, open_runtime(journal, codec, broken) as runtime:
        assert isinstance((await runtime.ask(FRONT, d.Explode())).error, CallCrashedError)
        await trio.testing.wait_all_tasks_blocked()
        assert isinstance((await runtime.ask(FRONT, d.Press())).error, CallCrashedError)
        assert (await runtime.ask(Address(d.BELL, "back"), d.Press())).outcome is Outcome.MOVED


async def test_a_word_that_cannot_be_journaled_fails_its_command_alone() -> None:
    async with running() as (runtime, journal):
        wrong = await runtime.ask(FRONT, d.Wire(what=object()))  # type: ignore[arg-type]
        assert isinstance(wrong.error, CodecError)
        assert (await journal.load(STREAM)).head == 0
        assert (await runtime.ask(FRONT, d.Press())).outcome is Outcome.MOVED


async def test_too_many_waiting_commands_are_turned_away_unseen() -> None:
    async with running() as (runtime, _):
        answers: list[Answered] = []
        for _ in range(module.PARKED_MAX + 2):
            runtime.submit(FRONT, d.Count(), answers.append)
        assert isinstance(answers[0].error, OverloadedError)
        while len(answers) < module.PARKED_MAX + 2:
            await trio.testing.wait_all_tasks_blocked()
        assert sum(isinstance(one.error, OverloadedError) for one in answers) == 2


async def test_a_stream_that_cannot_be_read_fails_what_waits_for_it() -> None:
    async with running() as (runtime, journal):
        await runtime.ask(FRONT, d.Press())
        runtime.dispatcher._streams.drop((STREAM,))

        async def load(*_arguments: object, **_options: object) -> None:
            raise UnavailableError("closed")

        journal.load = load  # type: ignore[assignment,method-assign]
        answer = await runtime.ask(FRONT, d.Answer("ann"))
        assert isinstance(answer.error, UnavailableError)
        del journal.load  # type: ignore[attr-defined]


async def test_a_duplicate_whose_stream_cannot_be_read_fails() -> None:
    async with running() as (runtime, journal):
        await runtime.ask(FRONT, d.Press(), command_id="once")

        async def load(*_arguments: object, **_options: object) -> None:
            raise UnavailableError("closed")

        journal.load = load  # type: ignore[assignment,method-assign]
        answer = await runtime.ask(FRONT, d.Press(), command_id="once")
        assert isinstance(answer.error, UnavailableError)
        del journal.load  # type: ignore[attr-defined]


async def test_streams_beyond_the_limit_are_read_again_when_needed() -> None:
    async with running() as (runtime, _):
        runtime.dispatcher._streams._loaded_max = 3
        for number in range(10):
            await runtime.ask(Address(d.BELL, str(number)), d.Press())
        assert runtime.dispatcher.statistics()["streams"] <= 4
        answer = await runtime.ask(Address(d.BELL, "0"), d.Answer("ann"))
        assert answer.message == d.Told("hello ann")


async def test_calls_that_ended_long_ago_are_read_again_when_needed() -> None:
    async with running() as (runtime, _):
        runtime.dispatcher._streams._ended_max = 2
        bells = [Address(d.BELL, str(number)) for number in range(6)]
        for bell in bells:
            await runtime.ask(bell, d.Press())
        for bell in bells[:5]:
            await runtime.ask(bell, d.Answer("ann"))
        kept = [bell for bell in bells if runtime.dispatcher.peek(f"{bell.kind}:{bell.key}") is not None]
        assert kept == bells[3:]
        assert (await runtime.snapshot(bells[0])).state is d.S.ANSWERED


async def test_a_long_stream_gets_snapshots_that_fold_to_the_same() -> None:
    async with running() as (runtime, journal):
        board = Address(d.BOARD, "hall")
        for _ in range(SNAPSHOT_EVERY + 20):
            await runtime.ask(board, d.Count())
        stream = f"{d.BOARD}:hall"
        loaded = await journal.load(stream)
        assert loaded.snapshot is not None
        short = fold(runtime.family, runtime.codec, stream, loaded)
        whole = fold(runtime.family, runtime.codec, stream, await journal.load(stream, snapshot=False))
        assert short.members == whole.members == (await runtime.read(stream)).members
        assert short.version == whole.version == SNAPSHOT_EVERY + 20


async def test_a_reader_may_see_an_append_before_its_writer_is_told() -> None:
    class Slow(FaultyJournal):
        def submit(self, writes: Sequence[Write], done: Done) -> None:
            held.append((writes, done))

        def let_go(self) -> None:
            for writes, done in held:
                super().submit(writes, done)
            held.clear()

    held: list[tuple[Sequence[Write], Done]] = []
    async with running(Slow()) as (runtime, opened):
        journal: Any = opened
        answers: list[Answered] = []
        runtime.dispatcher.submit(FRONT, d.Press(), answers.append, fresh=True)
        journal.let_go()
        assert (await runtime.read(STREAM)).version == 1
        while not answers:
            await trio.testing.wait_all_tasks_blocked()
        runtime.dispatcher.submit(FRONT, d.Answer("ann"), answers.append)
        journal.let_go()
        while len(answers) < 2:
            await trio.testing.wait_all_tasks_blocked()
        assert answers[1].message == d.Told("hello ann")
        assert (await runtime.read(STREAM)).version == 2
