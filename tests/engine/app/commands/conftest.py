"""A journal with a real call in it, as the commands find it."""

from pathlib import Path

import pytest
import trio

from engine.app.engine import open_engine
from machines import videochat
from machines.videochat.vocabulary import LINE


async def _call(path: Path) -> None:
    async with open_engine(f"sqlite:///{path}") as engine:
        command = videochat.RequestCall(
            initiator="ann",
            opponent="bob",
            device="laptop",
            card=videochat.UserCard(id="ann"),
            opponent_card=videochat.UserCard(id="bob"),
            opponent_exists=True,
            opponent_reachable=True,
        )
        call = await engine.start(videochat.REQUEST, command)
        await call.send(videochat.AcceptCall(sender="bob", device="phone"))
        assert (await engine.call(LINE, "ann").snapshot()).data


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Ann called, and Bob accepted."""
    monkeypatch.chdir(tmp_path)
    trio.run(_call, tmp_path / "calls.db")
    return "sqlite:///calls.db"
