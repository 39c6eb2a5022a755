"""The media router beside what nothing can be cheaper than: libsrtp in place and sendmmsg, to 200 sockets."""

import asyncio
import gc
import multiprocessing
import os
import socket
import statistics
import struct
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs
from pylibsrtp import Policy, Session

from engine.media.protocol import Answered, Candidate, PeerConnected, Publish, View
from engine.media.router import fanout
from engine.media.router.dtls import native, protect_in_place
from engine.media.router.fanout import SLOT_BYTES, batching_is_possible
from engine.media.router.rtp import HEADER
from tests.bench.report import Figure
from tests.engine.media.router.clients import VP8_KEY, Client, Trial, publish, trial, until, view

VIEWERS = 200
BODY_BYTES = 1165
"""A packet of 1177 bytes, the mean of a 720p picture of 1.5 Mbit/s."""
BURST = 20
"""Packets sent before the sockets are drained, outside the measured time."""
ROUNDS = 15
CONNECTS = 200
MICRO = 1e6


def figures() -> Iterator[Figure]:
    """CPU of the process, system time included: per packet, then per connect; memory per viewer."""
    if not batching_is_possible():
        return
    # First, because memory that another part has given back would be used again and not counted.
    connect, memory = asyncio.run(_connecting())
    floor, batched, portable = asyncio.run(_forwarding())
    yield Figure("calibrate", floor * MICRO, "us/packet", None, "", f"{VIEWERS} sockets, AES-128-GCM")
    for name, value, ask in (("batched", batched, "<= 1.6"), ("portable", portable, "<= 2.7")):
        note = f"{VIEWERS} viewers, ingress included, against calibrate"
        yield Figure(f"forward, {name}", value * MICRO, "us/packet", value / floor, ask, note)
    yield Figure(
        "connect a viewer", 1000 * connect, "ms CPU", None, "<= 2", f"{CONNECTS} at once, two tracks"
    )
    yield Figure(
        "memory of a viewer", memory / 1024, "kB", None, "<= 125", "growth of the process, connected"
    )


# -- the floor


class Floor:
    """What no forwarder can do without: encryption with each viewer's key, and the kernel."""

    def __init__(self) -> None:
        self.sender = _socket()
        self.receivers = [_socket() for _ in range(VIEWERS)]
        policy = Policy(
            key=bytes(28),
            ssrc_type=Policy.SSRC_ANY_OUTBOUND,
            srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
        )
        policy.allow_repeat_tx = True
        self._sessions = [Session(policy) for _ in range(VIEWERS)]
        self._slots = native.new("char[]", SLOT_BYTES * VIEWERS)
        self._lengths = native.new("int[]", VIEWERS)
        self._names = native.new("char[]", 16 * VIEWERS)
        self._vectors = native.new("char[]", 16 * VIEWERS)
        self._messages = native.new("char[]", 64 * VIEWERS)
        self._rows = [self._row(number) for number in range(VIEWERS)]
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
        assert fanout._send_messages(self.sender.fileno(), at, 0, VIEWERS) == 0

    def measure(self) -> float:
        """Seconds of CPU per packet."""
        before = time.process_time()
        for _ in range(BURST):
            self.send()
        spent = time.process_time() - before
        for one in self.receivers:
            _drain(one)
        return spent / BURST / VIEWERS

    def close(self) -> None:
        for one in (self.sender, *self.receivers):
            one.close()


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    made.settimeout(0)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        made.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
    return made


def _drain(receiver: socket.socket) -> int:
    count = 0
    while True:
        try:
            receiver.recv(2048)
        except BlockingIOError:
            return count
        count += 1


# -- forwarding


