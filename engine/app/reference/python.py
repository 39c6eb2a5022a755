"""The page of the public Python names."""

import inspect
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any

import attrs

import engine
from engine.app.reference.markdown import code, fenced, page, section, table
from engine.app.reference.source import alias_of, fields_of, methods_of, signature_of

_GROUPS = {
    "Running calls": ("engine.app.engine", "engine.app.configuration", "engine.app.users", "engine.runtime"),
    "Writing a machine": ("engine.machine", "engine.vocabulary", "engine.effects"),
    "Serving an API": ("engine.app.api", "engine.app.routes"),
    "Exceptions": ("engine.errors",),
}


def python_page() -> str:
    """Every public name, as it was written."""
    places = {name: _place_of(name) for name in engine.__all__}
    return page(
        "Python names",
        "Each can be imported from `engine`, for example `from engine import open_engine`. Importing "
        "`engine` itself costs nothing: a name is loaded when it is first used.",
        *(
            section(title, *(_entry(*one) for one in places.items() if one[1].startswith(group)))
            for title, group in _GROUPS.items()
        ),
    )


def _place_of(name: str) -> str:
    found = getattr(engine, name)
    is_alias = typing.get_origin(found) is not None
    # An alias does not know where it was defined.
    return engine._PLACES[name] if is_alias else str(found.__module__)


def _entry(name: str, place: str) -> str:
    found: Any = getattr(engine, name)
    if typing.get_origin(found) is not None:
        value, text = alias_of(place, name)
        parts = [fenced(f"{name} = {value}", "text"), text]
    elif inspect.isclass(found):
        parts = [*_class(found)]
    else:
        parts = [fenced(signature_of(found), "text"), prose(inspect.getdoc(found) or "")]
    return section(code(name), f"In `{place}`.", *parts, level=3)


def _class(cls: type) -> Iterator[str]:
    yield prose(_own_doc(cls))
    if issubclass(cls, Enum):
        yield table(["member", "value"], [[code(one.name), code(str(one.value))] for one in cls])
        return
    if attrs.has(cls) or cls.__name__ in ("Snapshot", "Step"):
        rows = [[code(one.name), code(one.annotation), code(one.default), one.text] for one in fields_of(cls)]
        yield table(["field", "type", "default", "meaning"], rows)
    for _, signature, text in methods_of(cls):
        yield fenced(signature, "text")
        yield prose(text)


def _own_doc(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def prose(text: str) -> str:
    """A docstring as Markdown: its `Raises:` and `Args:` parts keep their lines."""
    plain, *listed = text.split("\n\n")
    parts = [plain]
    for part in listed:
        head, _, rest = part.partition("\n")
        if head in ("Raises:", "Args:", "Raises, from each request:"):
            parts.append(f"{head}\n\n" + "\n".join(f"- {line}" for line in _items(rest)))
        else:
            parts.append(part)
    return "\n\n".join(parts)


def _items(text: str) -> Iterator[str]:
    """The entries of such a part; a line that is indented further goes on with the one before."""
    entry = ""
    for line in inspect.cleandoc(text).splitlines():
        if entry and not line.startswith(" "):
            yield entry
            entry = line
        else:
            entry = f"{entry} {line.strip()}".strip()
    if entry:
        yield entry
