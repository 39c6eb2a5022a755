"""The writing thread: batches, chores in between, and its own end."""

from collections.abc import Sequence
from threading import Event
from typing import Any, cast

import pytest
import trio

from engine.errors import JournalError, UnavailableError, UnknownOutcomeError
from engine.journal.delivery import Delivery
from engine.journal.hub import Hub
from engine.journal.lane import Chore, Lane
from engine.journal.writes import Append, Result
from tests.engine.journal.shelf import Told, note


class Diary:
    """A writer that writes down what it is asked, once it is let."""

    def __init__(self, broken: bool = False) -> None:
        self.entries: list[str | list[str]] = []
        self.may_start = Event()
        self.broken = broken

    def commit(self, appends: Sequence[Append]) -> Sequence[Result]:
        self.may_start.wait()
        if self.broken:
            raise LookupError("a bug")
        self.entries.append([append.writes[0].stream for append in appends])
        return [[1] for _ in appends]


class Bench:
    """A lane with its delivery, in a nursery of its own."""

    def __init__(self, diary: Diary, batch_max: int = 3) -> None:
        self.diary = diary
        self.delivery = Delivery(Hub())
        self.lane = Lane(cast(Any, diary), self.delivery, batch_max)
        self.told = Told()

    def append(self, *names: str) -> None:
        for name in names:
            self.lane.put(Append((note(name, 0, "x"),), self.told.done(name)))

    def chore(self, name: str) -> None:
        def work(writer: Any) -> Result:
            writer.entries.append(name)
            return []

        self.lane.put(Chore(work, self.told.done(name)))

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.delivery.run, nursery)
            nursery.start_soon(self.lane.run)
            self.diary.may_start.set()


async def test_what_is_queued_is_one_batch_up_to_the_limit() -> None:
    bench = Bench(Diary())
    bench.append(*"abcdefg")
    bench.lane.close()
    await bench.run()
    assert bench.diary.entries == [["a", "b", "c"], ["d", "e", "f"], ["g"]]
    assert bench.told.names == list("abcdefg")


async def test_a_chore_comes_between_the_appends_before_and_behind_it() -> None:
    bench = Bench(Diary(), batch_max=10)
    bench.append("a", "b")
    bench.chore("sweep")
    bench.chore("probe")
    bench.append("c")
    bench.lane.close()
    await bench.run()
    assert bench.diary.entries == [["a", "b"], "sweep", "probe", ["c"]]
    assert bench.told.names == ["a", "b", "sweep", "probe", "c"]


async def test_an_empty_lane_ends_at_once() -> None:
    bench = Bench(Diary())
    bench.lane.close()
    await bench.run()
    assert bench.diary.entries == []


async def test_a_bug_in_the_writer_comes_out_and_leaves_nobody_waiting() -> None:
    bench = Bench(Diary(broken=True), batch_max=2)
    bench.append(*"abcd")
    bench.lane.close()
    with pytest.RaisesGroup(LookupError):
        await bench.run()
    kinds: dict[str, type[JournalError]] = {
        "a": UnknownOutcomeError,
        "b": UnknownOutcomeError,
        "c": UnavailableError,
        "d": UnavailableError,
    }
    assert {name: type(bench.told[name]) for name in bench.told.names} == kinds
