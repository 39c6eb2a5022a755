"""The tree of exceptions that detailed readers raise, as a list of (JSON path, reason)."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
from cattrs import BaseValidationError, ClassValidationError, ForbiddenExtraKeysError
from cattrs.errors import AttributeValidationNote, IterableValidationNote

from engine.codec.dialect import Dialect, UnfitError, fields_of
from engine.errors import CodecError, RemoteProtocolError

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


def faults_of(error: BaseException, dialect: Dialect, path: str) -> Iterator[tuple[str, str]]:
    """Every fault under `error`, in the order of the fields."""
    if isinstance(error, UnfitError):
        yield path, error.reason
    elif isinstance(error, ClassValidationError):
        for inner in error.exceptions:
            yield from _field_faults(inner, error.cl, dialect, path)
    elif isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            place = _note(inner, IterableValidationNote).index
            yield from faults_of(inner, dialect, path + step(place))
    elif isinstance(error, CodecError):
        yield path, str(error)
    else:
        assert isinstance(error, RecursionError)
        yield path, "is nested too deeply"


def _field_faults(error: BaseException, cls: type, dialect: Dialect, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(error, ForbiddenExtraKeysError):
        yield from ((path + step(key), "is not known here") for key in sorted(error.extra_fields))
        return
    names = {field.name: dialect.name_of(field) for field in fields_of(cls)}
    note = _note(error, AttributeValidationNote)
    if note is None:
        yield from _rule_faults(error, cls, names, path)
    elif isinstance(error, KeyError):
        yield path + step(names[note.name]), "is missing"
    else:
        yield from faults_of(error, dialect, path + step(names[note.name]))


def _rule_faults(
    error: BaseException, cls: type, names: dict[str, str], path: str
) -> Iterable[tuple[str, str]]:
    """A validator of the class refused. Its own words may quote the value, so they are not repeated."""
    if isinstance(error, RemoteProtocolError):
        return [(path + where.removeprefix("$"), why) for where, why in error.faults]
    fields = [part for part in error.args if isinstance(part, attrs.Attribute)]
    where = path + "".join(step(names[field.name]) for field in fields[:1])
    return [(where, f"is refused by a rule of {cls.__name__}")]


def step(place: Any) -> str:
    """One step of a JSON path. A key of the other side is cut when it is long or odd."""
    if isinstance(place, int):
        return f"[{place}]"
    return f".{place}" if _PLAIN_KEY.fullmatch(place) else "[?]"


def _note(error: BaseException, kind: type) -> Any:
    return next((note for note in getattr(error, "__notes__", ()) if isinstance(note, kind)), None)
