"""A journal that takes nothing for a while."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.errors import UnavailableError
from engine.journal.memory import MemoryJournal
from engine.journal.port import Write


class Full(MemoryJournal):
    """A journal whose disk can be full."""

    is_full = False

    def submit(self, writes: Sequence[Write], done: Callable[[Any], None]) -> None:
        if self.is_full:
            super().submit([Write("nobody", 0)], lambda _heads: done(UnavailableError("the disk is full")))
        else:
            super().submit(writes, done)
