"""What a batch of appends comes to: conflicts are decided here, before anything is written."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias
from zlib import crc32

from engine.errors import JournalError
from engine.journal.port import Write
from engine.journal.schema import event_crc, snapshot_crc
from engine.journal.writes import Append, Result, mismatch


class Seat(NamedTuple):
    """Where a stream is kept, and its head."""

    sid: int
    version: int


FindSeat: TypeAlias = Callable[[str], Seat | None]


class Plan:
    """The rows of one transaction, in the order of the appends.

    Because conflicts are known before, a failed append leaves no rows and its batch mates need no
    savepoint. What is set twice in a batch is written once.
    """

    def __init__(self, find_seat: FindSeat, sid: int, position: int) -> None:
        self._find_seat = find_seat
        self.sid = sid
        """The largest stream id given away."""
        self.position = position
        """The largest rowid of an event."""
        self.seats: dict[str, Seat] = {}
        """Streams that this batch moves or begins."""
        self.events: list[tuple[int, int, int, str, float, int, bytes]] = []
        self.timers: dict[tuple[int, str], float | None] = {}
        self.members: dict[tuple[str, int], bool] = {}
        self.snapshots: dict[int, tuple[int, int, int, bytes]] = {}

    @property
    def empty(self) -> bool:
        """Nothing is to be written: assertions and failures only."""
        return not self.seats

    def take(self, append: Append) -> Result:
        """Add the rows of `append` and tell its new heads, or why it adds none."""
        writes = append.writes
        error = self._first_mismatch(writes)
        if error is not None:
            return error
        for write in writes:
            if write.events or write.timers or write.members or write.snapshot is not None:
                self._add(write)
        return [write.expected + len(write.events) for write in writes]

    def _first_mismatch(self, writes: tuple[Write, ...]) -> JournalError | None:
        ahead: dict[str, int] = {}
        for write in writes:
            head = ahead.get(write.stream)
            if head is None:
                head = self._head(write.stream)
            if head != write.expected:
                return mismatch(write, head)
            ahead[write.stream] = head + len(write.events)
        return None

    def _seat(self, stream: str) -> Seat | None:
        return self.seats.get(stream) or self._find_seat(stream)

    def _head(self, stream: str) -> int:
        seat = self._seat(stream)
        return seat.version if seat else 0

    def _new_sid(self) -> int:
        self.sid += 1
        return self.sid

    def _add(self, write: Write) -> None:
        seat = self._seat(write.stream)
        sid, version = seat or (self._new_sid(), 0)
        name_crc = crc32(write.stream.encode())
        for type_, at, data in [(event.type, event.at, event.data) for event in write.events]:
            version += 1
            self.position += 1
            crc = event_crc(name_crc, version, at, type_, data)
            self.events.append((self.position, sid, version, type_, at, crc, data))
        self.seats[write.stream] = Seat(sid, version)
        for name, due in write.timers:
            self.timers[sid, name] = due
        for topic, on in write.members:
            self.members[topic, sid] = on
        if write.snapshot is not None:
            crc = snapshot_crc(name_crc, version, write.snapshot)
            self.snapshots[sid] = (sid, version, crc, write.snapshot)
