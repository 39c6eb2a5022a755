"""What the server asks of an application, and the words they share."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

if TYPE_CHECKING:
    from engine.transport.sockets import Socket


@attrs.define(eq=False)
class Request:
    """One HTTP request, complete with its body.

    Only method and path print: queries, headers and bodies carry tokens.
    """

    method: str
    path: str
    """Percent-decoded; `raw_path` tells `%2F` from `/`."""
    raw_path: str = attrs.field(repr=False)
    query: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    """Decoded pairs in the order sent."""
    headers: dict[str, str] = attrs.field(repr=False)
    """Lower-case names; repeated ones are joined by a comma (cookies by a semicolon)."""
    body: bytes = attrs.field(repr=False)
    peer: str
    """The client's address without its port: the remote one, or whom a trusted proxy asks for."""
    secure: bool
    """True when it came by TLS."""
    keep_alive: bool = attrs.field(default=True, repr=False)
    """Whether the client wants the connection to stay open."""
    upgrade: bool = attrs.field(default=False, repr=False)
    """True for an opening handshake of a WebSocket."""


@attrs.frozen
class Response:
    """An answer. `headers` may not name what the server itself writes: lengths, dates, connections."""

    status: int
    body: bytes = attrs.field(default=b"", repr=False)
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)


Pending: TypeAlias = Callable[[], Awaitable[Response]]
"""A response that has to be waited for.

Cancelled when the client goes away, and at the end of the grace when the server stops.
"""


class SocketApp(Protocol):
    """Receives what one WebSocket says. Both are called inline by the server and must not block."""

    def on_message(self, socket: "Socket", text: str) -> None:
        """Take one text message. What it raises closes this socket with 1011."""
        ...

    def on_close(self, socket: "Socket", code: int) -> None:
        """Take the end: called exactly once, never from inside `Socket.send` or `Socket.close`.

        `code` is the peer's (1005 when it gave none), ours when we closed, 1006 when the network did.
        """
        ...


class Application(Protocol):
    """What runs behind the server."""

    def respond(self, request: Request) -> Response | Pending:
        """Answer an HTTP request at once, which takes no task, or say how it is waited for."""
        ...

    def open_socket(self, socket: "Socket") -> SocketApp | Response:
        """Accept a WebSocket by returning the receiver of its messages, or refuse it with a response."""
        ...
