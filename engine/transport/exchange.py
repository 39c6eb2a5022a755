"""The HTTP phase of a connection: requests answered in their order, one at a time."""

import math
import time
from typing import TYPE_CHECKING

import attrs
import trio
from websockets.datastructures import Headers
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from engine.errors import LocalProtocolError
from engine.transport.answers import CONTINUE, date_line, encode_response, fault
from engine.transport.application import Pending, Request, Response
from engine.transport.faults import log_fault
from engine.transport.http1 import RequestReader
from engine.transport.sockets import FRAME_LOG, Socket

if TYPE_CHECKING:
    from engine.transport.connection import Connection


class Exchange:
    """Reads requests, asks the application, writes responses."""

    __slots__ = ("_began_at", "_begun", "_connection", "_reader", "_scope")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._reader: RequestReader | None = None
        self._scope: trio.CancelScope | None = None
        """Of the task that answers, while there is one."""
        self._began_at = connection.server.now
        self._begun = 0
        connection.deadline = self._began_at + connection.server.limits.handshake_seconds

    @property
    def idle(self) -> bool:
        """True when no request is being read or answered."""
        return self._scope is None and (self._reader is None or not self._unanswered(self._reader))

    def _unanswered(self, reader: RequestReader) -> bool:
        return reader.inside or bool(reader.requests)

    # The phase of the connection

    def receive(self, data: bytes) -> None:
        """Parse, and answer what is complete."""
        reader = self._reader
        if reader is None:
            # An accepted connection that says nothing costs no parser.
            limits = self._connection.server.limits
            reader = self._reader = RequestReader(limits, self._connection.peer, self._connection.secure)
        reader.feed(data)
        if reader.begun != self._begun:
            if self._begun:
                self._began_at = self._connection.server.now
            self._begun = reader.begun
        self._advance(reader)

    def wants_data(self) -> bool:
        """No: while something waits for its turn. Pipelining is bounded by one read."""
        reader = self._reader
        return reader is None or not (reader.requests or reader.fault or reader.rest is not None)

    def drained(self) -> None:
        """The client has taken the last response: the next one's turn."""
        if self._reader is not None:
            self._advance(self._reader)

    def overdue(self) -> None:
        """Too slow in sending, or in taking."""
        connection = self._connection
        now = connection.server.now
        patience = connection.heard_at + connection.server.limits.idle_seconds
        if connection.outbox is not None and patience > now:
            connection.deadline = patience
        elif connection.outbox is None and self._reader is not None and self._reader.inside:
            self._end_with(408)
        else:
            connection.drop()

    def lost(self) -> None:
        """Nobody waits for the answer any more."""
        if self._scope is not None:
            self._scope.cancel()
        # The parser holds our methods: without this the pair waits for the garbage collector.
        self._reader = None

    # Answering

    def _advance(self, reader: RequestReader) -> None:
        """Answer until something must be waited for."""
        connection = self._connection
        while self._may_write():
            if reader.requests:
                self._begin(reader.requests.popleft())
            elif reader.fault is not None:
                self._end_with(reader.fault)
            else:
                if reader.wants_continue:
                    reader.wants_continue = False
                    connection.write(CONTINUE)
                break
        if connection.phase is self and connection.fd >= 0:
            self._set_deadline(reader)
            connection.adjust()

    def _may_write(self) -> bool:
        """The previous answer is out, and the connection is still ours."""
        connection = self._connection
        return (
            self._scope is None
            and connection.outbox is None
            and connection.phase is self
            and connection.fd >= 0
        )

    def _set_deadline(self, reader: RequestReader) -> None:
        limits, now = self._connection.server.limits, self._connection.server.now
        if self._scope is not None:
            self._connection.deadline = math.inf
        elif self._connection.outbox is not None or not reader.inside:
            self._connection.deadline = now + limits.idle_seconds
        elif reader.in_head:
            self._connection.deadline = self._began_at + limits.handshake_seconds
        else:
            self._connection.deadline = self._began_at + limits.request_seconds

    def _begin(self, request: Request) -> None:
        request.peer = self._connection.server.proxies.client_of(request.peer, request.headers)
        if request.upgrade:
            self._upgrade(request)
            return
        try:
            response = self._connection.server.application.respond(request)
        except Exception as error:
            # The application's fault costs this request; no caller could do better.
            response = self._failed(error)
        if isinstance(response, Response):
            self._answer(request, response)
            return
        self._scope = trio.CancelScope()
        self._connection.server.nursery.start_soon(self._wait_response, self._scope, request, response)

    async def _wait_response(self, scope: trio.CancelScope, request: Request, pending: Pending) -> None:
        response: Response | None = None
        try:
            with scope:
                response = await pending()
        except Exception as error:
            # Outside of the scope: what cleaning up after a cancellation raises must not end the server.
            response = self._failed(error)
        self._scope = None
        self._connection.server.refresh_now()
        if response is not None:
            self._answer(request, response)
        if self._reader is not None:
            self._advance(self._reader)

    def _failed(self, error: Exception) -> Response:
        log_fault("application_failed", self._connection.peer, error)
        return fault(500)

    def _answer(self, request: Request, response: Response) -> None:
        connection = self._connection
        keep = request.keep_alive and not request.upgrade and not connection.server.stopping
        connection.write(self._encode(request, response, keep))
        if not keep:
            connection.finish(linger=request.upgrade)

    def _encode(self, request: Request, response: Response, keep: bool) -> bytes:
        date, bare = date_line(int(time.time())), request.method == "HEAD"
        old = keep and "connection" in request.headers
        try:
            return encode_response(response, date=date, keep=keep, bare=bare, old=old)
        except LocalProtocolError as error:
            return encode_response(self._failed(error), date=date, keep=keep, bare=bare, old=old)

    def _end_with(self, status: int) -> None:
        """Answer a fault of the client, and read no more requests from it."""
        date = date_line(int(time.time()))
        self._connection.write(encode_response(fault(status), date=date, keep=False, bare=False))
        self._connection.finish(linger=True)

    # Becoming a WebSocket

    def _upgrade(self, request: Request) -> None:
        server = self._connection.server
        if server.stopping or server.sockets >= server.limits.sockets_max:
            self._answer(request, fault(503))
            return
        greeting = shake_hands(request)
        if isinstance(greeting, Response):
            self._answer(request, greeting)
            return
        socket = Socket(self._connection, request)
        try:
            receiver = server.application.open_socket(socket)
        except Exception as error:
            receiver = self._failed(error)
        if isinstance(receiver, Response):
            socket.refuse()
            self._answer(request, receiver)
        else:
            assert self._reader is not None
            rest, self._reader = self._reader.rest or b"", None
            socket.accept(receiver, greeting, rest)


def shake_hands(request: Request) -> bytes | Response:
    """Our half of the opening handshake, or the refusal of a wrong one.

    Extensions are never agreed to: permessage-deflate costs up to 300 KB a socket and a compression per
    receiver, for messages that are mostly below its break-even of about 256 bytes.
    """
    if request.method != "GET":
        return fault(405)
    protocol = ServerProtocol(logger=FRAME_LOG)
    headers = Headers((name, value) for name, value in request.headers.items())
    response = protocol.accept(Handshake(request.raw_path, headers))
    if response.status_code != 101:
        return attrs.evolve(fault(400), headers=(("sec-websocket-version", "13"),))
    protocol.send_response(response)
    return b"".join(protocol.data_to_send())
