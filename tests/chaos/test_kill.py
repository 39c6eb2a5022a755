"""SIGKILL at random moments under load; `python -m tests.chaos.kill --kills 25` runs it large."""

import os
from pathlib import Path

import pytest

from tests.chaos.kill import run

KILLS = 25 if os.environ.get("SWITCHHOOK_PROFILE") == "large" else 4


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_and_nothing_is_told_twice(tmp_path: Path) -> None:
    figures = await run(KILLS, seed=20261121, folder=tmp_path)
    assert figures["faults"] == []
    assert figures["acknowledged"] > 0
    assert figures["heard"] > 0
    assert figures["reconnects"] >= KILLS
