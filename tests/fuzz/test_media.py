"""Damaged datagrams and offers to the media router: no exception escapes, and other peers notice nothing."""

import asyncio
import os
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from aioice import stun
from aiortc.rtp import RtcpSenderInfo

from engine.media.protocol import (
    Answered,
    BadOfferError,
    ClosePeer,
    Kind,
    MediaFault,
    PeerClosed,
    Publish,
    View,
)
from engine.media.router import rtcp
from engine.media.router.offer import read_offer
from engine.media.router.rtp import (
    HEADER,
    HEADER_BYTES,
    KEY_FRAME_SNIFFERS,
    extensions_of,
    payload_of,
)
from engine.media.router.sdp import Local, Outgoing, plan_publish, plan_view, write_answer
from tests.engine.media.router.clients import (
    VP8_KEY,
    Client,
    Trial,
    joined,
    offer_lines,
    publish,
    trial,
    until,
    view,
)

EXAMPLES = int(os.environ.get("SWITCHHOOK_FUZZ_EXAMPLES", "10000"))
SEED = int(os.environ.get("SWITCHHOOK_FUZZ_SEED", "7"))
FINGERPRINT = "sha-256 " + ":".join(["AB"] * 32)
LOCAL = Local(session_id=7, ufrag="ours", password="pass", fingerprint=FINGERPRINT)
HELLO = bytes.fromhex("16fefd000000000000000000360100002a000000000000") + b"0" * 40


def damaged(data: bytes, chance: random.Random) -> bytes:
    """A few octets changed, cut out, put in, or all of it cut short."""
    out = bytearray(data)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(4):
            case 0:
                out[at : at + chance.randrange(5)] = chance.randbytes(chance.randrange(5))
            case 1:
                out[at : at + 1] = bytes((chance.choice((0, 1, 0x7F, 0x80, 0xFF)),))
            case 2:
                del out[at:]
            case _:
                out[at:at] = out[: chance.randrange(20)]
    return bytes(out)


def plain_media(chance: random.Random, number: int) -> bytes:
    """RTP as a publisher sends it, before it is damaged."""
    first = chance.choice((0x80, 0x80, 0x90, 0xA0, 0x82, 0xB1))
    second = chance.choice((96, 96, 97, 111, 96 | 0x80, chance.randrange(128)))
    sequence = chance.choice((number, number, number - 3, chance.randrange(1 << 16))) & 0xFFFF
    header = HEADER.pack(
        first, second, sequence, chance.randrange(1 << 32), chance.choice((1000, 1001, 5, number))
    )
    extension = b"\xbe\xde\x00\x02\x10a\x20l\x30m\x00\x00" if first & 0x10 else b""
    return header + extension + chance.choice((VP8_KEY, b"", b"\x00\x01", chance.randbytes(40)))


def plain_reports(chance: random.Random, ssrc: int) -> bytes:
    """A compound of RTCP, before it is damaged."""
    info = RtcpSenderInfo(chance.randrange(1 << 64), chance.randrange(1 << 32), 1, 1)
    block = rtcp.Reception(90000).info(ssrc, 0.0)
    parts = [
        rtcp.picture_loss(sender=1, media=ssrc),
        rtcp.negative_acknowledgement([chance.randrange(1 << 16) for _ in range(9)], sender=1, media=ssrc),
        rtcp.bitrate_limit(chance.randrange(1 << 40), [ssrc], sender=1),
        rtcp.receiver_report([block], sender=1),
        rtcp.sender_report(chance.choice((ssrc, 1000)), info, "x"),
        struct.pack("!BBHLLLL", 0x84, 206, 4, 1, 0, ssrc, 1),
        struct.pack("!BBHL", 0x81, 203, 1, ssrc),
    ]
    return b"".join(chance.sample(parts, chance.randrange(1, 4)))


