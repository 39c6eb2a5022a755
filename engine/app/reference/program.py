"""The command line, the configuration, the exceptions and the paths of every server."""

import inspect
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import attrs
import typer
from typer.models import ArgumentInfo, CommandInfo, OptionInfo

from engine.app import cli
from engine.app.api import Api
from engine.app.openapi import openapi_document
from engine.app.reference.markdown import code, fenced, page, section, table
from engine.app.reference.source import fields_of, first_sentence
from engine.app.retention import JournalSettings
from engine.errors import EngineError
from engine.media.settings import MediaSettings
from engine.transport.limits import Limits


def command_line_page() -> str:
    """Every command with its arguments and options, read from what defines them."""
    return page(
        "Command line",
        "`switchhook COMMAND --help` says the same. Exit codes: 0 it went well, 1 it did not, 2 the command "
        "or the configuration is wrong. Faults go to standard error, one a line.",
        *(_command(name, info) for name, info in commands()),
    )


def commands() -> Iterator[tuple[str, CommandInfo]]:
    """(name with its group, command) of all commands that are not hidden."""
    yield from _commands_of(cli.app, "")
    for group in cli.app.registered_groups:
        if group.typer_instance is not None:
            yield from _commands_of(group.typer_instance, f"{group.name} ")


def options_of(info: CommandInfo) -> dict[str, tuple[OptionInfo | ArgumentInfo, Any]]:
    """The options (`--name`) and arguments (`NAME`) of a command, each with its default."""
    assert info.callback is not None
    hints = typing.get_type_hints(info.callback, include_extras=True)
    found: dict[str, tuple[OptionInfo | ArgumentInfo, Any]] = {}
    for name, parameter in inspect.signature(info.callback).parameters.items():
        for extra in typing.get_args(hints[name])[1:]:
            if isinstance(extra, OptionInfo):
                found[_called(name, extra)] = (extra, parameter.default)
            elif isinstance(extra, ArgumentInfo):
                found[name.upper()] = (extra, parameter.default)
    return found


def _called(name: str, option: OptionInfo) -> str:
    """Within `Annotated`, typer keeps the first name where a default would stand."""
    named = [option.default] if isinstance(option.default, str) else []
    return [*named, *(option.param_decls or ()), f"--{name.replace('_', '-')}"][0]


def _commands_of(app: typer.Typer, prefix: str) -> Iterator[tuple[str, CommandInfo]]:
    for info in app.registered_commands:
        if not info.hidden and info.callback is not None:
            yield f"{prefix}{info.name or info.callback.__name__.replace('_', '-')}", info


def _command(name: str, info: CommandInfo) -> str:
    rows = [
        [code(called), extra.help or "", _shown_default(default)]
        for called, (extra, default) in options_of(info).items()
    ]
    return section(
        f"switchhook {name}",
        inspect.cleandoc(getattr(info.callback, "__doc__", "") or ""),
        table(["argument", "what it is", "default"], rows),
        info.epilog or "",
    )


def _shown_default(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return "required"
    return "" if default in (None, "", False) else code(str(default))


def configuration_page(apis: Sequence[Api]) -> str:
    """Every key of the TOML file."""
    return page(
        "Configuration",
        "`switchhook serve --config FILE` reads a TOML file. A key that is not written has its default; a "
        "section or a key that does not exist is an error, and all errors are told at once. This file says "
        "what an empty one says:",
        fenced(configuration_text(apis), "toml"),
    )


def configuration_text(apis: Sequence[Api]) -> str:
    """A TOML file with every key at its default."""
    sections = {"server": Limits, "media": MediaSettings, "journal": JournalSettings}
    sections |= {api.name: api.settings for api in apis}
    return "\n\n".join("\n".join(_section(name, cls)) for name, cls in sections.items()) + "\n"


def _section(name: str, cls: type) -> Iterator[str]:
    yield f"[{name}]"
    values = {field: getattr(cls(), field.name) for field in fields_of(cls)}
    tables = {field: value for field, value in values.items() if isinstance(value, Mapping)}
    inner = {field: value for field, value in values.items() if attrs.has(type(value))}
    for field, value in values.items():
        if field not in tables and field not in inner:
            yield f"# {field.text}"
            yield f"{field.name} = {_toml(value)}"
    for field in tables:
        yield f"# Section [{name}.{field.name}]: {field.text}"
    for field, value in inner.items():
        yield f"\n# {field.text}"
        yield from _section(f"{name}.{field.name}", type(value))


def _toml(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def exceptions_page() -> str:
    """The tree of exceptions, and when each is raised."""
    rows = [[code(cls.__name__), first_sentence(cls)] for cls, _ in _tree(EngineError, 0)]
    return page(
        "Exceptions",
        "All of them are in `engine.errors`. Foreign exceptions do not come out of the engine: they are "
        "translated where they arise.",
        exception_tree(),
        table(["exception", "when"], rows),
    )


def exception_tree() -> str:
    """The tree as a block of text."""
    return fenced("\n".join("    " * depth + cls.__name__ for cls, depth in _tree(EngineError, 0)), "text")


def _tree(cls: type[EngineError], depth: int) -> Iterator[tuple[type[EngineError], int]]:
    yield cls, depth
    for child in cls.__subclasses__():
        # Subclasses elsewhere are details of the module that raises them.
        if child.__module__ == EngineError.__module__:
            yield from _tree(child, depth + 1)


def http_page() -> str:
    """What every server answers beside its APIs."""
    return page(
        "HTTP paths of every server",
        http_table(),
        "The paths and messages of the APIs have pages of their own; `GET /openapi.json` has them all.",
    )


def http_table() -> str:
    """The paths that the engine itself answers."""
    rows = [
        [code(f"GET {path}"), str(entry["get"]["summary"]), _statuses(entry["get"]["responses"])]
        for path, entry in openapi_document(())["paths"].items()
    ]
    return table(["path", "what it says", "statuses"], rows)


def _statuses(responses: Mapping[str, Mapping[str, str]]) -> str:
    return "; ".join(f"{status}: {answer['description']}" for status, answer in responses.items())
