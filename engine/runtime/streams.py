"""The streams that are loaded: read when they are needed, changed by what was appended, dropped when many."""

from collections import Counter
from collections.abc import Iterable

from engine.codec.records import RecordCodec
from engine.errors import CodecError
from engine.journal.fold import fold
from engine.journal.port import Journal
from engine.machine.family import Change, Family, StreamState, apply_change, prolong

LOADED_MAX = 200_000
"""Streams that stay loaded, busy ones aside."""

ENDED_MAX = 1_000
"""Ended calls that stay loaded for what still comes to them; the journal has the others."""


class Streams:
    """Committed states by the name of their stream; the journal has those that are not here."""

    def __init__(
        self,
        journal: Journal,
        codec: RecordCodec,
        family: Family,
        *,
        loaded_max: int = LOADED_MAX,
        ended_max: int = ENDED_MAX,
    ) -> None:
        self._journal = journal
        self._codec = codec
        self._family = family
        self._loaded_max = loaded_max
        self._ended_max = ended_max
        self._ended: dict[str, None] = {}
        """Streams of ended calls, the one that ended first in front."""
        self._reading: Counter[str] = Counter()
        self.loaded: dict[str, StreamState] = {}
        """The one loaded first in front; only `Streams` changes it."""
        self.prolonged: dict[str, float] = {}
        """When timers may fire that run longer than the journal has it, by their names in its index.

        Not with the states: a stream that is dropped and read again has its time all the same.
        """
        self.busy: set[str] = set()
        """Streams on their way into the journal. They are not dropped, and whoever writes them says which."""

    async def read(self, stream: str) -> StreamState:
        """The committed state of `stream`, read from the journal if need be; not to be changed.

        Raises:
            CodecError: the name is no text that a journal can hold.
            JournalError: the journal cannot be read, or cannot be trusted.
        """
        state = self.loaded.get(stream)
        if state is not None:
            return state
        self._reading[stream] += 1
        try:
            loaded = await self._journal.load(stream)
        except UnicodeEncodeError as error:
            raise CodecError("the name of a stream has to be UTF-8") from error
        finally:
            # Not `-=` of counters, which looks at every stream that is being read.
            self._reading[stream] -= 1
            if not self._reading[stream]:
                del self._reading[stream]
        state = self.loaded.setdefault(stream, fold(self._family, self._codec, stream, loaded))
        self._evict(keep=stream)
        return state

    def after(self, stream: str, change: Change) -> StreamState:
        """A state of its own: `stream` as it will stand when `change` is appended."""
        now = self.loaded.get(stream) or StreamState()
        state = StreamState(now.version, dict(now.members), dict(now.seen))
        apply_change(self._family, state, change)
        return state

    def apply(self, stream: str, change: Change) -> None:
        """Bring `stream` forward by what was appended."""
        prolong(self.prolonged, change)
        state = self._own(stream)
        if state.version == change.base:
            apply_change(self._family, state, change)
        elif state.version < change.version:
            # Read from the journal in the middle of others' appends: read it again when it is needed.
            del self.loaded[stream]
        # Otherwise a reader was faster and has read what this append made.
        if any(f"{one.kind}:{one.key}" == stream for one in change.ended):
            self._ended[stream] = None
            self._evict_ended()

    def is_read(self, stream: str) -> bool:
        """Whether somebody is reading `stream` from the journal just now."""
        return stream in self._reading

    def forget(self, streams: Iterable[str]) -> None:
        """Know nothing of them any more: they were erased."""
        for stream in streams:
            self.loaded.pop(stream, None)
            self._ended.pop(stream, None)

    def drop(self, streams: Iterable[str]) -> None:
        """Have them read again when they are needed."""
        for stream in streams:
            self.loaded.pop(stream, None)

    def _own(self, stream: str) -> StreamState:
        state = self.loaded.get(stream)
        if state is None:
            state = self.loaded[stream] = StreamState()
            self._evict()
        return state

    def _evict(self, keep: str = "") -> None:
        """Drop the streams loaded longest ago."""
        excess = len(self.loaded) - self._loaded_max
        if excess <= 0:
            return
        # What is being read is kept as well: an older reading must not come in its place.
        used = (self.busy, self._reading, (keep,))
        idle = (one for one in self.loaded if not any(one in some for some in used))
        for stream in [name for name, _ in zip(idle, range(excess), strict=False)]:
            del self.loaded[stream]

    def _evict_ended(self) -> None:
        """Drop the streams of calls that ended long ago; otherwise they make room at the very end only."""
        excess = len(self._ended) - self._ended_max
        for stream in [name for name, _ in zip(self._ended, range(excess), strict=False)]:
            del self._ended[stream]
            if stream not in self.busy and stream not in self._reading:
                self.loaded.pop(stream, None)
