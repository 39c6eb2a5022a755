"""An ICE-lite agent for every peer on one UDP socket per address: STUN, and what goes to which peer.

RFC 8445 (lite, section 2.5), RFC 8489 (STUN), RFC 7983 (telling the protocols apart).
"""

import asyncio
import secrets
import socket
import string
import struct
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

import attrs
from aioice import stun

from engine.errors import ConfigurationError
from engine.media.protocol import Candidate
from engine.media.router.allowance import Allowances
from engine.media.router.rtp import HEADER_BYTES, is_rtcp

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""Of IPv4 or of IPv6, as the socket module has them; the one is never equal to the other."""
DATAGRAM_BYTES_MAX = 2048
READS_MAX = 64
"""Datagrams taken at once before timers get their turn."""
SOCKET_BUFFER_BYTES = 4 << 20
HANDSHAKE_QUEUE_MAX = 32
"""DTLS datagrams of a peer that wait; one more is dropped, as a network would."""
ADDRESSES_MAX = 8
"""Of one peer; the oldest that is not in use makes room."""
HANDSHAKES_AT_ONCE = 500
HANDSHAKES_PER_SECOND = 100.0
"""DTLS handshakes begun from one host, which may be a NAT. A dropped hello comes again after a second."""
_LETTERS = string.ascii_letters + string.digits
_ROLE_CONFLICT = (487, "Role Conflict")
_HIGHEST_PRIORITY = (126 << 24) + (65535 << 8) + 255
"""Type preference host, local preference highest, component 1 (RFC 8445 section 5.1.2.1)."""


@attrs.frozen(kw_only=True)
class Listening:
    """Where the router takes datagrams."""

    host: str
    """An IPv4 or IPv6 address of this machine, or the wildcard of either."""
    port: int = 0
    """Zero lets the system choose."""
    advertised: str | None = None
    """Told to peers in place of `host`: the outer address of a one-to-one NAT."""


class Receiver(Protocol):
    """Who takes what an endpoint does not take itself. None of it may raise."""

    def on_path(self) -> None:
        """The address to send to is new or another."""

    def on_handshake(self) -> None:
        """The first DTLS datagram is here."""

    def on_rtp(self, packet: bytes, now: float) -> None:
        """An SRTP packet came from an address of this peer."""

    def on_rtcp(self, packet: bytes, now: float) -> None:
        """An SRTCP packet came from an address of this peer."""


class Endpoint:
    """The ICE end of one peer; what aiortc's DTLS has for a transport."""

    role = "controlled"

    def __init__(self, mux: "Mux", remote_ufrag: str, receiver: Receiver) -> None:
        self.ufrag, self.password = _random_word(8), _random_word(24)
        self.remote_ufrag = remote_ufrag
        self.receiver = receiver
        self.address: SocketAddress | None = None
        self.socket: socket.socket | None = None
        self.addresses: list[SocketAddress] = []
        self.nominated = False
        self.heard_at = 0.0
        """When the peer last proved that it is there, by STUN; zero when it never did."""
        self.state = "checking"
        self.shaking_hands = False
        self.dropped = 0
        self._mux = mux
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(HANDSHAKE_QUEUE_MAX)

    async def _recv(self) -> bytes:
        datagram = None if self.state == "closed" else await self._waiting.get()
        if datagram is None:
            raise ConnectionError("closed")
        return datagram

    async def _send(self, data: bytes) -> None:
        self.send(data)

    def send(self, data: bytes) -> None:
        """Send at once, or drop: the kernel's buffer is the only queue."""
        if self.socket is not None and self.address is not None:
            self._mux.send(self.socket, data, self.address)

    @property
    def transmit(self) -> Callable[[bytes, SocketAddress], object] | None:
        """What sends a datagram with the least in between; None while there is nowhere to send."""
        if self.socket is None:
            return None
        return self.socket.sendto if self._mux.gate is None else partial(self._mux.send, self.socket)

    def take_dtls(self, datagram: bytes) -> None:
        """Queue a DTLS datagram."""
        if self.state == "closed" or self._waiting.full():
            self.dropped += 1
            return
        self._waiting.put_nowait(datagram)
        if not self.shaking_hands:
            self.shaking_hands = True
            self.receiver.on_handshake()

    def close(self) -> None:
        """Forget the peer's addresses and its user fragment; nothing reaches it any more."""
        if self.state == "closed":
            return
        self.state = "closed"
        self._mux.forget(self)
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)
        self.address = self.socket = None


