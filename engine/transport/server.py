"""HTTP/1.1 and WebSockets on one port, inside the caller's nursery.

Own code is the loop, the limits and the outboxes; requests are parsed by httptools and frames by
`websockets` sans-IO. permessage-deflate is never negotiated.
"""

import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import trio

from engine.transport.application import Application, Request, Response, SocketApp
from engine.transport.connection import Connection
from engine.transport.exchange import Exchange
from engine.transport.limits import Limits
from engine.transport.listening import Listener, open_listeners, url_of
from engine.transport.poller import Poller, best_poller
from engine.transport.proxies import Proxies
from engine.transport.sockets import Frame, Socket, SocketStatistics

__all__ = [
    "Application",
    "Frame",
    "Limits",
    "Request",
    "Response",
    "Server",
    "Socket",
    "SocketApp",
    "SocketStatistics",
    "serve",
]

SWEEP_SECONDS_MAX = 1.0
SWEEP_BATCH = 500
"""Deadlines looked at before other tasks get their turn."""


async def serve(
    application: Application,
    listen: str | Sequence[str],
    *,
    ssl_context: ssl.SSLContext | None = None,
    limits: Limits | None = None,
    stop: trio.Event | None = None,
    task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, or until `stop` is set and what is in flight has ended.

    `listen` is `HOST:PORT`, `[IPV6]:PORT`, or several of them. Started with the URLs, one for each bound
    address, such as `http://127.0.0.1:43211`. After `stop`: no new connection, 1001 to the sockets,
    `limits.grace_seconds` for requests in flight. After a cancellation everything is closed at once.

    Raises: ConfigurationError: an address is wrong. TransportError: a port cannot be had.
    """
    server = Server(application, ssl_context=ssl_context, limits=limits or Limits())
    await server.run(listen, trio.Event() if stop is None else stop, task_status=task_status)


class Server:
    """The state of one `serve`: its connections, its clock, and what is to be done soon."""

    def __init__(
        self,
        application: Application,
        *,
        ssl_context: ssl.SSLContext | None,
        limits: Limits,
        poller: Poller | None = None,
    ) -> None:
        self.application = application
        self.ssl_context = ssl_context
        self.limits = limits
        self.proxies = Proxies(limits.trusted_proxies)
        self.poller = poller or best_poller()
        self.now = 0.0
        """trio's time when this turn began: one reading of the clock serves all events of a batch."""
        self.sockets = 0
        """Open WebSockets."""
        self.stopping = False
        self.nursery: trio.Nursery
        self._connections: set[Connection] = set()
        self._listeners: list[Listener] = []
        self._soon: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._in_turn = False
        self._token: trio.lowlevel.TrioToken
        self._empty = trio.Event()

    async def run(
        self,
        listen: str | Sequence[str],
        stop: trio.Event,
        *,
        task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """See `serve`."""
        self._token = trio.lowlevel.current_trio_token()
        self.refresh_now()
        addresses = [listen] if isinstance(listen, str) else listen
        with contextlib.ExitStack() as stack:
            stack.callback(self.poller.close)
            found: list[socket.socket] = []
            for address in addresses:
                opened = await open_listeners(address, self.limits.accept_backlog)
                found.extend(stack.enter_context(sock) for sock in opened)
            stack.callback(self._close_all)
            async with trio.open_nursery() as self.nursery:
                await self.nursery.start(self.poller.run, self)
                self.nursery.start_soon(self._sweep)
                self._listeners = [Listener(sock, self) for sock in found]
                task_status.started(tuple(url_of(sock, self.ssl_context is not None) for sock in found))
                await stop.wait()
                await self._drain()
                self.nursery.cancel_scope.cancel()

    # Turns: what the poller, the sweep and other tasks share

    def begin_turn(self) -> None:
        """Take the time."""
        self._in_turn = True
        self.refresh_now()

    def end_turn(self) -> None:
        """Do what was put off, and what that puts off."""
        while self._soon:
            call, arguments = self._soon.popleft()
            call(*arguments)
        self._in_turn = False

    def refresh_now(self) -> None:
        """Take the time outside of a turn."""
        self.now = trio.current_time()

    def soon(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call at the end of this turn, or in one of its own.

        So the application is never called from inside a call of its own: it may send to many sockets
        in a loop over a set that `on_close` changes.
        """
        self._soon.append((call, arguments))
        if not self._in_turn:
            self._token.run_sync_soon(self._extra_turn, idempotent=True)

    def _extra_turn(self) -> None:
        self.begin_turn()
        self.end_turn()

    # Connections

    @property
    def full(self) -> bool:
        """Whether to leave clients in the backlog."""
        return len(self._connections) >= self.limits.connections_max

    def add(self, connection: Connection) -> None:
        """Begin to serve it."""
        connection.phase = Exchange(connection)
        self._connections.add(connection)

    def discard(self, connection: Connection) -> None:
        """It has closed, so there is room for another."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        for listener in self._listeners:
            if listener.paused:
                self.soon(listener.resume)

    async def _sweep(self) -> None:
        """Look after deadlines. A heap would cost more than this scan: most of them move at each message."""
        limits = self.limits
        shortest = min(
            limits.handshake_seconds,
            limits.request_seconds,
            limits.idle_seconds,
            limits.ping_seconds,
            limits.pong_seconds,
            limits.close_seconds,
        )
        while True:
            await trio.sleep(min(SWEEP_SECONDS_MAX, shortest / 4))
            for listener in self._listeners:
                listener.resume()
            connections = list(self._connections)
            for start in range(0, len(connections), SWEEP_BATCH):
                self._sweep_batch(connections[start : start + SWEEP_BATCH])
                await trio.lowlevel.checkpoint()

    def _sweep_batch(self, connections: list[Connection]) -> None:
        self.begin_turn()
        for connection in connections:
            if connection.deadline <= self.now and connection.fd >= 0:
                connection.phase.overdue()
        self.end_turn()

    # The end

    async def _drain(self) -> None:
        """Close what is idle, and wait for the rest within the grace."""
        self.stopping = True
        self._stop_listening()
        self.begin_turn()
        for connection in list(self._connections):
            phase = connection.phase
            if isinstance(phase, Socket):
                phase.close(1001, "server stops")
            elif isinstance(phase, Exchange) and phase.idle and connection.outbox is None:
                connection.drop()
        self.end_turn()
        with trio.move_on_after(self.limits.grace_seconds):
            while self._connections:
                self._empty = trio.Event()
                await self._empty.wait()

    def _stop_listening(self) -> None:
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener.close()

    def _close_all(self) -> None:
        """Last words need no waiting: one non-blocking send each, even after a cancellation."""
        self._stop_listening()
        self.begin_turn()
        for connection in list(self._connections):
            if isinstance(connection.phase, Socket):
                connection.phase.close(1001, "server stops")
            connection.drop()
        self.end_turn()
