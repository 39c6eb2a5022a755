"""The configuration: one TOML file, checked as a whole, every fault named by its key."""

import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from math import isfinite
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs

from engine.app.api import Api
from engine.app.discovery import installed_apis
from engine.app.retention import JournalSettings
from engine.errors import ConfigurationError
from engine.media.settings import MediaSettings
from engine.transport.limits import Limits

Validator: TypeAlias = Callable[[object, "attrs.Attribute[Any]", float], None]


@attrs.frozen(kw_only=True)
class Configuration:
    """What `switchhook serve` is told besides its options."""

    server: Limits = attrs.field(factory=Limits)
    """Section `[server]`."""
    media: MediaSettings = attrs.field(factory=MediaSettings)
    """Section `[media]`."""
    journal: JournalSettings = attrs.field(factory=JournalSettings)
    """Section `[journal]`."""
    settings: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """One section for each API, by name; keys of media engines are in there."""

    def settings_of(self, api: Api) -> Any:
        """The section of `api`, or its defaults."""
        return self.settings[api.name] if api.name in self.settings else api.settings()


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
        values = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise _one_fault(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _one_fault(path, f"is not UTF-8: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise _one_fault(path, f"is not TOML: {error}") from error
    return read_configuration(values, apis)


def read_configuration(values: Mapping[str, Any], apis: Sequence[Api] | None = None) -> Configuration:
    """Check what a TOML file holds.

    Raises:
        ConfigurationFaultsError: with every fault.
    """
    sections: dict[str, type] = {"server": Limits, "media": MediaSettings, "journal": JournalSettings}
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
    own = {name: read.pop(name) for name in ("server", "media", "journal") if name in read}
    return Configuration(**own, settings=read)


def faults_of(error: ConfigurationError) -> tuple[ConfigurationError, ...]:
    """Each fault by itself: some errors carry several."""
    faults: tuple[ConfigurationError, ...] = getattr(error, "faults", (error,))
    return faults


def positive(_settings: object, field: "attrs.Attribute[Any]", value: float) -> None:
    """Validator of a field that is more than 0; raises ConfigurationError."""
    if not value > 0:
        raise ConfigurationError(field.name, "must be more than 0")


def not_negative(_settings: object, field: "attrs.Attribute[Any]", value: float) -> None:
    """Validator of a field that is 0 or more; raises ConfigurationError."""
    if not value >= 0:
        raise ConfigurationError(field.name, "must be 0 or more")


def between(least: float, most: float) -> Validator:
    """Validator of a field with both bounds; it raises ConfigurationError."""

    def check(_settings: object, field: "attrs.Attribute[Any]", value: float) -> None:
        if not least <= value <= most:
            raise ConfigurationError(field.name, f"must be {least:.15g} to {most:.15g}")

    return check


def _one_fault(path: Path, reason: str) -> ConfigurationFaultsError:
    return ConfigurationFaultsError([ConfigurationError(str(path), reason)])


def _read(hint: Any, value: Any, key: str, faults: list[ConfigurationError]) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        # Only `X | None` is written in a section; TOML has no null, so that what stands there is an X.
        return _read(next(one for one in inner if one is not type(None)), value, key, faults)
    if origin is Literal:
        return _read_choice(inner, value, key, faults)
    if attrs.has(hint):
        return _read_section(hint, value, key, faults)
    if origin is not None and issubclass(origin, Mapping):
        return _read_mapping(inner[1], value, key, faults)
    if origin is not None:
        return _read_list(inner[0], value, key, faults)
    if issubclass(hint, Enum):
        choices = [member.value for member in hint]
        return hint(value) if _read_choice(choices, value, key, faults) in choices else None
    if _fits(hint, value):
        return float(value) if hint is float else value
    faults.append(ConfigurationError(key, f"must be {_NAMES[hint]}"))
    return None


def _read_choice(choices: Sequence[Any], value: Any, key: str, faults: list[ConfigurationError]) -> Any:
    if value not in choices:
        faults.append(ConfigurationError(key, f"must be one of {_list(choices)}"))
    return value


def _read_mapping(hint: Any, value: Any, key: str, faults: list[ConfigurationError]) -> dict[str, Any]:
    if isinstance(value, dict):
        return {name: _read(hint, one, f"{key}.{name}", faults) for name, one in value.items()}
    faults.append(ConfigurationError(key, "must be a section"))
    return {}


def _read_list(hint: Any, value: Any, key: str, faults: list[ConfigurationError]) -> tuple[Any, ...]:
    if isinstance(value, list):
        return tuple(_read(hint, one, f"{key}[{index}]", faults) for index, one in enumerate(value))
    faults.append(ConfigurationError(key, "must be a list"))
    return ()


def _read_section(section: type, value: Any, key: str, faults: list[ConfigurationError]) -> Any:
    if not isinstance(value, dict):
        faults.append(ConfigurationError(key, "must be a section"))
        return None
    hints = typing.get_type_hints(section)
    fields = [field.name for field in attrs.fields(section)]
    before = len(faults)
    read = {}
    for name, one in value.items():
        if name not in fields:
            faults.append(ConfigurationError(f"{key}.{name}", f"unknown; there are {_list(fields)}"))
            continue
        known = len(faults)
        read[name] = _read(hints[name], one, f"{key}.{name}", faults)
        if len(faults) == known:
            # Each by itself, because a class stops at the first of its validators that is not content.
            _check_field(section, name, read[name], key, faults)
    return None if len(faults) > before else _make(section, read, key, faults)


def _check_field(section: type, name: str, value: Any, key: str, faults: list[ConfigurationError]) -> None:
    """Without its neighbours: a value that fits the others of the file need not fit their defaults."""
    field = getattr(attrs.fields(section), name)
    try:
        if field.validator is not None:
            field.validator(None, field, value)
    except ConfigurationError as error:
        faults += [ConfigurationError(f"{key}.{fault.key}", fault.reason) for fault in faults_of(error)]
    except ValueError as error:
        faults.append(ConfigurationError(f"{key}.{name}", str(error).partition("\n")[0]))


def _make(section: type, values: Mapping[str, Any], key: str, faults: list[ConfigurationError]) -> Any:
    """The section, unless its `__attrs_post_init__` finds that its values contradict each other."""
    try:
        return section(**values)
    except ConfigurationError as error:
        faults += [ConfigurationError(f"{key}.{fault.key}", fault.reason) for fault in faults_of(error)]
        return None


def _fits(hint: type, value: object) -> bool:
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _list(names: Iterable[object]) -> str:
    return ", ".join(sorted(str(name) for name in names))


_NAMES = {str: "text", int: "a whole number", float: "a finite number", bool: "true or false"}
"""What a value of a plain type is called."""
