"""What no forwarder can do without: encryption with each viewer's key, and the kernel, for 200 sockets."""

import os
import socket
import statistics
import struct
import time
from typing import Any

from pylibsrtp import Policy, Session

from engine.media.router import fanout
from engine.media.router.dtls import native, protect_in_place
from engine.media.router.fanout import SLOT_BYTES
from engine.media.router.rtp import HEADER

SOCKETS = 200
BODY_BYTES = 1165
"""A packet of 1177 bytes, the mean of a 720p picture of 1.5 Mbit/s."""
PICTURE = 5
"""Packets sent before the sockets are drained, outside of the measured time."""
PICTURES = 30
PICTURE_SECONDS = 1 / 30
"""At the rhythm of a stream: between pictures the caches grow cold, for a router as well."""


class Floor:
    """Encrypts in place with AES-128-GCM and calls sendmmsg, by the router's own structs."""

    def __init__(self) -> None:
        self.sender = _socket()
        self.receivers = [_socket() for _ in range(SOCKETS)]
        policy = Policy(
            key=bytes(28),
            ssrc_type=Policy.SSRC_ANY_OUTBOUND,
            srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        )
        policy.allow_repeat_tx = True
        self._sessions = [Session(policy) for _ in range(SOCKETS)]
        self._slots = native.new("char[]", SLOT_BYTES * SOCKETS)
        self._lengths = native.new("int[]", SOCKETS)
        self._names = native.new("char[]", 16 * SOCKETS)
        self._vectors = native.new("char[]", 16 * SOCKETS)
        self._messages = native.new("char[]", 64 * SOCKETS)
        self._rows = [self._row(number) for number in range(SOCKETS)]
        self._plain = HEADER.pack(0x80, 96, 1, 2, 3) + os.urandom(BODY_BYTES)

    def _row(self, number: int) -> tuple[Any, ...]:
        slot = self._slots + SLOT_BYTES * number
        host, port = self.receivers[number].getsockname()
        name = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))
        native.buffer(self._names)[16 * number : 16 * number + 16] = name
        at = [int(native.cast("uintptr_t", one)) for one in (slot, self._names, self._vectors)]
        struct.pack_into("=QQ", native.buffer(self._vectors), 16 * number, at[0], 12 + BODY_BYTES + 16)
        struct.pack_into(
            "=QIIQQQQII",
            native.buffer(self._messages),
            64 * number,
            at[1] + 16 * number,
            16,
            0,
            at[2] + 16 * number,
            *(1, 0, 0, 0, 0),
        )
        return self._sessions[number]._srtp[0], slot, native.buffer(slot, SLOT_BYTES), self._lengths + number

    def send(self) -> None:
        plain, size = self._plain, len(self._plain)
        for handle, slot, view_of, length in self._rows:
            view_of[0:size] = plain
            length[0] = size
            protect_in_place(handle, slot, length)
        at = int(native.cast("uintptr_t", self._messages))
        assert fanout._send_messages(self.sender.fileno(), at, 0, SOCKETS) == 0

    def measure(self) -> float:
        """Seconds of CPU per packet, the median of pictures."""
        spent = []
        for _ in range(PICTURES):
            spent.append(self._picture())
            time.sleep(PICTURE_SECONDS)
        return statistics.median(spent)

    def _picture(self) -> float:
        before = time.process_time()
        for _ in range(PICTURE):
            self.send()
        spent = time.process_time() - before
        for one in self.receivers:
            _drain(one)
        return spent / PICTURE / SOCKETS

    def close(self) -> None:
        for one in (self.sender, *self.receivers):
            one.close()


def calibrate(core: int) -> float:
    """Seconds of CPU per packet on a core; the calling thread is there meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    floor = Floor()
    try:
        return floor.measure()
    finally:
        floor.close()
        os.sched_setaffinity(0, before)


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(0)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        made.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
    return made


def _drain(receiver: socket.socket) -> None:
    while True:
        try:
            receiver.recv(2048)
        except BlockingIOError:
            return
