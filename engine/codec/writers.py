"""From typed values to plain ones; the inverse of `readers`, for the same types."""

import math
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import NoneType
from typing import Any, Literal, TypeAlias, get_args, get_origin

import attrs
import msgspec
from cattrs import Converter
from cattrs.fns import identity
from cattrs.gen import make_dict_unstructure_fn, override

from engine.codec.dialect import (
    Dialect,
    UnfitError,
    bare,
    fields_of,
    is_mapping,
    is_union,
    no_form,
    omits_empty,
)
from engine.errors import CodecError

Writer: TypeAlias = Callable[[Any], Any]

_EMPTY: tuple[Any, ...] = (None, "", [], {})


class Writers:
    """Makes and keeps one writer for each type. `special` replace the rule for their type."""

    def __init__(self, dialect: Dialect, special: Mapping[Any, Writer] | None = None) -> None:
        self._dialect = dialect
        self._writers: dict[Any, Writer] = {
            str: identity,
            bool: identity,
            NoneType: identity,
            int: identity,
            float: _write_finite if dialect.bounded else float,
            Any: self.thaw,
            **(special or {}),
        }
        # Only cattrs's code generator is used; every hook is given, so nothing is registered here.
        self._converter = Converter()

    def writer(self, kind: Any) -> Writer:
        """The writer of `kind`.

        Raises:
            CodecError: a type in it has no form outside.
        """
        kind = bare(kind)
        if kind not in self._writers:
            # A class may hold itself: while it is made, those inside find it at the time of writing.
            self._writers[kind] = lambda value: self._writers[kind](value)
            try:
                self._writers[kind] = self._make(kind)
            except CodecError:
                del self._writers[kind]
                raise
        return self._writers[kind]

    def thaw(self, value: Any) -> Any:
        """The plain form of a value that no type is declared for."""
        kind = type(value)
        if kind in (str, int, bool, NoneType):
            return value
        if kind is float:
            return self._writers[float](value)
        if kind in (tuple, list):
            return [self.thaw(item) for item in value]
        if isinstance(value, Mapping):
            return {key: self.thaw(item) for key, item in value.items()}
        if self._dialect.exact:
            raise UnfitError(f"holds a {kind.__qualname__}, which would come back as something else")
        if kind is frozenset:
            return in_order(map(self.thaw, value))
        return self.writer(kind)(value)

    def _make(self, kind: Any) -> Writer:
        origin, inner = get_origin(kind), get_args(kind)
        if is_union(kind):
            return self._union([bare(member) for member in inner])
        if origin is tuple:
            return self._tuple(inner)
        if origin is frozenset:
            write_item = self.writer(inner[0])
            return lambda value: in_order(map(write_item, value))
        if is_mapping(kind):
            return self._mapping(*inner)
        if origin is Literal:
            return identity
        if isinstance(kind, type) and issubclass(kind, Enum):
            return _write_name if self._dialect.enums_by_name else _write_value
        if isinstance(kind, type) and attrs.has(kind):
            return self._class(kind)
        raise no_form(kind)

    def _class(self, cls: type) -> Writer:
        hooks = {
            field.name: override(rename=self._dialect.name_of(field), unstruct_hook=self.writer(field.type))
            for field in fields_of(cls)
        }
        dump: Callable[[Any], dict[str, Any]] = make_dict_unstructure_fn(
            cls,
            self._converter,
            **hooks,  # type: ignore[arg-type]  # hooks go by field names, none of which is an option's
        )
        optional = [self._dialect.name_of(field) for field in fields_of(cls) if omits_empty(field)]

        def write(value: Any) -> Any:
            if type(value) is not cls:
                return self._another(cls, value)
            plain = dump(value)
            for name in optional:
                if plain[name] in _EMPTY:
                    del plain[name]
            return plain

        return write

    def _another(self, cls: type, value: Any) -> Any:
        if self._dialect.exact or not isinstance(value, cls):
            raise UnfitError(f"wants {cls.__qualname__}, got {type(value).__qualname__}")
        return self.writer(type(value))(value)

    def _tuple(self, inner: tuple[Any, ...]) -> Writer:
        if len(inner) == 2 and inner[1] is Ellipsis:
            write_item = self.writer(inner[0])
            return list if write_item is identity else lambda value: [write_item(item) for item in value]
        writers = [self.writer(kind) for kind in inner]
        return lambda value: [write(item) for write, item in zip(writers, value, strict=True)]

    def _mapping(self, key: Any, item: Any) -> Writer:
        write_key, write_item = self.writer(key), self.writer(item)
        return lambda value: {write_key(name): write_item(under) for name, under in value.items()}

    def _union(self, members: list[Any]) -> Writer:
        others = [member for member in members if member is not NoneType]
        if len(others) == 1:
            write_some = self.writer(others[0])
            return lambda value: None if value is None else write_some(value)
        writers = {form: self.writer(member) for member in members for form in _classes(member)}
        if float in writers:
            writers.setdefault(int, writers[float])

        def write(value: Any) -> Any:
            writer = writers.get(type(value))
            if writer is None:
                raise UnfitError(f"has no member of the union for {type(value).__qualname__}")
            return writer(value)

        return write


def in_order(items: Iterable[Any]) -> list[Any]:
    """The items of a set in an order that depends on them alone."""
    return sorted(items, key=msgspec.msgpack.encode)


def _classes(member: Any) -> Iterable[type]:
    """The classes by which a union's member is known when it is written."""
    if get_origin(member) is Literal:
        return {type(value) for value in get_args(member)}
    return (dict,) if is_mapping(member) else (get_origin(member) or member,)


def _write_finite(value: float) -> float:
    if not math.isfinite(value):
        raise UnfitError("is not a finite number")
    return float(value)


def _write_name(member: Enum) -> str:
    return member.name


def _write_value(member: Enum) -> Any:
    return member.value
