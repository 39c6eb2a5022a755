"""The router with aiortc's own RTCPeerConnection at both ends: real encoders, decoders, ICE and answers."""

import asyncio
import fractions
import random
from collections.abc import Awaitable, Callable

import pytest
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack
from av import VideoFrame

from engine.media.protocol import (
    Answered,
    CloseReason,
    MediaRequest,
    PeerClosed,
    PeerConnected,
    Publish,
    SourceStarted,
    View,
)
from tests.engine.media.router.clients import Trial, trial, until

pytestmark = pytest.mark.slow
PACKETS = 100


class _Picture(VideoStreamTrack):
    """Small frames of noise, so that there are several packets each."""

    def __init__(self) -> None:
        super().__init__()
        self._chance = random.Random(7)
        self._number = 0

    async def recv(self) -> VideoFrame:
        await asyncio.sleep(0.02)
        frame = VideoFrame(width=160, height=120)
        for plane in frame.planes:
            plane.update(self._chance.randbytes(plane.buffer_size))
        frame.pts, frame.time_base = 1800 * self._number, fractions.Fraction(1, 90000)
        self._number += 1
        return frame


class Browser:
    """An RTCPeerConnection that counts the frames it decodes."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self.frames = {"audio": 0, "video": 0}
        self._watching: list[asyncio.Task[None]] = []
        self.connection.on(
            "track", lambda track: self._watching.append(asyncio.ensure_future(self._watch(track)))
        )

    async def _watch(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                await track.recv()
                self.frames[track.kind] += 1
        except MediaStreamError:
            return

    async def negotiate(self, ask: Callable[[str], Awaitable[Answered]]) -> None:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answered = await ask(self.connection.localDescription.sdp)
        answer = RTCSessionDescription(sdp=answered.with_candidates(), type="answer")
        await self.connection.setRemoteDescription(answer)

    async def close(self) -> None:
        await self.connection.close()
        await asyncio.gather(*self._watching)


async def _ask(the: Trial, request: MediaRequest) -> Answered:
    answered = await the.ask(request)
    assert isinstance(answered, Answered)
    return answered


async def publish(the: Trial, *, codec: str = "VP8", sound: bool = True) -> Browser:
    browser = Browser()
    if sound:
        browser.connection.addTrack(AudioStreamTrack())
    sender = browser.connection.addTrack(_Picture())
    transceiver = next(one for one in browser.connection.getTransceivers() if one.sender is sender)
    known = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([one for one in known if one.name in (codec, "rtx")])
    await browser.negotiate(lambda offer: _ask(the, Publish(stream_id="s", peer_id="pub", sdp_offer=offer)))
    return browser


async def view(the: Trial, peer_id: str) -> Browser:
    browser = Browser()
    browser.connection.addTransceiver("audio", direction="recvonly")
    browser.connection.addTransceiver("video", direction="recvonly")
    await browser.negotiate(lambda offer: _ask(the, View(stream_id="s", peer_id=peer_id, sdp_offer=offer)))
    return browser


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(60):
            await main()

    asyncio.run(within())


@pytest.mark.parametrize("batched", [True, False])
def test_three_viewers_decode_what_a_publisher_sends_and_the_end_is_told_to_all(batched: bool) -> None:
    async def main() -> None:
        async with trial(batched=batched) as the:
            publisher = await publish(the)
            viewers = [await view(the, f"view-{number}") for number in range(3)]
            for number in range(3):
                await until(
                    lambda n=number: (
                        the.router.statistics(f"view-{n}").get("video_sent_packets", 0) >= PACKETS
                    )
                )
            for viewer in viewers:
                await until(lambda one=viewer: one.frames["video"] > 5 and one.frames["audio"] > 5)
            assert {one.kind for one in the.of(SourceStarted)} == {"audio", "video"}
            assert len(the.of(PeerConnected)) == 4
            await publisher.close()
            assert (await the.event(PeerClosed, "pub")).reason is CloseReason.REMOTE
            await until(lambda: len(the.of(PeerClosed)) == 4)
            for viewer in viewers:
                await viewer.close()

    run(main)


def test_h264_goes_through_as_well() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher, viewer = await publish(the, codec="H264", sound=False), await view(the, "view")
            await until(lambda: viewer.frames["video"] > 5)
            assert the.of(SourceStarted)[0].codec == "H264"
            await viewer.close()
            await publisher.close()

    run(main)


def test_a_late_viewer_sees_pictures_and_a_viewer_s_close_is_seen() -> None:
    async def main() -> None:
        async with trial() as the:
            publisher = await publish(the, sound=False)
            await until(lambda: the.router.statistics("pub").get("video_received_packets", 0) > 20)
            asked = the.figure("pub", "video_key_frames_asked_count")
            viewer = await view(the, "late")
            await until(lambda: viewer.frames["video"] > 2)
            assert the.figure("pub", "video_key_frames_asked_count") > asked
            await viewer.close()
            assert (await the.event(PeerClosed, "late")).reason is CloseReason.REMOTE
            await publisher.close()

    run(main)


def test_loss_in_both_directions_is_recovered_by_aiortc_s_own_rtx() -> None:
    async def main() -> None:
        chance = random.Random(11)
        async with trial(batched=False) as the:
            publisher = await publish(the, sound=False)
            viewer = await view(the, "view")
            await until(lambda: viewer.frames["video"] > 0)

            def passes(data: bytes, _: object) -> bool:
                media = data[0] >= 128 and not 192 <= data[1] <= 223
                return not media or chance.random() >= 0.05

            the.router.mux.gate = passes
            # The portable path reads the gate when it looks at its viewers again.
            for source in the.router._streams["s"].sources:
                source.rearrange()
            await until(lambda: the.figure("pub", "video_recovered_packets") >= 5)
            await until(lambda: the.figure("view", "video_resent_packets") >= 5)
            frames = viewer.frames["video"]
            await until(lambda: viewer.frames["video"] > frames + 10)
            await viewer.close()
            await publisher.close()

    run(main)
