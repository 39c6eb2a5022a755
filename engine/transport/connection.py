"""One accepted TCP or TLS connection: the raw non-blocking socket, its outbox, and its present phase."""

import math
import socket
import ssl
from collections import deque
from typing import TYPE_CHECKING, Protocol

from engine.transport.faults import log_fault

if TYPE_CHECKING:
    from engine.transport.server import Server

READ_BYTES = 64 * 1024
COALESCE_BYTES = 64 * 1024
"""Waiting messages are joined up to this size for one send."""
OUTBOX_PAUSE_BYTES = 64 * 1024
"""Above this we stop reading: a peer that does not take answers may not ask for more."""
BLOCKED = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Phase(Protocol):
    """What a connection is being used for: HTTP, a WebSocket, or its own end."""

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer."""
        ...

    def wants_data(self) -> bool:
        """Whether to read on."""
        ...

    def drained(self) -> None:
        """The outbox has become empty."""
        ...

    def overdue(self) -> None:
        """The connection's deadline has passed: set another, or end it."""
        ...

    def lost(self) -> None:
        """The connection is closed; nothing can be written any more."""
        ...


class Connection:
    """Owns the socket. All its methods are synchronous and none blocks."""

    __slots__ = (
        "_handshaking",
        "_interest",
        "_sock",
        "deadline",
        "fd",
        "heard_at",
        "outbox",
        "outbox_bytes",
        "peer",
        "phase",
        "secure",
        "server",
    )

    phase: Phase

    def __init__(self, sock: socket.socket, peer: str, server: "Server") -> None:
        self._sock = sock
        self._handshaking = isinstance(sock, ssl.SSLSocket)
        self._interest = (True, False)
        self.secure = self._handshaking
        self.fd = sock.fileno()
        self.peer = peer
        self.server = server
        self.outbox: deque[bytes] | None = None
        self.outbox_bytes = 0
        self.heard_at = server.now
        """When the peer last sent something or took something from us."""
        self.deadline = math.inf
        server.poller.watch(self.fd, self, reading=True, writing=False)

    # Both directions

    def ready(self, gone: bool, /) -> None:
        """Read and write what is possible."""
        try:
            self._serve(gone)
        except Exception as error:
            # A fault of ours, or of a parser, costs this connection and no other.
            log_fault("connection_failed", self.peer, error)
            self.drop()

    def _serve(self, gone: bool) -> None:
        if self._handshaking and not self._shake_hands():
            return
        if self.outbox:
            # Whatever woke us: a TLS record may have to be read before one can be written.
            self._flush()
        if self.fd < 0:
            return
        if self._interest[0]:
            self._read()
        elif gone:
            self.drop()

    def _shake_hands(self) -> bool:
        assert isinstance(self._sock, ssl.SSLSocket)
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(reading=True, writing=False)
        except ssl.SSLWantWriteError:
            self._watch(reading=False, writing=True)
        except OSError:
            self.drop()
        else:
            self._handshaking = False
            self.adjust()
        return not self._handshaking and self.fd >= 0

    def adjust(self) -> None:
        """Watch for what matters now; to be called when the phase's wish or the outbox changed."""
        if self.fd >= 0 and not self._handshaking:
            self._watch(
                reading=self.phase.wants_data() and self.outbox_bytes <= OUTBOX_PAUSE_BYTES,
                writing=self.outbox is not None,
            )

    def _watch(self, *, reading: bool, writing: bool) -> None:
        if self._interest != (reading, writing):
            self._interest = (reading, writing)
            self.server.poller.watch(self.fd, self, reading=reading, writing=writing)

    # Reading

    def _read(self) -> None:
        while self.fd >= 0:
            try:
                data = self._sock.recv(READ_BYTES)
            except BLOCKED:
                return
            except OSError:
                data = b""
            if not data:
                self.drop()
                return
            self.heard_at = self.server.now
            self.phase.receive(data)
            # What TLS has already decrypted wakes no poller.
            if not self.secure or self.fd < 0 or not self._interest[0] or not self._pending():
                return

    def _pending(self) -> int:
        assert isinstance(self._sock, ssl.SSLSocket)
        return self._sock.pending()

    # Writing

    def write(self, data: bytes) -> None:
        """Hand over to the kernel at once, and keep what it refuses."""
        if self.fd < 0:
            return
        if self.outbox is None:
            data = data[self._send(data) :]
            if not data or self.fd < 0:
                return
            self.outbox = deque()
        self.outbox.append(data)
        self.outbox_bytes += len(data)
        self.adjust()

    def _send(self, data: bytes) -> int:
        """Bytes the kernel took."""
        try:
            return self._sock.send(data)
        except BLOCKED:
            return 0
        except OSError:
            self.drop()
            return 0

    def _flush(self) -> None:
        while self.outbox:
            chunk = self._next_chunk(self.outbox)
            sent = self._send(chunk)
            if self.fd < 0:
                return
            if sent:
                self.heard_at = self.server.now
                self._forget_sent(self.outbox, sent)
            if sent < len(chunk):
                break
        if not self.outbox:
            self.outbox = None
        self.adjust()
        if self.outbox is None:
            self.phase.drained()

    def _next_chunk(self, outbox: deque[bytes]) -> bytes:
        size, messages = 0, []
        for message in outbox:
            messages.append(message)
            size += len(message)
            if size >= COALESCE_BYTES:
                break
        return b"".join(messages)

    def _forget_sent(self, outbox: deque[bytes], sent: int) -> None:
        """Whole messages leave the outbox, so that its length still counts messages."""
        self.outbox_bytes -= sent
        while sent:
            message = outbox.popleft()
            if len(message) > sent:
                outbox.appendleft(message[sent:])
                return
            sent -= len(message)

    # The end

    def finish(self, *, linger: bool) -> None:
        """Close when the outbox is empty; with `linger`, read on for a while before.

        Closing a socket with unread bytes resets the connection, and the peer may lose our last answer:
        whoever was interrupted while sending must be read to the end.
        """
        if self.fd >= 0:
            self.phase = Ending(self, linger)
            self.deadline = self.server.now + self.server.limits.close_seconds
            self.adjust()
            if self.outbox is None:
                self.phase.drained()

    def half_close(self) -> None:
        """Tell the peer that nothing will follow."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop()

    def drop(self) -> None:
        """Close at once."""
        if self.fd < 0:
            return
        self.server.poller.forget(self.fd)
        self.fd = -1
        self.outbox, self.outbox_bytes = None, 0
        self._sock.close()
        self.server.discard(self)
        self.phase.lost()


class Ending:
    """A connection of which only the last bytes matter."""

    __slots__ = ("_connection", "_linger")

    def __init__(self, connection: Connection, linger: bool) -> None:
        self._connection = connection
        self._linger = linger

    def receive(self, data: bytes) -> None:
        """Throw away."""

    def wants_data(self) -> bool:
        """What comes must be read, or closing resets the connection."""
        return True

    def drained(self) -> None:
        """The last byte is out."""
        if self._linger:
            self._connection.half_close()
        else:
            self._connection.drop()

    def overdue(self) -> None:
        """It took too long."""
        self._connection.drop()

    def lost(self) -> None:
        """Nobody is interested any more."""
