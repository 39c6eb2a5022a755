"""Paths: shortest, complete, and the same in every process."""

import os
import subprocess
import sys

import attrs
import pytest

from engine.machine.paths import Leg, paths, routes
from engine.machine.table import Crash, Row
from tests.engine.machine.tables import (
    EVERY,
    PHONE,
    TURNSTILE,
    Accept,
    Coin,
    Connected,
    Crashed,
    Dial,
    HangUp,
    Hold,
    Push,
    Resume,
    S,
    T,
    crash,
)


@pytest.mark.parametrize("table", [one for one, _ in EVERY], ids=lambda one: one.name)
def test_every_entry_of_every_cell_has_one_path(table: object) -> None:
    goals = [(path.goal.state, path.goal.command, path.goal.entry) for path in paths(table)]
    entries = [
        (state, on, entry.row or entry.aside)
        for state, cell in table.cells.items()
        for on, of_cell in cell.items()
        for entry in of_cell
    ]
    assert len(goals) == len(entries)
    assert {(state, on, id(entry)) for state, on, entry in goals} == {
        (state, on, id(entry)) for state, on, entry in entries
    }


@pytest.mark.parametrize("table", [one for one, _ in EVERY], ids=lambda one: one.name)
def test_a_path_goes_from_the_first_state_from_leg_to_leg(table: object) -> None:
    for path in paths(table):
        states = [table.initial, *(leg.target for leg in path.legs)]
        assert [leg.state for leg in path.legs] == states[:-1]
        assert all(isinstance(leg.entry, Row) for leg in path.legs[:-1])


def test_rows_come_first() -> None:
    kinds = [isinstance(path.goal.entry, Row) for path in paths(PHONE)]
    assert kinds == sorted(kinds, reverse=True)
    assert kinds.count(True) == len(PHONE.arrows)


def test_a_path_is_the_shortest() -> None:
    (path,) = [one for one in paths(PHONE) if one.goal.command is Resume and isinstance(one.goal.entry, Row)]
    assert [leg.command for leg in path.legs] == [Dial, Accept, Connected, Hold, Resume]


def test_a_crash_is_taken_only_where_nothing_else_leads() -> None:
    assert [leg.command for leg in routes(PHONE)[S.ENDED]] == [Dial, HangUp]
    missing = [
        attrs.evolve(row, target=S.MISSED if row.target is S.ENDED else row.target) for row in PHONE.rows
    ]
    only = attrs.evolve(PHONE, rows=tuple(missing))
    assert [leg.command for leg in routes(only)[S.ENDED]] == [Crash]


def test_states_that_nothing_leads_to_have_no_path() -> None:
    table = attrs.evolve(PHONE, rows=PHONE.rows[1:], crash=None)
    assert list(routes(table)) == [S.NEW]
    assert {path.goal.state for path in paths(table)} == {S.NEW}


def test_a_path_reads_as_a_line() -> None:
    assert [str(path) for path in paths(TURNSTILE)] == [
        "LOCKED -Coin-> OPEN",
        "LOCKED -Coin-> OPEN -Coin-> OPEN",
        "LOCKED -Coin-> OPEN -Push-> LOCKED",
        "LOCKED -Push-> refuse",
    ]


def test_an_aside_leads_nowhere() -> None:
    (aside,) = TURNSTILE.asides
    assert Leg(T.LOCKED, Push, aside).target is T.LOCKED
    assert Leg(T.LOCKED, Coin, TURNSTILE.rows[0]).target is T.OPEN
    assert crash(PHONE.start("1"), Crash())[0] == Crashed()


@pytest.mark.slow
def test_paths_and_diagrams_are_the_same_for_every_hash_seed() -> None:
    code = (
        "from tests.engine.machine.tables import EVERY; from engine.machine.paths import paths;"
        "from engine.machine.diagram import dot, mermaid; from engine.machine.check import check_table;"
        "[print(*paths(t), mermaid(t, asides=True), dot(t), *check_table(t)) for t, _ in EVERY]"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "5", "77")
    }
    assert len(texts) == 1
    assert texts.pop().strip()
