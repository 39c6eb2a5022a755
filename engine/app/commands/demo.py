"""`switchhook demo`: each API shows its main job on real input, and by name so do parts of the engine."""

import logging
import sys
from collections.abc import Callable

from engine.app.discovery import installed_apis
from engine.app.logs import configure_logs
from engine.errors import ConfigurationError


def run(name: str, *, plain: bool, keep: bool = False) -> int:
    """Run one demo, or those of all APIs; 0 only if every expectation held.

    Raises:
        ConfigurationError: there is no such demo.
    """
    demos = {api.name: api.demo for api in installed_apis() if api.demo is not None}
    known = {**PARTS, **demos}
    if name and name not in known:
        names = ", ".join([*demos, *PARTS])
        raise ConfigurationError("NAME", f"there is no demo {name}; there are {names}")
    status = 0
    # Only when it is wanted: a demo that makes no files need not know it.
    kept = {"keep": True} if keep else {}
    for show in [known[name]] if name else demos.values():
        status = max(status, show(plain=plain, **kept))
    sys.stdout.flush()
    return status


def _media(*, plain: bool, **_kept: bool) -> int:
    # Imported when it is shown: it brings a media library along.
    from engine.media.demo import run as show

    # It kills a worker; what the log would say of that is what it shows.
    configure_logs(logging.ERROR)
    return show(plain=plain)


PARTS: dict[str, Callable[..., int]] = {"media": _media}
"""Demos of the engine itself, which run only when they are named."""
