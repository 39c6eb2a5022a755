"""A sound copy of a journal's file, taken while its owner writes."""

import os
from contextlib import closing
from pathlib import Path

import apsw

from engine.errors import UnavailableError
from engine.journal.schema import DAMAGE, open_reader, translated

BUSY_SECONDS = 5.0


def copy_journal(source: Path, target: Path) -> None:
    """Write everything that is in `source` into a new file; it appears when it is whole and on the disk.

    Raises:
        UnavailableError: there is no journal at `source`, or `target` is there already or cannot be written.
        JournalCorruptError: `source` is damaged.
    """
    if target.exists():
        raise UnavailableError(f"{target} is there already; a backup overwrites nothing")
    part = target.with_name(f"{target.name}.part")
    with closing(open_reader(source, BUSY_SECONDS, None)) as connection:
        descriptor = _made(part)
        try:
            connection.execute("VACUUM INTO ?", (os.fspath(part),))
            os.fsync(descriptor)
            part.rename(target)
        except (*DAMAGE, apsw.Error) as error:
            raise translated(error, target.name) from error
        except OSError as error:
            raise _unwritable(target, error) from error
        finally:
            os.close(descriptor)
            part.unlink(missing_ok=True)
    _sync(target.parent)


def _made(part: Path) -> int:
    """An empty file for its owner alone: the journal has personal data, and the hashes of tokens."""
    try:
        return os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(part, error) from error


def _unwritable(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(f"{path} cannot be written: {error.strerror}")


def _sync(folder: Path) -> None:
    """Without it the new name may be gone after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
