"""The router over loopback, with peers that send and receive plain RTP."""

import asyncio
import gc
import random
import socket
import struct
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
)

from engine.errors import ConfigurationError
from engine.media.protocol import (
    AddCandidates,
    Answered,
    BadOfferError,
    Candidate,
    ClosePeer,
    CloseReason,
    Done,
    Drain,
    GetStatistics,
    HostBusyError,
    Kind,
    LimitBitrate,
    MediaFault,
    MediaRequest,
    Mute,
    PeerClosed,
    PeerConnected,
    PeerExistsError,
    PeerQuality,
    PeerResumed,
    PeerStalled,
    Publish,
    SelectLayer,
    SourceStarted,
    Statistics,
    UnknownPeerError,
    UnknownStreamError,
    View,
)
from engine.media.router import peer, rtcp
from engine.media.router.ice_mux import Listening
from engine.media.router.stream import source_of
from tests.engine.media.router.clients import (
    VP8_DELTA,
    VP8_KEY,
    Client,
    publish,
    trial,
    until,
    view,
)

PACKETS = 120


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(_within(main))


async def _within(main: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(30):
        await main()


async def send_film(
    client: Client, first: int = 1, count: int = PACKETS, *, key_every: int = 60
) -> list[int]:
    """Numbered packets, a key frame now and then, a few at a time so that no buffer overflows."""
    numbers = list(range(first, first + count))
    for number in numbers:
        payload = (VP8_KEY if (number - first) % key_every == 0 else VP8_DELTA) + struct.pack("!L", number)
        client.send_rtp(number, 3000 * number, payload)
        if number % 10 == 0:
            await asyncio.sleep(0.001)
    return numbers


def shown(client: Client) -> list[int]:
    """The numbers inside the payloads that came."""
    return [int.from_bytes(payload[-4:], "big") for _, _, payload in client.media()]


def whole(client: Client) -> bool:
    """Whether the numbers of the packets that came, with those by RTX, are without a gap."""
    numbers = {sequence for sequence, _, _ in client.media()}
    numbers |= {int.from_bytes(payload[:2], "big") for _, _, payload in client.media(97)}
    return len(numbers) == max(numbers) - min(numbers) + 1


@pytest.mark.slow
@pytest.mark.parametrize("batched", [True, False])
def test_three_viewers_get_every_packet_of_a_publisher(batched: bool) -> None:
    async def main() -> None:
        async with trial(batched=batched) as the:
            publisher = await publish(the)
            viewers = [await view(the, f"view-{number}") for number in range(3)]
            numbers = await send_film(publisher)
            for viewer in viewers:
                await until(lambda one=viewer: len(one.media()) == PACKETS)
                assert shown(viewer) == numbers
                out = viewer.media()
                assert [one[0] - out[0][0] for one in out] == list(range(PACKETS))
                assert {(one[1] - out[0][1]) & 0xFFFFFFFF for one in out} == {
                    3000 * n for n in range(PACKETS)
                }
            assert the.figure("view-0", "video_sent_packets") == PACKETS
            assert len({viewer.rtp[0][8:12] for viewer in viewers}) == 3

    run(main)


@pytest.mark.slow
def test_sound_needs_no_key_frame() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher = await publish(the)
            viewer = await view(the)
            await the.event(PeerConnected, "view")
            for number in range(5):
                publisher.send_rtp(number, 960 * number, b"opus", payload_type=111, ssrc=5)
            await until(lambda: len(viewer.media(111)) == 5)
            assert (await the.event(SourceStarted)).kind is Kind.AUDIO

    run(main)


@pytest.mark.slow
def test_a_late_viewer_makes_the_router_ask_for_a_key_frame_and_begins_with_it() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher = await publish(the)
            await send_film(publisher, 1, 10)
            await until(lambda: the.figure("pub", "video_received_packets") == 10)
            viewer = await view(the)
            await until(lambda: any(rtcp.asks_for_key_frame(one) for one in publisher.rtcp))
            publisher.send_rtp(11, 33000, VP8_DELTA + struct.pack("!L", 11))
            await send_film(publisher, 12, 5)
            await until(lambda: len(viewer.media()) == 5)
            assert shown(viewer)[0] == 12

    run(main)


@pytest.mark.slow
def test_a_viewer_of_a_codec_without_visible_key_frames_is_not_left_waiting() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher, viewer = await publish(the), await view(the)
            await the.event(PeerConnected, "view")
            number = 0
            while not viewer.rtp:
                number += 1
                publisher.send_rtp(number, 3000 * number, VP8_DELTA)
                await asyncio.sleep(0.02)

    run(main)


@pytest.mark.slow
@pytest.mark.parametrize("batched", [True, False])
def test_five_percent_of_loss_in_each_direction_are_recovered(batched: bool) -> None:
    async def main() -> None:
        async with trial(batched=batched) as the:
            publisher, viewer = await publish(the, ssrcs=True), await view(the)
            chance = random.Random(20240)
            kept: dict[int, bytes] = {}

            def lose_media(data: bytes) -> bool:
                return data[0] >= 128 and not 192 <= data[1] <= 223 and chance.random() < 0.05

            the.router.mux.gate = lambda data, _: not lose_media(data)
            viewer.drop = lose_media
            resent = asked = 0

            def answer_requests() -> None:
                nonlocal resent
                for packet in publisher.rtcp:
                    for number in rtcp.asked_again(packet):
                        rtx = struct.pack("!H", number) + kept[number]
                        publisher.send_rtp(resent, 3000 * number, rtx, payload_type=97, ssrc=1001)
                        resent += 1
                publisher.rtcp.clear()

            def ask() -> None:
                nonlocal asked
                numbers = {one[0] for one in viewer.media()}
                numbers |= {int.from_bytes(one[2][:2], "big") for one in viewer.media(97)}
                missing = sorted(set(range(min(numbers), max(numbers))) - numbers) if numbers else []
                if missing:
                    asked += len(missing)
                    ssrc = int.from_bytes(next(p for p in viewer.rtp if p[1] & 0x7F == 96)[8:12], "big")
                    viewer.send_rtcp(rtcp.negative_acknowledgement(missing, sender=9, media=ssrc))

            for number in range(1, 401):
                kept[number] = (VP8_KEY if number == 1 else VP8_DELTA) + struct.pack("!L", number)
                publisher.send_rtp(number, 3000 * number, kept[number], ssrc=1000)
                if number == 1:
                    await until(lambda: the.figure("pub", "video_received_packets") == 1)
                if number % 10 == 0:
                    await asyncio.sleep(0.005)
                    answer_requests()
            the.router.mux.gate, viewer.drop = None, lambda _: False
            publisher.send_rtp(401, 3000 * 401, VP8_DELTA, ssrc=1000)

            def recovered() -> bool:
                answer_requests()
                ask()
                figures = the.router.statistics("pub")
                return figures["video_lost_packets"] == 0 and whole(viewer) and len(viewer.media()) > 300

            await until(recovered)
            assert resent > 5
            assert asked > 5
            assert the.figure("pub", "video_recovered_packets") > 5
            assert the.figure("view", "video_resent_packets") > 5
            # The router's own counts go on when the peers have gone.
            figures = dict(the.router.statistics())
            for peer_id in ("view", "pub"):
                await the.ask(ClosePeer(peer_id=peer_id))
            assert the.router.statistics()["fanout_dropped_packets"] == 0
            for name in (
                "received_packets",
                "missed_packets",
                "recovered_packets",
                "forwarded_packets",
                "resent_packets",
                "nacks_sent_count",
                "nacks_received_count",
                "plis_sent_count",
            ):
                assert the.router.statistics()[name] >= figures[name] > 0, name
            assert figures["received_packets"] == 401
            assert figures["missed_packets"] == figures["recovered_packets"]

    run(main)


# -- simulcast


def rid(name: str) -> bytes:
    return bytes((2 << 4 | len(name) - 1,)) + name.encode()


def repaired(name: str) -> bytes:
    return bytes((3 << 4 | len(name) - 1,)) + name.encode()


LAYERS = {"l": 1, "m": 2, "h": 3}


async def send_layers(publisher: Client, numbers: range, *, key: bool) -> None:
    for number in numbers:
        for name, ssrc in LAYERS.items():
            payload = (VP8_KEY if key else VP8_DELTA) + name.encode()
            sequence = (1000 * ssrc + number) & 0xFFFF
            publisher.send_rtp(sequence, 3000 * number, payload, ssrc=ssrc, extensions=rid(name))
        await asyncio.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("batched", [True, False])
def test_a_viewer_moves_between_layers_at_key_frames_and_its_numbers_go_on(batched: bool) -> None:
    async def main() -> None:
        async with trial(batched=batched) as the:
            publisher = await publish(the, simulcast=True)
            viewer = await view(the, layer="m")
            await the.event(PeerConnected, "view")
            await send_layers(publisher, range(10), key=True)
            await until(lambda: len(viewer.media()) == 10)
            for layer, at in (("h", 10), ("l", 25), ("m", 40)):
                before = len(viewer.media())
                assert await the.ask(SelectLayer(peer_id="view", layer=layer)) == Done()
                await send_layers(publisher, range(at, at + 5), key=False)
                await until(lambda count=before: len(viewer.media()) == count + 5)
                await send_layers(publisher, range(at + 5, at + 15), key=True)
                await until(lambda count=before: len(viewer.media()) >= count + 15)
            names = [payload[-1:].decode() for _, _, payload in viewer.media()]
            # Lower layers are sent first, so on the way up one more of the old layer comes.
            assert names == ["m"] * 16 + ["h"] * 15 + ["l"] * 16 + ["m"] * 10
            numbers = [one[0] for one in viewer.media()]
            assert [one - numbers[0] for one in numbers] == list(range(57))
            times = [one[1] for one in viewer.media()]
            assert all((later - earlier) & 0xFFFFFFFF < 1 << 31 for earlier, later in pairwise(times))
            started = {one.layer for one in the.of(SourceStarted)}
            assert started == {"l", "m", "h"}

    run(main)


@pytest.mark.slow
def test_a_viewer_begins_with_the_first_layer_and_an_unknown_one_is_refused() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher = await publish(the, simulcast=True)
            with pytest.raises(UnknownStreamError):
                await view(the, "other", layer="x")
            viewer = await view(the)
            with pytest.raises(UnknownStreamError):
                await the.ask(SelectLayer(peer_id="view", layer="x"))
            with pytest.raises(UnknownPeerError):
                await the.ask(SelectLayer(peer_id="pub", layer="l"))
            await the.event(PeerConnected, "view")
            await send_layers(publisher, range(3), key=True)
            await until(lambda: len(viewer.media()) == 3)
            assert viewer.media()[0][2][-1:] == b"l"

    run(main)


@pytest.mark.slow
def test_what_a_layer_has_lost_is_recovered_by_its_own_rtx() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher = await publish(the, simulcast=True)
            for number in (1, 3):
                publisher.send_rtp(number, 0, VP8_KEY, ssrc=2, extensions=rid("m"))
            await until(lambda: any(rtcp.asked_again(one) for one in publisher.rtcp))
            again = struct.pack("!H", 2) + VP8_KEY
            publisher.send_rtp(1, 0, again, payload_type=97, ssrc=22, extensions=repaired("m"))
            await until(lambda: the.figure("pub", "video_m_recovered_packets") == 1)
            publisher.send_rtp(1, 0, VP8_KEY, ssrc=99)
            publisher.send_rtp(1, 0, VP8_KEY, ssrc=98, extensions=rid("x"))
            await until(lambda: the.figure("pub", "unknown_packets") == 2)

    run(main)


# -- ends


@pytest.mark.slow
def test_a_viewer_that_says_goodbye_is_closed_and_the_others_go_on() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher = await publish(the)
            first, second = await view(the, "first"), await view(the, "second")
            await the.event(PeerConnected, "second")
            await first.close()
            assert (await the.event(PeerClosed)).reason is CloseReason.REMOTE
            await send_film(publisher, 1, 10)
            await until(lambda: len(second.media()) == 10)
            assert the.figure("pub", "video_sinks_count") == 1

    run(main)


@pytest.mark.slow
def test_a_publisher_that_says_goodbye_ends_its_viewers_too() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher, viewer = await publish(the), await view(the)
            await publisher.close()
            assert (await the.event(PeerClosed, "pub")).reason is CloseReason.REMOTE
            assert (await the.event(PeerClosed, "view")).reason is CloseReason.SOURCE_ENDED
            await asyncio.wait_for(viewer.goodbye.wait(), 5)
            with pytest.raises(UnknownStreamError):
                await view(the, "late")

    run(main)


@pytest.mark.slow
def test_a_peer_that_is_closed_hears_goodbye_and_closing_again_is_done() -> None:
    async def main() -> None:
        async with trial() as the:
            await publish(the)
            viewer = await view(the)
            await the.event(PeerConnected, "view")
            asked = ClosePeer(peer_id="view", reason=CloseReason.DRAINED)
            assert await asyncio.gather(the.ask(asked), the.ask(asked), the.ask(asked)) == [Done()] * 3
            assert the.of(PeerClosed) == [PeerClosed(peer_id="view", reason=CloseReason.DRAINED)]
            await asyncio.wait_for(viewer.goodbye.wait(), 5)
            assert await the.ask(asked) == Done()
            assert len(the.of(PeerClosed)) == 1

    run(main)


@pytest.mark.slow
def test_closing_the_router_ends_everybody_and_viewers_first() -> None:
    async def main() -> None:
        async with trial() as the:
            await publish(the)
            await view(the)
            await the.router.close()
            assert {one.reason for one in the.of(PeerClosed)} == {CloseReason.REQUESTED}
            assert all(isinstance(the.last_of(one), PeerClosed) for one in ("pub", "view"))
            with pytest.raises(HostBusyError):
                await the.ask(Publish(stream_id="s", peer_id="p", sdp_offer=Client().offer()))

    run(main)


@pytest.mark.slow
def test_draining_refuses_new_peers_and_ends_the_others_in_time() -> None:
    async def main() -> None:
        async with trial() as the:
            await publish(the)
            assert await the.ask(Drain(seconds=0.0)) == await the.ask(Drain(seconds=0.0)) == Done()
            with pytest.raises(HostBusyError):
                await view(the)
            assert (await the.event(PeerClosed)).reason is CloseReason.DRAINED

    run(main)


@pytest.mark.slow
def test_a_peer_that_does_not_connect_fails_at_its_deadline() -> None:
    async def main() -> None:
        async with trial(connect_seconds=0.1) as the:
            await the.ask(Publish(stream_id="s", peer_id="pub", sdp_offer=Client().offer()))
            assert (await the.event(PeerClosed)).reason is CloseReason.FAILED
            assert not the.of(PeerConnected)

    run(main)


@pytest.mark.slow
def test_a_peer_that_stops_in_the_middle_of_its_handshake_fails_at_its_deadline() -> None:
    async def main() -> None:
        async with trial(connect_seconds=0.3) as the:
            client = Client()
            await client.reach(await the.ask(Publish(stream_id="s", peer_id="pub", sdp_offer=client.offer())))
            shaking = asyncio.ensure_future(client.secured.handshake((("sha-256", "00"),)))
            client.drop = lambda _: True
            assert (await the.event(PeerClosed)).reason is CloseReason.FAILED
            shaking.cancel()
            client.vanish()

    run(main)


@pytest.mark.slow
def test_somebody_with_another_certificate_than_the_offer_s_is_not_let_in() -> None:
    async def main() -> None:
        async with trial() as the:
            client, thief = Client(), Client()
            client.secured = thief.secured = type(client.secured)(
                thief.identity, client, lambda _: None, server=False
            )
            await client.connect(
                await the.ask(Publish(stream_id="s", peer_id="pub", sdp_offer=client.offer()))
            )
            assert (await the.event(PeerClosed)).reason is CloseReason.FAILED
            assert not the.of(PeerConnected)

    run(main)


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.slow
def test_a_silent_publisher_stalls_then_resumes_then_is_lost() -> None:
    async def main() -> None:
        clock = Clock()
        async with trial(clock=clock) as the:
            publisher = await publish(the)
            await the.event(PeerConnected)
            clock.now += 2.1
            await the.event(PeerStalled)
            publisher.send_rtp(1, 0)
            await the.event(PeerResumed)
            clock.now += 9.9
            await until(lambda: len(the.of(PeerStalled)) == 2)
            assert not the.of(PeerClosed)
            clock.now += 0.2
            assert (await the.event(PeerClosed)).reason is CloseReason.LOST

    run(main)


@pytest.mark.slow
def test_a_viewer_stays_as_long_as_it_checks_its_path() -> None:
    async def main() -> None:
        clock = Clock()
        async with trial(clock=clock) as the:
            publisher, viewer = await publish(the), await view(the)
            await the.event(PeerConnected, "view")
            for _ in range(3):
                clock.now += 6
                viewer.stun_answers.clear()
                viewer.check()
                await until(lambda: viewer.stun_answers)
                publisher.send_rtp(1, 0)
                await until(lambda: the.figure("pub", "age_seconds") > 5)
                heard = the.router.statistics("view")
                assert heard["connected_count"] == 1
            clock.now += 10.1
            assert (await the.event(PeerClosed, "view")).reason in (
                CloseReason.LOST,
                CloseReason.SOURCE_ENDED,
            )

    run(main)


# -- requests


@pytest.mark.slow
def test_asking_again_answers_the_same_and_another_use_of_the_id_is_refused() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher, viewer = Client(), Client()
            asked = Publish(stream_id="s", peer_id="a", sdp_offer=publisher.offer())
            viewed = View(stream_id="s", peer_id="b", sdp_offer=viewer.offer("recvonly"))
            answers = [await the.ask(asked), await the.ask(viewed)]
            assert [await the.ask(asked), await the.ask(viewed)] == answers
            with pytest.raises(PeerExistsError, match="another offer; it must be closed"):
                await the.ask(View(stream_id="s", peer_id="b", sdp_offer=Client().offer("recvonly")))
            taken: list[MediaRequest] = [
                Publish(stream_id="other", peer_id="a", sdp_offer=publisher.offer()),
                Publish(stream_id="s", peer_id="a", sdp_offer=Client().offer()),
                Publish(stream_id="s", peer_id="b", sdp_offer=viewer.offer()),
                Publish(stream_id="s", peer_id="c", sdp_offer=publisher.offer()),
                View(stream_id="s", peer_id="a", sdp_offer=viewer.offer("recvonly")),
                View(stream_id="other", peer_id="b", sdp_offer=viewer.offer("recvonly")),
            ]
            for one in taken:
                with pytest.raises(PeerExistsError):
                    await the.ask(one)

    run(main)


@pytest.mark.slow
def test_an_id_can_be_used_again_after_its_last_event() -> None:
    async def main() -> None:
        async with trial() as the:
            await publish(the)
            closing = asyncio.ensure_future(the.ask(ClosePeer(peer_id="pub")))
            await asyncio.sleep(0)
            again = await publish(the)
            await closing
            await until(lambda: len(the.of(PeerConnected)) == 2)
            kinds = [type(one) for one in the.events]
            assert kinds == [PeerConnected, PeerClosed, PeerConnected]
            await again.close()

    run(main)


@pytest.mark.slow
def test_an_answer_has_its_candidates_apart_and_an_end() -> None:
    async def main() -> None:
        async with trial() as the:
            answered = await the.ask(Publish(stream_id="s", peer_id="p", sdp_offer=Client().offer()))
            assert isinstance(answered, Answered)
            assert "candidate" not in answered.sdp_answer
            first, last = answered.candidates
            assert first.candidate.endswith("typ host")
            assert (first.sdp_mid, first.sdp_m_line_index, last.candidate) == ("0", 0, "")
            assert f"a={first.candidate}\r\n" in answered.with_candidates()

    run(main)


def test_a_request_about_nobody_is_refused() -> None:
    async def main() -> None:
        async with trial() as the:
            asked: list[MediaRequest] = [
                AddCandidates(peer_id="x", candidates=()),
                SelectLayer(peer_id="x", layer="l"),
                Mute(peer_id="x", kind=Kind.AUDIO, muted=True),
                LimitBitrate(peer_id="x", bitrate_max_bps=1),
                GetStatistics(peer_id="x"),
            ]
            for one in asked:
                with pytest.raises(UnknownPeerError):
                    await the.ask(one)
            with pytest.raises(UnknownStreamError):
                await the.ask(View(stream_id="x", peer_id="x", sdp_offer=Client().offer("recvonly")))
            with pytest.raises(BadOfferError):
                await the.ask(Publish(stream_id="x", peer_id="x", sdp_offer="nonsense"))
            with pytest.raises(TypeError):
                await the.ask(MediaRequest())
            assert the.router.statistics()["peers_count"] == 0

    run(main)


def test_candidates_are_taken_and_a_wrong_one_is_told() -> None:
    async def main() -> None:
        async with trial() as the:
            await the.ask(Publish(stream_id="s", peer_id="p", sdp_offer=Client().offer()))
            good = "candidate:1 1 udp 2122260223 abc.local 5000 typ host generation 0"
            for one in (good, f"a={good}", ""):
                asked = AddCandidates(peer_id="p", candidates=(Candidate(candidate=one),))
                assert await the.ask(asked) == Done()
            for one in ("x", good.replace("typ", "xyz"), good.replace("5000", "port"), good[1:]):
                with pytest.raises(BadOfferError):
                    await the.ask(AddCandidates(peer_id="p", candidates=(Candidate(candidate=one),)))

    run(main)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["pub", "view"])
