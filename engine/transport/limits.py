"""Every limit of the server, in one place; each has a policy, named where it is reached."""

import re

import attrs
from attrs.validators import gt

from engine.transport.proxies import network_of

KIB = 1024
MIB = 1024 * KIB
ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://[a-z0-9._-]+(:[0-9]+)?|[a-z][a-z0-9+.-]*://\[[0-9a-f:]+\](:[0-9]+)?"
)
"""Scheme, host and perhaps a port: lower case, and no slash at the end."""


def _positive(default: float) -> float:
    """A field that must be above zero. Typed as its value, like `attrs.field`."""
    field: float = attrs.field(default=default, validator=gt(0))
    return field


def _count(default: int) -> int:
    """A whole number above zero."""
    field: int = attrs.field(default=default, validator=(attrs.validators.instance_of(int), gt(0)))
    return field


def _origins(_limits: object, _field: object, value: tuple[str, ...]) -> None:
    for origin in value:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ValueError("must be `*` or origins as browsers write them, such as https://app.example.org")


def _networks(_limits: object, _field: object, value: tuple[str, ...]) -> None:
    for one in value:
        try:
            network_of(one)
        except ValueError as error:
            raise ValueError("must be addresses or networks, such as 127.0.0.1 or 10.0.0.0/8") from error


@attrs.frozen(kw_only=True)
class Limits:
    """What one server grants its clients, and a client link its server. Sizes in bytes, times in seconds."""

    head_bytes_max: int = _count(32 * KIB)
    """Request line and headers together; more is answered 431."""
    body_bytes_max: int = _count(MIB)
    """A request's body after chunk decoding; more is answered 413."""
    message_bytes_max: int = _count(MIB)
    """One WebSocket message with all its fragments; more closes with 1009."""
    outbox_messages_max: int = _count(256)
    """Messages a socket may leave unread in our memory; one more closes it with 1013."""
    outbox_bytes_max: int = _count(MIB)
    """Bytes a socket may leave unread in our memory; more closes it with 1013."""
    inbox_messages_max: int = _count(64)
    """Messages a client link holds until the application takes them; then the peer has to wait."""
    sockets_max: int = _count(20_000)
    """Open WebSockets; one more upgrade is answered 503."""
    connections_max: int = _count(25_000)
    """All connections; at this number none is accepted until one ends, and clients wait in the backlog."""
    accept_backlog: int = _count(1024)
    """Connections the kernel holds before they are accepted."""
    handshake_seconds: float = _positive(10.0)
    """From accept to the end of the first head (TLS included); for a later head from its first byte."""
    request_seconds: float = _positive(30.0)
    """From a request's first byte to its last; then 408."""
    idle_seconds: float = _positive(75.0)
    """Keep-alive between two requests, and a response of which the client takes nothing."""
    ping_seconds: float = _positive(20.0)
    """A socket that was silent so long is pinged."""
    pong_seconds: float = _positive(20.0)
    """A pinged socket that stays silent so long is dropped, with 1006."""
    close_seconds: float = _positive(5.0)
    """How long a closed connection may take to read our last bytes and close its side."""
    grace_seconds: float = _positive(5.0)
    """How long requests in flight may take after a stop was asked for."""
    allowed_origins: tuple[str, ...] = attrs.field(default=(), validator=_origins)
    """Whose pages may use it besides its own, such as `https://app.example.org`; `*` is everybody's."""
    trusted_proxies: tuple[str, ...] = attrs.field(default=(), validator=_networks)
    """Proxies whose `X-Forwarded-For` says who the client is: addresses, or networks such as `10.0.0.0/8`."""
