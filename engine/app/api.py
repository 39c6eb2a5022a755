"""What an API folder in `machines/` offers: its kinds, its words, its endpoints, and its service."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import attrs
import trio

from engine.app.push import Pushes
from engine.app.users import UserDirectory
from engine.codec.records import ENGINE_WORDS, Upcaster
from engine.codec.wire import WireCodec
from engine.errors import LocalProtocolError
from engine.machine.family import Kind
from engine.machine.sayings import sayings
from engine.machine.table import Defer, many
from engine.media.protocol import MediaHost
from engine.runtime.performers import Performer
from engine.runtime.runtime import Runtime
from engine.transport.application import Request, Response, SocketApp
from engine.transport.sockets import Socket
from engine.vocabulary import Address, Command, Event


@attrs.frozen(kw_only=True)
class Bearer:
    """Requests carry a token: `Authorization: Bearer TOKEN`. The service checks it."""

    token_path: str = ""
    """Where a client gets one for its id and secret (OAuth2 client credentials); empty: it has one."""
    scopes: Mapping[str, str] = attrs.field(factory=dict)
    """Each with what it is for."""


@attrs.frozen(kw_only=True, eq=False)
class Endpoint:
    """An HTTP endpoint, as routing, validation, OpenAPI and the docs page read it."""

    method: str
    path: str
    """With `{name}` for a path parameter. Words win over parameters: `/rooms/open` over `/rooms/{id}`."""
    summary: str
    source: str = ""
    """Section of the source document."""
    query: type | None = None
    """Attrs class of the query, for `WireCodec.decode_pairs`."""
    body: type | None = None
    body_type: str = "application/json"
    """Or `application/x-www-form-urlencoded`, for `WireCodec.decode_pairs` too."""
    results: Mapping[int, Any] = attrs.field(factory=dict)
    """What each documented status carries: an attrs class, `str`, `tuple[X, ...]`; None for no JSON."""
    public: bool = False
    """Whether it is used without the token that the API's other endpoints want."""


@attrs.frozen
class Found:
    """The endpoint of a request."""

    endpoint: Endpoint
    parameters: Mapping[str, str] = attrs.field(repr=False)
    """What stands for each `{name}` of its path; percent-decoded, never empty."""


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
class Page:
    """A file for browsers: served by GET, with nothing inline and nothing from elsewhere allowed."""

    package: str
    """The Python package that it is in, such as `machines.conference`."""
    file: str
    """Its path below the package."""
    content_type: str = "text/html; charset=utf-8"


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
    media: MediaHost
    """Opened when it is first asked for something."""
    crew: Any
    """What the API's `crew` yielded: the object that its performers share with the service; else None."""
    stopping: trio.Event
    """Set when the server begins to stop: answer long polls at once. Sockets are closed with 1001 for you."""


@attrs.define(kw_only=True, eq=False)
class Backstage:
    """What the performers of an API are given to work with."""

    media: MediaHost
    """Opened when it is first asked for something."""
    settings: Any
    """The API's own section of the configuration."""
    nursery: trio.Nursery
    """Tasks of the performers; cancelled when the engine is left, after every call's scope."""
    clock: Callable[[], float]
    """UTC seconds."""
    _runtime: Runtime | None = attrs.field(default=None, init=False, repr=False)

    @property
    def runtime(self) -> Runtime:
        """The runtime, which is there before the first performer is asked.

        Raises:
            LocalProtocolError: the crew is still being opened.
        """
        if self._runtime is None:
            raise LocalProtocolError("the runtime is opened after the crews of all APIs")
        return self._runtime

    def tell(self, to: Address, command: Command) -> None:
        """Command a machine outside of any `Ask`, and do not ask what becomes of it.

        Raises:
            LocalProtocolError: the crew is still being opened.
        """
        self.runtime.tell(to, command)

    def enter(self, runtime: Runtime) -> None:
        """The runtime is made."""
        self._runtime = runtime


class Crew(Protocol):
    """The performers of an API, and whatever they share with its service."""

    @property
    def performers(self) -> Mapping[str, Performer]:
        """By port, such as `conference.media`; no two APIs have the same."""