def test_mute_stops_a_kind_and_the_numbers_go_on_from_a_key_frame(who: str) -> None:
    async def main() -> None:
        async with trial() as the:
            publisher, viewer = await publish(the), await view(the)
            await the.event(PeerConnected, "view")
            await send_film(publisher, 1, 10)
            await until(lambda: len(viewer.media()) == 10)
            for _ in range(2):
                await the.ask(Mute(peer_id=who, kind=Kind.VIDEO, muted=True))
            await the.ask(Mute(peer_id=who, kind=Kind.AUDIO, muted=False))
            await send_film(publisher, 11, 10)
            publisher.send_rtp(1, 960, b"opus", payload_type=111, ssrc=5)
            await until(lambda: len(viewer.media(111)) == 1)
            assert len(viewer.media()) == 10
            publisher.rtcp.clear()
            await the.ask(Mute(peer_id=who, kind=Kind.VIDEO, muted=False))
            await until(lambda: any(rtcp.asks_for_key_frame(one) for one in publisher.rtcp))
            publisher.send_rtp(21, 63000, VP8_DELTA)
            await send_film(publisher, 22, 5)
            await until(lambda: len(viewer.media()) == 15)
            assert shown(viewer)[10:] == list(range(22, 27))
            numbers = [one[0] for one in viewer.media()]
            assert [one - numbers[0] for one in numbers] == list(range(15))

    run(main)


