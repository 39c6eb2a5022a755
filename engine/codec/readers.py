"""From plain values (dict, list, str, int, float, bool, None) to typed ones, without any coercion.

cattrs writes the code of each class; what may stand in a field is decided here. Types that have a form:
str, int, float, bool, None, Any, Literal, enums, attrs classes, `tuple`, `frozenset`, `Mapping`/`dict`,
unions whose members are told apart by their JSON kind, and NewType, Annotated or Final of these. Bounds in
an Annotated hold in the wire form; see `bounds`.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import NoneType
from typing import Any, Literal, TypeAlias, get_args, get_origin

import attrs
from cattrs import BaseValidationError, Converter, IterableValidationError
from cattrs.errors import CattrsError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn, override

from engine.codec.bounds import Bound, bounds_of
from engine.codec.dialect import (
    INT_MAX,
    INT_MIN,
    Dialect,
    UnfitError,
    bare,
    fields_of,
    is_mapping,
    is_union,
    no_form,
    wants,
)
from engine.errors import CodecError, RemoteProtocolError

Reader: TypeAlias = Callable[[Any, Any], Any]
"""Takes the plain value and, unused, the type: cattrs calls it so."""

ARRAYS = (list, tuple)
"""JSON gives lists. A field of type Any keeps them as tuples, and is read again once its class is known."""

REFUSALS = (UnfitError, CattrsError, LookupError, TypeError, ValueError, RecursionError, RemoteProtocolError)
"""What a reader that is not detailed may raise; TypeError and ValueError come from validators of a class."""


class Readers:
    """Makes and keeps one reader for each type.

    `detailed` readers find every fault and raise them as a tree of exceptions; the others stop at the
    first and are faster. `special` are readers that replace the rule for their type.
    """

    def __init__(
        self, dialect: Dialect, *, detailed: bool, special: Mapping[Any, Reader] | None = None
    ) -> None:
        self._dialect = dialect
        self._detailed = detailed
        self._special = frozenset(special or ())
        self._readers: dict[Any, Reader] = {
            str: _exactly(str),
            bool: _exactly(bool),
            NoneType: _exactly(NoneType),
            int: _read_int if dialect.bounded else _exactly(int),
            float: _read_finite if dialect.bounded else _read_float,
            Any: freeze,
            **(special or {}),
        }
        # Only cattrs's code generator is used; every hook is given, so nothing is registered here.
        self._converter = Converter()

    def reader(self, kind: Any) -> Reader:
        """The reader of `kind`.

        Raises:
            CodecError: a type in it has no form outside.
        """
        bounds = bounds_of(kind) if self._dialect.bounded else ()
        read = self._unbounded(bare(kind))
        return _within(bounds, read) if bounds else read

    def _unbounded(self, kind: Any) -> Reader:
        if kind not in self._readers:
            # A class may hold itself: while it is made, those inside find it at the time of reading.
            self._readers[kind] = lambda value, _: self._readers[kind](value, None)
            try:
                self._readers[kind] = self._make(kind)
            except CodecError:
                del self._readers[kind]
                raise
        return self._readers[kind]

    def _make(self, kind: Any) -> Reader:
        origin, inner = get_origin(kind), get_args(kind)
        if is_union(kind):
            return self._union(inner)
        if origin is tuple:
            return self._tuple(inner)
        if origin is frozenset:
            return self._array(self.reader(inner[0]), frozenset)
        if is_mapping(kind):
            return self._mapping(*inner)
        if origin is Literal:
            return _one_of({(type(value), value): value for value in inner})
        if isinstance(kind, type) and issubclass(kind, Enum):
            return self._enum(kind)
        if isinstance(kind, type) and attrs.has(kind):
            return self._class(kind)
        raise no_form(kind)

    def _class(self, cls: type) -> Reader:
        hooks = {
            field.name: override(rename=self._dialect.name_of(field), struct_hook=self.reader(field.type))
            for field in fields_of(cls)
        }
        build: Callable[..., Any] = make_dict_structure_fn(
            cls,
            self._converter,
            _cattrs_forbid_extra_keys=self._dialect.closed and self._detailed,
            _cattrs_detailed_validation=self._detailed,
            **hooks,  # type: ignore[arg-type]  # hooks go by field names, none of which is an option's
        )

        names = frozenset(self._dialect.name_of(field) for field in fields_of(cls))
        closed = self._dialect.closed and not self._detailed

        def read(value: Any, _: Any) -> Any:
            if type(value) is not dict:
                raise wants((dict,), value)
            if closed and not names.issuperset(value):
                raise UnfitError("has a key that is not known here")
            return build(value, cls)

        return read

    def _enum(self, cls: type[Enum]) -> Reader:
        if self._dialect.enums_by_name:
            return _one_of({(str, name): member for name, member in cls.__members__.items()})
        members = {(type(member.value), member.value): member for member in cls}
        if not {kind for kind, _ in members} <= {str, int}:
            raise no_form(cls)
        return _one_of(members, cls.__members__.get("UNKNOWN"))

    def _tuple(self, inner: tuple[Any, ...]) -> Reader:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return self._array(self.reader(inner[0]), tuple)
        readers = [self.reader(kind) for kind in inner]

        def read(value: Any, _: Any) -> Any:
            if type(value) not in ARRAYS:
                raise wants((list,), value)
            if len(value) != len(readers):
                raise UnfitError(f"wants {len(readers)} items, got {len(value)}")
            return tuple(self._each(enumerate(value), readers))

        return read

    def _array(self, read_item: Reader, make: Callable[[Iterable[Any]], Any]) -> Reader:
        def read(value: Any, _: Any) -> Any:
            if type(value) not in ARRAYS:
                raise wants((list,), value)
            if not self._detailed:
                return make([read_item(item, None) for item in value])
            return make(self._each(enumerate(value), [read_item] * len(value)))

        return read

    def _mapping(self, key: Any, item: Any) -> Reader:
        if str not in self.forms(key):
            raise no_form(key)
        read_key, read_item = self.reader(key), self.reader(item)

        def read(value: Any, _: Any) -> Any:
            if type(value) is not dict:
                raise wants((dict,), value)
            keys = self._each(zip(value, value, strict=True), [read_key] * len(value))
            items = self._each(value.items(), [read_item] * len(value))
            return dict(zip(keys, items, strict=True))

        return read

    def _each(self, items: Iterable[tuple[Any, Any]], readers: list[Reader]) -> list[Any]:
        """Read (place, value) pairs; detailed, all the faults are raised together."""
        if not self._detailed:
            return [read(value, None) for (_, value), read in zip(items, readers, strict=True)]
        done, faults = [], []
        for (place, value), read in zip(items, readers, strict=True):
            try:
                done.append(read(value, None))
            except (UnfitError, BaseValidationError) as error:
                error.add_note(IterableValidationNote("", place, None))
                faults.append(error)
        if faults:
            raise IterableValidationError("", faults, list)
        return done

    def _union(self, members: tuple[Any, ...]) -> Reader:
        readers: dict[type, Reader] = {}
        for member in members:
            for form in self.forms(member):
                if form in readers:
                    raise no_form(" | ".join(map(str, members)))
                readers[form] = self.reader(member)
        if float in readers:
            readers.setdefault(int, readers[float])

        def read(value: Any, _: Any) -> Any:
            reader = readers.get(list if type(value) is tuple else type(value))
            if reader is None:
                raise wants(readers, value)
            return reader(value, None)

        return read

    def forms(self, kind: Any) -> tuple[type, ...]:
        """The plain types in which a value of `kind` may come, by which unions tell their members apart."""
        kind = bare(kind)
        if kind in self._special:
            return (list,)
        if kind in (str, bool, int, float, NoneType):
            return (kind,)
        if get_origin(kind) in (tuple, frozenset):
            return (list,)
        if is_mapping(kind) or attrs.has(kind):
            return (dict,)
        if get_origin(kind) is Literal:
            return tuple({type(value) for value in get_args(kind)})
        if isinstance(kind, type) and issubclass(kind, Enum):
            return (str,) if self._dialect.enums_by_name else tuple({type(member.value) for member in kind})
        raise no_form(kind)


def freeze(value: Any, _: Any = None) -> Any:
    """A plain value as it stands, its arrays as tuples."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind in ARRAYS:
        # Both arguments: CPython 3.13.0 does not count the depth of a call that leaves one out.
        return tuple([freeze(item, None) for item in value])
    if kind is dict:
        return {key: freeze(item, None) for key, item in value.items()}
    return value if kind is float else _read_int(value, None)


