"""The journal port: what the runtime asks of memory, SQLite and PostgreSQL alike."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

import msgspec
import trio

from engine.errors import JournalError


class NewEvent(msgspec.Struct, frozen=True):
    """An event on its way into a stream."""

    type: str
    """Tag of the record, for people and filters; the codec has its own inside `data`."""
    at: float
    """UTC seconds."""
    data: bytes


class StoredEvent(msgspec.Struct, frozen=True):
    """An event of a stream, at its version."""

    version: int
    """1 for a stream's first event, then up by one without gaps."""
    type: str
    at: float
    data: bytes


class Write(msgspec.Struct, frozen=True):
    """What happens to one stream in an append."""

    stream: str
    expected: int
    """The head that the writer has seen; 0 for a stream that does not exist yet."""
    events: tuple[NewEvent, ...] = ()
    """Empty: only assert that the head is `expected`."""
    timers: tuple[tuple[str, float | None], ...] = ()
    """(name, due in UTC seconds), or (name, None) to take it away."""
    members: tuple[tuple[str, bool], ...] = ()
    """(topic, on): whether the stream belongs to the topic from now on."""
    topics: tuple[str, ...] = ()
    """Who is to be hinted after the commit, besides the stream's own name."""
    snapshot: bytes | None = None
    """The stream folded up to the last of `events`."""


class Loaded(msgspec.Struct, frozen=True):
    """A stream as it is read: the newest snapshot at or after `after`, then the events behind it."""

    snapshot: bytes | None
    snapshot_version: int
    """0 without a snapshot."""
    events: tuple[StoredEvent, ...]

    @property
    def head(self) -> int:
        """The version of the last event read."""
        return self.events[-1].version if self.events else self.snapshot_version


class Hint(msgspec.Struct, frozen=True):
    """`stream` of `topic` has reached `version`; read the journal to learn what that means."""

    topic: str
    stream: str
    version: int


class Gap(msgspec.Struct, frozen=True):
    """Hints were lost: compare `heads` with what you have."""


class Due(msgspec.Struct, frozen=True):
    """A timer whose time has come by the journal's clock."""

    stream: str
    name: str
    due: float


Done: TypeAlias = Callable[[Sequence[int] | JournalError], None]
"""Told the new heads in the order of the writes, or why nothing was stored."""


class Journal(Protocol):
    """One truth for calls. Writing is group-committed; reading never waits for writing.

    Open it by `async with`; leaving it writes what was submitted, then closes.
    """

    def submit(self, writes: Sequence[Write], done: Done) -> None:
        """Append to all streams or to none; `done` is called once, later, on trio's thread.

        Writes of one call are atomic; calls are applied in the order of submission. `done` must not raise.
        It gets ConflictError (with the missed events of the first stream that moved on), UnavailableError
        (certainly not stored), UnknownOutcomeError (perhaps stored) or HistoryLostError (head < expected).
        Never blocks and never awaits.

        Raises:
            ValueError: no journal could store this; `done` is not called. A name that is empty or not UTF-8,
                a time that is no number, an event that is too large, an index of a stream without events.
        """

    async def append(self, *writes: Write) -> Sequence[int]:
        """`submit`, awaited. Shielded from cancellation: it ends as stored, not stored or unknown.

        Raises:
            JournalError: as `submit` says.
        """

    async def load(self, stream: str, after: int = 0, *, snapshot: bool = True) -> Loaded:
        """Read `stream`; without `snapshot`, every event behind `after`.

        Raises:
            JournalCorruptError: a checksum or a version is wrong.
        """

    async def heads(self, topics: Sequence[str]) -> Sequence[tuple[str, int]]:
        """(stream, head) of every stream that belongs to one of `topics`, ordered by stream."""

    async def timers(self) -> Sequence[Due]:
        """Every running timer, earliest first."""

    async def due(self, limit: int) -> Sequence[Due]:
        """The timers that are due now by the journal's clock, earliest first."""

    async def streams(self, after: str = "", limit: int = 1000) -> Sequence[tuple[str, int]]:
        """(stream, head) in the order of names, from the first behind `after`."""

    async def quiet(self, before: float, after: str = "", limit: int = 1000) -> Sequence[str]:
        """Streams without running timers whose newest event is older than `before` (UTC seconds).

        In the order of names, from the first behind `after`.
        """

    def hints(self, limit: int = 1024) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[Hint | Gap]]:
        """Subscribe to hints. More than `limit` unread ones are replaced by one Gap; appends never wait."""

    async def epoch(self) -> str:
        """Names this history; a restored backup gets a new one."""

    async def forget(self, streams: Sequence[str]) -> None:
        """Erase streams for good, with their timers and memberships (retention)."""

    async def check(self) -> Sequence[str]:
        """Faults found by reading everything: checksums, version gaps, orphans. Empty when sound."""

    async def writable(self) -> bool:
        """Whether an append would be stored now; used by `GET /readyz`."""