@pytest.mark.slow
def test_a_muted_viewer_gets_nothing_when_it_connects() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher, client = await publish(the), Client()
            answered = await the.ask(View(stream_id="s", peer_id="view", sdp_offer=client.offer("recvonly")))
            await the.ask(Mute(peer_id="view", kind=Kind.VIDEO, muted=True))
            await client.connect(answered)
            await the.event(PeerConnected, "view")
            await send_film(publisher, 1, 10)
            publisher.send_rtp(1, 960, b"opus", payload_type=111, ssrc=5)
            await until(lambda: client.media(111))
            assert client.media() == []

    run(main)


@pytest.mark.slow
def test_the_bitrate_cap_is_told_to_the_publisher_and_can_change() -> None:
    async def main() -> None:
        async with trial() as the:
            client = Client()
            asked = Publish(stream_id="s", peer_id="pub", sdp_offer=client.offer(), bitrate_max_bps=500_000)
            await client.connect(await the.ask(asked))
            client.send_rtp(1, 0, VP8_KEY)

            def told() -> set[int]:
                found = (rtcp.told_bitrate_bps(one) for one in client.rtcp)
                return {round(one, -4) for one in found if one is not None}

            await until(lambda: 500_000 in told())
            assert any(isinstance(one, RtcpRrPacket) for one in client.rtcp)
            await the.ask(LimitBitrate(peer_id="pub", bitrate_max_bps=200_000))
            await until(lambda: 200_000 in told())
            await view(the)
            with pytest.raises(UnknownPeerError):
                await the.ask(LimitBitrate(peer_id="view", bitrate_max_bps=1))

    run(main)


