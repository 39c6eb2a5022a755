"""Both journals against a dictionary, with random appends in random batches."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ConflictError, HistoryLostError
from engine.journal.port import Write
from engine.journal.writes import Result
from tests.engine.journal.shelf import KINDS, AnyJournal, Shelf, bodies, event

# Few of each, so that writers meet.
STREAMS = st.sampled_from(["a", "b", "c", "d"])
TOPICS = st.sampled_from(["ann", "bob"])
TIMERS = st.sampled_from(["ring", "idle"])


@attrs.frozen
class Draft:
    """A write whose expected version is relative to the head at its turn."""

    stream: str
    off: int
    events: int
    timers: tuple[tuple[str, float | None], ...]
    members: tuple[tuple[str, bool], ...]
    snapshot: bool


DRAFTS = st.builds(
    Draft,
    stream=STREAMS,
    off=st.sampled_from([0, 0, 0, 0, 0, -1, 1]),
    events=st.integers(0, 3),
    timers=st.lists(st.tuples(TIMERS, st.none() | st.integers(1, 9).map(float)), max_size=2).map(tuple),
    members=st.lists(st.tuples(TOPICS, st.booleans()), max_size=2).map(tuple),
    snapshot=st.booleans(),
)
Item: TypeAlias = list[Draft]
FORGET = st.lists(STREAMS, min_size=1, max_size=2).map(frozenset)
BATCHES = st.lists(st.lists(st.lists(DRAFTS, min_size=1, max_size=3), max_size=8) | FORGET, max_size=8)


@attrs.define
class Kept:
    """A stream as the model keeps it."""

    bodies: list[str] = attrs.Factory(list)
    timers: dict[str, float] = attrs.Factory(dict)
    topics: set[str] = attrs.Factory(set)
    snapshot: tuple[int, bytes] | None = None


class Model:
    """What the port promises, said with dictionaries."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.counter = 0

    def head(self, stream: str) -> int:
        return len(self.kept[stream].bodies) if stream in self.kept else 0

    def writes_of(self, item: Item) -> list[Write]:
        """The drafts as writes that expect what the model holds now."""
        ahead: dict[str, int] = {}
        writes = []
        for draft in item:
            head = ahead.get(draft.stream, self.head(draft.stream))
            writes.append(self._write(draft, max(0, head + draft.off)))
            ahead[draft.stream] = head + draft.events
        return writes

    def _write(self, draft: Draft, expected: int) -> Write:
        self.counter += 1
        events = tuple(event(f"{self.counter}.{number}") for number in range(draft.events))
        if not expected and not events:
            return Write(draft.stream, 0)
        snapshot = f"folded {self.counter}".encode() if draft.snapshot else None
        return Write(draft.stream, expected, events, draft.timers, draft.members, snapshot=snapshot)

    def apply(self, writes: Sequence[Write]) -> Sequence[int] | type[Exception]:
        ahead: dict[str, int] = {}
        for write in writes:
            head = ahead.get(write.stream, self.head(write.stream))
            if head != write.expected:
                return HistoryLostError if head < write.expected else ConflictError
            ahead[write.stream] = head + len(write.events)
        return [self._store(write) for write in writes]

    def _store(self, write: Write) -> int:
        if not write.expected and not write.events:
            return 0
        kept = self.kept.setdefault(write.stream, Kept())
        kept.bodies += [one.data.decode() for one in write.events]
        for name, due in write.timers:
            kept.timers.pop(name, None)
            if due is not None:
                kept.timers[name] = due
        for topic, on in write.members:
            kept.topics.discard(topic)
            if on:
                kept.topics.add(topic)
        if write.snapshot is not None:
            kept.snapshot = (len(kept.bodies), write.snapshot)
        return len(kept.bodies)


async def agrees(journal: AnyJournal, model: Model) -> None:
    """Everything that can be read is what the model says."""
    assert await journal.streams() == [(name, model.head(name)) for name in sorted(model.kept)]
    timers = {(name, timer, due) for name, kept in model.kept.items() for timer, due in kept.timers.items()}
    assert {(one.stream, one.name, one.due) for one in await journal.timers()} == timers
    for topic in ("ann", "bob"):
        joined = [name for name in sorted(model.kept) if topic in model.kept[name].topics]
        assert await journal.heads([topic]) == [(name, model.head(name)) for name in joined]
    for name, kept in model.kept.items():
        assert bodies((await journal.load(name, snapshot=False)).events) == kept.bodies
        loaded = await journal.load(name)
        version, snapshot = kept.snapshot or (0, None)
        assert (loaded.snapshot_version, loaded.snapshot) == (version, snapshot)
        assert bodies(loaded.events) == kept.bodies[version:]
    assert await journal.check() == []


async def play(shelf: Shelf, batches: Sequence[list[Item] | frozenset[str]]) -> None:
    model = Model()
    for batch in batches:
        async with shelf.journal() as journal:
            if isinstance(batch, frozenset):
                await journal.forget(sorted(batch))
                for name in batch:
                    model.kept.pop(name, None)
            else:
                await play_batch(journal, model, batch)
            await agrees(journal, model)


async def play_batch(journal: AnyJournal, model: Model, batch: list[Item]) -> None:
    told: list[Result] = []
    expected = []
    for item in batch:
        writes = model.writes_of(item)
        expected.append(model.apply(writes))
        journal.submit(writes, told.append)
    await journal.append()
    assert [type(result) if isinstance(result, Exception) else result for result in told] == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(batches=BATCHES)
def test_a_journal_agrees_with_a_dictionary(kind: str, batches: list[list[Item] | frozenset[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trio.run(play, Shelf(kind, Path(folder)), batches)
