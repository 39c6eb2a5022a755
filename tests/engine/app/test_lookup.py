"""What names on the command line stand for."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.examples.doorbell.api import API
from engine.app.discovery import installed_apis
from engine.app.lookup import apis_named, kinds_named
from engine.errors import ConfigurationError, TableError
from engine.machine.diagram import mermaid

DOORBELL = "docs.examples.doorbell"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory, whose modules are forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        del sys.modules[name]


def test_no_name_is_every_installed_machine() -> None:
    assert kinds_named("") == tuple(kind for api in installed_apis() for kind in api.kinds)


@pytest.mark.parametrize("module", [f"{DOORBELL}.table", f"{DOORBELL}.api", f"{DOORBELL}.table:KINDS"])
def test_a_module_gives_each_of_its_tables_once_by_the_name_of_its_kind(module: str) -> None:
    assert [kind.name for kind in kinds_named(module)] == ["doorbell.door"]


def test_a_table_without_a_kind_comes_under_its_own_name() -> None:
    assert [kind.name for kind in kinds_named(f"{DOORBELL}.table:TABLE")] == ["door"]


PHONE = """
from transitions import Machine, State

def ring(): ...

machine = Machine(
    model=None, states=["idle", State("over", final=True)], initial="idle", auto_transitions=False,
    transitions=[
        {"trigger": "dial", "source": "idle", "dest": "over", "conditions": "has_balance", "after": ring},
    ],
)
"""


def test_a_machine_of_the_library_comes_under_the_name_of_its_variable(folder: Path) -> None:
    (folder / "phones_here.py").write_text(PHONE)
    (whole,), (one,) = kinds_named("phones_here"), kinds_named("phones_here:machine")
    assert (whole.name, one.name, one.table.name) == ("machine", "machine", "machine")
    (row,) = [(row.source.name, row.on.__name__, row.target.name) for row in one.table.rows]
    assert row == ("IDLE", "Dial", "OVER")
    assert "IDLE --> OVER : Dial [has_balance] / Moved" in mermaid(one.table)


def test_a_machine_that_was_adopted_is_not_there_twice(folder: Path) -> None:
    adopted = (
        "from engine import from_transitions\n{}\nTABLE = from_transitions(machine, name='phone', **MORE)"
    )
    more = "MORE = {'start': str, 'reactions': {'ring': lambda data, command: ()}}"
    (folder / "phones_adopted.py").write_text(adopted.format(f"{PHONE}\n{more}"))
    assert [kind.name for kind in kinds_named("phones_adopted")] == ["phone"]
    assert [kind.name for kind in kinds_named("phones_adopted:machine")] == ["machine"]


def test_a_machine_that_no_table_can_be_is_told_with_its_faults(folder: Path) -> None:
    (folder / "phones_queued.py").write_text(PHONE.replace("model=None", "model=None, queued=True"))
    with pytest.raises(TableError, match="machine: a queued machine cannot be adopted"):
        kinds_named("phones_queued:machine")


def test_modules_are_looked_for_in_the_working_directory(folder: Path) -> None:
    (folder / "bells_here.py").write_text(f"from {DOORBELL}.table import TABLE as BELL")
    assert [kind.name for kind in kinds_named("bells_here")] == ["door"]
    assert [kind.name for kind in kinds_named("bells_here:BELL")] == ["door"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bells/table.py", "there is no bells/table.py; there are .*videochat.ring.* as Python imports it"),
        ("no_such_module", "there is no no_such_module"),
        (f"{DOORBELL}.none", rf"there is no {DOORBELL}\.none"),
        ("json", "json holds no Table, Kind or Api"),
        ("json:loads", "json:loads holds no Table"),
        ("json:none", "the module json has no none"),
    ],
)
def test_what_names_no_machine_is_told_with_the_way_out(name: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        kinds_named(name)


def test_a_module_that_lacks_another_one_keeps_its_traceback(folder: Path) -> None:
    (folder / "bells_lacking.py").write_text("import no_such_module_either")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_either"):
        kinds_named("bells_lacking")


def test_a_table_that_cannot_be_made_is_told_as_its_fault(folder: Path) -> None:
    text = f"import attrs\nfrom {DOORBELL}.table import TABLE\nattrs.evolve(TABLE, asides=())"
    (folder / "bells_faulty.py").write_text(text)
    with pytest.raises(TableError, match=r"\(QUIET, OpenDoor\) is undecided"):
        kinds_named("bells_faulty")


def test_apis_of_modules_stand_behind_the_installed_ones_once() -> None:
    named = [f"{DOORBELL}.api", f"{DOORBELL}.api:API", "machines.videochat.api"]
    assert apis_named(named) == (*installed_apis(), API)


@pytest.mark.parametrize("name", [f"{DOORBELL}.table", f"{DOORBELL}.api:RING"])
def test_a_module_without_an_api_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"--api: .* holds no Api"):
        apis_named([name])


def test_an_api_whose_name_is_taken_is_refused(folder: Path) -> None:
    text = (
        f"import attrs\nfrom {DOORBELL}.api import API as BELL\nMINE = attrs.evolve(BELL, name='videochat')"
    )
    (folder / "bells_alike.py").write_text(text)
    with pytest.raises(ConfigurationError, match="there is an API videochat already"):
        apis_named(["bells_alike:MINE"])
