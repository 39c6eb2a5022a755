"""What can be written at all, and what becomes of a write when it meets the head of its stream."""

from collections.abc import Sequence
from math import isfinite
from typing import TypeAlias

import msgspec

from engine.errors import ConflictError, HistoryLostError, JournalError
from engine.journal.port import Done, NewEvent, StoredEvent, Write

EVENT_BYTES_MAX = 16 * 1024 * 1024
MISSED_MAX = 500
"""So many missed events come with a ConflictError at most."""

Result: TypeAlias = Sequence[int] | JournalError
"""The new heads in the order of the writes, or why nothing was stored."""


class Append(msgspec.Struct, frozen=True):
    """Writes that are stored together or not at all, and who is to be told."""

    writes: tuple[Write, ...]
    done: Done


def refuse_unstorable(writes: Sequence[Write]) -> None:
    """Keep out what would fail a whole batch when it reached the disk.

    Raises:
        ValueError: a name that is empty or not UTF-8, a time that is no number, an event that is too large or
            not bytes, or a stream that would begin without an event.
    """
    for write in writes:
        if not write.stream:
            raise ValueError("a stream needs a name")
        _refuse_names((write.stream, *write.topics))
        for event in write.events:
            _refuse_event(write.stream, event)
        if write.timers:
            _refuse_names([name for name, _ in write.timers])
            _refuse_times([due for _, due in write.timers if due is not None])
        if write.members:
            _refuse_names([topic for topic, _ in write.members])
        if write.snapshot is not None:
            _refuse_bytes(write.stream, write.snapshot)
        if not write.expected and not write.events:
            _refuse_index_of_nothing(write)


def _refuse_event(stream: str, event: NewEvent) -> None:
    _refuse_names((event.type,))
    _refuse_times((event.at,))
    _refuse_bytes(stream, event.data)


def _refuse_names(names: Sequence[str]) -> None:
    # A lone surrogate passes for a str until a database encodes it; JSON from outside can hold one.
    for name in names:
        if not name.isascii():
            name.encode()


def _refuse_times(times: Sequence[float]) -> None:
    for seconds in times:
        if not isfinite(seconds):
            raise ValueError(f"{seconds} is not a time")


def _refuse_bytes(stream: str, data: bytes) -> None:
    if type(data) is not bytes or len(data) > EVENT_BYTES_MAX:
        raise ValueError(f"{stream}: an event or snapshot is at most {EVENT_BYTES_MAX} bytes")


def _refuse_index_of_nothing(write: Write) -> None:
    if write.timers or write.members or write.snapshot is not None:
        raise ValueError(f"{write.stream}: a stream begins with an event")


def mismatch(write: Write, head: int, missed: tuple[StoredEvent, ...] | None = None) -> JournalError:
    """Why `write` cannot be stored at `head`, which is not what it expects."""
    if head < write.expected:
        return HistoryLostError(f"{write.stream}: version {write.expected} was seen, the head is {head}")
    return ConflictError(write.stream, write.expected, head, missed)
