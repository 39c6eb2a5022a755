"""`switchhook backup`: a sound copy of a journal, users included."""

import sys
from pathlib import Path

from engine.errors import ConfigurationError
from engine.journal.copying import copy_journal
from engine.journal.opening import path_of


def run(target: Path, journal: str) -> int:
    """Copy the journal into a new file and say how large it is.

    Raises:
        ConfigurationError: the journal has no file.
        EngineError: the journal cannot be read, or the copy not be written.
    """
    if not journal.startswith("sqlite:"):
        raise ConfigurationError("--journal", "only a file can be copied: use sqlite:///FILE")
    copy_journal(Path(path_of(journal)), target)
    sys.stdout.write(f"{target}: {target.stat().st_size} bytes\n")
    return 0
