"""Every transcript in `machines` holds, and together they leave no row out."""

from functools import cache

import pytest

from engine.app.api import Api
from engine.app.discovery import installed_apis
from engine.machine.stage import Stage
from engine.machine.table import Crash
from engine.machine.transcript import Scene, play
from tests.machines.playing import family_of, scenarios

SCENARIOS = [
    pytest.param(api, scene, id=f"{api.name}/{file}: {scene.title}") for api, file, scene in scenarios()
]
APIS = [pytest.param(api, id=api.name) for api in installed_apis()]


@cache
def played(api: Api, scene: Scene) -> Stage:
    return play(family_of(api), scene)


def stages_of(api: Api) -> list[Stage]:
    return [played(api, scene) for one, _, scene in scenarios() if one is api]


@pytest.mark.parametrize(("api", "scene"), SCENARIOS)
def test_the_family_does_what_its_transcript_says(api: Api, scene: Scene) -> None:
    played(api, scene)


@pytest.mark.parametrize("api", APIS)
def test_no_row_is_without_a_scenario(api: Api) -> None:
    fired = {entry for stage in stages_of(api) for entry in stage.decided}
    never = [
        f"{kind.name}: {state.name} on {command.__name__}, {entry.row.then.__name__}"
        for kind in api.kinds
        for state, cell in kind.table.cells.items()
        for command, entries in cell.items()
        for place, entry in enumerate(entries)
        # What a crash does is said once for each table; the laws cause one in every state.
        if entry.row is not None and command is not Crash
        if (kind.name, state.name, command.__name__, place) not in fired
    ]
    assert never == []