# -- reports and requests of peers


@pytest.mark.slow
def test_a_sender_report_reaches_viewers_and_their_report_becomes_a_quality() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher, viewer = await publish(the), await view(the)
            await the.event(PeerConnected, "view")
            await send_film(publisher, 1, 5)
            await until(lambda: len(viewer.media()) == 5)
            info = RtcpSenderInfo(ntp_timestamp=77 << 32, rtp_timestamp=3000, packet_count=5, octet_count=5)
            publisher.send_rtcp(bytes(RtcpSrPacket(ssrc=1000, sender_info=info)))

            def reports() -> list[RtcpSrPacket]:
                return [one for one in viewer.rtcp if isinstance(one, RtcpSrPacket)]

            report = (await until(reports))[0]
            assert report.sender_info.ntp_timestamp == 77 << 32
            assert report.sender_info.rtp_timestamp == viewer.media()[0][1]
            assert report.sender_info.packet_count == 5
            block = RtcpReceiverInfo(
                ssrc=report.ssrc,
                fraction_lost=64,
                packets_lost=1,
                highest_sequence=5,
                jitter=0,
                lsr=rtcp.middle_bits(77 << 32),
                dlsr=0,
            )
            estimate = rtcp.bitrate_limit(300_000, [report.ssrc], sender=9)
            viewer.send_rtcp(estimate + rtcp.receiver_report([block], sender=9))
            quality = await the.event(PeerQuality)
            assert quality.loss_fraction == 0.25
            assert quality.bitrate_estimate_bps == pytest.approx(300_000, rel=1e-3)
            assert quality.rtt_milliseconds is not None
            figures = await the.ask(GetStatistics(peer_id="view"))
            assert isinstance(figures, Statistics)
            assert figures.values["video_round_trip_seconds"] >= 0

    run(main)


