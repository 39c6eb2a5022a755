"""The streams that are loaded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from engine.errors import CodecError, JournalCorruptError, UnavailableError
from engine.journal.memory import MemoryJournal
from engine.journal.port import Loaded, NewEvent, Write
from engine.machine.family import Change, Draft, StreamState
from engine.runtime.streams import Streams
from engine.runtime.writes import Writer
from engine.vocabulary import Address, Command, Stamp
from tests.engine.runtime import doorbell as d

FAMILY, CODEC = d.doorbell()
STAMP = Stamp(at=1.0, entropy="0" * 64)


class Gate(MemoryJournal):
    """Reads, and keeps what it has read until the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.open = trio.Event()

    async def load(self, *arguments: Any, **options: Any) -> Loaded:
        loaded = await super().load(*arguments, **options)
        await self.open.wait()
        return loaded


@attrs.define(eq=False)
class Shelf:
    """Streams, and a writer beside them."""

    journal: MemoryJournal
    streams: Streams

    def change(self, bell: str, command: Command) -> Change:
        """What `command` changes in the bell's stream; nothing is kept."""
        to, stamped = Address(d.BELL, bell), attrs.evolve(command, stamp=STAMP)
        return Draft(FAMILY, self.streams.loaded).decide(to, stamped, fresh=True).changes[name_of(bell)]

    async def store(self, bell: str, command: Command) -> Change:
        """The same, appended; the streams do not know of it yet."""
        change = self.change(bell, command)
        writer = Writer(CODEC, FAMILY, self.streams.after)
        await self.journal.append(writer.write(name_of(bell), change, STAMP.at))
        return change

    async def do(self, bell: str, command: Command) -> None:
        """The same, and the streams are told."""
        self.streams.apply(name_of(bell), await self.store(bell, command))


@asynccontextmanager
async def shelf(journal: MemoryJournal | None = None, **limits: int) -> AsyncIterator[Shelf]:
    async with journal or MemoryJournal() as opened:
        yield Shelf(opened, Streams(opened, CODEC, FAMILY, **limits))


def name_of(bell: str) -> str:
    return f"{d.BELL}:{bell}"


def state_of(state: StreamState, bell: str) -> object:
    return state.members[Address(d.BELL, bell)].state


async def test_what_was_appended_is_loaded_and_what_was_dropped_is_read_again() -> None:
    async with shelf() as the:
        await the.do("a", d.Press())
        kept = the.streams.loaded[name_of("a")]
        assert await the.streams.read(name_of("a")) is kept
        the.streams.drop((name_of("a"), name_of("never seen")))
        assert not the.streams.loaded
        assert await the.streams.read(name_of("a")) == kept


async def test_a_stream_that_nobody_wrote_is_read_as_empty() -> None:
    async with shelf() as the:
        assert await the.streams.read(name_of("a")) == StreamState()


async def test_a_name_that_no_journal_can_hold_is_a_fault_of_its_own() -> None:
    class Strict(MemoryJournal):
        async def load(self, stream: str, *_arguments: object, **_options: object) -> Loaded:
            raise UnicodeEncodeError("utf-8", stream, 0, 1, "surrogates not allowed")

    async with shelf(Strict()) as the:
        with pytest.raises(CodecError, match="UTF-8"):
            await the.streams.read("\ud800")


async def test_a_stream_that_cannot_be_trusted_is_not_loaded() -> None:
    async with shelf() as the:
        await the.journal.append(Write(name_of("a"), 0, (NewEvent("x", 0.0, b"\x00"),)))
        with pytest.raises(JournalCorruptError):
            await the.streams.read(name_of("a"))
        assert not the.streams.loaded


async def test_a_stream_whose_reading_failed_makes_room_like_any_other() -> None:
    class Closed(MemoryJournal):
        async def load(self, *_arguments: object, **_options: object) -> Loaded:
            raise UnavailableError("closed")

    async with shelf(Closed(), loaded_max=1) as the:
        with pytest.raises(UnavailableError):
            await the.streams.read(name_of("a"))
        for bell in "ab":
            await the.do(bell, d.Press())
        assert list(the.streams.loaded) == [name_of("b")]


