"""A copy of a journal that can be replayed."""

from pathlib import Path

import pytest

from engine.app.commands import backup, replay
from engine.errors import ConfigurationError


def test_a_copy_is_replayed_like_the_journal(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert backup.run(Path("copy.db"), journal) == 0
    size = Path("copy.db").stat().st_size
    assert capsys.readouterr().out == f"copy.db: {size} bytes\n"
    assert [replay.run(url) for url in (journal, "sqlite:///copy.db")] == [0, 0]
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_memory_holds_nothing_to_copy() -> None:
    with pytest.raises(ConfigurationError, match="--journal"):
        backup.run(Path("copy.db"), "memory:")
