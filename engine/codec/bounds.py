"""What `Annotated` says of a type of the wire form: limits that hold for whatever comes from outside.

`Annotated[str, Text(max=128)]` is a string for type checkers and for the journal. A reader of the wire form
checks the bound after the kind; `schema_of` shows it.
"""

import re
from typing import Annotated, Any, Final, NewType, Protocol, get_args, get_origin, runtime_checkable

import attrs
import msgspec

from engine.codec.dialect import UnfitError

_pack = msgspec.json.Encoder().encode


@runtime_checkable
class Bound(Protocol):
    """One limit."""

    def check(self, plain: Any) -> None:
        """Refuse a plain value of the right kind.

        Raises:
            UnfitError: it is beyond the limit.
        """

    def schema(self) -> dict[str, Any]:
        """The limit in words of JSON Schema."""


@attrs.frozen(kw_only=True)
class Text:
    """How long a string may be, and what it may hold."""

    min: int = 0
    """Characters (code points)."""
    max: int
    pattern: str = ""
    """Fits the whole string. Written so that ECMAScript reads it too, and without a way to backtrack."""
    says: str = "is not of the form that is wanted here"
    """The fault of a string that the pattern does not fit."""

    def check(self, plain: str) -> None:
        """Refuse what is too short, too long or of another form."""
        if len(plain) < self.min:
            raise UnfitError("is empty" if self.min == 1 else f"is shorter than {self.min} characters")
        if len(plain) > self.max:
            raise UnfitError(f"is longer than {self.max} characters")
        if self.pattern and not re.fullmatch(self.pattern, plain):
            raise UnfitError(self.says)

    def schema(self) -> dict[str, Any]:
        """`minLength`, `maxLength`, `pattern`."""
        shortest = {"minLength": self.min} if self.min else {}
        form = {"pattern": f"^{self.pattern}$"} if self.pattern else {}
        return {**shortest, "maxLength": self.max, **form}


@attrs.frozen(kw_only=True)
class Between:
    """The range of an integer, both ends included."""

    min: int
    max: int

    def check(self, plain: int) -> None:
        """Refuse what is outside."""
        if not self.min <= plain <= self.max:
            raise UnfitError(f"is not between {self.min} and {self.max}")

    def schema(self) -> dict[str, Any]:
        """`minimum`, `maximum`."""
        return {"minimum": self.min, "maximum": self.max}


@attrs.frozen(kw_only=True)
class Items:
    """How many items an array may have."""

    max: int

    def check(self, plain: list[Any]) -> None:
        """Refuse what has more."""
        if len(plain) > self.max:
            raise UnfitError(f"has more than {self.max} items")

    def schema(self) -> dict[str, Any]:
        """`maxItems`."""
        return {"maxItems": self.max}


@attrs.frozen(kw_only=True)
class Json:
    """How large an object may be whose values are anything."""

    keys_max: int
    """Keys of the object itself."""
    depth_max: int
    """Arrays and objects inside each other; 1 is `{"a": 1}`."""
    bytes_max: int
    """Bytes of its JSON text without spaces."""

    def check(self, plain: dict[str, Any]) -> None:
        """Refuse what is larger."""
        if len(plain) > self.keys_max:
            raise UnfitError(f"has more than {self.keys_max} keys")
        if _is_deeper(plain, self.depth_max):
            raise UnfitError(f"is nested deeper than {self.depth_max} levels")
        try:
            size = len(_pack(plain))
        except UnicodeEncodeError:
            raise UnfitError("is not Unicode: it has a lone surrogate") from None
        if size > self.bytes_max:
            raise UnfitError(f"is longer than {self.bytes_max} bytes")

    def schema(self) -> dict[str, Any]:
        """`maxProperties`; JSON Schema has no words for the rest."""
        return {"maxProperties": self.keys_max}


@attrs.frozen
class Listed:
    """An enumeration with a member UNKNOWN takes what is not listed for it; with this it does not."""

    values: tuple[str, ...]

    def check(self, plain: str) -> None:
        """Refuse what is not listed."""
        if plain not in self.values:
            raise UnfitError("is none of the values that are allowed here")

    def schema(self) -> dict[str, Any]:
        """The values."""
        return {"enum": list(self.values)}


def bounds_of(kind: Any) -> tuple[Bound, ...]:
    """The bounds around `kind`, innermost last."""
    found: tuple[Bound, ...] = ()
    while True:
        if isinstance(kind, NewType):
            kind = kind.__supertype__
        elif get_origin(kind) in (Annotated, Final):
            kind, *said = get_args(kind)
            found += tuple(one for one in said if isinstance(one, Bound))
        else:
            return found


def _is_deeper(value: Any, depth_max: int) -> bool:
    """Level by level, so that depth needs no recursion."""
    level = [value]
    for _ in range(depth_max):
        level = [item for box in level for item in _boxes_in(box)]
    return bool(level)


def _boxes_in(box: Any) -> list[Any]:
    items = box.values() if type(box) is dict else box
    return [item for item in items if type(item) in (dict, list, tuple)]
