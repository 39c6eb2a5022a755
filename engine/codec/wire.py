"""JSON from outside to attrs classes and back: strict, camelCase by rule, every fault with its path."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import msgspec
from cattrs import BaseValidationError

from engine.codec.dialect import Dialect, UnfitError, camel, on_wire, wire_namer
from engine.codec.faults import faults_of
from engine.codec.pairs import plain_of
from engine.codec.readers import REFUSALS, Readers
from engine.codec.schema import schema_of
from engine.codec.text import Limits, parse
from engine.codec.writers import Writers
from engine.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["Limits", "WireCodec", "camel", "on_wire", "schema_of"]

T = TypeVar("T")


class WireCodec:
    """Reads and writes the messages of one API.

    Nothing is coerced, save that an integer is taken where a number is wanted. Unknown fields are
    ignored. An unknown enum value is a fault unless the enum has a member UNKNOWN. Reasons never quote
    values.
    """

    def __init__(self, limits: Limits | None = None, *, rename: Callable[[str], str] = camel) -> None:
        self.limits = limits or Limits()
        self.rename = rename
        self._dialect = Dialect(
            name_of=wire_namer(rename), enums_by_name=False, closed=False, bounded=True, exact=False
        )
        self._quick = Readers(self._dialect, detailed=False)
        self._detailed = Readers(self._dialect, detailed=True)
        self._writers = Writers(self._dialect)
        self._pack = msgspec.json.Encoder().encode

    def decode(self, text: str | bytes, cls: type[T]) -> T:
        """The message in `text`.

        Raises:
            RemoteProtocolError: it is not JSON, beyond a limit, or not a `cls`; all faults are listed.
        """
        return self.decode_value(parse(text, self.limits), cls)

    def decode_value(self, value: Any, cls: type[T], path: str = "$") -> T:
        """The same for a value that is parsed already; `path` is where it stood.

        Raises:
            RemoteProtocolError: it is not a `cls`; all faults are listed.
        """
        read = self._quick.reader(cls)
        try:
            return read(value, None)  # type: ignore[no-any-return]  # a reader makes what it is asked for
        except REFUSALS:
            faults = tuple(islice(self._faults(value, cls, path), self.limits.faults_max))
        # Outside of the clause above: what a validator raised may quote a secret, and would be chained.
        raise RemoteProtocolError(*faults[0], faults)

    def decode_pairs(self, pairs: Iterable[tuple[str, str]], cls: type[T], path: str = "query") -> T:
        """The same for a query or a form: texts are read as what their fields are.

        A field of type `tuple[X, ...]` takes every pair of its name.

        Raises:
            RemoteProtocolError: they are not a `cls`; all faults are listed.
        """
        return self.decode_value(plain_of(pairs, cls, self._dialect), cls, path)

    def _faults(self, value: Any, cls: type, path: str) -> Iterator[tuple[str, str]]:
        """Read again, slowly, for the whole list."""
        try:
            self._detailed.reader(cls)(value, None)
        except (UnfitError, BaseValidationError, RecursionError) as error:
            yield from faults_of(error, self._dialect, path)

    def encode(self, obj: object) -> bytes:
        """`obj` as JSON.

        Raises:
            LocalProtocolError: it holds what JSON does not have, such as NaN.
        """
        value = self.to_value(obj)
        try:
            return self._pack(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise LocalProtocolError(f"{type(obj).__qualname__}: cannot be sent as JSON") from error

    def to_value(self, obj: object) -> Any:
        """`obj` as a plain value: dict, list, str, int, float, bool, None.

        Raises:
            LocalProtocolError: a value does not fit its field.
        """
        try:
            return self._writers.thaw(obj)
        except UnfitError as error:
            raise LocalProtocolError(f"{type(obj).__qualname__}: a value {error.reason}") from error
        except (TypeError, ValueError, AttributeError, RecursionError) as error:
            raise LocalProtocolError(f"{type(obj).__qualname__}: a value does not fit its field") from error
