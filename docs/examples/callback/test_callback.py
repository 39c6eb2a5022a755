"""The callback is held to its laws, to its transcript, and to having no row that nobody tested."""

import random
from pathlib import Path

import pytest

from callback import API, TABLE, AskCallback, TakeCallback
from engine import Family, breaches, check_table, play, scenes

SAMPLES = {AskCallback: [AskCallback(phone="5550100")], TakeCallback: [TakeCallback(agent="bob")]}
SCENES = scenes(Path(__file__).with_name("callback.txt").read_text(encoding="utf-8"))


def test_the_table_has_no_fault() -> None:
    assert check_table(TABLE) == ()


@pytest.mark.parametrize("seed", range(5))
def test_random_commands_break_no_law(seed: int) -> None:
    assert breaches(TABLE, SAMPLES, random.Random(seed).choice) == ()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_it_does_what_the_transcript_says(scene) -> None:
    play(Family(API.kinds), scene)


def test_the_transcript_decides_what_the_table_has_a_row_for() -> None:
    stages = [play(Family(API.kinds), scene) for scene in SCENES]
    used = {(state, command) for stage in stages for _, state, command in stage.received}
    rows = {(row.source.name, row.on.__name__) for row in TABLE.arrows}
    assert {cell for cell in rows - used if cell[1] != "Crash"} == set()
