"""From URLs to journals."""

from pathlib import Path

import pytest

from engine.errors import ConfigurationError
from engine.journal.memory import MemoryJournal
from engine.journal.opening import open_journal
from engine.journal.port import Write
from engine.journal.sqlite import SqliteJournal
from tests.engine.journal.shelf import Hands, event, note


async def test_three_slashes_are_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with open_journal("sqlite:///my%20calls.db") as journal:
        assert isinstance(journal, SqliteJournal)
        await journal.append(note("a", 0, "1"))
    assert (tmp_path / "my calls.db").exists()


async def test_four_slashes_are_an_absolute_path(tmp_path: Path) -> None:
    async with open_journal(f"sqlite:///{tmp_path}/calls.db") as journal:
        await journal.append(note("a", 0, "1"))
        async with open_journal(f"sqlite:///{tmp_path}/calls.db", read_only=True) as reader:
            assert await reader.streams() == [("a", 1)]


async def test_memory_is_a_journal_without_a_file() -> None:
    async with open_journal("memory:") as journal:
        assert isinstance(journal, MemoryJournal)


async def test_the_clock_is_passed_on(tmp_path: Path) -> None:
    for url in ("memory:", f"sqlite:///{tmp_path}/calls.db"):
        clock = Hands()
        async with open_journal(url, clock=clock) as journal:
            await journal.append(Write("a", 0, (event(),), timers=(("ring", clock.now + 1),)))
            assert await journal.due(1) == []
            clock.now += 1
            assert len(await journal.due(1)) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://ann:hunter2@db/calls", "PostgreSQL is not available yet"),
        ("postgres://ann:hunter2@db/calls", "PostgreSQL is not available yet"),
        ("mysql://ann:hunter2@db/calls", "unknown kind"),
        ("", "unknown kind"),
        ("calls.db", "unknown kind"),
        ("memory:calls", "unknown kind"),
        ("sqlite:", "a file is needed"),
        ("sqlite://", "a file is needed"),
        ("sqlite:///", "a file is needed"),
        ("sqlite:///folder/", "a file is needed"),
        ("sqlite:///:memory:", "a file is needed"),
        ("sqlite://calls.db", "neither host nor options"),
        ("sqlite://ann:hunter2@db/calls", "neither host nor options"),
        ("sqlite:///calls.db?mode=ro", "neither host nor options"),
        ("sqlite:///calls.db#part", "neither host nor options"),
    ],
)
def test_other_urls_are_refused_with_the_key_and_without_secrets(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        open_journal(url)
    assert caught.value.key == "journal"
    assert "sqlite:///calls.db" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_memory_cannot_be_read_only() -> None:
    with pytest.raises(ConfigurationError, match="nothing to read"):
        open_journal("memory:", read_only=True)
