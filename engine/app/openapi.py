"""The OpenAPI 3.1 document, made from the tables of endpoints."""

from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attrs

from engine.app.api import Api, Bearer, Endpoint, SocketRoute
from engine.codec.wire import schema_of
from engine.errors import LocalProtocolError

_OWN = {
    "/healthz": ("Is the process up", {"200": "It is"}),
    "/readyz": (
        "Is the journal writable, and has recovery ended",
        {"200": "Ready", "503": "Not ready; the body says which part"},
    ),
    "/metrics": ("Figures in the Prometheus text format", {"200": "The figures"}),
    "/openapi.json": ("This document", {"200": "This document"}),
}


def openapi_document(apis: Sequence[Api]) -> dict[str, Any]:
    """The document for what one port serves.

    Raises:
        LocalProtocolError: two classes of an API have one name and are not alike.
    """
    paths: dict[str, Any] = {
        path: {
            "get": {
                "summary": summary,
                "tags": ["engine"],
                "responses": {status: {"description": text} for status, text in results.items()},
            }
        }
        for path, (summary, results) in _OWN.items()
    }
    schemas: dict[str, Any] = {}
    for api in apis:
        book = _Book(api.name, schemas)
        for endpoint in api.endpoints:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(api, endpoint, book)
        for route in api.sockets:
            paths.setdefault(route.path, {})["get"] = _socket(api, route, book)
    security = {name: scheme for api in apis for name, scheme in _schemes(api).items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "switchhook", "version": own_version()},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": security},
    }


def own_version() -> str:
    """The installed version of the distribution."""
    try:
        return version("switchhook")
    except PackageNotFoundError:
        return "0"


class _Book:
    """The schemas of one API, among those of the document. Names of two APIs do not meet."""

    def __init__(self, api: str, schemas: dict[str, Any]) -> None:
        self._prefix = f"{api}."
        self._schemas = schemas

    def schema(self, shape: Any) -> dict[str, Any]:
        """A reference to the schema of a class; the schema itself of another type."""
        schema = self.inline(shape)
        if not attrs.has(shape):
            return schema
        self._add(shape.__name__, schema)
        return {"$ref": self._ref + shape.__name__}

    def inline(self, shape: Any) -> dict[str, Any]:
        """The schema; the classes inside are referred to."""
        schema = schema_of(shape, ref=self._ref)
        del schema["$schema"]
        for name, inner in schema.pop("$defs", {}).items():
            self._add(name, inner)
        return schema

    @property
    def _ref(self) -> str:
        return f"#/components/schemas/{self._prefix}"

    def _add(self, name: str, schema: dict[str, Any]) -> None:
        if self._schemas.setdefault(self._prefix + name, schema) != schema:
            raise LocalProtocolError(f"two classes of the API {self._prefix[:-1]} are called {name}")


def _operation(api: Api, endpoint: Endpoint, book: _Book) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "tags": [api.name],
        "responses": {
            str(status): {"description": _described(endpoint, status), **_content(shape, book)}
            for status, shape in (endpoint.results or {200: None}).items()
        },
    }
    for status, text in _of_the_server(endpoint).items():
        operation["responses"].setdefault(status, {"description": text})
    parameters = [*_path_parameters(endpoint.path), *_query_parameters(endpoint.query, book)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        operation["requestBody"] = {
            "required": True,
            **_content(endpoint.body, book, endpoint.body_type),
        }
    if api.security is not None:
        operation["security"] = [] if endpoint.public else _wanted(api.name, api.security)
    return operation


def _of_the_server(endpoint: Endpoint) -> dict[str, str]:
    """What the server answers before the service sees the request."""
    head = {"431": "Request line and headers are larger than the server takes"}
    return head if endpoint.body is None else {"413": "The body is larger than the server takes", **head}


def _described(endpoint: Endpoint, status: int) -> str:
    return endpoint.summary if status < 300 else HTTPStatus(status).phrase


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    schema = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _query_parameters(query: type | None, book: _Book) -> list[dict[str, Any]]:
    if query is None:
        return []
    schema = book.inline(query)
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(inner)}
        for name, inner in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query cannot say null; it leaves the parameter out."""
    members = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if not members:
        return schema
    return members[0] if len(members) == 1 else {"anyOf": members}


def _content(shape: Any, book: _Book, content_type: str = "application/json") -> dict[str, Any]:
    if shape is None:
        return {}
    return {"content": {content_type: {"schema": book.schema(shape)}}}


def _schemes(api: Api) -> dict[str, Any]:
    if api.security is None:
        return {}
    schemes: dict[str, Any] = {f"{api.name}.bearer": {"type": "http", "scheme": "bearer"}}
    if api.security.token_path:
        flow = {"tokenUrl": api.security.token_path, "scopes": dict(api.security.scopes)}
        schemes[f"{api.name}.oauth2"] = {"type": "oauth2", "flows": {"clientCredentials": flow}}
    return schemes


def _wanted(api: str, security: Bearer) -> list[dict[str, list[str]]]:
    """Either will do: the token is the same, however the client came by it."""
    names = [f"{api}.bearer", *([f"{api}.oauth2"] if security.token_path else [])]
    return [{name: []} for name in names]


def _socket(api: Api, route: SocketRoute, book: _Book) -> dict[str, Any]:
    """A WebSocket has no form of its own in OpenAPI: its messages go into an extension."""
    messages = {}
    for message in route.messages:
        entry: dict[str, Any] = {
            "summary": message.summary,
            "direction": "to server" if message.to_server else "to client",
        }
        if message.data is not None:
            entry["data"] = book.schema(message.data)
        if message.answer is not None:
            entry["answer"] = book.schema(message.answer)
        messages[message.name] = entry
    return {
        "summary": route.summary,
        "tags": [api.name],
        "responses": {
            "101": {"description": "The socket is open"},
            "426": {"description": "This path is a WebSocket"},
        },
        "x-messages": messages,
    }
