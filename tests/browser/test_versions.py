"""The page's order of events, by itself: `versions.js` in node."""

import base64
import json
import shutil
import subprocess
from importlib.resources import files
from itertools import permutations
from typing import Any

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
const { Versions } = await import(process.argv[1]);
const told = JSON.parse(process.argv[2]).map((events) => {
  const versions = new Versions(3);
  const taken = events.flatMap((event) => versions.take(event)).map(({ id }) => id);
  return { taken, version: versions.version, hasGap: versions.hasGap };
});
console.log(JSON.stringify(told));
"""


def taken(*sequences: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What becomes of each sequence of events, told to somebody who is at version 3."""
    if shutil.which("node") is None:
        pytest.skip("no node on the path")
    source = files("machines.conference").joinpath("console/versions.js").read_bytes()
    module = f"data:text/javascript;base64,{base64.b64encode(source).decode()}"
    command = ["node", "--input-type=module", "-e", SCRIPT, module, json.dumps(sequences)]
    found: list[dict[str, Any]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def event(version: int | None, name: str = "") -> dict[str, Any]:
    return {"id": name or f"e{version}", "conferenceVersion": version}


def test_events_are_taken_in_the_order_of_their_versions_however_they_come() -> None:
    for found in taken(*(list(order) for order in permutations([event(3), event(4), event(5)]))):
        assert found == {"taken": ["e3", "e4", "e5"], "version": 6, "hasGap": False}


def test_what_is_too_old_or_comes_twice_is_dropped() -> None:
    [found] = taken([event(2), event(3), event(3), event(0), event(4)])
    assert found == {"taken": ["e3", "e4"], "version": 5, "hasGap": False}


def test_what_is_too_early_waits_and_shows_as_a_gap() -> None:
    [found] = taken([event(5), event(3)])
    assert found == {"taken": ["e3"], "version": 4, "hasGap": True}


def test_what_has_no_version_is_taken_at_once_and_once() -> None:
    [found] = taken([event(4), event(None, "sent"), event(None, "sent"), {"id": "more"}])
    assert found == {"taken": ["sent", "more"], "version": 3, "hasGap": True}