@pytest.mark.slow
@pytest.mark.parametrize("fir", [True, False])
def test_a_viewer_that_asks_for_a_key_frame_is_heard(fir: bool) -> None:
    async def main() -> None:
        clock = Clock()
        async with trial(clock=clock) as the:
            publisher, viewer = await publish(the), await view(the)
            await the.event(PeerConnected, "view")
            await send_film(publisher, 1, 2)
            await until(lambda: viewer.media())
            asked = the.figure("pub", "video_key_frames_asked_count")
            ssrc = int.from_bytes(viewer.rtp[0][8:12], "big")
            wanted = RtcpPsfbPacket(fmt=4, ssrc=9, media_ssrc=0, fci=struct.pack("!LBxxx", ssrc, 1))
            for _ in range(3):
                viewer.send_rtcp(bytes(wanted) if fir else rtcp.picture_loss(sender=9, media=ssrc))
            await until(lambda: the.router._peers["view"].liveness.heard_at >= clock.now)
            clock.now += 0.31
            await until(lambda: the.figure("pub", "video_key_frames_asked_count") > asked)
            viewer.send_rtcp(rtcp.picture_loss(sender=9, media=12345) if not fir else b"\x80\xcb\x00\x00" * 2)
            viewer.send_rtcp(rtcp.negative_acknowledgement([5], sender=9, media=12345))
            assert the.router.statistics()["plis_received_count"] >= 3

    run(main)