class Mux:
    """The sockets, and who is behind which address."""

    def __init__(self, listening: tuple[Listening, ...], clock: Callable[[], float], on_fault: "OnFault"):
        self._clock = clock
        self._on_fault = on_fault
        self._listening = listening
        self._sockets: list[socket.socket] = []
        self._candidates: list[Candidate] = []
        self._by_ufrag: dict[str, Endpoint] = {}
        self._by_address: dict[SocketAddress, Endpoint] = {}
        self._handshakes = Allowances(HANDSHAKES_AT_ONCE, HANDSHAKES_PER_SECOND)
        self.sends_dropped = 0
        self.strangers = 0
        """Datagrams of nobody that we know."""
        self.gate: Callable[[bytes, SocketAddress], bool] | None = None
        """Asked before a datagram is taken from an address or sent to it; one that says False drops it. For
        trials of loss."""

    async def open(self) -> None:
        """Bind the sockets.

        Raises:
            ConfigurationError: an address cannot be bound, or advertised.
        """
        loop = asyncio.get_running_loop()
        try:
            for number, one in enumerate(self._listening):
                bound = _bind(one)
                self._sockets.append(bound)
                self._candidates.append(_candidate(number, one, bound.getsockname()[1]))
                loop.add_reader(bound, self._readable, bound)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the sockets."""
        for one in self._sockets:
            asyncio.get_running_loop().remove_reader(one)
            one.close()
        self._sockets.clear()
        self._candidates.clear()

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Ours, without the one that ends them."""
        return tuple(self._candidates)

    @property
    def endpoint_count(self) -> int:
        """Peers that are known."""
        return len(self._by_ufrag)

    @property
    def address_count(self) -> int:
        """Addresses that peers have proved to be theirs."""
        return len(self._by_address)

    def endpoint_at(self, address: SocketAddress) -> Endpoint | None:
        """Whose address it is."""
        return self._by_address.get(address)

    def add(self, remote_ufrag: str, receiver: Receiver) -> Endpoint:
        """A new peer; it lives until it is closed."""
        endpoint = Endpoint(self, remote_ufrag, receiver)
        self._by_ufrag[endpoint.ufrag] = endpoint
        return endpoint

    def forget(self, endpoint: Endpoint) -> None:
        """Called by an endpoint that closes."""
        self._by_ufrag.pop(endpoint.ufrag, None)
        for address in endpoint.addresses:
            self._by_address.pop(address, None)
        endpoint.addresses.clear()

    def send(self, through: socket.socket, data: bytes, address: SocketAddress) -> None:
        """Send, or drop and count."""
        if self.gate is not None and not self.gate(data, address):
            return
        try:
            through.sendto(data, address)
        except OSError:
            self.sends_dropped += 1

    def _readable(self, bound: socket.socket) -> None:
        now = self._clock()
        for _ in range(READS_MAX):
            try:
                datagram, address = bound.recvfrom(DATAGRAM_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error of an earlier send, on systems that tell it here.
                continue
            if self.gate is not None and not self.gate(datagram, address):
                continue
            try:
                self.take(datagram, address, bound, now)
            except Exception as error:  # One datagram must not stop the others, whatever it does.
                self._on_fault("datagram", error)

    def take(self, datagram: bytes, address: SocketAddress, bound: socket.socket, now: float) -> None:
        """One datagram, by its first octet (RFC 7983 section 7)."""
        first = datagram[0] if datagram else 255
        if 128 <= first <= 191:
            endpoint = self._by_address.get(address)
            if endpoint is None or len(datagram) < HEADER_BYTES:
                self.strangers += 1
            elif is_rtcp(datagram):
                endpoint.receiver.on_rtcp(datagram, now)
            else:
                endpoint.receiver.on_rtp(datagram, now)
        elif first <= 3:
            self._take_stun(datagram, address, bound, now)
        elif 20 <= first <= 63:
            self._take_dtls(datagram, address, now)
        else:
            self.strangers += 1

    def _take_dtls(self, datagram: bytes, address: SocketAddress, now: float) -> None:
        endpoint = self._by_address.get(address)
        if endpoint is None:
            self.strangers += 1
        elif endpoint.shaking_hands or self._handshakes.take(address[0], now):
            endpoint.take_dtls(datagram)
        else:
            endpoint.dropped += 1

    def _take_stun(self, datagram: bytes, address: SocketAddress, bound: socket.socket, now: float) -> None:
        request = _binding_request(datagram)
        endpoint = self._authentic(request) if request else None
        if request is None or endpoint is None:
            # Silence: an answer would tell a stranger that we are here, and who is.
            self.strangers += 1
            return
        endpoint.heard_at = now
        if "ICE-CONTROLLED" in request.attributes:
            # We are lite and never in control; the error makes the peer take it (RFC 8445 section 7.3.1.1).
            self.send(bound, _answer(request, stun.Class.ERROR, address, endpoint), address)
            return
        self.send(bound, _answer(request, stun.Class.RESPONSE, address, endpoint), address)
        self._learn(endpoint, address)
        nominates = "USE-CANDIDATE" in request.attributes
        # Before a nomination the first pair that works will do; after it only another one counts.
        if nominates or endpoint.address is None:
            endpoint.nominated |= nominates
            self._use(endpoint, address, bound)

    def _authentic(self, request: stun.Message) -> Endpoint | None:
        ours, _, theirs = request.attributes.get("USERNAME", "").partition(":")
        endpoint = self._by_ufrag.get(ours)
        if endpoint is None or theirs != endpoint.remote_ufrag:
            return None
        return endpoint if request.check_message_integrity(endpoint.password.encode()) else None

    def _learn(self, endpoint: Endpoint, address: SocketAddress) -> None:
        known = self._by_address.get(address)
        if known is endpoint:
            return
        if known is not None:
            # The port was given to another peer by its NAT, who has just proved it.
            known.addresses.remove(address)
        if len(endpoint.addresses) >= ADDRESSES_MAX:
            oldest = next(one for one in endpoint.addresses if one != endpoint.address)
            endpoint.addresses.remove(oldest)
            del self._by_address[oldest]
        endpoint.addresses.append(address)
        self._by_address[address] = endpoint

    def _use(self, endpoint: Endpoint, address: SocketAddress, bound: socket.socket) -> None:
        endpoint.state = "completed"
        if endpoint.address != address or endpoint.socket is not bound:
            endpoint.address, endpoint.socket = address, bound
            endpoint.receiver.on_path()


OnFault: TypeAlias = Callable[[str, BaseException], None]


def _random_word(size: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(size))


def _bind(listening: Listening) -> socket.socket:
    family = socket.AF_INET6 if ":" in listening.host else socket.AF_INET
    if listening.host in ("0.0.0.0", "::", "") and listening.advertised is None:  # noqa: S104 # refused
        raise ConfigurationError("media.listen", "a wildcard address needs an advertised one beside it")
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        bound.settimeout(0)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            bound.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        bound.bind((listening.host, listening.port))
    except (OSError, OverflowError) as error:
        bound.close()
        where = f"UDP {listening.host}, port {listening.port},"
        raise ConfigurationError("media.listen", f"{where} cannot be bound: {error}") from error
    return bound


def _candidate(number: int, listening: Listening, port: int) -> Candidate:
    address = listening.advertised or listening.host
    priority = _HIGHEST_PRIORITY - (number << 8)
    return Candidate(candidate=f"candidate:{number + 1} 1 udp {priority} {address} {port} typ host")


def _binding_request(datagram: bytes) -> stun.Message | None:
    try:
        message = stun.parse_message(datagram)
    except (ValueError, struct.error):
        return None
    is_request = message.message_class == stun.Class.REQUEST and message.message_method == stun.Method.BINDING
    return message if is_request else None


def _answer(request: stun.Message, kind: stun.Class, address: SocketAddress, endpoint: Endpoint) -> bytes:
    answer = stun.Message(
        message_method=stun.Method.BINDING, message_class=kind, transaction_id=request.transaction_id
    )
    if kind is stun.Class.ERROR:
        answer.attributes["ERROR-CODE"] = _ROLE_CONFLICT
    else:
        # Without the scope that a link-local IPv6 address has here.
        answer.attributes["XOR-MAPPED-ADDRESS"] = (address[0].partition("%")[0], address[1])
    answer.add_message_integrity(endpoint.password.encode())
    return bytes(answer)
