"""Decisions as the journal takes them: events, timers, memberships, and now and then a snapshot."""

from collections.abc import Callable

from engine.codec.records import RecordCodec
from engine.journal.fold import encoded
from engine.journal.port import NewEvent, Write
from engine.machine.family import Change, Family, StreamState

SNAPSHOT_EVERY = 200
"""Events between two snapshots of a stream; below that a fold is faster than reading a snapshot."""


class Writer:
    """Makes writes; `after` tells how a stream will stand when a change is appended."""

    def __init__(
        self, codec: RecordCodec, family: Family, after: Callable[[str, Change], StreamState]
    ) -> None:
        self._codec = codec
        self._family = family
        self._after = after

    def write(self, stream: str, change: Change, at: float) -> Write:
        """`change`, to be appended; `at` is the time of events before the first command, in UTC seconds.

        Raises:
            CodecError: a value in it has no form in the journal.
        """
        timers = tuple(change.timers.items())
        if not change.records:
            return Write(stream, change.base, timers=timers)
        return Write(
            stream,
            change.base,
            self._events(change, at),
            timers,
            self._memberships(change),
            snapshot=self._snapshot(stream, change),
        )

    def _events(self, change: Change, at: float) -> tuple[NewEvent, ...]:
        events = []
        for record in change.records:
            if record.cause is not None:
                at = record.cause.stamp.at
            events.append(NewEvent(self._codec.tag_of(type(record.event)), at, self._codec.encode(record)))
        return tuple(events)

    def _memberships(self, change: Change) -> tuple[tuple[str, bool], ...]:
        topics: dict[str, bool] = {}
        for addresses, on in ((change.born, True), (change.ended, False)):
            for address in addresses:
                if self._family.kinds[address.kind].indexed:
                    topics[f"live:{address.kind}"] = on
        return tuple(topics.items())

    def _snapshot(self, stream: str, change: Change) -> bytes | None:
        if change.version // SNAPSHOT_EVERY == change.base // SNAPSHOT_EVERY:
            return None
        return encoded(self._codec, self._after(stream, change))
