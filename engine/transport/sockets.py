"""The WebSocket phase of a connection: messages to the application, and its messages out."""

import logging
from collections import deque
from typing import TYPE_CHECKING

import attrs
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode, Opcode
from websockets.frames import Frame as WireFrame
from websockets.protocol import State
from websockets.server import ServerProtocol

from engine.errors import LocalProtocolError
from engine.transport.application import Request, SocketApp
from engine.transport.faults import log_fault

if TYPE_CHECKING:
    from engine.transport.connection import Connection

FRAME_LOG = logging.Logger("engine.transport.frames", logging.CRITICAL + 1)
"""Given to the frame parser so that it logs nothing: its debug lines quote messages, and those have secrets.

Made outside of the logging tree, where no configuration can switch it on.
"""
PING = WireFrame(Opcode.PING, b"").serialize(mask=False)


class Frame:
    """An outgoing message, encoded once for any number of receivers."""

    __slots__ = ("data",)

    def __init__(self, text: str) -> None:
        self.data = WireFrame(Opcode.TEXT, text.encode()).serialize(mask=False)


@attrs.frozen(kw_only=True)
class SocketStatistics:
    """What went through one socket, and what waits in it."""

    received_messages: int
    sent_messages: int
    outbox_messages: int
    outbox_bytes: int
    reading: bool