async def test_a_change_shows_what_will_be_and_changes_nothing() -> None:
    async with shelf() as the:
        await the.do("a", d.Press())
        change = the.change("a", d.Answer("ann"))
        after = the.streams.after(name_of("a"), change)
        assert (after.version, state_of(after, "a")) == (2, d.S.ANSWERED)
        now = the.streams.loaded[name_of("a")]
        assert (now.version, state_of(now, "a")) == (1, d.S.RINGING)
        born = the.streams.after(name_of("b"), the.change("b", d.Press()))
        assert state_of(born, "b") is d.S.RINGING


async def test_what_a_reader_has_seen_already_is_not_applied_twice() -> None:
    async with shelf() as the:
        change = await the.store("a", d.Press())
        await the.streams.read(name_of("a"))
        the.streams.apply(name_of("a"), change)
        assert the.streams.loaded[name_of("a")].version == 1


async def test_a_state_that_misses_others_appends_is_read_again() -> None:
    async with shelf() as the:
        await the.do("a", d.Press())
        change = the.change("a", d.Answer("ann"))
        change.base += 1
        the.streams.apply(name_of("a"), change)
        assert name_of("a") not in the.streams.loaded


async def test_the_streams_loaded_longest_ago_make_room() -> None:
    async with shelf(loaded_max=2) as the:
        for bell in "abc":
            await the.do(bell, d.Press())
        assert list(the.streams.loaded) == [name_of("b"), name_of("c")]
        await the.streams.read(name_of("a"))
        assert list(the.streams.loaded) == [name_of("c"), name_of("a")]


async def test_a_stream_that_is_read_does_not_make_room_for_itself() -> None:
    async with shelf(loaded_max=0) as the:
        state = await the.streams.read(name_of("a"))
        assert the.streams.loaded == {name_of("a"): state}


async def test_busy_streams_stay_whatever_comes() -> None:
    async with shelf(loaded_max=1) as the:
        the.streams.busy |= {name_of("a"), name_of("b")}
        for bell in "abc":
            await the.do(bell, d.Press())
        assert list(the.streams.loaded) == [name_of("a"), name_of("b")]


async def test_a_stream_that_is_being_read_stays_at_its_newest() -> None:
    gate = Gate()
    async with shelf(gate, loaded_max=1, ended_max=0) as the, trio.open_nursery() as nursery:
        nursery.start_soon(the.streams.read, name_of("a"))
        await trio.testing.wait_all_tasks_blocked()
        for command in (d.Press(), d.Answer("ann")):
            await the.do("a", command)
        await the.do("b", d.Press())
        assert list(the.streams.loaded) == [name_of("a")]
        gate.open.set()
        await trio.testing.wait_all_tasks_blocked()
        assert the.streams.loaded[name_of("a")].version == 2


async def test_the_calls_that_ended_first_are_dropped() -> None:
    async with shelf(ended_max=2) as the:
        for bell in "abcd":
            await the.do(bell, d.Press())
        for bell in "bac":
            await the.do(bell, d.Answer("ann"))
        assert list(the.streams.loaded) == [name_of("a"), name_of("c"), name_of("d")]
        assert state_of(await the.streams.read(name_of("b")), "b") is d.S.ANSWERED


async def test_a_call_that_ended_and_is_busy_is_not_dropped() -> None:
    async with shelf(ended_max=0) as the:
        await the.do("a", d.Press())
        the.streams.busy.add(name_of("a"))
        await the.do("a", d.Answer("ann"))
        assert list(the.streams.loaded) == [name_of("a")]


async def test_two_who_read_a_stream_at_once_have_the_same_state() -> None:
    async with Gate() as journal, trio.open_nursery() as nursery:
        streams = Streams(journal, CODEC, FAMILY)
        read: list[StreamState] = []

        async def reading() -> None:
            read.append(await streams.read(name_of("a")))

        for _ in range(2):
            nursery.start_soon(reading)
        await trio.testing.wait_all_tasks_blocked()
        journal.open.set()
        await trio.testing.wait_all_tasks_blocked()
        first, second = read
        assert first is second is streams.loaded[name_of("a")]
