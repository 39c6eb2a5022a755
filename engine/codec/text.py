"""JSON text to plain values, within limits that hold before any class is looked at."""

import re
from typing import Any

import attrs
import msgspec

from engine.errors import RemoteProtocolError

# Possessive, and with an optional closing quote, so that hostile text costs linear time.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)

_decode = msgspec.json.Decoder().decode


@attrs.frozen(kw_only=True)
class Limits:
    """How large a message from outside may be."""

    bytes_max: int = 256 * 1024
    depth_max: int = 32
    """Arrays and objects inside each other; 1 is `{}`."""
    string_max: int = 128 * 1024
    """Bytes of UTF-8; an SDP of a large conference has about 50 KB."""
    items_max: int = 10_000
    """Items of one array, or keys of one object."""
    faults_max: int = 100
    """Faults listed in one error."""


def parse(text: str | bytes, limits: Limits) -> Any:
    """The plain value of a JSON text.

    Raises:
        RemoteProtocolError: it is not JSON (NaN, a lone surrogate and a key given twice are not), or
            beyond a limit.
    """
    try:
        data = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise RemoteProtocolError("$", "is not Unicode: it has a lone surrogate") from error
    if len(data) > limits.bytes_max:
        raise RemoteProtocolError("$", f"is longer than {limits.bytes_max} bytes")
    try:
        value = _decode(data)
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("$", "is not UTF-8") from error
    except msgspec.DecodeError as error:
        raise RemoteProtocolError("$", f"is not JSON: {error}") from error
    except RecursionError as error:
        raise RemoteProtocolError("$", _too_deep(limits)) from error
    _check_keys(data, _survey(value, limits))
    if len(data) > limits.string_max:
        check_strings(value, limits)
    return value


def _survey(value: Any, limits: Limits) -> int:
    """How many keys all objects have together; level by level, so that depth needs no recursion."""
    keys = depth = 0
    level = [value] if isinstance(value, dict | list) else []
    while level:
        depth += 1
        if depth > limits.depth_max:
            raise RemoteProtocolError("$", _too_deep(limits))
        below: list[Any] = []
        for box in level:
            if len(box) > limits.items_max:
                raise RemoteProtocolError("$", f"has more than {limits.items_max} items in one place")
            items = box.values() if type(box) is dict else box
            keys += len(box) if type(box) is dict else 0
            below += [item for item in items if type(item) is dict or type(item) is list]
        level = below
    return keys


def _check_keys(data: bytes, keys: int) -> None:
    """Parsers differ in which of two equal keys wins, so that one before us may have seen another value."""
    if data.count(b":") != keys and _STRINGS.sub(b"", data).count(b":") != keys:
        raise RemoteProtocolError("$", "has a key twice in one object")


def check_strings(value: Any, limits: Limits) -> None:
    """Refuse strings and keys that are too long.

    Raises:
        RemoteProtocolError: with the limit.
    """
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            waiting += item
            waiting += item.values()
        elif type(item) is list:
            waiting += item
        elif type(item) is str and len(item.encode()) > limits.string_max:
            raise RemoteProtocolError("$", f"has a string longer than {limits.string_max} bytes")


def _too_deep(limits: Limits) -> str:
    return f"is nested deeper than {limits.depth_max} levels"
