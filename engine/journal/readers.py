"""Reading connections, lent to worker threads: reading waits neither for the writer nor for trio."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import apsw
import trio

from engine.errors import UnavailableError
from engine.journal.schema import DAMAGE, closing_on_error, open_reader, translated

READERS_MAX = 4
_STEPS_BETWEEN_LOOKS = 50_000
"""Steps of SQLite's machine (about a millisecond) after which a read asks whether it is cancelled."""

P = ParamSpec("P")
T = TypeVar("T")


class Readers:
    """Opens connections when they are needed and keeps them for the next read."""

    def __init__(self, path: Path, busy_seconds: float, vfs: str | None) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._vfs = vfs
        self._limiter = trio.CapacityLimiter(READERS_MAX)
        self._lock = threading.Lock()
        self._idle: list[apsw.Connection] = []
        self._closed = False

    async def read(
        self, name: str, read: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """`read` one state of the database; `name` stands in the errors.

        Raises:
            JournalCorruptError: the file is damaged.
            UnavailableError: it cannot be read.
        """

        def reading() -> T:
            return self._one_state(name, lambda connection: read(connection, *args, **kwargs))

        return await trio.to_thread.run_sync(reading, limiter=self._limiter)

    def close(self) -> None:
        """Close what is idle; what is lent closes when it comes back."""
        with self._lock:
            self._closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()

    def _one_state(self, name: str, read: Callable[[apsw.Connection], T]) -> T:
        try:
            with closing_on_error(self._lend()) as connection:
                connection.execute("BEGIN")
                result = read(connection)
                connection.execute("COMMIT")
        except (*DAMAGE, apsw.Error) as error:
            raise translated(error, name) from error
        self._take_back(connection)
        return result

    def _lend(self) -> apsw.Connection:
        with self._lock:
            if self._closed:
                raise UnavailableError("the journal is closed")
            if self._idle:
                return self._idle.pop()
        connection = open_reader(self._path, self._busy_seconds, self._vfs)
        connection.set_progress_handler(_look, _STEPS_BETWEEN_LOOKS)
        return connection

    def _take_back(self, connection: apsw.Connection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()


def _look() -> bool:
    trio.from_thread.check_cancelled()
    return False
