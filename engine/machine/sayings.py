"""What a reaction may say, read from its code, so that a diagram can show it without a declaration.

CPython 3.11 to 3.13 have the same instructions for names. Whether a later one is understood, `are_read`
finds out.
"""

import dis
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeAlias

import attrs

from engine.effects import Ask
from engine.machine.arguments import first_argument
from engine.vocabulary import Command, Effect, Event

Word: TypeAlias = type[Event] | type[Effect] | type[Command]

DEPTH_MAX = 4
"""Helper functions within helper functions; deeper ones are not read."""

_PYTHON = ".".join(map(str, sys.version_info[:2]))
UNREAD = f"what reactions say is not shown: the code of Python {_PYTHON} is not understood"
"""What a diagram notes where `are_read` says no."""

_BASES = (Event, Effect, Command)


def sayings(reaction: Callable[..., Any]) -> tuple[Word, ...]:
    """Events, effects and commands that `reaction` names, in the order of first use.

    It is read, not called: its own code, what it closes over, and the functions of its module that it
    calls. A word on a branch that is never taken is listed as well.
    """
    found = _in_callable(reaction, DEPTH_MAX)
    return tuple(dict.fromkeys(word for word in found if not isinstance(word, _Port)))


def ports(reaction: Callable[..., Any]) -> tuple[str, ...]:
    """Ports that `reaction` asks, in the order of first use; those that it finds out by itself are not there.

    Read as `sayings` are: a port is told when `Ask` is called with its name, or with what a constant names.
    """
    found = _in_callable(reaction, DEPTH_MAX)
    return tuple(dict.fromkeys(one.name for one in found if isinstance(one, _Port)))


@attrs.frozen
class _Port:
    """A port that is asked."""

    name: str


class _Said(Event):
    """Said by `_sample`."""


def _sample() -> tuple[Event, ...]:
    return (_Said(),)


def are_read(sample: Callable[[], Any] = _sample) -> bool:
    """Whether what a reaction says is found in the code of this Python."""
    return sayings(sample) == (_Said,)


def _in_callable(rule: Any, depth: int) -> Iterator[Word | _Port]:
    if isinstance(rule, partial):
        yield from _in_callable(rule.func, depth)
        for value in (*rule.args, *rule.keywords.values()):
            yield from _in_value(value, None, depth)
        return
    # Of a method its function, and of an object that can be called its class's.
    function = getattr(rule, "__func__", rule)
    if not isinstance(function, FunctionType):
        function = type(rule).__call__
    if isinstance(function, FunctionType):
        yield from _in_code(function.__code__, _Names(function), depth)


class _Names:
    """What the names in a function's code stand for."""

    def __init__(self, function: FunctionType) -> None:
        cells = function.__closure__ or ()
        self.module: str = function.__module__
        self.globals: Mapping[str, Any] = function.__globals__
        self.closed: dict[str, Any] = {}
        for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
            try:
                self.closed[name] = cell.cell_contents
            except ValueError:
                # The cell is empty: the function names something that is bound after it.
                self.closed[name] = None


def _in_code(code: CodeType, names: _Names, depth: int) -> Iterator[Word | _Port]:
    instructions = [*dis.get_instructions(code)]
    values: list[Any] = []
    for instruction in instructions:
        values.append(_loaded(instruction, names, values[-1] if values else None))
        yield from _in_value(values[-1], names, depth)
    for place, value in enumerate(values):
        port = first_argument(instructions, values, place) if value is Ask else None
        if isinstance(port, str):
            yield _Port(port)


def _loaded(instruction: dis.Instruction, names: _Names, holder: Any) -> Any:
    """What an instruction loads, as far as it is known before the code runs."""
    match instruction.opname:
        case "LOAD_GLOBAL":
            return names.globals.get(instruction.argval)
        case "LOAD_DEREF":
            return names.closed.get(instruction.argval)
        case "LOAD_ATTR" | "LOAD_METHOD" if isinstance(holder, ModuleType | type):
            return getattr(holder, instruction.argval, None)
        case "LOAD_CONST":
            return instruction.argval
    return None


def _in_value(value: Any, names: _Names | None, depth: int) -> Iterator[Word | _Port]:
    if isinstance(value, type):
        if issubclass(value, _BASES) and value not in _BASES:
            yield value
    elif isinstance(value, _BASES):
        yield type(value)
        if isinstance(value, Ask):
            yield _Port(value.port)
    elif isinstance(value, tuple):
        for one in value:
            yield from _in_value(one, names, depth)
    elif names is None:
        # An argument is a value and no part of the code.
        return
    elif isinstance(value, CodeType):
        yield from _in_code(value, names, depth)
    elif depth and callable(value) and getattr(value, "__module__", None) == names.module:
        yield from _in_callable(value, depth - 1)