# -- many, and strange ones


@pytest.mark.slow
def test_a_fault_of_one_peer_is_told_and_the_others_go_on() -> None:
    async def main() -> None:
        async with trial(faults=True) as the:
            publisher = await publish(the)
            victim, other = await view(the, "victim"), await view(the, "other")
            await the.event(PeerConnected, "other")

            def explode(packets: object, now: float) -> None:
                raise RuntimeError("a secret")

            the.router._peers["victim"].take_rtcp = explode  # type: ignore[method-assign] # a fault to order
            victim.send_rtcp(rtcp.picture_loss(sender=9, media=1))
            fault = await the.event(MediaFault)
            assert (fault.where, fault.error) == ("datagram", "RuntimeError")
            await send_film(publisher, 1, 10)
            await until(lambda: len(other.media()) == 10)

    run(main)


@pytest.mark.slow
def test_a_close_that_raises_is_told_and_is_still_a_close() -> None:
    async def main() -> None:
        async with trial(faults=True) as the:
            await publish(the)

            async def explode() -> None:
                raise RuntimeError("a secret")

            the.router._peers["pub"].secured.stop = explode  # type: ignore[method-assign] # a fault to order
            with pytest.raises(RuntimeError):
                await the.ask(ClosePeer(peer_id="pub"))
            assert isinstance(the.last_of("pub"), PeerClosed)
            await the.event(MediaFault)

    run(main)


