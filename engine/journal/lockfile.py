"""The file beside a database that says who writes it, and how far it had come."""

import fcntl
import os
import socket
from pathlib import Path

from engine.errors import UnavailableError

_MARK = "{:020d}"


class Lockfile:
    """An exclusive lock on `<path>.lock`, and in it a mark that outlives a restored backup.

    The lock is not on the database: closing any descriptor of that would drop SQLite's own locks.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._path = database.with_name(database.name + ".lock")
        self._descriptor = -1

    def acquire(self) -> None:
        """Become the only owner, until `release` or the end of the process.

        Raises:
            UnavailableError: somebody else is.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if not self._path.parent.is_dir():
                missing = (
                    f"there is no folder {self._path.parent} for {self._path.name.removesuffix('.lock')}"
                )
                raise UnavailableError(f"{missing}; make it first") from error
            raise UnavailableError(f"{self._path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = _words(descriptor)[2:]
            os.close(descriptor)
            raise UnavailableError(self._owned_by(" ".join(owner))) from error
        self._descriptor = descriptor

    def _owned_by(self, owner: str) -> str:
        return (
            f"{self._database} is owned by another engine ({owner or 'unknown'}); "
            "stop that one, or open the journal read-only"
        )

    def recall(self) -> tuple[str, int] | None:
        """(epoch, position) that the last owner left, or None without one that can be read."""
        words = _words(self._descriptor)
        if len(words) < 2 or not words[0].isdecimal():
            return None
        return words[1], int(words[0])

    def sign(self, epoch: str, position: int) -> None:
        """Write down the owner, the epoch and the position.

        Raises:
            UnavailableError: the file cannot be written.
        """
        owner = f"pid {os.getpid()} on {socket.gethostname()}"
        try:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{_MARK.format(position)} {epoch} {owner}\n".encode(), 0)
        except OSError as error:
            raise UnavailableError(f"{self._path} cannot be written: {error.strerror}") from error

    def note(self, position: int) -> None:
        """Move the position. Not synced: a power cut may leave an older one, never a newer one."""
        try:
            os.pwrite(self._descriptor, _MARK.format(position).encode(), 0)
        except OSError:
            # The events are stored; an older mark only notices less.
            pass

    def release(self) -> None:
        """Let others own the database. The file stays: removing it would race with them."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _words(descriptor: int) -> list[str]:
    return os.pread(descriptor, 400, 0).decode(errors="replace").split()
