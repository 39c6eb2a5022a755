"""The APIs that are installed: every package in `machines` with an `api` module."""

import importlib
import pkgutil
from functools import cache

from engine.app.api import Api


@cache
def installed_apis() -> tuple[Api, ...]:
    """All APIs in the order of their names; a new folder is found without being named anywhere."""
    machines = importlib.import_module("machines")  # by name: the layers above are not known here
    found = [
        importlib.import_module(f"machines.{module.name}.api").API
        for module in pkgutil.iter_modules(machines.__path__)
        if module.ispkg
    ]
    return tuple(sorted(found, key=lambda api: api.name))
