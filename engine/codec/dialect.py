"""What the journal's form and the wire form share: names, kinds of values, and how they differ."""

import collections.abc
from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NewType, Union, get_args, get_origin

import attrs

from engine.errors import CodecError

INT_MIN = -(2**63)
INT_MAX = 2**64 - 1
"""Widest integers that msgpack holds; the wire form takes no wider ones either."""

_KINDS: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    NoneType: "null",
    list: "an array",
    dict: "an object",
}


class UnfitError(Exception):
    """A value does not fit its type. `reason` names kinds and limits, never the value."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@attrs.frozen(kw_only=True)
class Dialect:
    """How one form differs from the other."""

    name_of: Callable[["attrs.Attribute[Any]"], str]
    """The key of a field."""
    enums_by_name: bool
    """Enum members go by their names, else by their values."""
    closed: bool
    """A key that no field has is a fault, else it is ignored."""
    bounded: bool
    """What comes is not trusted: NaN, the infinities and integers of more than 64 bits have no form, and
    bounds hold; else the format sees to the numbers."""
    exact: bool
    """Only the declared class itself may stand in a field, else a subclass is written as what it is."""


def camel(name: str) -> str:
    """`avatar_url` as `avatarUrl`; a trailing underscore only avoids a keyword of Python."""
    head, *rest = name.strip("_").split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def on_wire(name: str | None = None, *, omit_empty: bool = False) -> dict[str, Any]:
    """Metadata of a field whose wire form departs from the rule: `attrs.field(metadata=on_wire("avatar3D"))`.

    With `omit_empty`, None, "" and empty collections are left out of what we send.
    """
    return {"wire_name": name, "omit_empty": omit_empty}


def wire_namer(rename: Callable[[str], str]) -> Callable[["attrs.Attribute[Any]"], str]:
    """Names by rule, unless the field's metadata names it."""

    def name_of(field: "attrs.Attribute[Any]") -> str:
        return field.metadata.get("wire_name") or rename(field.alias or field.name)

    return name_of


def omits_empty(field: "attrs.Attribute[Any]") -> bool:
    """Whether an empty value of `field` is left out of what we send."""
    return bool(field.metadata.get("omit_empty"))


@cache
def fields_of(cls: type) -> tuple["attrs.Attribute[Any]", ...]:
    """The fields that make an instance, with their types resolved."""
    try:
        attrs.resolve_types(cls)
    except NameError as error:
        raise CodecError(f"{cls.__qualname__}: a type cannot be resolved: {error}") from error
    return tuple(field for field in attrs.fields(cls) if field.init)


def bare(kind: Any) -> Any:
    """`kind` without the wrappings that mean nothing outside: NewType, Annotated, Final."""
    while True:
        if isinstance(kind, NewType):
            kind = kind.__supertype__
        elif get_origin(kind) in (Annotated, Final):
            kind = get_args(kind)[0]
        else:
            return NoneType if kind is None else kind


def is_union(kind: Any) -> bool:
    """Whether `kind` is `A | B`, in either spelling."""
    return get_origin(kind) in (Union, UnionType)


def is_mapping(kind: Any) -> bool:
    """Whether `kind` is a parametrised mapping."""
    return get_origin(kind) in (dict, collections.abc.Mapping)


def no_form(kind: Any) -> CodecError:
    """The error for a type that cannot be read or written."""
    name = kind.__qualname__ if isinstance(kind, type) else str(kind)
    return CodecError(f"{name} has no form outside; see engine.codec.readers for the types that have")


def kind_name(kind: type) -> str:
    """A JSON kind in words."""
    return _KINDS.get(kind, "something else")


def wants(kinds: collections.abc.Iterable[type], value: object) -> UnfitError:
    """The fault of a value of another kind."""
    wanted = " or ".join(dict.fromkeys(map(kind_name, kinds)))
    return UnfitError(f"wants {wanted}, got {kind_name(type(value))}")
