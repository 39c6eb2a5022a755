"""The page of the source says truly where each rule is shown."""

import re
from pathlib import Path

from tests.machines.playing import scenarios

PAGE = Path(__file__).parents[3] / "docs" / "sources" / "conference-rules.md"
SCENES = {(file, scene.title) for api, file, scene in scenarios() if api.name == "conference"}


def shown() -> list[tuple[str, str]]:
    """(file, title) of every scene that the table names."""
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("## Where each rule is shown")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ") and "---" not in line][1:]
    named = [re.findall(r"`(\w+)`: \*([^*]+)\*", row) for row in rows]
    assert all(named), "a rule without a scene"
    return [one for row in named for one in row]


def test_every_scene_that_the_page_names_is_there() -> None:
    assert [one for one in shown() if one not in SCENES] == []


def test_every_file_of_scenes_shows_a_rule_or_what_the_source_does_not_know() -> None:
    files = {file for file, _ in SCENES}
    assert files - {file for file, _ in shown()} == {"recorder"}
