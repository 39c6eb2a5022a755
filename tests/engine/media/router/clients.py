"""Peers for tests: a synthetic one that sends and keeps plain RTP, and a router with its events."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, TypeVar

from aioice import stun

from engine.media.protocol import (
    Answered,
    MediaAnswer,
    MediaEvent,
    MediaFault,
    MediaRequest,
    PeerEvent,
    Publish,
    View,
)
from engine.media.router import rtcp
from engine.media.router.dtls import Identity, Secured, SrtpError
from engine.media.router.router import Router, RouterConfig
from engine.media.router.rtp import HEADER, MARKER, is_rtcp

WAIT_SECONDS = 10.0
"""Only a broken test waits so long."""
VP8_KEY = b"\x10\x00\x9d\x01\x2a" + b"k" * 100
VP8_DELTA = b"\x10\x01" + b"d" * 100
E = TypeVar("E", bound=MediaEvent)


async def until(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Wait for something that datagrams and timers bring about."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not (found := condition()):  # noqa: ASYNC110 # datagrams set no event
            await asyncio.sleep(0.002)
    assert found, what
    return found


class Trial:
    """A router, and every event that it has told."""

    def __init__(self, router: Router, events: list[MediaEvent]) -> None:
        self.router, self.events = router, events

    async def ask(self, request: MediaRequest) -> MediaAnswer:
        return await self.router.handle(request)

    def of(self, kind: type[E], peer_id: str | None = None) -> list[E]:
        found = (one for one in self.events if isinstance(one, kind))
        return [one for one in found if peer_id is None or getattr(one, "peer_id", None) == peer_id]

    async def event(self, kind: type[E], peer_id: str | None = None) -> E:
        found: list[E] = await until(lambda: self.of(kind, peer_id), kind.__name__)
        return found[0]

    def last_of(self, peer_id: str) -> MediaEvent:
        return [one for one in self.events if isinstance(one, PeerEvent) and one.peer_id == peer_id][-1]

    def figure(self, peer_id: str, name: str) -> float:
        return self.router.statistics(peer_id)[name]


@asynccontextmanager
async def trial(*, faults: bool = False, **config: Any) -> AsyncIterator[Trial]:
    """A running router; it must end with nothing left and, unless `faults`, without a fault."""
    events: list[MediaEvent] = []
    router = Router(RouterConfig(**config), events.append)
    await router.open()
    the_trial = Trial(router, events)
    try:
        yield the_trial
    finally:
        await router.close()
        for client in Client.alive:
            client.vanish()
        Client.alive.clear()
    left = router.statistics()
    assert (left["peers_count"], left["tasks_count"], left["addresses_count"]) == (0, 0, 0)
    assert faults or not the_trial.of(MediaFault), the_trial.of(MediaFault)


# -- offers

_RTX = ("a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96")
_RIDS = ("a=rid:l send", "a=rid:m send", "a=rid:h send", "a=simulcast:send l;m;h")


def offer_lines(
    ufrag: str,
    fingerprint: str,
    direction: str = "sendonly",
    *,
    kinds: tuple[str, ...] = ("audio", "video"),
    codec: str = "VP8/90000",
    parameters: str = "",
    simulcast: bool = False,
    ssrcs: bool = False,
) -> list[str]:
    """An offer as a browser makes it, in lines."""
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0"]
    lines.append("a=group:BUNDLE " + " ".join(str(number) for number, _ in enumerate(kinds)))
    for number, kind in enumerate(kinds):
        formats = "111" if kind == "audio" else "96 97"
        lines.append(f"m={kind} 9 UDP/TLS/RTP/SAVPF {formats}")
        lines += ["c=IN IP4 0.0.0.0", f"a=mid:{number}", f"a={direction}", "a=rtcp-mux"]
        lines += [f"a=ice-ufrag:{ufrag}", "a=ice-pwd:0123456789abcdefghijklmn"]
        lines += [f"a=fingerprint:{fingerprint}", "a=setup:actpass"]
        lines.append("a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid")
        if kind == "audio":
            lines += ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1"]
            continue
        lines += [f"a=rtpmap:96 {codec}", *([f"a=fmtp:96 {parameters}"] if parameters else []), *_RTX]
        lines += [f"a=rtcp-fb:96 {one}" for one in ("nack", "nack pli", "ccm fir", "goog-remb")]
        if simulcast:
            lines += ["a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"]
            lines += ["a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", *_RIDS]
        if ssrcs:
            lines += ["a=ssrc-group:FID 1000 1001", "a=ssrc:1000 cname:x", "a=ssrc:1001 cname:x"]
    return lines


def joined(lines: list[str]) -> str:
    return "\r\n".join(lines) + "\r\n"


# -- a peer


class Client(asyncio.DatagramProtocol):
    """A full ICE agent of the simplest kind, a DTLS client, and plain RTP in both directions."""

    role, state = "controlling", "completed"
    alive: ClassVar[list["Client"]] = []
    """Those with a socket; a trial closes them at its end."""

    def __init__(self, family: int = socket.AF_INET) -> None:
        self.identity = Identity.generateCertificate()
        self.ufrag = secrets.token_hex(4)
        self.rtp: list[bytes] = []
        self.rtcp: list[rtcp.AnyPacket] = []
        self.arrived: list[tuple[float, int]] = []
        self.stun_answers: list[stun.Message] = []
        self.drop: Callable[[bytes], bool] = lambda _: False
        self.goodbye = asyncio.Event()
        self.address: tuple[str, int] = ("", 0)
        self.secured = Secured(self.identity, self, lambda _: self.goodbye.set(), server=False)
        self._host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()
        self._transport: asyncio.DatagramTransport
        self._answer: dict[str, str] = {}

    def offer(self, direction: str = "sendonly", **more: Any) -> str:
        return joined(offer_lines(self.ufrag, self.identity.fingerprint, direction, **more))

    async def connect(self, answered: MediaAnswer) -> None:
        """ICE, then DTLS."""
        await self.reach(answered)
        await self.secure()

    async def secure(self) -> None:
        name, _, digest = self._answer["fingerprint"].partition(" ")
        async with asyncio.timeout(WAIT_SECONDS):
            assert await self.secured.handshake(((name, digest),))

    async def reach(self, answered: MediaAnswer) -> None:
        """ICE only."""
        assert isinstance(answered, Answered)
        for line in answered.sdp_answer.split("\r\n"):
            name, _, value = line.removeprefix("a=").partition(":")
            self._answer.setdefault(name, value)
        words = [one.candidate.split() for one in answered.candidates if one.candidate]
        found = next(one for one in words if (":" in one[4]) == (":" in self._host))
        self.address = found[4], int(found[5])
        await self.open_socket()
        self.check()
        await until(lambda: self.stun_answers, "an answer to STUN")

    async def open_socket(self) -> None:
        """A first socket, or another one as after a change of network."""
        loop = asyncio.get_running_loop()
        Client.alive.append(self)
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self._host, 0))

    def check(self, *, nominate: bool = True, **changes: Any) -> None:
        """Send a binding request; `changes` are wrong words for the test of refusal."""
        ours = changes.get("ufrag", self._answer["ice-ufrag"])
        request = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        request.attributes["USERNAME"] = f"{ours}:{changes.get('remote', self.ufrag)}"
        request.attributes["PRIORITY"] = 1
        request.attributes[changes.get("role", "ICE-CONTROLLING")] = 1
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        if changes.get("signed", True):
            request.add_message_integrity(changes.get("password", self._answer["ice-pwd"]).encode())
        self.send_datagram(bytes(request))

    def send_datagram(self, data: bytes) -> None:
        self._transport.sendto(data, self.address)

    async def _recv(self) -> bytes:
        return await self._waiting.get()

    async def _send(self, data: bytes) -> None:
        self.send_datagram(data)

    def datagram_received(self, data: bytes, addr: object) -> None:
        if self.drop(data):
            return
        if data[0] <= 3:
            self.stun_answers.append(stun.parse_message(data))
        elif data[0] < 64:
            self._waiting.put_nowait(data)
        elif self.secured.connected:
            self._take_srtp(data)

    def _take_srtp(self, data: bytes) -> None:
        try:
            if is_rtcp(data):
                self.rtcp += rtcp.read(self.secured.unprotect_rtcp(data))
            else:
                self.rtp.append(self.secured.unprotect(data))
                self.arrived.append((time.monotonic(), len(data)))
        except SrtpError:
            raise AssertionError("the router has sent what cannot be read") from None

    def send_rtp(
        self,
        sequence: int,
        timestamp: int,
        payload: bytes = VP8_DELTA,
        *,
        payload_type: int = 96,
        ssrc: int = 1000,
        marker: bool = False,
        extensions: bytes = b"",
    ) -> None:
        """One packet; `extensions` are the items of a one-byte header extension."""
        second = payload_type | (MARKER if marker else 0)
        header = HEADER.pack(
            0x90 if extensions else 0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc
        )
        if extensions:
            padded = extensions + bytes(-len(extensions) % 4)
            header += b"\xbe\xde" + (len(padded) // 4).to_bytes(2, "big") + padded
        self.send_datagram(self.secured.protect(header + payload))

    def send_rtcp(self, packet: bytes) -> None:
        self.send_datagram(self.secured.protect_rtcp(packet))

    def media(self, payload_type: int = 96) -> list[tuple[int, int, bytes]]:
        """(sequence, timestamp, payload) of what came, in order of arrival."""
        found = []
        for packet in self.rtp:
            _, second, sequence, timestamp, _ = HEADER.unpack_from(packet)
            if second & 0x7F == payload_type:
                found.append((sequence, timestamp, packet[12:]))
        return found

    async def close(self) -> None:
        """Say goodbye."""
        await self.secured.stop()
        self.vanish()

    def vanish(self) -> None:
        """Go without a word."""
        self._transport.close()


async def publish(the_trial: Trial, peer_id: str = "pub", stream_id: str = "s", **more: Any) -> Client:
    """A connected publisher."""
    client = Client()
    request = Publish(stream_id=stream_id, peer_id=peer_id, sdp_offer=client.offer(**more))
    await client.connect(await the_trial.ask(request))
    return client


async def view(
    the_trial: Trial, peer_id: str = "view", stream_id: str = "s", *, layer: str | None = None, **more: Any
) -> Client:
    """A connected viewer."""
    client = Client()
    offer = client.offer("recvonly", **more)
    request = View(stream_id=stream_id, peer_id=peer_id, sdp_offer=offer, layer=layer)
    await client.connect(await the_trial.ask(request))
    return client
