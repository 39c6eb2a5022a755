"""What an API folder in `machines/` offers: its kinds, its words, its endpoints, and its service."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

import attrs
import trio

from engine.app.push import Pushes
from engine.app.users import UserDirectory
from engine.codec.wire import WireCodec
from engine.machine.family import Kind
from engine.runtime.runtime import Runtime
from engine.transport.application import Request, Response, SocketApp
from engine.transport.sockets import Socket


@attrs.frozen(kw_only=True)
class Endpoint:
    """An HTTP endpoint, as routing, validation, OpenAPI and the docs page read it."""

    method: str
    path: str
    """With `{name}` for a path parameter."""
    summary: str
    source: str = ""
    """Section of the source document."""
    body: type | None = None
    results: Mapping[int, type | None] = attrs.field(factory=dict)
    """What each documented status carries."""


@attrs.frozen(kw_only=True)
class MessageType:
    """A message of a WebSocket."""

    name: str
    summary: str
    to_server: bool
    data: type | None = None
    """Shape of `data` of a request or an event."""
    answer: type | None = None
    """Shape of `data` of the answer to a request."""
    source: str = ""
    """Section of the source document; empty for what is ours."""


@attrs.frozen(kw_only=True)
class SocketRoute:
    """A path at which WebSockets are accepted."""

    path: str
    summary: str
    messages: tuple[MessageType, ...]


@attrs.frozen(kw_only=True)
class ErrorCode:
    """An error as a client sees it."""

    reason: str
    code: int
    message: str
    source: str = ""
    """Section of the source document; empty for a code of ours."""


@attrs.frozen(kw_only=True, eq=False)
class Host:
    """What a service is given to work with."""

    runtime: Runtime
    users: UserDirectory
    codec: WireCodec
    settings: Any
    """The API's own section of the configuration."""
    pushes: Pushes
    """Who is reached without a socket. Machines push by `Ask("<api>.push", Push(...))`."""
    nursery: trio.Nursery
    """Tasks of the service; cancelled when the engine is left."""
    clock: Callable[[], float]
    """UTC seconds."""


Respond: TypeAlias = Callable[[Request], "Response | None"]


class Service(Protocol):
    """A served API."""

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        """Accept a WebSocket at one of the API's routes, or refuse it."""

    def respond_nowait(self, request: Request) -> Response | None:
        """Answer a request at one of the API's endpoints at once, or leave it to `respond`."""

    async def respond(self, request: Request) -> Response:
        """Answer a request at one of the API's endpoints."""

    def statistics(self) -> Mapping[str, float]:
        """Gauges for `/metrics`, by name; no value of a user in a name."""


@attrs.frozen(kw_only=True)
class Development:
    """What `--dev` makes up for an API."""

    settings: Any
    """The settings, with made-up keys."""
    printed: Mapping[str, Any] = attrs.field(repr=False)
    """Credentials to print in the ready line, under the API's name."""
    users: tuple[str, ...] = ()
    """Users to create; their tokens are printed under `users`."""


@attrs.frozen(kw_only=True, eq=False)
class Api:
    """One folder of `machines/`."""

    name: str
    title: str
    kinds: tuple[Kind, ...]
    words: tuple[type, ...]
    """Every class that may be journaled."""
    sockets: tuple[SocketRoute, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    errors: tuple[ErrorCode, ...] = ()
    settings: type
    """Attrs class of the API's section of the configuration; made without arguments for the defaults."""
    webhook: Callable[[Any], Mapping[str, str]] | None = None
    """The part of the API's settings that says where its pushes go; it may be empty."""
    development: Callable[[Any], Development] | None = None
    """What `--dev` makes up, from the API's settings."""
    open: Callable[[Host], AbstractAsyncContextManager[Service]]
    demo: Callable[..., int] | None = None
    """Run by `switchhook demo`; returns the exit status."""