def _within(bounds: tuple[Bound, ...], read: Reader) -> Reader:
    """The kind first: a bound is only asked about values that it knows."""

    def read_within(value: Any, _: Any) -> Any:
        taken = read(value, None)
        for bound in bounds:
            bound.check(value)
        return taken

    return read_within


def _exactly(kind: type) -> Reader:
    def read(value: Any, _: Any) -> Any:
        if type(value) is kind:
            return value
        raise wants((kind,), value)

    return read


def _read_int(value: Any, _: Any) -> int:
    if type(value) is not int:
        raise wants((int,), value)
    if not INT_MIN <= value <= INT_MAX:
        raise UnfitError("is an integer of more than 64 bits")
    return value


def _read_float(value: Any, _: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(_read_int(value, None))
    raise wants((float,), value)


def _read_finite(value: Any, _: Any) -> float:
    number = _read_float(value, None)
    if not math.isfinite(number):
        raise UnfitError("is not a finite number")
    return number


def _one_of(members: Mapping[tuple[type, Any], Any], unknown: Any = None) -> Reader:
    """Values are looked up with their types, because True == 1 == 1.0."""
    kinds = dict.fromkeys(kind for kind, _ in members)

    def read(value: Any, _: Any) -> Any:
        kind = type(value)
        if kind not in kinds:
            raise wants(kinds, value)
        found = members.get((kind, value), unknown)
        if found is None and (kind, value) not in members:
            raise UnfitError("is none of the values that are allowed here")
        return found

    return read
