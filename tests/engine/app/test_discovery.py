"""How the folders of `machines` are found."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import machines
from engine.app.discovery import installed_apis


def folder(root: Path, name: str, **files: str) -> None:
    (root / name).mkdir()
    for file, text in {"__init__": "", **files}.items():
        (root / name / f"{file}.py").write_text(text)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """One more place where folders of `machines` are looked for; what was imported from it is forgotten."""
    monkeypatch.setattr(machines, "__path__", [*machines.__path__, str(tmp_path)])
    yield tmp_path
    for path in tmp_path.iterdir():
        sys.modules.pop(f"machines.{path.name}.api", None)
        sys.modules.pop(f"machines.{path.name}", None)
        vars(machines).pop(path.name, None)


def test_a_folder_with_an_api_is_found_without_being_named(root: Path) -> None:
    folder(root, "aardvark", api="from docs.examples.doorbell.api import API")
    assert "doorbell" in [api.name for api in installed_apis.__wrapped__()]


def test_a_folder_without_an_api_is_passed_over(root: Path) -> None:
    folder(root, "bare", tokens="")
    assert "bare" not in [api.name for api in installed_apis.__wrapped__()]


def test_an_api_that_cannot_be_imported_is_not_passed_over(root: Path) -> None:
    folder(root, "broken", api="import machines.nowhere")
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        installed_apis.__wrapped__()
