"""The configuration: one TOML file, checked as a whole, every fault named by its key."""

import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from engine.app.api import Api
from engine.app.discovery import installed_apis
from engine.errors import ConfigurationError
from engine.transport.limits import Limits


@attrs.frozen(kw_only=True)
class Configuration:
    """What `switchhook serve` is told besides its options."""

    server: Limits = attrs.field(factory=Limits)
    """Section `[server]`."""
    settings: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """One section for each API, by name; keys of media engines are in there."""

    def settings_of(self, api: Api) -> Any:
        """The section of `api`, or its defaults."""
        return self.settings.get(api.name) or api.settings()


class ConfigurationFaultsError(ConfigurationError):
    """All faults of a configuration together."""

    def __init__(self, faults: Sequence[ConfigurationError]) -> None:
        super().__init__(faults[0].key, "; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


def default_configuration() -> Configuration:
    """Every default."""
    return Configuration()


def load_configuration(path: Path, apis: Sequence[Api] | None = None) -> Configuration:
    """Read a TOML file.

    Raises:
        ConfigurationFaultsError: with every fault of the file.
    """
    try:
        with path.open("rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise ConfigurationFaultsError(
            [ConfigurationError(str(path), error.strerror or "unreadable")]
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationFaultsError([ConfigurationError(str(path), f"is not TOML: {error}")]) from error
    return read_configuration(values, apis)


def read_configuration(values: Mapping[str, Any], apis: Sequence[Api] | None = None) -> Configuration:
    """Check what a TOML file holds.

    Raises:
        ConfigurationFaultsError: with every fault.
    """
    sections: dict[str, type] = {"server": Limits}
    sections |= {api.name: api.settings for api in (installed_apis() if apis is None else apis)}
    faults: list[ConfigurationError] = []
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in sections:
            faults.append(ConfigurationError(name, f"there is no such section; there are {_list(sections)}"))
        else:
            read[name] = _read(sections[name], value, name, faults)
    if faults:
        raise ConfigurationFaultsError(faults)
    return Configuration(server=read.pop("server", Limits()), settings=read)


def _read(hint: Any, value: Any, key: str, faults: list[ConfigurationError]) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(one for one in typing.get_args(hint) if one is not type(None))
    if attrs.has(hint):
        return _read_section(hint, value, key, faults)
    if isinstance(hint, type) and issubclass(hint, Enum):
        if value in [member.value for member in hint]:
            return hint(value)
        faults.append(ConfigurationError(key, f"must be one of {_list(m.value for m in hint)}"))
        return None
    if typing.get_origin(hint) is not None and isinstance(value, dict):
        return value
    if _fits(hint, value):
        return float(value) if hint is float else value
    faults.append(ConfigurationError(key, f"must be {_NAMES.get(hint, 'a table')}"))
    return None


def _read_section(section: type, value: Any, key: str, faults: list[ConfigurationError]) -> Any:
    if not isinstance(value, dict):
        faults.append(ConfigurationError(key, "must be a section"))
        return None
    hints = typing.get_type_hints(section)
    fields = {field.name: hints[field.name] for field in attrs.fields(section)}
    before = len(faults)
    read = {}
    for name, one in value.items():
        if name not in fields:
            faults.append(ConfigurationError(f"{key}.{name}", f"unknown; there are {_list(fields)}"))
        else:
            read[name] = _read(fields[name], one, f"{key}.{name}", faults)
    if len(faults) > before:
        return None
    try:
        return section(**read)
    except ConfigurationError as error:
        faults.append(ConfigurationError(f"{key}.{error.key}", error.reason))
    except (ValueError, TypeError) as error:
        faults.append(ConfigurationError(key, str(error).partition("\n")[0]))
    return None


def _fits(hint: Any, value: Any) -> bool:
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(hint, type) and isinstance(value, hint)


def _list(names: Any) -> str:
    return ", ".join(sorted(str(name) for name in names))


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
