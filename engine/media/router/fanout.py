"""One packet to many viewers: a portable path, and a batched one for 64-bit Linux.

Both do per viewer what cannot be shared: a header of its own, SRTP with its own key, its own address. The
batched one encrypts in place and hands all of it to the kernel in one sendmmsg(2).
"""

import ctypes
import errno
import socket
import struct
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from engine.media.router.dtls import SRTP_OVERHEAD_BYTES, SrtpError, native, protect_in_place
from engine.media.router.ice_mux import SocketAddress
from engine.media.router.link import Link
from engine.media.router.rtp import HEADER, HEADER_BYTES, VERSION_2

SLOT_BYTES = 1664
BODY_BYTES_MAX = SLOT_BYTES - HEADER_BYTES - SRTP_OVERHEAD_BYTES
CHUNK = 64
"""Viewers whose packets are encrypted before they are sent: so few that the kernel finds them in the cache,
and that the first viewer does not wait for the last. At most 1024, the kernel's UIO_MAXIOV."""
_MSG_DONTWAIT = 0x40
_NAME_BYTES, _VECTOR_BYTES, _MESSAGE_BYTES = 32, 16, 64
_VECTOR = struct.Struct("=QQ")
_MESSAGE = struct.Struct("=QIIQQQQII")
"""struct msghdr of 64-bit Linux: name, its length, vectors, their count, control, its length, flags."""
_FULL = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM)


class Outlet(Protocol):
    """What a viewer's track is to a fan-out."""

    link: Link
    ssrc: int
    payload_type: int
    sequence_offset: int
    timestamp_offset: int


class Fanout(Protocol):
    """Sends a source's packets to those who are on it."""

    dropped: int
    """Packets that were not sent, to however many."""

    def changed(self, outlets: Iterable[Outlet]) -> None:
        """These are on it from now on; also when an address or an offset of one has changed."""

    def send(self, marker: int, sequence: int, timestamp: int, body: bytes) -> None:
        """Send one packet to all."""


FanoutFactory: TypeAlias = Callable[[], Fanout]


class PortableFanout:
    """Protects and sends one by one, with nothing but the socket module."""

    def __init__(self) -> None:
        self.dropped = 0
        self._rows: Sequence[tuple[Any, ...]] | None = ()
        self._outlets: Sequence[Outlet] = ()

    def changed(self, outlets: Iterable[Outlet]) -> None:
        """See Fanout."""
        self._outlets, self._rows = tuple(outlets), None

    def send(self, marker: int, sequence: int, timestamp: int, body: bytes) -> None:
        """See Fanout."""
        rows = self._rows
        if rows is None:
            rows = self._rows = [_portable_row(one) for one in self._outlets if one.link.ready]
        pack = HEADER.pack
        for protect, transmit, address, payload_type, ahead, later, ssrc in rows:
            number, at = (sequence + ahead) & 0xFFFF, (timestamp + later) & 0xFFFFFFFF
            header = pack(VERSION_2, marker | payload_type, number, at, ssrc)
            try:
                transmit(protect(header + body), address)
            except (OSError, SrtpError, ValueError):
                self.dropped += 1


def _portable_row(outlet: Outlet) -> tuple[Any, ...]:
    link = outlet.link
    return (
        link.secured.protect,
        link.endpoint.transmit,
        link.endpoint.address,
        outlet.payload_type,
        outlet.sequence_offset,
        outlet.timestamp_offset,
        outlet.ssrc,
    )


def batching_is_possible() -> bool:
    """Whether this system has sendmmsg with the struct layouts that are written here."""
    if sys.platform != "linux" or sys.maxsize < 1 << 32 or sys.byteorder != "little":
        return False
    return hasattr(ctypes.CDLL(None), "sendmmsg")


class Slots:
    """Room for the packets of one chunk, shared by all sources: no two of them send at once."""

    def __init__(self) -> None:
        self.memory = native.new("char[]", SLOT_BYTES * CHUNK)
        self.lengths = native.new("int[]", CHUNK)
        self.lengths_view = memoryview(native.buffer(self.lengths)).cast("B").cast("i")
        """Of the packets in the slots; what is not encrypted has none."""


class BatchedFanout:
    """Encrypts in place, and sends with one system call for each chunk of viewers."""

    def __init__(self, slots: Slots) -> None:
        self.dropped = 0
        self._slots = slots
        self._outlets: Sequence[Outlet] = ()
        self._batch: _Batch | None = None

    def changed(self, outlets: Iterable[Outlet]) -> None:
        """See Fanout."""
        self._outlets, self._batch = tuple(outlets), None

    def send(self, marker: int, sequence: int, timestamp: int, body: bytes) -> None:
        """See Fanout."""
        batch = self._batch
        if batch is None:
            batch = self._batch = _Batch([one for one in self._outlets if one.link.ready], self._slots)
        end = HEADER_BYTES + len(body)
        if end > HEADER_BYTES + BODY_BYTES_MAX:
            self.dropped += batch.count
            return
        pack_into, protect, lengths = HEADER.pack_into, protect_in_place, self._slots.lengths_view
        plain = array("i", (end,)) * CHUNK
        for descriptor, first, rows, sizes in batch.chunks:
            lengths[:] = plain
            for handle, slot, view, length, payload_type, ahead, later, ssrc in rows:
                pack_into(
                    view,
                    0,
                    VERSION_2,
                    marker | payload_type,
                    (sequence + ahead) & 0xFFFF,
                    (timestamp + later) & 0xFFFFFFFF,
                    ssrc,
                )
                view[HEADER_BYTES:end] = body
                if protect(handle, slot, length):
                    # A packet that was not encrypted must not leave: an empty one goes in its place.
                    length[0] = 0
            count = len(rows)
            sizes[:] = array("Q", lengths[:count])
            self.dropped += _send_messages(descriptor, batch.messages_at, first, count)


