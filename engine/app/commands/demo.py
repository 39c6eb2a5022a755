"""`switchhook demo`: each API shows its main job on real input."""

import sys

from engine.app.discovery import installed_apis
from engine.errors import ConfigurationError


def run(name: str, *, plain: bool) -> int:
    """Run one demo, or all; 0 only if every expectation held.

    Raises:
        ConfigurationError: there is no such demo.
    """
    demos = {api.name: api.demo for api in installed_apis() if api.demo is not None}
    if name and name not in demos:
        raise ConfigurationError("NAME", f"there is no demo {name}; there are {', '.join(demos)}")
    status = 0
    for one, show in demos.items():
        if name in ("", one):
            status = max(status, show(plain=plain))
    sys.stdout.flush()
    return status