class Attack:
    """Mallory publishes and views; she sends what she likes, also in the name of others."""

    def __init__(self, the: Trial, publisher: Client, viewer: Client, chance: random.Random) -> None:
        self._mux, self._chance = the.router.mux, chance
        self._publisher, self._viewer = publisher, viewer
        self._addresses = list(self._mux._by_address)
        self._socket = self._mux._sockets[0]
        self._endpoints = list(self._mux._by_ufrag.values())
        self.failures: list[BaseException] = []

    def strike(self, number: int) -> None:
        sender, data = self._chance.choice((self._forge, self._garble, self._speak, self._report))(number)
        try:
            self._mux.take(data, sender, self._socket, 1.0 * number)
        except Exception as error:  # What the mux would tell as a fault.
            self.failures.append(error)

    def _anybody(self) -> Any:
        return self._chance.choice([*self._addresses, ("127.0.0.1", self._chance.randrange(1, 1 << 16))])

    def _forge(self, _: int) -> tuple[Any, bytes]:
        """STUN with a right or a wrong key, and damaged."""
        endpoint = self._chance.choice(self._endpoints)
        message = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
        message.attributes["USERNAME"] = f"{endpoint.ufrag}:{endpoint.remote_ufrag}"
        message.attributes["PRIORITY"] = self._chance.randrange(1 << 32)
        if self._chance.random() < 0.5:
            message.attributes["USE-CANDIDATE"] = None
        message.add_message_integrity(b"not the password of anybody")
        return self._anybody(), damaged(bytes(message), self._chance)

    def _garble(self, _: int) -> tuple[Any, bytes]:
        """DTLS, SRTP and nonsense in anybody's name."""
        first = self._chance.choice((0x16, 0x15, 0x17, 0x14, 0x80, 0xB0, 0x00, 0x40, 0xFF))
        data = self._chance.choice(
            (HELLO, bytes((first,)) + self._chance.randbytes(self._chance.randrange(80)), b"")
        )
        return self._anybody(), damaged(data, self._chance)

    def _speak(self, number: int) -> tuple[Any, bytes]:
        """RTP that she may send: the header is kept so that SRTP takes it."""
        plain = plain_media(self._chance, number)
        plain = plain[:1] + damaged(plain[1:], self._chance)
        return self._own(self._publisher), self._protected(self._publisher.secured.protect, plain)

    def _report(self, _: int) -> tuple[Any, bytes]:
        client = self._chance.choice((self._publisher, self._viewer))
        ssrc = int.from_bytes(self._viewer.rtp[0][8:12], "big")
        plain = plain_reports(self._chance, ssrc)
        plain = plain[:8] + damaged(plain[8:], self._chance)
        return self._own(client), self._protected(client.secured.protect_rtcp, plain)

    def _own(self, client: Client) -> Any:
        return client._transport.get_extra_info("sockname")

    def _protected(self, protect: Callable[[bytes], bytes], plain: bytes) -> bytes:
        try:
            return protect(plain)
        except Exception:  # Not even libsrtp would send it.
            return plain


