"""One page an API: its paths, its messages with their shapes, its error codes."""

from collections.abc import Iterator, Sequence
from typing import Any

from engine.app.api import Api, Endpoint, MessageType, SocketRoute
from engine.app.reference.markdown import code, fenced, page, section, table
from engine.codec.wire import schema_of

_WORDS = {"string": "string", "integer": "int", "number": "number", "boolean": "bool", "null": "null"}


def api_page(api: Api) -> str:
    """The page of one API."""
    return page(
        f"API {api.name}",
        f"Source document: {api.title}."
        " Where the source says nothing, the column `source` is empty or names where a fact comes from.",
        *(_socket(api, route) for route in api.sockets),
        section("HTTP endpoints", _endpoint_table(api.endpoints), *_endpoints(api)),
        *([section("Pages", _page_table(api))] if api.pages else []),
        section("Error codes", error_table(api)),
        section("Machines", "\n".join(f"- [{kind.name}](machine-{kind.name}.md)" for kind in api.kinds)),
    )


def error_table(api: Api) -> str:
    """The error codes and whose they are."""
    rows = [[str(one.code), code(str(one.reason)), one.message, one.source or "ours"] for one in api.errors]
    return table(["code", "reason", "message", "from"], sorted(rows, key=lambda row: int(row[0])))


def message_table(api: Api) -> str:
    """The messages of all sockets, without their shapes."""
    rows = [
        [code(one.name), "to server" if one.to_server else "to client", one.summary, one.source or "ours"]
        for route in api.sockets
        for one in route.messages
    ]
    return table(["message", "direction", "what it is", "from"], rows)


def shape_text(cls: Any) -> str:
    """The JSON form of `cls`, in the notation of the source documents; `?` marks what may be missing."""
    schema = schema_of(cls)
    return "\n".join(_shape(schema, schema.get("$defs", {}), 0))


def _socket(api: Api, route: SocketRoute) -> str:
    return section(
        f"WebSocket {code(route.path)}",
        message_table(api),
        *(_message(one) for one in route.messages),
    )


def _message(message: MessageType) -> str:
    parts = [f"{message.summary}." + (f" Source: {message.source}." if message.source else " Ours.")]
    if message.data is not None:
        parts += ["`data`:", fenced(shape_text(message.data), "text")]
    if message.answer is not None:
        parts += ["`data` of the answer:", fenced(shape_text(message.answer), "text")]
    return section(code(message.name), *parts, level=3)


def _endpoint_table(endpoints: Sequence[Endpoint]) -> str:
    rows = [[code(f"{one.method} {one.path}"), one.summary, one.source or "ours"] for one in endpoints]
    return table(["endpoint", "what it does", "from"], rows)


def _page_table(api: Api) -> str:
    rows = [[code(f"GET {path}"), code(one.file), one.content_type] for path, one in api.pages.items()]
    return table(["path", "file", "type"], rows)


def _endpoints(api: Api) -> Iterator[str]:
    for one in api.endpoints:
        parts = [f"{one.summary}."]
        if api.security is not None:
            parts.append("Without a token." if one.public else "With `Authorization: Bearer TOKEN`.")
        if one.query is not None:
            parts += ["Query:", fenced(shape_text(one.query), "text")]
        if one.body is not None:
            form = "" if one.body_type == "application/json" else f" ({code(one.body_type)})"
            parts += [f"Body{form}:", fenced(shape_text(one.body), "text")]
        for status, shape in sorted(one.results.items()):
            parts.append(f"Status {status}:" if shape is not None else f"Status {status}, without a body.")
            if shape is not None:
                parts.append(fenced(shape_text(shape), "text"))
        yield section(code(f"{one.method} {one.path}"), *parts, level=3)


def _shape(schema: dict[str, Any], named: dict[str, Any], depth: int) -> Iterator[str]:
    """The lines of a schema's form; the first and the last stand at no indent of their own."""
    if "$ref" in schema:
        yield from _shape(named[schema["$ref"].rpartition("/")[2]], named, depth)
    elif schema.get("type") == "object" and "properties" in schema:
        yield from _object(schema, named, depth)
    elif schema.get("type") == "array" and "items" in schema:
        lines = [*_shape(schema["items"], named, depth)]
        lines[0] = "[" + lines[0]
        lines[-1] += "]"
        yield from lines
    elif "anyOf" in schema:
        kinds = [one for one in schema["anyOf"] if one.get("type") != "null"]
        if len(kinds) == 1:
            yield from _shape(kinds[0], named, depth)
        else:
            yield " or ".join(line for one in kinds for line in _shape(one, named, depth))
    elif "enum" in schema:
        yield " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in schema["enum"])
    elif "additionalProperties" in schema:
        first, *rest = _shape(schema["additionalProperties"], named, depth)
        yield f"map of {first}"
        yield from rest
    else:
        yield _WORDS.get(schema.get("type", ""), "any")


def _object(schema: dict[str, Any], named: dict[str, Any], depth: int) -> Iterator[str]:
    if not schema["properties"]:
        yield "{}"
        return
    yield "{"
    required = schema.get("required", ())
    indent = "  " * (depth + 1)
    for name, inner in schema["properties"].items():
        first, *rest = _shape(inner, named, depth + 1)
        yield f'{indent}"{name}"{"" if name in required else "?"}: {first}'
        yield from rest
    yield "  " * depth + "}"