class Service(Protocol):
    """A served API; one that inherits from here leaves out what it has not: sockets, endpoints, gauges."""

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        """Accept a WebSocket at one of the API's routes, or refuse it."""
        raise AssertionError(f"no socket of ours: {socket.path}")

    def respond_nowait(self, request: Request, found: Found) -> Response | None:  # noqa: ARG002 - the port's
        """Answer a request at one of the API's endpoints at once, or leave it to `respond`."""
        return None

    async def respond(self, request: Request, found: Found) -> Response:  # noqa: ARG002 - part of the port
        """Answer a request at one of the API's endpoints; cancelled when its client goes away."""
        raise AssertionError(f"no endpoint of ours: {request.path}")

    def statistics(self) -> Mapping[str, float]:
        """Gauges for `/metrics`, by name; no value of a user in a name."""
        return {}


@attrs.frozen(kw_only=True)
class Development:
    """What `--dev` makes up for an API."""

    settings: Any
    """The settings, with made-up keys."""
    printed: Mapping[str, Any] = attrs.field(repr=False)
    """Credentials to print in the ready line, under the API's name."""
    users: tuple[str, ...] = ()
    """Users to create; their tokens are printed under `users`."""


@attrs.frozen
class NoSettings:
    """The section of an API that has nothing to set."""


@attrs.frozen(kw_only=True, eq=False)
class Api:
    """One folder of `machines/`, or machines of your own.

    Without `open` it is not served: a program that embeds the engine commands its machines.
    """

    name: str
    """Unique among those of an engine; its section of the configuration, and the first word of its kinds."""
    title: str = ""
    """What its source document is called."""
    kinds: tuple[Kind, ...]
    """Its sorts of machines."""
    words: tuple[type, ...]
    """Every class that may be journaled: commands, events, data of machines, and what is in their fields."""
    upcasters: Mapping[tuple[str, int], Upcaster] = attrs.field(factory=dict)
    """What makes records of older schemas readable: by tag and old schema number (`RecordCodec`)."""
    sockets: tuple[SocketRoute, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    pages: Mapping[str, Page] = attrs.field(factory=dict)
    """By path."""
    security: Bearer | None = None
    """What its endpoints want, save public ones; None when they say so themselves, or want nothing."""
    errors: tuple[ErrorCode, ...] = ()
    settings: type = NoSettings
    """Attrs class of the API's section of the configuration; made without arguments for the defaults."""
    lacks: Callable[[Any], Iterable[str]] | None = None
    """What the API's settings lack to be of use, each with the way out; warnings when it is served."""
    webhook: Callable[[Any], Mapping[str, str]] | None = None
    """The part of the API's settings that says where its pushes go; it may be empty."""
    development: Callable[[Any], Development] | None = None
    """What `--dev` makes up, from the API's settings."""
    crew: Callable[[Backstage], AbstractAsyncContextManager[Crew]] | None = None
    """Opens the API's performers, before the runtime: what was asked before a crash is asked again then."""
    media: bool = False
    """Whether `switchhook serve` opens the media host at its start."""
    open: Callable[[Host], AbstractAsyncContextManager[Service]] | None = None
    """Opens the service behind `endpoints` and `sockets`."""
    demo: Callable[..., int] | None = None
    """Run by `switchhook demo`; returns the exit status."""

    def __attrs_post_init__(self) -> None:
        if self.open is None and (self.endpoints or self.sockets):
            raise LocalProtocolError(
                f"the API {self.name} has endpoints or sockets, but no `open` to serve them"
            )
        known = {*self.words, *ENGINE_WORDS}
        missing = dict.fromkeys(word for kind in self.kinds for word in _journaled(kind) if word not in known)
        if missing:
            names = ", ".join(word.__name__ for word in missing)
            raise LocalProtocolError(f"the API {self.name} journals what is not in its `words`: {names}")


def _journaled(kind: Kind) -> Iterator[type]:
    """The events that a machine's reactions name, the commands that lead to them, and those that wait."""
    for row in kind.table.arrows:
        events = [word for word in sayings(row.then) if issubclass(word, Event)]
        yield from (row.on, *events) if events else ()
    for aside in kind.table.asides:
        yield from many(aside.commands) if isinstance(aside, Defer) else ()