@pytest.mark.slow
def test_a_goodbye_that_takes_too_long_is_told_and_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "STOP_SECONDS", 0.05)

    async def main() -> None:
        async with trial(faults=True) as the:
            await publish(the)
            secured = the.router._peers["pub"].secured
            stop, secured.stop = secured.stop, asyncio.Event().wait  # type: ignore[method-assign, assignment] # a fault to order
            await the.ask(ClosePeer(peer_id="pub"))
            assert (await the.event(MediaFault)).error == "TimeoutError"
            assert isinstance(the.last_of("pub"), PeerClosed)
            await stop()

    run(main)


@pytest.mark.slow
def test_packets_that_a_peer_has_not_protected_are_counted_and_nothing_else() -> None:
    async def main() -> None:
        async with trial() as the:
            client = Client()
            await client.reach(await the.ask(Publish(stream_id="s", peer_id="pub", sdp_offer=client.offer())))
            forged = (b"\x80\x60" + bytes(50), b"\x80\xc9" + bytes(50), b"\x80\x60" + bytes(1900))
            for data in forged:
                client.send_datagram(data)
            await client.secure()
            await the.event(PeerConnected)
            assert the.figure("pub", "forged_packets") == 0
            for data in forged:
                client.send_datagram(data)
            await until(lambda: the.figure("pub", "forged_packets") == 3)
            assert not the.of(SourceStarted)

    run(main)


@pytest.mark.slow
def test_a_stream_may_go_on_under_another_ssrc_after_a_silence_and_only_then() -> None:
    async def main() -> None:
        clock = Clock()
        async with trial(clock=clock) as the:
            publisher = await publish(the)
            publisher.send_rtp(1, 0, VP8_KEY, ssrc=1)
            publisher.send_rtp(7, 0, VP8_KEY, ssrc=2)
            publisher.send_rtp(7, 0, VP8_KEY, ssrc=3, payload_type=50)
            publisher.send_rtp(7, 0, VP8_KEY, ssrc=1, payload_type=111)
            await until(lambda: the.figure("pub", "unknown_packets") == 3)
            clock.now += 2
            publisher.send_rtp(8, 0, VP8_KEY, ssrc=2)
            await until(lambda: the.figure("pub", "video_received_packets") == 1 and clock.now)
            publisher.send_rtp(9, 0, VP8_KEY, ssrc=2)
            await until(lambda: the.figure("pub", "video_received_packets") == 2)
            info = RtcpSenderInfo(ntp_timestamp=1, rtp_timestamp=2, packet_count=3, octet_count=4)
            for ssrc in (1, 2):
                publisher.send_rtcp(
                    bytes(RtcpSrPacket(ssrc=ssrc, sender_info=info)) + bytes(RtcpByePacket([ssrc]))
                )
            source = source_of(the.router._streams["s"], Kind.VIDEO, None)
            assert source is not None
            await until(lambda: source.reception.report)

    run(main)


