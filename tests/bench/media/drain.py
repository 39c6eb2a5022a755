"""Empties the sockets of many viewers at little cost: one system call takes all that waits at a socket."""

import ctypes
import select
import socket
import struct
from pathlib import Path

import attrs

_MESSAGES = 64
_PEEK_BYTES = 16
"""Of each packet; the rest is thrown away by the kernel."""
_MESSAGE_BYTES, _VECTOR_BYTES = 64, 16
_MSG_DONTWAIT = 0x40
_NO_MEDIA = bytes([1, *range(192, 224)])
"""Second octets of RTCP, and of an answer to STUN."""


@attrs.define(eq=False)
class Counted:
    """A socket whose RTP packets are counted."""

    socket: socket.socket
    packets: int = 0


class Drain:
    """Sockets that are read whenever `sweep` is called."""

    def __init__(self) -> None:
        self._ready = select.epoll()
        self._sockets: dict[int, Counted] = {}
        self._slots = bytearray(_PEEK_BYTES * _MESSAGES)
        self._vectors = bytearray(_VECTOR_BYTES * _MESSAGES)
        self._messages = bytearray(_MESSAGE_BYTES * _MESSAGES)
        slots, vectors, self._at = (_address(one) for one in (self._slots, self._vectors, self._messages))
        for number in range(_MESSAGES):
            place = slots + _PEEK_BYTES * number
            struct.pack_into("=QQ", self._vectors, _VECTOR_BYTES * number, place, _PEEK_BYTES)
            vector = vectors + _VECTOR_BYTES * number
            struct.pack_into("=16xQQ", self._messages, _MESSAGE_BYTES * number, vector, 1)
        self._receive = ctypes.CDLL(None).recvmmsg
        self._receive.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]

    def add(self, one: socket.socket) -> Counted:
        """Read this one from now on."""
        counted = self._sockets[one.fileno()] = Counted(one)
        self._ready.register(one, select.EPOLLIN)
        return counted

    def close(self) -> None:
        """The sockets are closed by those who made them."""
        self._ready.close()

    def sweep(self) -> None:
        """Read everything that waits."""
        receive, slots, at, sockets = self._receive, self._slots, self._at, self._sockets
        for descriptor, _ in self._ready.poll(0, max(1, len(sockets))):
            counted = sockets[descriptor]
            number = _MESSAGES
            while number == _MESSAGES:
                number = receive(descriptor, at, _MESSAGES, _MSG_DONTWAIT, None)
                if number > 0:
                    seconds = slots[1 : _PEEK_BYTES * number : _PEEK_BYTES]
                    counted.packets += len(seconds.translate(None, _NO_MEDIA))


def kernel_drops(ports: set[int]) -> int:
    """Datagrams for these ports of ours that found their socket's buffer full."""
    drops = 0
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) in ports:
            drops += int(fields[-1])
    return drops


def _address(memory: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(memory)).from_buffer(memory))
