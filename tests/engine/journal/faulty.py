"""A disk that fails when it is told to: a layer below SQLite."""

from itertools import count
from typing import Any

import apsw

_numbers = count()


class FaultyDisk(apsw.VFS):
    """Passes everything on, until `full` or `broken` is set."""

    def __init__(self) -> None:
        self.full = False
        """Nothing more can be written."""
        self.broken = False
        """What is written cannot be made durable."""
        self.syncs = 0
        self.name = f"faulty-{next(_numbers)}"
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> "_File":  # noqa: N802 # SQLite's name
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 # SQLite's name
        if self._disk.full:
            raise apsw.FullError("no space left")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 # SQLite's name
        if self._disk.broken:
            raise apsw.IOError("cannot sync")
        self._disk.syncs += 1
        super().xSync(flags)