@pytest.mark.slow
def test_what_is_too_long_for_srtp_is_counted() -> None:
    async def main() -> None:
        async with trial() as the:
            client = Client()
            await the.ask(Publish(stream_id="s", peer_id="pub", sdp_offer=client.offer()))
            link = the.router._peers["pub"].link
            link.send_rtp(b"early")
            link.send_rtcp(b"early")
            assert link.unsent == 2
            await the.ask(ClosePeer(peer_id="pub"))
            await publish(the)
            link = the.router._peers["pub"].link
            link.send_rtp(bytes(2000))
            link.send_rtcp(bytes(2000))
            assert link.unsent == 2

    run(main)


@pytest.mark.slow
def test_a_viewer_s_report_about_nothing_of_ours_is_no_quality() -> None:
    async def main() -> None:
        async with trial() as the:
            await publish(the)
            viewer = await view(the)
            await the.event(PeerConnected, "view")
            viewer.send_rtcp(rtcp.receiver_report([], sender=9))
            viewer.send_rtcp(rtcp.picture_loss(sender=9, media=1))
            clock = the.router._peers["view"].liveness
            await until(lambda: clock.heard_at > (clock.connected_at or 0))
            assert not the.of(PeerQuality)

    run(main)


@pytest.mark.slow
def test_ten_rounds_of_twenty_peers_leave_nothing() -> None:
    async def main() -> None:
        async with trial() as the:

            async def cycle(number: int) -> None:
                peers = [await publish(the, f"pub-{number}", f"s-{number}")]
                more = [view(the, f"view-{number}-{one}", f"s-{number}") for one in range(19)]
                peers += await asyncio.gather(*more)
                await the.event(PeerConnected, f"view-{number}-18")
                await send_film(peers[0], 1, 5)
                await until(lambda: all(len(one.media()) == 5 for one in peers[1:]))
                if number % 2:
                    await the.ask(ClosePeer(peer_id=f"pub-{number}"))
                else:
                    await asyncio.gather(*(one.close() for one in peers))
                await until(lambda: len(the.of(PeerClosed)) == 20)
                for one in peers:
                    one.vanish()
                    await one.secured.stop()
                the.events.clear()
                Client.alive.clear()

            await cycle(0)
            before = left()
            for number in range(1, 11):
                await cycle(number)
            after = left()
            assert after == before
            assert the.router.mux.endpoint_count == 0

    run(main)


def left() -> dict[str, int]:
    """What could leak: tasks, file descriptors, and objects of ours and of aiortc."""
    gc.collect()
    kinds = (
        "Publisher",
        "Viewer",
        "Source",
        "Sink",
        "Endpoint",
        "Secured",
        "RTCDtlsTransport",
        "Session",
        "_Batch",
    )
    names = [type(one).__name__ for one in gc.get_objects()]
    found = {name: names.count(name) for name in kinds}
    descriptors = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    return found | {"tasks": len(asyncio.all_tasks()), "descriptors": descriptors}


@pytest.mark.slow
def test_ipv6_and_ipv4_viewers_see_the_same_stream() -> None:
    async def main() -> None:
        listening = (Listening(host="127.0.0.1"), Listening(host="::1"))
        async with trial(listening=listening) as the:
            publisher, viewer = await publish(the), await view(the)
            six = Client(socket.AF_INET6)
            asked = View(stream_id="s", peer_id="six", sdp_offer=six.offer("recvonly"))
            await six.connect(await the.ask(asked))
            await the.event(PeerConnected, "six")
            await send_film(publisher, 1, 10)
            await until(lambda: len(viewer.media()) == len(six.media()) == 10)

    run(main)


@pytest.mark.parametrize(
    "listening",
    [Listening(host="0.0.0.0"), Listening(host="192.0.2.1"), Listening(host="nowhere.invalid", port=99999)],
)
def test_an_address_that_cannot_be_used_is_a_fault_of_the_configuration(listening: Listening) -> None:
    async def main() -> None:
        with pytest.raises(ConfigurationError):
            async with trial(listening=(Listening(host="127.0.0.1"), listening)):
                pass

    run(main)


def test_a_wildcard_is_advertised_as_what_it_is_told() -> None:
    async def main() -> None:
        async with trial(listening=(Listening(host="0.0.0.0", advertised="198.51.100.7"),)) as the:
            answered = await the.ask(Publish(stream_id="s", peer_id="p", sdp_offer=Client().offer()))
            assert isinstance(answered, Answered)
            assert answered.candidates[0].candidate.split()[4] == "198.51.100.7"

    run(main)
