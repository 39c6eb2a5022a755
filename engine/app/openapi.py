"""The OpenAPI 3.1 document, made from the tables of endpoints."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from engine.app.api import Api, Endpoint, SocketRoute
from engine.codec.wire import schema_of

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
    """The document for what one port serves."""
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
    for api in apis:
        for endpoint in api.endpoints:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(api, endpoint)
        for route in api.sockets:
            paths.setdefault(route.path, {})["get"] = _socket(api, route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "switchhook", "version": own_version()},
        "paths": paths,
    }


def own_version() -> str:
    """The installed version of the distribution."""
    try:
        return version("switchhook")
    except PackageNotFoundError:
        return "0"


def _operation(api: Api, endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "tags": [api.name],
        "responses": {
            str(status): {"description": endpoint.summary, **_content(shape)}
            for status, shape in (endpoint.results or {200: None}).items()
        },
    }
    names = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, **_content(endpoint.body)}
    return operation


def _content(shape: type | None) -> dict[str, Any]:
    if shape is None:
        return {}
    return {"content": {"application/json": {"schema": schema_of(shape)}}}


def _socket(api: Api, route: SocketRoute) -> dict[str, Any]:
    """A WebSocket has no form of its own in OpenAPI: its messages go into an extension."""
    messages = {}
    for message in route.messages:
        entry: dict[str, Any] = {
            "summary": message.summary,
            "direction": "to server" if message.to_server else "to client",
        }
        if message.data is not None:
            entry["data"] = schema_of(message.data)
        if message.answer is not None:
            entry["answer"] = schema_of(message.answer)
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
