"""`switchhook diagram`: machines drawn from their tables."""

import sys
from pathlib import Path

from engine.app.drawing import svg
from engine.app.lookup import kinds_named
from engine.errors import ConfigurationError
from engine.machine.diagram import dot, mermaid

_FORMS = {"mermaid": mermaid, "dot": dot, "svg": svg}
_ENDINGS = {"mermaid": "mmd", "dot": "dot", "svg": "svg"}


def run(machine: str, form: str, *, asides: bool, to: Path | None = None) -> int:
    """Print the diagram of one machine, or of all; with `to`, write a file for each into that folder.

    Raises:
        ConfigurationError: there is no such machine, form or folder, or `dot` is not installed.
        TableError: a module of yours has a table that cannot be made.
    """
    draw = _FORMS.get(form)
    if draw is None:
        raise ConfigurationError("--format", f"must be one of {', '.join(_FORMS)}")
    chosen = kinds_named(machine)
    if to is None and form == "svg" and len(chosen) > 1:
        raise ConfigurationError("--to", "one picture fits into one file; name a folder, or one machine")
    for kind in chosen:
        text = draw(kind.table, asides=asides).rstrip("\n") + "\n"
        if to is not None:
            _write(to / f"{kind.name}.{_ENDINGS[form]}", text)
            continue
        if len(chosen) > 1 and form == "mermaid":
            sys.stdout.write(f"%% {kind.name}\n")
        sys.stdout.write(text)
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError("--to", f"{path} cannot be written: {error.strerror}") from error
    sys.stdout.write(f"{path}\n")
