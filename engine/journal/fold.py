"""Streams read back: records folded into snapshots, and stepped again where the answer is wanted."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from engine.codec.records import RecordCodec, StreamSnapshot
from engine.effects import Ask, ProlongTimer, Reply, StartTimer, StopTimer, Tell
from engine.errors import CodecError, JournalCorruptError
from engine.journal.port import Loaded
from engine.machine.family import (
    Family,
    Record,
    RuleError,
    StreamState,
    TimerMoved,
    move_timer,
    put,
    remember,
)
from engine.machine.step import CommandDeferred, Snapshot, arm, step
from engine.machine.table import Table
from engine.vocabulary import Address, Command, Effect, Message, Stamp

_INWARD = (StartTimer, StopTimer, ProlongTimer, Tell)
"""Effects that have no key, because nothing outside is asked by them."""


class Episode(msgspec.Struct, frozen=True):
    """The records that one command left in one machine of a stream, or one note of the engine."""

    stream: str
    version: int
    """Version of the first record."""
    at: float
    records: tuple[Record, ...]

    @property
    def member(self) -> Address:
        """The machine that was stepped."""
        return self.records[0].member

    @property
    def cause(self) -> Command | None:
        """The command, or None for what the engine itself noted."""
        return self.records[0].cause

    @property
    def last_version(self) -> int:
        """Version of the last record."""
        return self.version + len(self.records) - 1


def fold(family: Family, codec: RecordCodec, stream: str, loaded: Loaded) -> StreamState:
    """The stream as it stands after the last event read.

    Raises:
        JournalCorruptError: a record cannot be read, or belongs to nobody.
    """
    state = StreamState()
    if loaded.snapshot is not None:
        try:
            kept = codec.decode_snapshot(loaded.snapshot)
        except CodecError as error:
            raise JournalCorruptError(stream, loaded.snapshot_version, str(error)) from error
        state = StreamState(loaded.snapshot_version, kept.members, dict(kept.seen))
    for episode in episodes(codec, stream, loaded):
        fold_episode(family, state, episode)
    return state


def encoded(codec: RecordCodec, state: StreamState) -> bytes:
    """A folded stream as the journal keeps it; its version is kept beside it."""
    return codec.encode_snapshot(StreamSnapshot(state.members, tuple(state.seen.items())))


def episodes(codec: RecordCodec, stream: str, loaded: Loaded) -> Iterator[Episode]:
    """The events of `loaded`, decoded and put together by command.

    Where `loaded` begins inside of an episode, the first one has no cause.

    Raises:
        JournalCorruptError: a record cannot be read, or its command is missing.
    """
    records: list[Record] = []
    first, at = 0, 0.0
    for stored in loaded.events:
        try:
            record = codec.decode(stored.data)
        except CodecError as error:
            raise JournalCorruptError(stream, stored.version, str(error)) from error
        if records and _begins(record):
            yield Episode(stream, first, at, tuple(records))
            records = []
        elif records and not _goes_on(record, records[-1]):
            raise JournalCorruptError(stream, stored.version, "an event without its command")
        if not records:
            first, at = stored.version, stored.at
        records.append(record)
    if records:
        yield Episode(stream, first, at, tuple(records))


def fold_episode(family: Family, state: StreamState, episode: Episode) -> None:
    """Bring `state` forward by what one command did.

    Raises:
        JournalCorruptError: it belongs to nobody, or the tables of today can make nothing of it.
    """
    member = episode.member
    now = before(family, state, episode)
    if episode.cause is None and not isinstance(episode.records[0].event, TimerMoved):
        raise _unfoldable(episode, "an event without its command")
    try:
        put(family, state, member, _after(family.kinds[member.kind].table, now, episode))
    except Exception as error:
        # A rule that meets the records of an older one may raise anything; it costs this stream, no other.
        raise _unfoldable(episode, f"the rules raise {type(error).__name__} on it") from error
    state.version = episode.last_version
    if episode.cause is not None and episode.cause.stamp.id:
        remember(state, episode.cause.stamp.id, episode.version)


def before(family: Family, state: StreamState, episode: Episode) -> Snapshot:
    """The machine that the episode happened to, as it was.

    Raises:
        JournalCorruptError: there is no such machine.
    """
    member = episode.member
    if member.kind not in family.kinds:
        raise _unfoldable(episode, f"there is no machine of the kind {member.kind}")
    return state.members.get(member) or family.initial(member)


def _after(table: Table[Any, Any], now: Snapshot, episode: Episode) -> Snapshot:
    last = episode.records[-1]
    cause = episode.cause
    if isinstance(last.event, TimerMoved):
        return move_timer(now, last.event)
    assert cause is not None, "only the engine's own notes have no cause"
    entered = last.entries != now.entries
    if entered and now.deferred:
        # What waited was tried again in between, perhaps in several states: only stepping tells in which.
        return step(table, now, cause).after
    data, deferred = now.data, () if entered else now.deferred
    for record in episode.records:
        if isinstance(record.event, CommandDeferred):
            deferred = (*deferred, record.event.command)
        else:
            data = table.evolve(data, record.event)
    state = _state(table, last.state)
    if entered:
        timers = tuple(arm(one, data, cause.stamp.at, last.entries) for one in table.timers_of[state])
        return Snapshot(state, data, timers, deferred, last.entries)
    return Snapshot(state, data, now.timers, deferred, now.entries)


def _begins(record: Record) -> bool:
    # The engine's own note has no cause, and does not belong to the command before it.
    return record.cause is not None or isinstance(record.event, TimerMoved)


def _goes_on(record: Record, before: Record) -> bool:
    return record.member == before.member and not isinstance(before.event, TimerMoved)


def _unfoldable(episode: Episode, reason: str) -> JournalCorruptError:
    return JournalCorruptError(episode.stream, episode.version, reason)


def _state(table: Table[Any, Any], name: str) -> Enum:
    return type(table.initial)[name]  # type: ignore[no-any-return]  # an enumeration's item is its member


def answer_again(
    family: Family, codec: RecordCodec, stream: str, loaded: Loaded, version: int
) -> Message | None:
    """What the command journaled at `version` was answered, found by stepping it once more.

    `loaded` holds the stream from its first event.
    """
    for episode, effects in _effects_again(family, codec, stream, loaded):
        if episode.version == version:
            return next((one.message for one in effects if isinstance(one, Reply)), None)
    return None


def ask_again(
    family: Family, codec: RecordCodec, stream: str, loaded: Loaded, version: int, index: int
) -> tuple[Ask, Stamp, str] | None:
    """The effect with the key `stream:version:index`, the stamp of its command, the state after it.

    `loaded` holds the stream from its first event. None when the tables say something else today.
    """
    for episode, effects in _effects_again(family, codec, stream, loaded):
        if episode.last_version == version and episode.cause is not None:
            said = effects[index] if index < len(effects) else None
            if not isinstance(said, Ask):
                return None
            return said, episode.cause.stamp, episode.records[-1].state
    return None


def _effects_again(
    family: Family, codec: RecordCodec, stream: str, loaded: Loaded
) -> Iterator[tuple[Episode, list[Effect]]]:
    """Each command's effects for the outside, in the order of their keys."""
    state = StreamState()
    for episode in episodes(codec, stream, loaded):
        if episode.cause is not None:
            now = before(family, state, episode)
            try:
                said = family.step(episode.member, now, episode.cause).effects
            except RuleError as error:
                raise _unfoldable(episode, f"{error} when it is stepped again") from error
            yield episode, [one for one in said if not isinstance(one, _INWARD)]
        fold_episode(family, state, episode)