@pytest.mark.slow
def test_damaged_datagrams_disturb_nobody() -> None:
    async def main() -> None:
        chance = random.Random(SEED)
        # Nobody checks its path meanwhile, and long runs must not end by silence.
        async with trial(lost_seconds=1e9, stalled_seconds=1e9) as the:
            ann, bob = await publish(the, "ann", "good"), await view(the, "bob", "good")
            publisher, viewer = await publish(the, "m1", "bad"), await view(the, "m2", "bad")
            await until(lambda: the.router.statistics("m2")["connected_count"])
            publisher.send_rtp(1, 0, VP8_KEY)
            ann.send_rtp(1, 0, VP8_KEY)
            await until(lambda: viewer.rtp and bob.rtp)
            attack = Attack(the, publisher, viewer, chance)
            addresses = the.router.mux.address_count
            for number in range(EXAMPLES):
                attack.strike(number)
                if number % 50 == 0:
                    ann.send_rtp(2 + number // 50, number, VP8_KEY)
                    await asyncio.sleep(0)
            count = 1 + len(range(0, EXAMPLES, 50))
            assert the.of(PeerClosed) == []
            await until(lambda: len(bob.media()) == count)
            first = bob.media()[0][0]
            assert sorted((one[0] - first) & 0xFFFF for one in bob.media()) == list(range(count))
            assert attack.failures == []
            # It did reach what it was meant for.
            reached = the.router.statistics("m1")
            for name in ("forged", "unknown", "video_malformed", "video_late", "video_given_up"):
                assert reached[f"{name}_packets"] > 0, name
            assert the.figure("m2", "video_resend_missed_packets") > 0
            assert the.of(MediaFault) == the.of(PeerClosed) == []
            assert the.router.mux.address_count == addresses

    asyncio.run(main())


def test_damaged_packets_are_read_without_an_exception() -> None:
    chance = random.Random(SEED)
    for number in range(EXAMPLES):
        packet = damaged(plain_media(chance, number), chance)
        if len(packet) >= HEADER_BYTES:
            extensions_of(packet)
            body = payload_of(packet)
            for begins_key_frame in KEY_FRAME_SNIFFERS.values():
                begins_key_frame(body or chance.randbytes(chance.randrange(12)))
        for one in rtcp.read(damaged(plain_reports(chance, 7), chance)):
            rtcp.asked_again(one)
            rtcp.told_bitrate_bps(one)
            rtcp.asks_for_key_frame(one)


def damaged_text(lines: list[str], chance: random.Random) -> str:
    """Lines swapped, doubled, dropped or taken apart, then some characters."""
    out = list(lines)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(out))
        match chance.randrange(4):
            case 0:
                del out[at]
            case 1:
                out.insert(at, chance.choice(lines))
            case 2:
                out[at] = out[at].replace(
                    chance.choice(": /;=0"), chance.choice(("", " ", "\r", "\x00", "\u0663", "~"))
                )
            case _:
                out[at] = out[at][: chance.randrange(len(out[at]) + 1)]
        if not out:
            return ""
    return joined(out)


OFFERS = [
    offer_lines("ufrag", FINGERPRINT, direction, simulcast=simulcast, ssrcs=not simulcast)
    for direction in ("sendrecv", "sendonly", "recvonly")
    for simulcast in (True, False)
]


def test_damaged_offers_are_answered_or_refused() -> None:
    chance = random.Random(SEED)
    published = {one.kind: one.codec for one in plan_publish(joined(OFFERS[0])).tracks}
    outgoing = {kind: Outgoing(ssrc=1, rtx_ssrc=2, cname="c", stream_id="s") for kind in Kind}
    answered = 0
    for _ in range(EXAMPLES // 5):
        text = damaged_text(chance.choice(OFFERS), chance)
        for answer in (
            lambda text=text: write_answer(plan_publish(text), LOCAL),
            lambda text=text: write_answer(plan_view(text, published), LOCAL, outgoing),
        ):
            try:
                written = answer()
            except BadOfferError:
                continue
            # What we say can be read, has as many sections, and no line that we did not mean.
            again = read_offer(written)
            assert len(again.sections) == text.count("\nm=")
            assert not set(written) & {"\x00", "\u0663"}
            assert written.count("\r") == written.count("\n") == written.count("\r\n")
            answered += 1
    assert answered > EXAMPLES // 50


@pytest.mark.slow
def test_damaged_offers_leave_nothing_in_a_router() -> None:
    async def main() -> None:
        chance = random.Random(SEED)
        async with trial() as the:
            ann = Client()
            await the.ask(Publish(stream_id="s", peer_id="ann", sdp_offer=ann.offer()))
            for number in range(EXAMPLES // 50):
                text = damaged_text(chance.choice(OFFERS), chance)
                request = chance.choice(
                    (
                        Publish(stream_id=f"s{number}", peer_id="p", sdp_offer=text),
                        View(stream_id="s", peer_id="p", sdp_offer=text),
                    )
                )
                try:
                    assert isinstance(await the.ask(request), Answered)
                except BadOfferError:
                    continue
                await the.ask(ClosePeer(peer_id="p"))
            assert the.router.statistics()["peers_count"] == 1
            assert the.router.mux.endpoint_count == 1

    asyncio.run(main())
