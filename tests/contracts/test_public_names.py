"""The names that an embedding program may rely on."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import engine
import machines.videochat

EMBEDDING = {"Call", "CommandRefusedError", "Engine", "EngineError", "User", "World", "open_engine"}
MACHINES = {
    "After",
    "Command",
    "Defer",
    "Effect",
    "Event",
    "Ignore",
    "Kind",
    "Message",
    "Refuse",
    "Row",
    "Table",
}


@pytest.mark.parametrize("name", engine.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(engine, name) is not None


def test_what_the_documents_use_is_public() -> None:
    assert set(engine.__all__) >= EMBEDDING | MACHINES


def test_type_checkers_and_the_interpreter_find_the_same_names_in_the_same_places() -> None:
    tree = ast.parse(Path(str(engine.__file__)).read_text(encoding="utf-8"))
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == engine._PLACES
    assert sorted(seen) == sorted(engine.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'open_engin'"):
        engine.open_engin  # noqa: B018 - looking it up is the point


def test_the_names_are_listed() -> None:
    assert dir(engine) == sorted(engine.__all__)


def test_importing_the_engine_loads_nothing_else() -> None:
    program = "import sys; import engine; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    ours = {
        name for name in done.stdout.split() if name.partition(".")[0] in ("engine", "attr", "trio", "typer")
    }
    assert ours == {"engine"}


def test_the_videochat_has_what_the_documents_use() -> None:
    names = {"AcceptCall", "DeclineCall", "INVITE", "MergeCall", "REQUEST", "RequestCall", "State"}
    assert set(machines.videochat.__all__) >= names