_Chunk: TypeAlias = tuple[int, int, Sequence[tuple[Any, ...]], memoryview]
"""Descriptor, number of the first message, rows to encrypt, and where the sizes of the messages go."""


class _Batch:
    """Rows to encrypt, and the structs that tell the kernel what goes where."""

    def __init__(self, outlets: Sequence[Outlet], slots: Slots) -> None:
        ordered = sorted(outlets, key=_descriptor)
        self.count = len(ordered)
        count = max(1, self.count)
        self._slots = slots
        self._names = native.new("char[]", _NAME_BYTES * count)
        self._vectors = native.new("char[]", _VECTOR_BYTES * count)
        self._messages = native.new("char[]", _MESSAGE_BYTES * count)
        self.messages_at = _address_of(self._messages)
        # Keys live in the sessions' memory, so the sessions must outlive this.
        self._held = [one.link.secured for one in ordered]
        self.chunks = tuple(self._chunks(ordered))

    def _chunks(self, ordered: Sequence[Outlet]) -> Iterable[_Chunk]:
        sizes = memoryview(native.buffer(self._vectors)).cast("B").cast("Q")[1::2]
        for descriptor, first, count in _groups([_descriptor(one) for one in ordered]):
            for begin in range(first, first + count, CHUNK):
                end = min(begin + CHUNK, first + count)
                rows = [self._row(at, at - begin, ordered[at]) for at in range(begin, end)]
                yield descriptor, begin, rows, sizes[begin:end]

    def _row(self, number: int, place: int, outlet: Outlet) -> tuple[Any, ...]:
        slot = self._slots.memory + SLOT_BYTES * place
        name = _name(outlet.link.endpoint.address)
        native.buffer(self._names)[_NAME_BYTES * number : _NAME_BYTES * number + len(name)] = name
        _VECTOR.pack_into(
            native.buffer(self._vectors), _VECTOR_BYTES * number, int(native.cast("uintptr_t", slot)), 0
        )
        _MESSAGE.pack_into(
            native.buffer(self._messages),
            _MESSAGE_BYTES * number,
            _address_of(self._names) + _NAME_BYTES * number,
            len(name),
            0,
            _address_of(self._vectors) + _VECTOR_BYTES * number,
            1,
            0,
            0,
            0,
            0,
        )
        return (
            outlet.link.secured.outgoing_handle,
            slot,
            native.buffer(slot, SLOT_BYTES),
            self._slots.lengths + place,
            outlet.payload_type,
            outlet.sequence_offset,
            outlet.timestamp_offset,
            outlet.ssrc,
        )


def _descriptor(outlet: Outlet) -> int:
    used = outlet.link.endpoint.socket
    assert used is not None, "only ready links are batched"
    return used.fileno()


def _groups(descriptors: Sequence[int]) -> Iterable[tuple[int, int, int]]:
    for descriptor in sorted(set(descriptors)):
        yield descriptor, descriptors.index(descriptor), descriptors.count(descriptor)


def _address_of(memory: Any) -> int:
    return int(native.cast("uintptr_t", memory))


def _name(address: SocketAddress | None) -> bytes:
    """struct sockaddr_in or sockaddr_in6."""
    assert address is not None, "only ready links are batched"
    if len(address) == 2:
        host, port = address
        return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))
    host, port, flow, scope = address
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    family, scope_id = struct.pack("=H", socket.AF_INET6), struct.pack("=I", scope)
    return family + struct.pack("!HI16s", port, flow, packed) + scope_id


def _system_call() -> Any:
    call = ctypes.CDLL(None, use_errno=True).sendmmsg
    call.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
    return call


_sendmmsg = _system_call() if batching_is_possible() else None


def _send_messages(descriptor: int, messages_at: int, first: int, count: int) -> int:
    """How many were dropped: all that is left when the kernel is full, but only one that it refuses."""
    assert _sendmmsg is not None, "batching was not possible"
    dropped = 0
    while count:
        sent = _sendmmsg(descriptor, messages_at + _MESSAGE_BYTES * first, count, _MSG_DONTWAIT)
        if sent < 0:
            if ctypes.get_errno() in _FULL:
                return dropped + count
            dropped, sent = dropped + 1, 1
        first, count = first + sent, count - sent
    return dropped
