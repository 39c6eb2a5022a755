"""A place where a journal is kept while it is closed, for each kind of journal."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw
import attrs

from engine.errors import JournalError
from engine.journal.memory import MemoryJournal
from engine.journal.port import Done, NewEvent, StoredEvent, Write
from engine.journal.sqlite import SqliteJournal

AnyJournal = MemoryJournal | SqliteJournal
KINDS = ("memory", "sqlite")


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@attrs.define
class Shelf:
    """Hands out the same journal again and again, as restarts of an engine would."""

    kind: str
    folder: Path
    queue_max: int = 10_000
    clock: Hands = attrs.Factory(Hands)
    _memory: MemoryJournal | None = None

    @property
    def path(self) -> Path:
        return self.folder / "calls.db"

    def journal(self) -> AnyJournal:
        if self.kind == "sqlite":
            return SqliteJournal(self.path, clock=self.clock, queue_max=self.queue_max)
        if self._memory is None:
            self._memory = MemoryJournal(clock=self.clock, queue_max=self.queue_max)
        return self._memory

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing is committed meanwhile: a journal in memory tells nothing without an await anyway."""
        if self.kind == "memory":
            yield
            return
        with foreign_lock(self.path):
            yield


@contextmanager
def foreign_lock(path: Path) -> Iterator[None]:
    """Another program is writing to the database."""
    connection = apsw.Connection(str(path))
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def event(body: str = "", type_: str = "Noted", at: float = 1.5) -> NewEvent:
    return NewEvent(type_, at, body.encode())


def note(stream: str, expected: int, *bodies: str) -> Write:
    """Append one event for each body."""
    return Write(stream, expected, tuple(event(body) for body in bodies))


def bodies(events: Sequence[StoredEvent]) -> list[str]:
    return [one.data.decode() for one in events]


class Told:
    """Remembers what each `done` was told, in order."""

    def __init__(self) -> None:
        self.results: list[tuple[str, Sequence[int] | JournalError]] = []

    def done(self, name: str) -> Done:
        return lambda result: self.results.append((name, result))

    def __getitem__(self, name: str) -> Sequence[int] | JournalError:
        (result,) = [result for known, result in self.results if known == name]
        return result

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.results]
