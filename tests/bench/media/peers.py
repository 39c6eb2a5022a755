"""Publishers and viewers that cost little: ICE, DTLS and SRTP are real, pictures and voices are not."""

import asyncio
import contextlib
import secrets
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from aioice import stun
from aiortc.rtp import RtcpReceiverInfo

from engine.media.router import rtcp
from engine.media.router.dtls import Identity, Secured, SrtpError
from engine.media.router.rtp import HEADER, MARKER, is_rtcp, payload_of
from tests.bench.media.drain import Counted
from tests.engine.media.router.clients import joined, offer_lines

AV = ("audio", "video")
AUDIO = ("audio",)
AUDIO_TYPE, VIDEO_TYPE = 111, 96
VIDEO_SSRC, AUDIO_SSRC = 1000, 2000
FRAME_SECONDS = 1 / 30
PACKETS_PER_FRAME = 158.7 / 30
VIDEO_BODY_BYTES = 1165
VOICE_SECONDS = 0.02
VOICE_BODY_BYTES = 82
KEY_SECONDS = 10.0
_KEY, _DELTA, _REST = b"\x10\x00\x9d\x01\x2a", b"\x10\x01\x00\x9d\x01", b"\x00\x01\x00\x00\x00"
"""VP8: the descriptor and the first octets of a key frame, of another one, and of what is not its begin."""
_STAMP = struct.Struct("!Q")
_VIDEO_REST = bytes(VIDEO_BODY_BYTES - len(_KEY) - _STAMP.size)
_VOICE_REST = bytes(VOICE_BODY_BYTES - _STAMP.size)
_SO_TIMESTAMPNS = 35
_CHECK_SECONDS = 0.2
CONNECT_SECONDS = 30.0
_HOSTS = 250
_BINDING_REQUEST = b"\x00\x01"
_PASSWORD = b"0123456789abcdefghijklmn"
"""Of every offer that clients.offer_lines makes."""


def loopback(number: int) -> str:
    """Peers are on many addresses, for handshakes are limited for each address."""
    return f"127.0.{1 + number // _HOSTS % _HOSTS}.{1 + number % _HOSTS}"


