"""Replay: every call of a journal built again from its events, stepped again, and compared."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import attrs

from engine.codec.records import RecordCodec
from engine.errors import CodecError, JournalCorruptError
from engine.journal.fold import Episode, before, encoded, episodes, fold, fold_episode
from engine.journal.port import Journal, Loaded
from engine.machine.family import Family, Record, RuleError, StreamState, TimerMoved
from engine.machine.step import Snapshot


@attrs.frozen
class Difference:
    """Where a journal and the tables that read it disagree."""

    stream: str
    version: int
    reason: str


def differences(
    family: Family, codec: RecordCodec, stream: str, whole: Loaded, short: Loaded
) -> Iterator[Difference]:
    """Compare a stream with what its tables make of it.

    `whole` holds every event, `short` the newest snapshot and the events behind it, read before `whole`: the
    server may have gone on in between. Each command is stepped again on what came before it: its events must
    come out byte for byte. The fold of everything up to where `short` ends must be the snapshot folded on.
    """
    state = StreamState()
    compared = not short.head
    try:
        from_snapshot = fold(family, codec, stream, short)
        for episode in episodes(codec, stream, whole):
            yield from _stepped_again(family, codec, stream, state, episode)
            fold_episode(family, state, episode)
            if state.version == short.head:
                compared = encoded(codec, state) == encoded(codec, from_snapshot)
    except JournalCorruptError as error:
        yield Difference(stream, error.version, str(error))
        return
    except CodecError as error:
        yield Difference(stream, state.version, f"the folded state cannot be written: {error}")
        return
    if not compared:
        yield Difference(stream, short.snapshot_version, "the snapshot is not what its events make")


def _stepped_again(
    family: Family, codec: RecordCodec, stream: str, state: StreamState, episode: Episode
) -> Iterator[Difference]:
    now = before(family, state, episode)
    if episode.cause is None:
        yield from _noted(stream, now, episode)
        return
    try:
        step = family.step(episode.member, now, episode.cause)
    except RuleError as error:
        yield Difference(stream, episode.version, f"{error}: {error.__cause__!r}")
        return
    cause: Any = episode.cause
    made = []
    for event in step.events:
        made.append(Record(episode.member, step.after.state.name, step.after.entries, event, cause))
        cause = None
    if [codec.encode(one) for one in made] != [codec.encode(one) for one in episode.records]:
        said = ", ".join(type(one.event).__name__ for one in made) or step.reason or "nothing"
        yield Difference(
            stream,
            episode.version,
            f"{type(episode.cause).__name__} makes {said} now, and other events then",
        )


def _noted(stream: str, now: Snapshot, episode: Episode) -> Iterator[Difference]:
    """A note of the engine comes from no rule; it has to fit to where the machine stands."""
    (record, *_) = episode.records
    if isinstance(record.event, TimerMoved):
        running = record.event.name in [timer.name for timer in now.timers]
        if not running or (record.state, record.entries) != (now.state.name, now.entries):
            yield Difference(stream, episode.version, f"no timer {record.event.name} runs there")


@attrs.frozen
class Replayed:
    """One stream that was replayed."""

    stream: str
    events: int
    differences: tuple[Difference, ...]


async def replay(journal: Journal, family: Family, codec: RecordCodec) -> AsyncIterator[Replayed]:
    """Replay every stream of `journal` in the order of names."""
    after = ""
    while page := await journal.streams(after):
        for stream, _ in page:
            try:
                short = await journal.load(stream)
                whole = await journal.load(stream, snapshot=False)
            except JournalCorruptError as error:
                yield Replayed(stream, 0, (Difference(stream, error.version, str(error)),))
                continue
            found = tuple(differences(family, codec, stream, whole, short))
            yield Replayed(stream, len(whole.events), found)
        after = page[-1][0]
