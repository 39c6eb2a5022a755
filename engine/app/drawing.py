"""Diagrams as pictures, by the `dot` program of Graphviz."""

import shutil
import subprocess
from typing import Any

from engine.errors import ConfigurationError
from engine.machine.diagram import dot
from engine.machine.table import Table

SECONDS_MAX = 30.0
"""A table is drawn in a twentieth of a second; longer than this, `dot` hangs."""


def svg(table: Table[Any, Any], *, asides: bool = False, program: str = "dot") -> str:
    """The diagram as an SVG document. It blocks: call it from a command, not inside a running engine.

    Raises:
        ConfigurationError: `program` is not installed, or does not draw.
    """
    path = shutil.which(program)
    if path is None:
        raise ConfigurationError(
            program, "not installed: install Graphviz, or take `mermaid(table)`, which needs no program"
        )
    try:
        # The program is the one that this machine calls `dot`, and the text on its input is our own.
        done = subprocess.run(  # noqa: S603
            [path, "-Tsvg"],
            input=dot(table, asides=asides),
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS_MAX,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise ConfigurationError(program, f"did not draw {table.name}: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(program, f"did not draw {table.name} in {SECONDS_MAX:g} s") from error
    return done.stdout
