"""Pictures by Graphviz, and what is said where there is none."""

import shutil
import stat
from pathlib import Path

import pytest

from engine.app import drawing
from engine.errors import ConfigurationError
from tests.engine.machine.tables import PHONE


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not installed")
def test_a_table_becomes_an_svg_with_every_state() -> None:
    picture = drawing.svg(PHONE, asides=True)
    assert picture.startswith("<?xml")
    assert all(f">{state.name}<" in picture for state in PHONE.states)


def test_a_missing_program_is_told_with_the_way_out() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no_such_dot: not installed: install Graphviz, or take `mermaid"
    ):
        drawing.svg(PHONE, program="no_such_dot")


def script(folder: Path, text: str) -> str:
    program = folder / "dot"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    return str(program)


def test_a_program_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="did not draw phone: bad graph"):
        drawing.svg(PHONE, program=script(tmp_path, "cat > /dev/null; echo bad graph >&2; exit 1"))


def test_a_program_that_hangs_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "SECONDS_MAX", 0.05)
    with pytest.raises(ConfigurationError, match=r"did not draw phone in 0\.05 s"):
        drawing.svg(PHONE, program=script(tmp_path, "exec sleep 5"))
