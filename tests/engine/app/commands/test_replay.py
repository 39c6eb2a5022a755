"""Every call of a journal rebuilt and compared."""

from pathlib import Path

import apsw
import pytest

from engine.app.commands.replay import run
from engine.errors import ConfigurationError


def test_a_sound_journal_has_no_differences(journal: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(journal) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("0 differences")
    assert not last.startswith("0 streams")


def test_damage_is_named_by_its_place_and_is_status_1(
    journal: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = apsw.Connection(str(tmp_path / "calls.db"))
    connection.execute("UPDATE events SET data = zeroblob(8) WHERE pos = 1")
    connection.close()
    assert run(journal) == 1
    out = capsys.readouterr().out
    assert "at version 1: the checksum is wrong" in out
    assert "journal at version 0: " in out


def test_an_empty_journal_has_nothing_to_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import trio

    from engine.app.engine import open_engine

    async def make() -> None:
        async with open_engine("sqlite:///calls.db"):
            pass

    monkeypatch.chdir(tmp_path)
    trio.run(make)
    assert run("sqlite:///calls.db") == 0
    assert capsys.readouterr().out == "0 streams, 0 events, 0 differences\n"


def test_memory_holds_nothing_to_replay() -> None:
    with pytest.raises(ConfigurationError):
        run("memory:")
