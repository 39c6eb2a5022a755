"""JSON Schema (2020-12) of attrs classes, for OpenAPI and the docs; it says what the wire form says."""

from collections.abc import Callable
from enum import Enum
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import attrs

from engine.codec.bounds import bounds_of
from engine.codec.dialect import bare, camel, fields_of, is_mapping, is_union, no_form, wire_namer

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    NoneType: {"type": "null"},
    Any: {},
}


def schema_of(cls: Any, *, rename: Callable[[str], str] = camel, ref: str = "#/$defs/") -> dict[str, Any]:
    """The schema of `cls`, or of another type with a form; classes inside are under `$defs`, named by `ref`.

    For OpenAPI, give `ref="#/components/schemas/"` and move `$defs` there.

    Raises:
        CodecError: a type in it has no form outside, or two classes share a name.
    """
    book = _Book(rename, ref)
    schema = book.object_of(cls) if attrs.has(cls) else book.schema(cls)
    definitions = {"$defs": book.definitions} if book.definitions else {}
    return {"$schema": DIALECT, **schema, **definitions}


class _Book:
    """Collects the definitions of nested classes."""

    def __init__(self, rename: Callable[[str], str], ref: str) -> None:
        self.definitions: dict[str, Any] = {}
        self._classes: dict[str, type] = {}
        self._name_of = wire_namer(rename)
        self._ref = ref

    def object_of(self, cls: type) -> dict[str, Any]:
        fields = fields_of(cls)
        required = [self._name_of(field) for field in fields if field.default is attrs.NOTHING]
        return {
            "title": cls.__name__,
            "type": "object",
            "properties": {self._name_of(field): self.schema(field.type) for field in fields},
            **({"required": required} if required else {}),
        }

    def schema(self, kind: Any) -> dict[str, Any]:
        schema = self._unbounded(bare(kind))
        for bound in bounds_of(kind):
            schema |= bound.schema()
        return schema

    def _unbounded(self, kind: Any) -> dict[str, Any]:
        origin, inner = get_origin(kind), get_args(kind)
        if kind in _SCALARS:
            return dict(_SCALARS[kind])
        if is_union(kind):
            return {"anyOf": [self.schema(member) for member in inner]}
        if origin is tuple:
            return self._tuple(inner)
        if origin is frozenset:
            return {"type": "array", "items": self.schema(inner[0]), "uniqueItems": True}
        if is_mapping(kind):
            return {"type": "object", "additionalProperties": self.schema(inner[1])}
        if origin is Literal:
            return {"enum": list(inner)}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return self._enum(kind)
        if isinstance(kind, type) and attrs.has(kind):
            return self._reference(kind)
        raise no_form(kind)

    def _enum(self, cls: type[Enum]) -> dict[str, Any]:
        return {"title": cls.__name__, "enum": [member.value for member in cls]}

    def _tuple(self, inner: tuple[Any, ...]) -> dict[str, Any]:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return {"type": "array", "items": self.schema(inner[0])}
        items = [self.schema(kind) for kind in inner]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}

    def _reference(self, cls: type) -> dict[str, Any]:
        name = cls.__name__
        if self._classes.setdefault(name, cls) is not cls:
            raise no_form(f"{cls.__module__}.{name}, because another class has its name,")
        if name not in self.definitions:
            # Entered before it is made, so that a class that holds itself ends here.
            self.definitions[name] = {}
            self.definitions[name] = self.object_of(cls)
        return {"$ref": self._ref + name}
