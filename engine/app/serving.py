"""The application behind the port: health, metrics, the OpenAPI document, and the APIs by their paths."""

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec
import trio

from engine.app.api import Api, Found, Service
from engine.app.metrics import exposition
from engine.app.openapi import openapi_document
from engine.app.origins import Origins
from engine.app.pages import Pages
from engine.app.push import Pushes
from engine.app.routes import Routes
from engine.media.protocol import MediaHost
from engine.runtime.runtime import Runtime
from engine.transport.application import Pending, Request, Response, SocketApp
from engine.transport.sockets import Socket

READY_SECONDS = 2.0
"""A disk that takes longer to take a write is not ready for calls."""

_OWN = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})
_READING = frozenset({"GET", "HEAD"})


class EngineApplication:
    """Routes what comes in to the services; knows no API by name."""

    def __init__(
        self,
        runtime: Runtime,
        apis: Sequence[Api],
        services: Mapping[str, Service],
        pushes: Mapping[str, Pushes],
        origins: Origins,
        media: MediaHost,
    ) -> None:
        self._runtime = runtime
        self._media = media
        self._services = services
        self._routes = Routes(endpoint for api in apis for endpoint in api.endpoints)
        self._owners = {endpoint: services[api.name] for api in apis for endpoint in api.endpoints}
        self._pushes = pushes
        self._origins = origins
        self._sockets = {route.path: services[api.name] for api in apis for route in api.sockets}
        endpoints = {endpoint.path for endpoint in self._owners}
        self._pages = Pages(apis, _OWN | self._sockets.keys() | endpoints)
        self._document = msgspec.json.encode(openapi_document(apis))

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        """Hand a WebSocket to the service of its path."""
        service = self._sockets.get(socket.path)
        if service is None:
            return _problem(404, "not_found", f"no WebSocket at this path; there is {self._paths()}")
        if not self._origins.admits(socket.headers):
            return _problem(403, "origin_not_allowed", "the server does not allow pages of this origin")
        return service.open_socket(socket)

    def respond(self, request: Request) -> Response | Pending:
        """Answer at once, or say what has to be waited for: readiness, and much of what the services say."""
        response = self._respond(request)
        if isinstance(response, Response):
            return self._origins.marked(request, response)
        return partial(self._wait, request, response)

    async def _wait(self, request: Request, pending: Pending) -> Response:
        return self._origins.marked(request, await pending())

    def _respond(self, request: Request) -> Response | Pending:
        own = self._own(request)
        if own is not None:
            return own
        found = self._routes.find(request)
        if found is not None:
            return self._ask(self._owners[found.endpoint], request, found)
        methods = self._routes.methods(request)
        if methods:
            return self._origins.preflight(request, methods) or _not_allowed(methods)
        if request.path in self._sockets:
            return _problem(426, "upgrade_required", "this path is a WebSocket")
        return _problem(404, "not_found", "no such path; GET /openapi.json lists them")

    def _ask(self, service: Service, request: Request, found: Found) -> Response | Pending:
        return service.respond_nowait(request, found) or partial(service.respond, request, found)

    def _own(self, request: Request) -> Response | Pending | None:
        if request.path not in _OWN and request.path not in self._pages:
            return None
        if request.method not in _READING:
            return self._origins.preflight(request, _READING) or _not_allowed(_READING)
        if request.path == "/healthz":
            return Response(200, b'{"status":"up"}')
        if request.path == "/readyz":
            return self._ready
        if request.path == "/metrics":
            text = exposition(self._runtime, self._services, self._pushes, self._media.figures)
            return Response(200, text, content_type="text/plain; version=0.0.4; charset=utf-8")
        if request.path == "/openapi.json":
            return Response(200, self._document)
        return self._pages.respond(request)

    async def _ready(self) -> Response:
        writable = False
        with trio.move_on_after(READY_SECONDS):
            writable = await self._runtime.journal.writable()
        ready = writable and self._runtime.recovered
        body = {"ready": ready, "journal_writable": writable, "recovered": self._runtime.recovered}
        return Response(200 if ready else 503, msgspec.json.encode(body))

    def _paths(self) -> str:
        return ", ".join(sorted(self._sockets))


def _not_allowed(methods: frozenset[str]) -> Response:
    allowed = ", ".join(sorted(methods))
    body = _body("method_not_allowed", f"this path has {allowed}")
    return Response(405, body, headers=(("allow", allowed),))


def _problem(status: int, error: str, description: str) -> Response:
    return Response(status, _body(error, description))


def _body(error: str, description: str) -> bytes:
    return msgspec.json.encode({"error": error, "error_description": description})
