"""Journaled words as a line that people read: `key=value`, what says nothing left out, what is long cut."""

from collections.abc import Iterator
from enum import Enum
from itertools import islice
from typing import Any

import attrs
import msgspec

VALUE_MAX = 40
"""Characters of one value."""

FIELDS_MAX = 10
"""Fields of one line; how many more there are is said."""

_SAYS_NOTHING: tuple[Any, ...] = (None, "", (), frozenset(), {})


def line_of(word: Any) -> str:
    """An event or a command with its few fields: `RingAccepted device=phone videochat_id=06a7`.

    A field that has its default says nothing. Secrets are shown as their repr shows them.
    """
    fields = [*_fields(word, "")]
    more = [f"+{len(fields) - FIELDS_MAX}"] if len(fields) > FIELDS_MAX else []
    return " ".join([type(word).__name__, *islice(fields, FIELDS_MAX), *more])


def shown(value: Any) -> Any:
    """A value as it may be shown: fields whose repr hides them stay hidden."""
    if attrs.has(type(value)):
        fields = {}
        for field in attrs.fields(type(value)):
            one = getattr(value, field.name)
            if field.repr is False:
                continue
            fields[field.name] = field.repr(one) if callable(field.repr) else shown(one)
        return fields
    if isinstance(value, tuple | list | frozenset | set):
        return [shown(one) for one in value]
    if isinstance(value, dict):
        return {str(name): shown(one) for name, one in value.items()}
    return value


def _fields(value: Any, prefix: str) -> Iterator[str]:
    """Those of a value within a value as `outer.inner`."""
    for field in attrs.fields(type(value)):
        one = getattr(value, field.name)
        if field.repr is False or one == field.default or one in _SAYS_NOTHING:
            continue
        name = prefix + field.name
        if callable(field.repr):
            yield f"{name}={field.repr(one)}"
        elif attrs.has(type(one)):
            yield from _fields(one, f"{name}.")
        else:
            yield f"{name}={_text(one)}"


def _text(value: Any) -> str:
    plain = value.value if isinstance(value, Enum) else value
    is_text = isinstance(plain, str)
    text: str = plain if is_text else msgspec.json.encode(shown(plain)).decode()
    if len(text) > VALUE_MAX:
        text = text[: VALUE_MAX - 1] + "…"
    # A line stays a line, whatever somebody has written into a name.
    return repr(text) if not text.isprintable() or (is_text and " " in text) else text
