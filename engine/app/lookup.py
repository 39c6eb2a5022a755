"""Machines and APIs by what people type: the names of installed ones, or Python modules of their own."""

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.app.api import Api
from engine.app.discovery import installed_apis
from engine.errors import ConfigurationError
from engine.machine.family import Kind
from engine.machine.reference import sketched
from engine.machine.table import Table

_MODULES = "a module of your own is named as Python imports it: shop.calls, or shop.calls:TABLE"


def kinds_named(name: str) -> tuple[Kind, ...]:
    """The machines of an installed API, one of them, or those of a module; all installed ones for no name.

    A table without a kind comes under its own name. A machine of the `transitions` library is adopted under
    the name of its variable, where there is no table.

    Raises:
        ConfigurationError: there is nothing of that name, or no machine in it.
        TableError: importing the module found a fault in a table.
    """
    installed = [kind for api in installed_apis() for kind in api.kinds]
    words = {kind.name: ("", kind.name, kind.name.partition(".")[0], kind.table.name) for kind in installed}
    if chosen := tuple(kind for kind in installed if name in words[kind.name]):
        return chosen
    key = "MACHINE"
    values = _values_of(name, key, f"there are {', '.join(words)}; {_MODULES}")
    found = tuple(_kinds_in(values.values())) or tuple(_sketches_in(values))
    if not found:
        raise ConfigurationError(key, f"{name} holds no Table, Kind or Api, and no machine of `transitions`")
    return found


def apis_named(names: Sequence[str]) -> tuple[Api, ...]:
    """The installed APIs, and behind them those of the modules that are named.

    Raises:
        ConfigurationError: there is no such module, no API in it, or its name is taken.
    """
    apis, key = [*installed_apis()], "--api"
    for name in names:
        found = [one for one in _values_of(name, key, _MODULES).values() if isinstance(one, Api)]
        if not found:
            raise ConfigurationError(key, f"{name} holds no Api")
        for api in found:
            if api in apis:
                continue
            if api.name in [one.name for one in apis]:
                raise ConfigurationError(key, f"{name}: there is an API {api.name} already; rename yours")
            apis.append(api)
    return tuple(apis)


def _values_of(name: str, key: str, hint: str) -> Mapping[str, Any]:
    """What a module defines, or the one thing behind the colon, by name."""
    place, _, wanted = name.partition(":")
    values: dict[str, Any] = vars(_module(place, key, hint))
    if not wanted:
        return values
    if wanted not in values:
        raise ConfigurationError(key, f"the module {place} has no {wanted}")
    return {wanted: values[wanted]}


def _module(name: str, key: str, hint: str) -> Any:
    # As with `python -m`: an installed script would not look into the working directory.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(key, f"there is no {name}; {hint}")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # A module that lacks another one is a fault of that module, told by its traceback.
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ConfigurationError(key, f"there is no {name}; {hint}") from error


def _kinds_in(values: Iterable[Any]) -> Iterator[Kind]:
    """Each table once; a kind has the better name."""
    listed = [*_spread(values)]
    kinds = [one for one in listed if isinstance(one, Kind)]
    kinds += [Kind(name=one.name, table=one) for one in listed if isinstance(one, Table)]
    seen: set[int] = set()
    for kind in kinds:
        if id(kind.table) not in seen:
            seen.add(id(kind.table))
            yield kind


def _sketches_in(values: Mapping[str, Any]) -> Iterator[Kind]:
    for name, value in values.items():
        table = sketched(value, name)
        if table is not None:
            yield Kind(name=name, table=table)


def _spread(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        yield value
        if isinstance(value, Api):
            yield from value.kinds
        elif isinstance(value, tuple | list):
            yield from value
