"""The application behind the port: health, metrics, the OpenAPI document, and the APIs by their paths."""

from collections.abc import Mapping, Sequence

import msgspec
import trio

from engine.app.api import Api, Service
from engine.app.metrics import exposition
from engine.app.openapi import openapi_document
from engine.app.push import Pushes
from engine.runtime.runtime import Runtime
from engine.transport.application import Request, Response, SocketApp
from engine.transport.sockets import Socket

READY_SECONDS = 2.0
"""A disk that takes longer to take a write is not ready for calls."""

_READING = frozenset({"GET", "HEAD"})


class EngineApplication:
    """Routes what comes in to the services; knows no API by name."""

    def __init__(
        self,
        runtime: Runtime,
        apis: Sequence[Api],
        services: Mapping[str, Service],
        pushes: Mapping[str, Pushes],
    ) -> None:
        self._runtime = runtime
        self._apis = apis
        self._services = services
        self._pushes = pushes
        self._sockets = {route.path: services[api.name] for api in apis for route in api.sockets}
        self._documents = {"/openapi.json": msgspec.json.encode(openapi_document(apis))}

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        """Hand a WebSocket to the service of its path."""
        service = self._sockets.get(socket.path)
        if service is None:
            return _problem(404, "not_found", f"no WebSocket at this path; there is {self._paths()}")
        return service.open_socket(socket)

    def respond_nowait(self, request: Request) -> Response | None:
        """Answer what needs no waiting."""
        own = self._own(request)
        if own is not None:
            return own
        if request.path == "/readyz":
            return None
        service, methods = self._service(request.path)
        if service is None:
            if request.path in self._sockets:
                return _problem(426, "upgrade_required", "this path is a WebSocket")
            return _problem(404, "not_found", "no such path; GET /openapi.json lists them")
        if request.method not in methods:
            return _not_allowed(methods)
        return service.respond_nowait(request)

    async def respond(self, request: Request) -> Response:
        """Answer what has to wait: readiness, and the services' own."""
        if request.path == "/readyz":
            return await self._ready()
        service, _ = self._service(request.path)
        assert service is not None, "respond_nowait has answered what belongs to nobody"
        return await service.respond(request)

    def _own(self, request: Request) -> Response | None:
        if request.path not in ("/healthz", "/readyz", "/metrics", *self._documents):
            return None
        if request.method not in _READING:
            return _not_allowed(_READING)
        if request.path == "/healthz":
            return Response(200, b'{"status":"up"}')
        if request.path == "/metrics":
            text = exposition(self._runtime, self._services, self._pushes)
            return Response(200, text, content_type="text/plain; version=0.0.4; charset=utf-8")
        if request.path in self._documents:
            return Response(200, self._documents[request.path])
        return None

    async def _ready(self) -> Response:
        writable = False
        with trio.move_on_after(READY_SECONDS):
            writable = await self._runtime.journal.writable()
        ready = writable and self._runtime.recovered
        body = {"ready": ready, "journal_writable": writable, "recovered": self._runtime.recovered}
        return Response(200 if ready else 503, msgspec.json.encode(body))

    def _service(self, path: str) -> tuple[Service | None, frozenset[str]]:
        """Whose path it is, and the methods that it has."""
        for api in self._apis:
            methods = {endpoint.method for endpoint in api.endpoints if _matches(endpoint.path, path)}
            if methods:
                return self._services[api.name], frozenset(
                    methods | ({"HEAD"} if "GET" in methods else set())
                )
        return None, frozenset()

    def _paths(self) -> str:
        return ", ".join(sorted(self._sockets))


def _matches(pattern: str, path: str) -> bool:
    parts, asked = pattern.split("/"), path.split("/")
    return len(parts) == len(asked) and all(
        part == word or (part.startswith("{") and word) for part, word in zip(parts, asked, strict=True)
    )


def _not_allowed(methods: frozenset[str]) -> Response:
    allowed = ", ".join(sorted(methods))
    body = _body("method_not_allowed", f"this path has {allowed}")
    return Response(405, body, headers=(("allow", allowed),))


def _problem(status: int, error: str, description: str) -> Response:
    return Response(status, _body(error, description))


def _body(error: str, description: str) -> bytes:
    return msgspec.json.encode({"error": error, "error_description": description})
