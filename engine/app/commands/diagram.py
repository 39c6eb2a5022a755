"""`switchhook diagram`: machines drawn from their tables."""

import sys

from engine.app.discovery import installed_apis
from engine.app.drawing import svg
from engine.errors import ConfigurationError
from engine.machine.diagram import dot, mermaid
from engine.machine.family import Kind

_FORMS = {"mermaid": mermaid, "dot": dot, "svg": svg}


def run(machine: str, form: str, *, asides: bool) -> int:
    """Print the diagram of one machine, or of all.

    Raises:
        ConfigurationError: there is no such machine or form, or `dot` is not installed.
    """
    draw = _FORMS.get(form)
    if draw is None:
        raise ConfigurationError("--format", f"must be one of {', '.join(_FORMS)}")
    chosen = _chosen(machine)
    for kind in chosen:
        if len(chosen) > 1 and form == "mermaid":
            sys.stdout.write(f"%% {kind.name}\n")
        sys.stdout.write(draw(kind.table, asides=asides).rstrip("\n") + "\n")
    return 0


def _chosen(machine: str) -> list[Kind]:
    kinds = {kind.name: kind for api in installed_apis() for kind in api.kinds}
    chosen = [
        kind for name, kind in kinds.items() if machine in ("", name, name.partition(".")[0], kind.table.name)
    ]
    if not chosen:
        raise ConfigurationError("MACHINE", f"there is no {machine}; there are {', '.join(kinds)}")
    return chosen
