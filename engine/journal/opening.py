"""From the URL in a configuration to a journal."""

import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from engine.errors import ConfigurationError
from engine.journal.memory import MemoryJournal
from engine.journal.sqlite import SqliteJournal

_KEY = "journal"
_FORMS = "use sqlite:///calls.db, sqlite:////var/lib/calls.db or memory:"


def open_journal(
    url: str, *, clock: Callable[[], float] = time.time, read_only: bool = False
) -> MemoryJournal | SqliteJournal:
    """The journal that `url` names; enter it to open it.

    `sqlite:///calls.db` is relative to the working directory, `sqlite:////var/lib/calls.db` absolute.

    Raises:
        ConfigurationError: there is no such journal. The text never repeats the URL: it may hold a password.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        return SqliteJournal(path_of(url), clock=clock, read_only=read_only)
    if url == "memory:":
        if read_only:
            raise ConfigurationError(_KEY, "memory: begins empty, so there is nothing to read; name a file")
        return MemoryJournal(clock=clock)
    if scheme in ("postgresql", "postgres"):
        raise ConfigurationError(_KEY, f"PostgreSQL is not available yet; {_FORMS}")
    raise ConfigurationError(_KEY, f"unknown kind of journal; {_FORMS}")


def path_of(url: str) -> str:
    """The file that a `sqlite:` URL names.

    Raises:
        ConfigurationError: it names none.
    """
    parts = urlsplit(url)
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or parts.query or parts.fragment:
        raise ConfigurationError(_KEY, f"a file has neither host nor options; {_FORMS}")
    if not path or path.endswith("/") or path.startswith(":"):
        raise ConfigurationError(_KEY, f"a file is needed; {_FORMS}")
    return path
