"""`check`, `diagram`, `demo` and `bench`: what they print, and when they fail."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from engine.app.commands import bench, check, demo, diagram
from engine.app.discovery import installed_apis
from engine.errors import ConfigurationError
from engine.machine.check import Fault

KINDS = [kind.name for api in installed_apis() for kind in api.kinds]


def test_every_table_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.run([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines[:-1]] == KINDS
    assert lines[-1] == "0 faults"


def test_a_fault_is_told_with_its_place_and_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def faulty(table: Any) -> list[Fault]:
        return [Fault("ring", "WAITING", "a_rule", "nothing leaves it")] if table.name == "ring" else []

    monkeypatch.setattr(check, "check_table", faulty)
    assert check.run([]) == 1
    out = capsys.readouterr().out
    assert "FAULT videochat.ring" in out
    assert "WAITING: nothing leaves it (a_rule)" in out
    assert out.endswith("1 faults\n")


@pytest.mark.parametrize(
    ("machine", "drawn"),
    [("", len(KINDS)), ("videochat.ring", 1), ("videochat", 4), ("ring", 1)],
)
def test_machines_are_drawn_by_name(machine: str, drawn: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert diagram.run(machine, "mermaid", asides=False) == 0
    assert capsys.readouterr().out.count("stateDiagram") >= drawn


def test_a_diagram_may_be_dot(capsys: pytest.CaptureFixture[str]) -> None:
    assert diagram.run("videochat.ring", "dot", asides=True) == 0
    assert capsys.readouterr().out.startswith("digraph")


@pytest.mark.parametrize(
    ("machine", "form"), [("nothing", "mermaid"), ("videochat", "png"), ("videochat", "svg")]
)
def test_what_cannot_be_drawn_is_a_configuration_error(machine: str, form: str) -> None:
    with pytest.raises(ConfigurationError):
        diagram.run(machine, form, asides=False)


def test_machines_are_drawn_into_a_folder_a_file_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "pictures"
    assert diagram.run("videochat", "mermaid", asides=False, to=folder) == 0
    written = [folder / f"videochat.{noun}.mmd" for noun in ("ring", "line", "room", "seat")]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in written]
    assert all(path.read_text(encoding="utf-8").startswith("stateDiagram-v2") for path in written)


def test_a_folder_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"--to: .* cannot be written"):
        diagram.run("videochat.ring", "dot", asides=False, to=tmp_path / "file")


def test_tables_of_a_module_are_checked_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.run(["docs.examples.doorbell.table", "videochat.ring"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == ["doorbell.door:", "videochat.ring:"]
    assert diagram.run("docs.examples.doorbell.table:TABLE", "dot", asides=False) == 0
    assert capsys.readouterr().out.startswith('digraph "door"')


def test_a_demo_that_fails_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    (api, *_) = installed_apis()
    statuses = {"good": 0, "bad": 3}
    shown: list[tuple[str, bool]] = []

    def show(name: str) -> Any:
        def run(*, plain: bool) -> int:
            shown.append((name, plain))
            return statuses[name]

        return run

    apis = [attrs.evolve(api, name=name, demo=show(name)) for name in statuses]
    apis.append(attrs.evolve(api, name="silent", demo=None))
    monkeypatch.setattr(demo, "installed_apis", lambda: apis)
    assert demo.run("good", plain=True) == 0
    assert demo.run("", plain=False) == 3
    assert shown == [("good", True), ("good", False), ("bad", False)]
    with pytest.raises(ConfigurationError, match="there are good, bad"):
        demo.run("silent", plain=False)


def test_the_benchmarks_are_run_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = ModuleType("tests.bench.__main__")
    fake.main = lambda names: len(names)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests.bench.__main__", fake)
    assert bench.run(["journal", "stepper"]) == 2


def test_without_a_checkout_there_are_no_benchmarks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"no {name}", name="tests")

    monkeypatch.setattr(bench.importlib, "import_module", missing)
    assert bench.run([]) == 2
    assert "source checkout" in capsys.readouterr().err


def test_a_benchmark_that_lacks_a_module_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError("no starlette", name="starlette")

    monkeypatch.setattr(bench.importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError):
        bench.run([])
