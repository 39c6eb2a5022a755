"""What sendEvent asks of an event, and the copy of it that is stored and logged (Conferences, sendEvent).

Masks are JSON paths (RFC 9535) and come from outside: what a path may cost is reckoned before it is walked,
and functions that take regular expressions are not known.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import prod
from typing import Any

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError
from jsonpath.filter import BaseExpression, FilterQuery, RootFilterQuery
from jsonpath.segments import JSONPathRecursiveDescentSegment
from jsonpath.selectors import Filter

from engine.codec.dialect import UnfitError
from engine.errors import RemoteProtocolError
from machines.conference.wire import EVENT_DEPTH_MAX, ID, MASK_MAX

COST_MAX = 50_000
"""Steps that all masks of one event may take together; each costs some microseconds."""

_TYPE = re.compile(r"(?:[A-Z][a-z0-9]*){2,}Event")
_TYPE_MAX = 128
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?Z")
_SECONDS = len("2011-12-03T10:15:30")

_COMPILE_FAULTS = (JSONPathError, RecursionError, OverflowError, ValueError)
"""What the parser raises: the second for `((((`, the others for `1e999`, as a number and as an index."""


class _Paths(JSONPathEnvironment):
    """JSON paths without the functions that match regular expressions."""

    def setup_function_extensions(self) -> None:
        super().setup_function_extensions()
        for name in {*self.function_extensions} - {"length", "count", "value"}:
            del self.function_extensions[name]


_PATHS = _Paths(strict=True)


def check_event(event: Mapping[str, Any]) -> None:
    """Refuse an event that clients could not tell from others.

    Raises:
        RemoteProtocolError: type, timestamp or id is missing or of another form; all faults are listed.
    """
    faults = tuple(_event_faults(event))
    if faults:
        raise RemoteProtocolError(*faults[0], faults)


def _event_faults(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not is_event_type(event.get("type")):
        yield "$.event.type", "wants words with capitals, at least two before Event, as in FormSubmittedEvent"
    if not is_instant(event.get("timestamp")):
        yield "$.event.timestamp", "wants an instant as in 2011-12-03T10:15:30Z"
    if "id" in event:
        yield from _id_faults(event["id"])


def _id_faults(given: Any) -> Iterator[tuple[str, str]]:
    try:
        ID.check(given if isinstance(given, str) else "")
    except UnfitError as error:
        yield "$.event.id", error.reason if isinstance(given, str) else "wants a string"


def is_event_type(text: Any) -> bool:
    """Whether `text` names an event: a noun and a verb at least, then Event."""
    return isinstance(text, str) and len(text) <= _TYPE_MAX and bool(_TYPE.fullmatch(text))


def is_instant(text: Any) -> bool:
    """Whether `text` is an instant of ISO 8601 in UTC, to the second or finer."""
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text[:_SECONDS])
    except ValueError:
        return False
    return True


def masked(event: Mapping[str, Any], masks: Sequence[str]) -> dict[str, Any]:
    """A plain copy of `event` in which each string that a mask selects is as many stars.

    Raises:
        RemoteProtocolError: a mask is no path, selects what is not a string, or costs too much.
    """
    paths = [_compile(mask, number) for number, mask in enumerate(masks)]
    copy: dict[str, Any] = _plain(event)
    _check_cost(copy, paths)
    for *above, last in _places(copy, paths):
        box: Any = copy
        for key in above:
            box = box[key]
        box[last] = "*" * len(box[last])
    return copy


def _compile(mask: str, number: int) -> JSONPath:
    """The source's library reads `card.number` as `$.card.number`."""
    if len(mask) > MASK_MAX:
        raise RemoteProtocolError(f"$.masks[{number}]", f"is longer than {MASK_MAX} characters")
    try:
        path = _PATHS.compile(mask if mask.startswith("$") else f"$.{mask}")
    except _COMPILE_FAULTS:
        # Its words would quote the mask, and a mask may quote a value.
        path = None
    if not isinstance(path, JSONPath):
        raise RemoteProtocolError(f"$.masks[{number}]", "is not a JSON path")
    if not all(map(_is_plain_query, _expressions_of(path))):
        raise RemoteProtocolError(f"$.masks[{number}]", "has a filter that looks at more than one value")
    return path


def _expressions_of(path: JSONPath) -> Iterator[BaseExpression]:
    """Every part of every filter."""
    waiting: list[BaseExpression] = [
        one.expression for part in path.segments for one in part.selectors if isinstance(one, Filter)
    ]
    while waiting:
        expression = waiting.pop()
        yield expression
        waiting += expression.children()


def _is_plain_query(expression: BaseExpression) -> bool:
    """Whether it is no query, or one from the current value to at most one other."""
    if not isinstance(expression, FilterQuery):
        return True
    return not isinstance(expression, RootFilterQuery) and expression.path.singular_query()


def _check_cost(event: dict[str, Any], paths: list[JSONPath]) -> None:
    values = _count(event)
    if sum(_cost(path, values) for path in paths) > COST_MAX:
        raise RemoteProtocolError("$.masks", "would cost too much on an event of this size")


def _cost(path: JSONPath, values: int) -> int:
    """Steps at most; selectors that repeat a value and several `..` above it give it many ways."""
    if path.singular_query():
        return len(path.segments)
    descents = sum(isinstance(part, JSONPathRecursiveDescentSegment) for part in path.segments)
    begins: int = EVENT_DEPTH_MAX ** max(descents - 1, 0)
    repeats = prod(len(part.selectors) for part in path.segments)
    parts = len(path.segments) + sum(map(_size, _expressions_of(path)))
    return values * begins * repeats * parts


def _size(expression: BaseExpression) -> int:
    return 1 + (len(expression.path.segments) if isinstance(expression, FilterQuery) else 0)


def _places(event: dict[str, Any], paths: list[JSONPath]) -> set[tuple[int | str, ...]]:
    """Where the strings are that the paths select."""
    places = set()
    for number, path in enumerate(paths):
        for match in path.finditer(event):
            if not isinstance(match.obj, str):
                raise RemoteProtocolError(f"$.masks[{number}]", "selects what is not a string")
            places.add(match.parts)
    return places


def _count(value: Any) -> int:
    """Values in `value`, itself included."""
    if isinstance(value, dict):
        return 1 + sum(map(_count, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(_count, value))
    return 1


def _plain(value: Any) -> Any:
    """A copy whose arrays are lists; no deeper than a codec lets in."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
