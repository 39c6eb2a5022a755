"""Listening sockets: their addresses, and accepting without ever spinning."""

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING

import structlog
import trio

from engine.errors import ConfigurationError, TransportError
from engine.transport.connection import Connection

if TYPE_CHECKING:
    from engine.transport.server import Server

ACCEPTS_MAX = 64
"""Connections accepted in one turn."""
_ADVICE = {
    errno.EADDRINUSE: "; stop what listens there, or choose another port (0 takes a free one)",
    errno.EADDRNOTAVAIL: "; no interface has this address, 0.0.0.0 is all of them",
    errno.EACCES: "; ports below 1024 need a right of their own, or a proxy in front",
}
"""The way out of what goes wrong at a start."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = structlog.get_logger(__name__)


def parse_address(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[IPV6]:PORT`.

    Raises: ConfigurationError: it is neither.
    """
    host, _, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (
        not bare
        or not port.isascii()
        or not port.isdigit()
        or int(port) > 65535
        or (bare == host and ":" in host)
    ):
        raise ConfigurationError("listen", f"{address!r} is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:0")
    return bare, int(port)


async def open_listeners(address: str, backlog: int) -> list[socket.socket]:
    """Bind every address that the host stands for.

    Raises: ConfigurationError: no such host. TransportError: the port cannot be had.
    """
    host, port = parse_address(address)
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigurationError("listen", f"{host!r} is no host of this machine") from error
    sockets: list[socket.socket] = []
    try:
        for family, kind, number, _, target in found:
            sockets.append(socket.socket(family, kind, number))
            _bind(sockets[-1], target, backlog)
    except OSError as error:
        for sock in sockets:
            sock.close()
        advice = _ADVICE.get(error.errno or 0, "")
        raise TransportError(f"cannot listen on {address}: {error.strerror}{advice}") from error
    return sockets


def _bind(sock: socket.socket, target: tuple[object, ...], backlog: int) -> None:
    sock.settimeout(0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(target)
    sock.listen(backlog)


def url_of(sock: socket.socket, secure: bool) -> str:
    """Where a listening socket is reached."""
    host, port = sock.getsockname()[:2]
    host = f"[{host}]" if ipaddress.ip_address(host.partition("%")[0]).version == 6 else host
    return f"{'https' if secure else 'http'}://{host}:{port}"


class Listener:
    """Accepts connections while there is room for them."""

    def __init__(self, sock: socket.socket, server: "Server") -> None:
        self._sock = sock
        self._server = server
        self._fd = sock.fileno()
        self.paused = False
        server.poller.watch(self._fd, self, reading=True, writing=False)

    def ready(self, _gone: bool, /) -> None:
        """Accept what waits."""
        for _ in range(ACCEPTS_MAX):
            if self._server.full:
                self._pause()
                return
            try:
                sock, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in EXHAUSTED:
                    # The client stays in the backlog, which keeps the listener ready: without a pause
                    # this would spin.
                    log.warning("accept_exhausted", reason=errno.errorcode[error.errno])
                    self._pause()
                    return
                # A connection that died in the backlog reports its own error here.
                continue
            self._open(sock, str(address[0]))

    def _open(self, sock: socket.socket, peer: str) -> None:
        context = self._server.ssl_context
        try:
            sock.settimeout(0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                # Of a client that has gone, wrapping would leave a half-made socket behind.
                sock.getpeername()
                sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            # The client has gone already.
            sock.close()
            return
        self._server.add(Connection(sock, peer, self._server))

    def _pause(self) -> None:
        self.paused = True
        self._server.poller.watch(self._fd, self, reading=False, writing=False)

    def resume(self) -> None:
        """Try again."""
        if self.paused:
            self.paused = False
            self._server.poller.watch(self._fd, self, reading=True, writing=False)

    def close(self) -> None:
        """Accept no more."""
        self._server.poller.forget(self._fd)
        self._sock.close()
