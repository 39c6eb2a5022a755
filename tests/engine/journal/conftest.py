"""One journal of each kind."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.journal.faulty import FaultyDisk
from tests.engine.journal.shelf import KINDS, AnyJournal, Shelf


@pytest.fixture(params=KINDS)
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    return Shelf(request.param, tmp_path)


@pytest.fixture
async def journal(shelf: Shelf) -> AsyncIterator[AnyJournal]:
    async with shelf.journal() as journal:
        yield journal


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()
