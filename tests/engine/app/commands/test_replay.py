"""Every call of a journal rebuilt and compared."""

import json
from pathlib import Path

import apsw
import httpx
import pytest

from engine.app.commands.replay import run
from engine.errors import ConfigurationError
from tests.engine.app.process import started, switchhook


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


OWN = ("--api", "docs.examples.doorbell.api", "--journal", "sqlite:///doors.db")


@pytest.mark.slow
def test_calls_of_an_api_of_ones_own_are_served_listed_and_replayed(tmp_path: Path) -> None:
    with started("serve", "--listen", "127.0.0.1:0", *OWN, cwd=tmp_path) as server:
        address = json.loads(server.line())["listening"][0]
        assert httpx.post(f"{address}/doors/front/ring", json={"visitor": "eve"}).status_code == 200
        assert server.stop().status == 0
    events = switchhook("events", "doorbell.door:front", *OWN, cwd=tmp_path)
    assert (events.status, "DoorRang visitor=eve" in events.out) == (0, True)
    replayed = switchhook("replay", "sqlite:///doors.db", *OWN[:2], cwd=tmp_path)
    assert (replayed.status, replayed.out) == (0, "1 streams, 1 events, 0 differences\n")
