"""Queries and forms: from pairs of texts to the plain value that a class is read from."""

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from engine.codec.dialect import Dialect, bare, fields_of, is_union

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,19})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,19})?")
_BOOLEANS = {"true": True, "false": False}


def plain_of(pairs: Iterable[tuple[str, str]], cls: type, dialect: Dialect) -> dict[str, Any]:
    """What JSON would say in place of `pairs`.

    A text that is no number where a number is wanted stays a text, and a name that is there twice becomes an
    array: whoever reads the value finds the fault, with its name.
    """
    given: dict[str, list[str]] = {}
    for name, text in pairs:
        given.setdefault(name, []).append(text)
    return {
        name: _field(given[name], field.type)
        for field in fields_of(cls)
        if (name := dialect.name_of(field)) in given
    }


def _field(texts: list[str], kind: Any) -> Any:
    for one in _members(kind):
        if get_origin(one) in (tuple, frozenset):
            return [_value(text, _members(get_args(one)[0])) for text in texts]
    values = [_value(text, _members(kind)) for text in texts]
    return values[0] if len(values) == 1 else values


def _members(kind: Any) -> tuple[Any, ...]:
    kind = bare(kind)
    return tuple(map(bare, get_args(kind))) if is_union(kind) else (kind,)


def _value(text: str, kinds: tuple[Any, ...]) -> Any:
    for kind in kinds:
        if kind is bool and text in _BOOLEANS:
            return _BOOLEANS[text]
        if kind is int and _INTEGER.fullmatch(text):
            return int(text)
        if kind is float and _NUMBER.fullmatch(text):
            return float(text)
        for choice in _choices(kind):
            if str(choice) == text:
                return choice
    return text


def _choices(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(member.value for member in kind)
    return ()