class Socket:
    """One accepted WebSocket, as the application sees it.

    Frames are parsed by `websockets` sans-IO, whole protocol and all: 2.3 us a message and 1.4 KB a socket.
    Its frame parser alone takes 2.2 us, and would leave fragments, closing and failing to us.
    """

    __slots__ = (
        "_closed",
        "_connection",
        "_early",
        "_held",
        "_partial",
        "_paused",
        "_pinged",
        "_protocol",
        "_received",
        "_receiver",
        "_sent",
        "headers",
        "path",
        "peer",
        "query",
    )

    def __init__(self, connection: "Connection", request: Request) -> None:
        self.peer = request.peer
        self.path = request.path
        self.query = request.query
        self.headers = request.headers
        self._connection = connection
        self._protocol: ServerProtocol | None = None
        self._receiver: SocketApp | None = None
        self._early: list[bytes] | None = []
        """What the application sends before the opening handshake is answered."""
        self._held: deque[str] | None = None
        """Messages that came in one read with the one that made the application pause."""
        self._partial: bytearray | None = None
        self._paused = self._pinged = self._closed = False
        self._received = self._sent = 0

    # For the application

    def send(self, frame: Frame | str) -> None:
        """Hand a message to the kernel, or to the outbox while the peer is slow; never wait.

        A message to a closed socket is dropped: `on_close` has told, or will. One message too many for the
        outbox closes the socket with 1013; what was accepted before may still arrive.
        """
        if self._closed:
            return
        data = frame.data if isinstance(frame, Frame) else Frame(frame).data
        connection = self._connection
        outbox = connection.outbox
        if self._early is not None:
            self._early.append(data)
        elif outbox is not None and self._is_full(len(outbox), connection.outbox_bytes + len(data)):
            self._close(CloseCode.TRY_AGAIN_LATER, "too slow")
            return
        else:
            connection.write(data)
        self._sent += 1

    def _is_full(self, messages: int, size: int) -> bool:
        limits = self._connection.server.limits
        return messages >= limits.outbox_messages_max or size > limits.outbox_bytes_max

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close: no message comes in any more, and `on_close` follows soon. Idempotent.

        Raises: LocalProtocolError: a code that no close frame may have, or a reason over 123 bytes.
        """
        if not self._closed:
            self._close(code, reason)

    def pause(self) -> None:
        """Take no more messages; the peer's wait in the kernel, and then with the peer.

        What was already read is held back, and lost if the socket closes before `resume`.
        """
        self._paused = True
        self._connection.adjust()

    def resume(self) -> None:
        """Take messages again, soon."""
        if self._paused and not self._closed:
            self._paused = False
            self._connection.server.soon(self._resume)

    def statistics(self) -> SocketStatistics:
        """Counters of this socket."""
        return SocketStatistics(
            received_messages=self._received,
            sent_messages=self._sent,
            outbox_messages=len(self._connection.outbox or ()),
            outbox_bytes=self._connection.outbox_bytes,
            reading=not self._paused and not self._closed,
        )

    # Opening

    def accept(self, receiver: SocketApp, greeting: bytes, rest: bytes) -> None:
        """Answer the opening handshake and become the connection's phase. `rest` came together with it."""
        connection = self._connection
        limits = connection.server.limits
        self._receiver = receiver
        self._protocol = ServerProtocol(state=State.OPEN, max_size=limits.message_bytes_max, logger=FRAME_LOG)
        connection.phase = self
        connection.deadline = connection.server.now + limits.ping_seconds
        connection.server.sockets += 1
        early, self._early = self._early or [], None
        connection.write(b"".join((greeting, *early)))
        connection.adjust()
        if rest and connection.fd >= 0:
            self.receive(rest)

    def refuse(self) -> None:
        """The application answered with a response instead."""
        self._closed, self._early = True, None

    # The phase of the connection

    def receive(self, data: bytes) -> None:
        """Parse, deliver, answer pings and closes."""
        protocol = self._protocol
        assert protocol is not None
        self._pinged = False
        protocol.receive_data(data)
        for frame in protocol.events_received():
            if self._closed:
                break
            assert isinstance(frame, WireFrame)
            self._take(frame)
        if protocol.state is not State.OPEN and not self._closed:
            close = protocol.close_sent
            assert close is not None
            self._end(close.code)
        self._write_protocol(protocol)

    def _take(self, frame: WireFrame) -> None:
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.CONT:
            if frame.fin and self._partial is None:
                self._decode(frame.data)
            else:
                self._assemble(frame)
        elif frame.opcode is Opcode.BINARY:
            self._fail(CloseCode.UNSUPPORTED_DATA, "text only")

    def _assemble(self, frame: WireFrame) -> None:
        """Join fragments as they come: a million empty ones cost nothing. The parser bounds the sum."""
        if self._partial is None:
            self._partial = bytearray()
        self._partial += frame.data
        if frame.fin:
            message, self._partial = self._partial, None
            self._decode(message)

    def _decode(self, data: bytes | bytearray | memoryview) -> None:
        try:
            text = str(data, "utf-8")
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "not UTF-8")
            return
        self._received += 1
        if self._paused or self._held:
            self._held = self._held or deque()
            self._held.append(text)
        else:
            self._deliver(text)

    def _deliver(self, text: str) -> None:
        assert self._receiver is not None
        try:
            self._receiver.on_message(self, text)
        except Exception as error:
            # The application's fault costs this socket; no caller could do better.
            log_fault("application_failed", self.peer, error)
            self.close(CloseCode.INTERNAL_ERROR)

    def _resume(self) -> None:
        while self._held and not self._paused and not self._closed:
            self._deliver(self._held.popleft())
        if not self._held:
            self._held = None
        self._connection.adjust()

    def wants_data(self) -> bool:
        """Not while the application pauses; but a closed socket waits for the peer's close frame."""
        return not self._paused or self._closed

    def drained(self) -> None:
        """Nothing to do: the application is not told."""

    def overdue(self) -> None:
        """Silent for too long: ask, then drop. Anything from the peer counts as an answer."""
        connection = self._connection
        limits, now = connection.server.limits, connection.server.now
        if self._closed or (self._pinged and connection.heard_at + limits.pong_seconds <= now):
            connection.drop()
        elif self._paused:
            # Its pongs wait unread, so silence means nothing.
            connection.deadline = now + limits.ping_seconds
        elif connection.heard_at + limits.ping_seconds > now:
            connection.deadline = connection.heard_at + limits.ping_seconds
        else:
            self._pinged = True
            connection.deadline = now + limits.pong_seconds
            connection.write(PING)

    def lost(self) -> None:
        """The connection is gone without a close frame."""
        if not self._closed:
            self._end(CloseCode.ABNORMAL_CLOSURE)

    # Closing

    def _close(self, code: int, reason: str) -> None:
        """Send a close frame; then wait for the peer's."""
        if self._protocol is None:
            raise LocalProtocolError("refuse a socket by returning a response")
        try:
            # The peer's close frame may have been parsed, and answered, behind the message in hand.
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(code, reason)
        except ProtocolError as error:
            raise LocalProtocolError(f"cannot close with code {code}: {error}") from error
        self._connection.deadline = self._connection.server.now + self._connection.server.limits.close_seconds
        self._end(code)
        self._write_protocol(self._protocol)
        self._connection.adjust()

    def _fail(self, code: int, reason: str) -> None:
        assert self._protocol is not None
        self._protocol.fail(code, reason)
        self._end(code)

    def _write_protocol(self, protocol: ServerProtocol) -> None:
        """Send what the parser has to say: pongs, close frames, the end."""
        writes = protocol.data_to_send()
        if not writes:
            return
        data = b"".join(writes)
        if data:
            self._connection.write(data)
        if not writes[-1]:
            # After a clean close nothing follows; after a violation the peer may be in mid-message.
            self._connection.finish(linger=protocol.close_rcvd is None)

    def _end(self, code: int) -> None:
        """Exactly once for each accepted socket."""
        self._closed = True
        self._held = self._partial = None
        self._connection.server.sockets -= 1
        self._connection.server.soon(self._report, int(code))

    def _report(self, code: int) -> None:
        assert self._receiver is not None
        receiver, self._receiver = self._receiver, None
        try:
            receiver.on_close(self, code)
        except Exception as error:
            # Nothing is left that it could cost.
            log_fault("application_failed", self.peer, error)
