"""Streams that are erased once they are over."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from engine.errors import JournalCorruptError, UnavailableError
from engine.journal.memory import MemoryJournal
from engine.journal.port import Loaded
from engine.machine.step import Outcome
from engine.runtime.answers import Answer as Answered
from engine.runtime.runtime import Runtime, open_runtime
from engine.vocabulary import Address
from tests.engine.runtime import doorbell as d

FRONT, BACK = Address(d.BELL, "front"), Address(d.BELL, "back")
STREAM, BACK_STREAM = f"{d.BELL}:front", f"{d.BELL}:back"


class SlowJournal(MemoryJournal):
    """Erases when it is told to, reads when it is told to, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.may_forget = trio.Event()
        self.may_load = trio.Event()
        self.may_forget.set()
        self.may_load.set()
        self.fault: Exception | None = None
        self.spoilt: set[str] = set()

    async def forget(self, streams: Sequence[str]) -> None:
        await self.may_forget.wait()
        if self.fault is not None:
            raise self.fault
        await super().forget(streams)

    async def load(self, stream: str, *arguments: Any, **options: Any) -> Loaded:
        if stream in self.spoilt:
            raise JournalCorruptError(stream, 1, "a checksum is wrong")
        loaded = await super().load(stream, *arguments, **options)
        await self.may_load.wait()
        return loaded


@attrs.define(eq=False)
class House:
    """A runtime and its journal."""

    runtime: Runtime
    journal: SlowJournal

    async def end(self, bell: Address = FRONT) -> None:
        """A call from its beginning to its end."""
        await self.runtime.ask(bell, d.Press())
        await self.runtime.ask(bell, d.Answer("ann"))

    async def head(self, stream: str = STREAM) -> int:
        return (await self.journal.load(stream)).head


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    family, codec = d.doorbell()
    async with SlowJournal() as journal, open_runtime(journal, codec, family) as runtime:
        yield House(runtime, journal)


async def test_a_call_that_has_ended_is_erased_and_may_begin_again() -> None:
    async with house() as the:
        await the.end()
        assert await the.runtime.forget([STREAM, BACK_STREAM]) == [STREAM]
        assert (await the.head(), (await the.runtime.read(STREAM)).version) == (0, 0)
        answer = await the.runtime.ask(FRONT, d.Press())
        assert (answer.outcome, await the.head()) == (Outcome.MOVED, 1)


async def test_a_machine_that_is_as_at_its_beginning_stays_if_it_tells_followers() -> None:
    async with house() as the:
        await the.runtime.ask(FRONT, d.Press())
        await the.runtime.ask(FRONT, d.Expire())
        assert await the.runtime.forget([STREAM]) == ()
        assert await the.head() == 2


async def test_what_rings_or_counts_stays() -> None:
    async with house() as the:
        await the.runtime.ask(FRONT, d.Press(board="hall"))
        assert await the.runtime.forget([STREAM, f"{d.BOARD}:hall"]) == ()
        assert (await the.head(), await the.head(f"{d.BOARD}:hall")) == (1, 1)


async def test_what_is_followed_or_waited_for_stays() -> None:
    async with house() as the, trio.open_nursery() as nursery:
        await the.end()
        await the.end(BACK)
        follower = the.runtime.followers.follow(STREAM, 2, lambda *_: None)
        nursery.start_soon(the.runtime.wait_change, BACK_STREAM)
        await wait_all_tasks_blocked()
        assert await the.runtime.forget([STREAM, BACK_STREAM]) == ()
        the.runtime.followers.leave(follower)
        assert await the.runtime.forget([STREAM, BACK_STREAM]) == [STREAM]
        nursery.cancel_scope.cancel()


async def test_what_is_on_its_way_into_the_journal_stays() -> None:
    async with house() as the:
        await the.end()
        answers: list[Answered] = []
        the.runtime.submit(FRONT, d.Press(), answers.append)
        assert the.runtime.dispatcher.statistics()["busy"] == 1
        assert await the.runtime.dispatcher.forget([STREAM]) == ()
        await wait_all_tasks_blocked()
        assert answers[0].reason == "done"


async def test_a_command_that_comes_meanwhile_waits_and_begins_anew() -> None:
    async with house() as the, trio.open_nursery() as nursery:
        await the.end()
        the.journal.may_forget = trio.Event()
        nursery.start_soon(the.runtime.forget, [STREAM])
        await wait_all_tasks_blocked()
        answers: list[Answered] = []
        the.runtime.submit(FRONT, d.Press(), answers.append)
        await wait_all_tasks_blocked()
        assert answers == []
        the.journal.may_forget.set()
        await wait_all_tasks_blocked()
        assert (answers[0].outcome, await the.head()) == (Outcome.MOVED, 1)


async def test_an_older_reading_does_not_bring_it_back() -> None:
    async with house() as the, trio.open_nursery() as nursery:
        await the.end()
        the.runtime.dispatcher._streams.drop([STREAM])
        the.journal.may_load = trio.Event()
        nursery.start_soon(the.runtime.read, STREAM)
        nursery.start_soon(the.runtime.forget, [STREAM])
        await wait_all_tasks_blocked()
        the.journal.may_load.set()
        await wait_all_tasks_blocked()
        state = await the.runtime.read(STREAM)
        assert state.version == await the.head()


async def test_a_stream_that_cannot_be_read_stays_and_is_told_of() -> None:
    async with house() as the:
        await the.end()
        await the.end(BACK)
        the.runtime.dispatcher._streams.drop([STREAM])
        the.journal.spoilt.add(STREAM)
        with capture_logs() as logs:
            assert await the.runtime.forget([STREAM, BACK_STREAM]) == [BACK_STREAM]
        assert [(line["event"], line["stream"]) for line in logs] == [("not_forgotten", STREAM)]


async def test_a_journal_that_erases_nothing_leaves_everything_as_it_was() -> None:
    async with house() as the:
        await the.end()
        the.journal.fault = UnavailableError("the disk is full")
        with pytest.raises(UnavailableError):
            await the.runtime.forget([STREAM])
        answer = await the.runtime.ask(FRONT, d.Press())
        assert (answer.reason, await the.head()) == ("done", 2)
        await the.runtime.drain()


async def test_cancelled_while_it_erases_it_holds_up_nobody() -> None:
    async with house() as the:
        await the.end()
        the.journal.may_forget = trio.Event()
        with trio.move_on_after(0.01):
            await the.runtime.forget([STREAM])
        answer = await the.runtime.ask(FRONT, d.Press())
        assert answer.reason == "done"
        assert the.runtime.dispatcher.statistics()["busy"] == 0
