"""What is found by looking: the installed APIs, and the words of a vocabulary."""

import importlib
import inspect
import pkgutil
from functools import cache
from importlib.util import find_spec
from types import ModuleType

from engine.app.api import Api
from engine.effects import Request
from engine.vocabulary import Command, Event, Message


@cache
def installed_apis() -> tuple[Api, ...]:
    """All APIs in the order of their names; a new folder is found without being named anywhere."""
    machines = importlib.import_module("machines")  # by name: the layers above are not known here
    found = [
        importlib.import_module(f"machines.{module.name}.api").API
        for module in pkgutil.iter_modules(machines.__path__)
        if module.ispkg and find_spec(f"machines.{module.name}.api") is not None
    ]
    return tuple(sorted(found, key=lambda api: api.name))


def words_of(vocabulary: ModuleType) -> tuple[type, ...]:
    """The commands, events, messages and requests that a module defines, by name."""
    return tuple(
        word
        for _, word in inspect.getmembers(vocabulary, inspect.isclass)
        if issubclass(word, Command | Event | Message | Request) and word.__module__ == vocabulary.__name__
    )