class Peer:
    """An ICE agent of the simplest kind and a DTLS client."""

    role, state = "controlling", "completed"
    direction = "recvonly"

    def __init__(self, identity: Identity, host: str, kinds: Sequence[str]) -> None:
        self.kinds = tuple(kinds)
        self.turn = 0
        """Among those who were opened together."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        self.ssrcs: list[int] = []
        """Of what the other side says it will send."""
        self._identity = identity
        self._ufrag = secrets.token_hex(4)
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._reached = asyncio.Event()
        self.secured = Secured(identity, self, lambda _: None, server=False)
        self._check = b""

    def offer(self) -> str:
        return joined(self.lines())

    def lines(self) -> list[str]:
        lines = offer_lines(self._ufrag, self._identity.fingerprint, self.direction, kinds=self.kinds)
        host, port = self.socket.getsockname()
        candidate = f"a=candidate:1 1 udp 2130706431 {host} {port} typ host"
        first = next(number for number, line in enumerate(lines) if line.startswith("c="))
        return [*lines[: first + 1], candidate, *lines[first + 1 :]]

    async def connect(self, sdp: str) -> None:
        """Connect to whoever has written this, its candidates inside."""
        lines = [line.removeprefix("a=") for line in sdp.split("\r\n")]
        said = {}
        for name, _, value in (line.partition(":") for line in lines):
            said.setdefault(name, value)
        self.ssrcs = [int(one.split()[0]) for one in _values(lines, "ssrc") if "cname" in one]
        words = next(one.split() for one in _values(lines, "candidate") if _is_usable(one))
        self.socket.connect((words[4], int(words[5])))
        self._check = self._binding_request(said["ice-ufrag"], said["ice-pwd"])
        loop = asyncio.get_running_loop()
        loop.add_reader(self.socket, self._readable)
        async with asyncio.timeout(CONNECT_SECONDS):
            await self._reach()
            name, _, digest = said["fingerprint"].partition(" ")
            assert await self.secured.handshake(((name, digest),))
        loop.remove_reader(self.socket)

    def _binding_request(self, ufrag: str, password: str) -> bytes:
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{ufrag}:{self._ufrag}"
        request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLING"] = 1
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(password.encode())
        return bytes(request)

    async def _reach(self) -> None:
        while not self._reached.is_set():
            self.check()
            try:
                await asyncio.wait_for(self._reached.wait(), _CHECK_SECONDS)
            except TimeoutError:
                continue

    def check(self) -> None:
        """Say that we are there, and willing (RFC 7675)."""
        self.send(self._check)

    def send(self, data: bytes) -> None:
        """Nobody hears it where nobody is."""
        with contextlib.suppress(OSError):
            self.socket.send(data)

    def _readable(self) -> None:
        for data in self.arrivals():
            if data[:2] == _BINDING_REQUEST:
                self._answer(data)
            elif data[0] <= 3:
                self._reached.set()
            elif 20 <= data[0] <= 63:
                self._arrived.put_nowait(data)

    def _answer(self, data: bytes) -> None:
        """A full agent checks the way back."""
        answer = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=stun.parse_message(data).transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = self.socket.getpeername()
        answer.add_message_integrity(_PASSWORD)
        self.send(bytes(answer))

    def arrivals(self) -> Sequence[bytes]:
        """Datagrams that wait at the socket."""
        found = []
        try:
            while True:
                found.append(self.socket.recv(2048))
        except OSError:
            # There are no more, or there is nobody any more.
            return found

    async def close(self) -> None:
        """Say goodbye."""
        await self.secured.stop()
        self.socket.close()

    async def _recv(self) -> bytes:
        return await self._arrived.get()

    async def _send(self, data: bytes) -> None:
        self.send(data)


class Viewer(Peer):
    """Gets packets, which others count, and reports about them once a second."""

    counted: Counted

    def prepare(self) -> None:
        """Write the report that is sent from now on; figures in it would change nothing for the router."""
        blocks = [RtcpReceiverInfo(one, 0, 0, 1, 0, 0, 0) for one in self.ssrcs]
        report = rtcp.receiver_report(blocks, sender=1)
        self._report = report + rtcp.bitrate_limit(2_000_000, self.ssrcs, sender=1)

    def report(self) -> None:
        self.send(self.secured.protect_rtcp(self._report))


class Probe(Viewer):
    """A viewer that decrypts, and so knows how long each packet was on its way."""

    def __init__(self, identity: Identity, host: str, kinds: Sequence[str]) -> None:
        super().__init__(identity, host, kinds)
        # When it came to the socket, not when this program was allowed to look.
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.seconds: list[float] = []

    def prepare(self) -> None:
        super().prepare()
        self.counted = Counted(self.socket)

    def read(self) -> None:
        try:
            while True:
                data, control, _, _ = self.socket.recvmsg(2048, 64)
                if data[0] >= 128 and not is_rtcp(data):
                    self._take(data, control)
        except OSError:
            return

    def _take(self, data: bytes, control: Sequence[tuple[int, int, bytes]]) -> None:
        self.counted.packets += 1
        whole, nanoseconds = struct.unpack("=qq", control[0][2])
        try:
            plain = self.secured.unprotect(data)
        except SrtpError:
            return
        body = payload_of(plain) or b""
        at = len(_KEY) if plain[1] & 0x7F == VIDEO_TYPE else 0
        # Shorter are probes for bandwidth, which Janus sends.
        if len(body) >= at + _STAMP.size:
            sent = _STAMP.unpack_from(body, at)[0]
            self.seconds.append((whole * 1_000_000_000 + nanoseconds - sent) / 1e9)


class Publisher(Peer):
    """Sends 30 pictures a second of 1.5 Mbit/s, and 50 packets of voice."""

    direction = "sendonly"

    def __init__(self, identity: Identity, host: str, kinds: Sequence[str]) -> None:
        super().__init__(identity, host, kinds)
        self.sent = 0
        self.asked_again = 0
        self.refused = 0
        self._phase = secrets.randbelow(1000) / 1000 * FRAME_SECONDS
        self._frames = self._video = self._voices = 0
        self._frame_at = self._voice_at = 0.0
        self._key_wanted = True

    def lines(self) -> list[str]:
        found = []
        for line in super().lines():
            if line.startswith("m="):
                ssrc = VIDEO_SSRC if line.startswith("m=video") else AUDIO_SSRC
            found += [line, f"a=ssrc:{ssrc} cname:load"] if line == "a=rtcp-mux" else [line]
        return found

    def resume(self, now: float) -> None:
        """Go on, after whatever pause."""
        self._frame_at = self._voice_at = now + self._phase

    def send_due(self, now: float) -> None:
        while "video" in self.kinds and self._frame_at <= now:
            # What is late is sent, but not all of a long absence.
            self._frame_at = max(self._frame_at + FRAME_SECONDS, now - FRAME_SECONDS)
            self._send_frame()
        while self._voice_at <= now:
            self._voice_at = max(self._voice_at + VOICE_SECONDS, now - VOICE_SECONDS)
            self._send_packet(AUDIO_TYPE, self._voices, 960 * self._voices, AUDIO_SSRC, b"", _VOICE_REST)
            self._voices += 1

    def _send_frame(self) -> None:
        first = int(self._frames * PACKETS_PER_FRAME)
        count = int((self._frames + 1) * PACKETS_PER_FRAME) - first
        key = self._key_wanted or self._frames % int(KEY_SECONDS / FRAME_SECONDS) == 0
        self._key_wanted = False
        for number in range(count):
            begin = _REST if number else _KEY if key else _DELTA
            second = VIDEO_TYPE | (MARKER if number == count - 1 else 0)
            self._send_packet(second, self._video, 3000 * self._frames, VIDEO_SSRC, begin, _VIDEO_REST)
            self._video += 1
        self._frames += 1

    def _send_packet(
        self, second: int, sequence: int, timestamp: int, ssrc: int, begin: bytes, rest: bytes
    ) -> None:
        header = HEADER.pack(0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        plain = header + begin + _STAMP.pack(time.time_ns()) + rest
        try:
            self.socket.send(self.secured.protect(plain))
            self.sent += 1
        except OSError:
            self.refused += 1

    def read(self) -> None:
        """Requests for key frames and for lost packets."""
        for data in self.arrivals():
            if data[0] >= 128 and is_rtcp(data):
                for one in self._read(data):
                    self._key_wanted |= rtcp.asks_for_key_frame(one)
                    self.asked_again += len(rtcp.asked_again(one))

    def _read(self, data: bytes) -> Sequence[Any]:
        try:
            return rtcp.read(self.secured.unprotect_rtcp(data))
        except SrtpError:
            return ()


def _values(lines: Sequence[str], name: str) -> Sequence[str]:
    return [line.partition(":")[2] for line in lines if line.startswith(f"{name}:")]


def _is_usable(candidate: str) -> bool:
    words = candidate.split()
    return words[2].lower() == "udp" and words[1] == "1" and ":" not in words[4]