@attrs.define
class Room:
    """A publisher, and viewers whose packets are counted and thrown away."""

    the: Trial
    publisher: Client
    viewers: Sequence[Client]
    counted: list[int]
    number: int = 1

    async def measure(self) -> float:
        """Seconds of CPU per forwarded packet: from the datagram that comes in to those that go out."""
        mux = self.the.router.mux
        bound, address = mux._sockets[0], self.publisher._transport.get_extra_info("sockname")
        packets = []
        for _ in range(BURST):
            self.number += 1
            header = HEADER.pack(0x80, 96, self.number & 0xFFFF, 3000 * self.number & 0xFFFFFFFF, 1000)
            packets.append(self.publisher.secured.protect(header + VP8_KEY[:5] + bytes(BODY_BYTES - 5)))
        expected = self.counted[0] + BURST * len(self.viewers)
        before = time.process_time()
        for packet in packets:
            mux.take(packet, address, bound, time.monotonic())
        spent = time.process_time() - before
        await until(lambda: self.counted[0] >= expected, "every packet at every viewer")
        return spent / BURST / len(self.viewers)


async def _room(the: Trial) -> Room:
    publisher = await publish(the)
    viewers = [await view(the, f"view-{number}", kinds=("video",)) for number in range(VIEWERS)]
    await the.event(PeerConnected, f"view-{VIEWERS - 1}")
    publisher.send_rtp(1, 3000, VP8_KEY)
    await until(lambda: all(one.rtp for one in viewers))
    counted = [0]

    def count(data: bytes) -> bool:
        counted[0] += data[0] >= 128 and not 192 <= data[1] <= 223
        return True

    for one in viewers:
        one.drop = count
    return Room(the, publisher, viewers, counted)


async def _forwarding() -> tuple[float, float, float]:
    """Medians of rounds in which the three take turns, so that all see the same machine."""
    floor = Floor()
    spent: tuple[list[float], list[float], list[float]] = ([], [], [])
    quiet = {"lost_seconds": 1e9, "stalled_seconds": 1e9}
    async with trial(batched=True, **quiet) as one, trial(batched=False, **quiet) as two:
        rooms = await _room(one), await _room(two)
        gc.collect()
        for _ in range(ROUNDS):
            spent[0].append(floor.measure())
            for kept, room in zip(spent[1:], rooms, strict=True):
                kept.append(await room.measure())
    floor.close()
    return statistics.median(spent[0]), statistics.median(spent[1]), statistics.median(spent[2])


# -- connecting


async def _connecting() -> tuple[float, float]:
    """Seconds of CPU and bytes of memory per viewer; the clients are in another process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_clients, args=(theirs,), daemon=True)
    process.start()
    # So that a client that dies is an end of file here, and not silence.
    theirs.close()
    try:
        async with trial() as the:
            offer = Client().offer()
            await the.ask(Publish(stream_id="s", peer_id="pub", sdp_offer=offer))
            await _connect(the, ours, "warm")
            gc.collect()
            memory, spent = _resident_bytes(), time.process_time()
            await _connect(the, ours, "more")
            spent = time.process_time() - spent
            gc.collect()
            memory = _resident_bytes() - memory
            ours.send(None)
    finally:
        process.join(10)
        process.kill()
    return spent / CONNECTS, memory / CONNECTS


async def _connect(the: Trial, pipe: Connection, name: str) -> None:
    loop = asyncio.get_running_loop()
    pipe.send(CONNECTS)
    for number, offer in enumerate(await loop.run_in_executor(None, pipe.recv)):
        answered = await the.ask(View(stream_id="s", peer_id=f"{name}-{number}", sdp_offer=offer))
        assert isinstance(answered, Answered)
        pipe.send((answered.sdp_answer, [one.candidate for one in answered.candidates]))
    await loop.run_in_executor(None, pipe.recv)
    await until(lambda: sum(one.peer_id.startswith(name) for one in the.of(PeerConnected)) == CONNECTS)


def _clients(pipe: Connection) -> None:
    asyncio.run(_serve_clients(pipe))


async def _serve_clients(pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    while (count := await loop.run_in_executor(None, pipe.recv)) is not None:
        clients = [Client() for _ in range(count)]
        pipe.send([one.offer("recvonly") for one in clients])
        answers = []
        for _ in clients:
            text, candidates = pipe.recv()
            answers.append(
                Answered(sdp_answer=text, candidates=tuple(Candidate(candidate=one) for one in candidates))
            )
        await asyncio.gather(*(one.connect(each) for one, each in zip(clients, answers, strict=True)))
        pipe.send("connected")


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
