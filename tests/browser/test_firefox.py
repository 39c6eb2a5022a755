"""Firefox publishes to the router and views what it forwards, by itself and together with Chromium."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from engine.media import protocol as p
from tests.browser.browser import Browser, Page, PageError
from tests.browser.firefox import listening
from tests.browser.stage import open_stage
from tests.browser.test_media import (
    CONNECTED,
    LARGE,
    LAYERS,
    LOSS,
    PLAYS,
    WIDE,
    publish_and_view,
    show,
    until_it_plays_later,
)

pytestmark = pytest.mark.slow

large = pytest.mark.skipif(not LARGE, reason="only with SWITCHHOOK_PROFILE=large")
LOSSY_SECONDS = 60
FIGURES = ("firstFrame", "video.framesDecoded", "video.packetsLost", "audio.totalSamplesReceived")


@asynccontextmanager
async def both(firefox: Browser, chromium: Browser) -> AsyncIterator[tuple[Page, Page]]:
    """A page of each on one stage."""
    async with open_stage(firefox, listening=listening()) as stage, chromium.use() as session:
        yield await stage.page(), await stage.page("other", session)


@pytest.mark.parametrize("codec", ["VP8", "VP9", pytest.param("AV1", marks=large)])
async def test_firefox_sees_and_hears_what_it_publishes(firefox: Browser, codec: str) -> None:
    async with open_stage(firefox, listening=listening()) as stage:
        page = await stage.page()
        found = await publish_and_view(stage, page, codecs=[codec])
        show(f"{firefox.version}, {codec}", found, *FIGURES)
        assert found["video.codec"] == f"video/{codec}"
        assert found["audio.codec"] == "audio/opus"
        assert found["firstFrame"] is not None
        assert found["video.packetsLost"] == found["audio.packetsLost"] == 0
        ann = await page.figures("ann")
        # A DTLS server chooses what the packets are encrypted with.
        assert ann["transport.dtlsRole"] == "client"
        assert ann["transport.srtpCipher"] == "SRTP_AEAD_AES_128_GCM"
        # Candidates came after the answer, and those of the page were taken, its end of them as well.
        assert "candidate" not in stage.signalling.answers["ann"].sdp_answer
        assert ann["faults"] == found["faults"] == []
        # At once, and not when it has been silent for ten seconds.
        began = trio.current_time()
        await page.call("closePeer", "ann")
        assert (await stage.event(p.PeerClosed, "ann")).reason is p.CloseReason.REMOTE
        print(f"closed after {1000 * (trio.current_time() - began):.0f} ms")
        assert (await stage.event(p.PeerClosed, "bob")).reason is p.CloseReason.SOURCE_ENDED


@pytest.mark.parametrize("codec", ["VP8", pytest.param("VP9", marks=large)])
async def test_firefox_and_chromium_see_and_hear_each_other(
    firefox: Browser, browser: Browser, codec: str
) -> None:
    async with both(firefox, browser) as (fox, other):
        for page, peer in ((fox, "ann"), (other, "dan")):
            await page.publish(peer, f"of {peer}", codecs=[codec])
            await page.wait(peer, CONNECTED)
        for page, peer, publisher in ((fox, "bob", "dan"), (other, "eve", "ann")):
            await page.view(peer, f"of {publisher}")
            found = await page.wait(peer, *PLAYS)
            show(f"{publisher} to {peer}, {codec}", found, *FIGURES)
            assert found["video.codec"] == f"video/{codec}"
            assert found["video.packetsLost"] == found["audio.packetsLost"] == 0


async def test_firefox_plays_h264_or_says_that_it_cannot(firefox: Browser, browser: Browser) -> None:
    async with both(firefox, browser) as (fox, other):
        await other.publish("ann", "stream", codecs=["H264"])
        await other.wait("ann", CONNECTED)
        # It is in a part that Firefox loads by itself, some time after its first start.
        if "H264" in await fox.call("videoCodecs"):
            await fox.view("bob", "stream")
            show("H264", await fox.wait("bob", *PLAYS), *FIGURES)
        else:
            with pytest.raises(PageError, match="NoCommonCodecError"):
                await fox.view("bob", "stream")


@large
async def test_candidates_inside_the_answer_connect(firefox: Browser) -> None:
    async with open_stage(firefox, listening=listening()) as stage:
        stage.signalling.trickles = False
        page = await stage.page()
        await page.publish("ann", "stream")
        assert (await page.wait("ann", CONNECTED))["faults"] == []


async def test_a_viewer_changes_between_the_layers_of_firefox(firefox: Browser) -> None:
    async with open_stage(firefox, listening=listening()) as stage:
        page = await stage.page()
        await page.publish("ann", "stream", layers=LAYERS, **WIDE)
        for layer in LAYERS:
            await stage.event(p.SourceStarted, "ann", layer=layer)
        await page.view("bob", "stream", layer="m")
        for layer in "mhl":
            began = trio.current_time()
            await stage.host.request(p.SelectLayer(peer_id="bob", layer=layer))
            width = WIDE["width"] // LAYERS[layer]
            found = await page.wait("bob", ("video.frameWidth", "==", width), seconds=5)
            show(f"{layer} after {trio.current_time() - began:.2f} s", found, "video.freezeCount")
        assert found["video.framesDropped"] == found["video.packetsLost"] == 0


@large
async def test_what_firefox_loses_comes_again_both_ways(firefox: Browser) -> None:
    async with open_stage(firefox, listening=listening(), loss=LOSS, seed=20_261_121) as stage:
        page = await stage.page()
        await publish_and_view(stage, page)
        await until_it_plays_later(stage, "bob")
        before = await page.figures("bob")
        await trio.sleep(LOSSY_SECONDS)
        found, ann = await page.figures("bob"), await page.figures("ann")
        router = {**await stage.statistics("bob"), **await stage.statistics("ann")}
        show("viewer", found, *FIGURES, "video.nackCount", "video.freezeCount", "video.pliCount")
        show("publisher", ann, "video.nackCount", "video.retransmittedPacketsSent")
        show("router", router, "video_asked_again_packets", "video_recovered_packets", "video_copied_packets")
        assert found["video.framesDecoded"] - before["video.framesDecoded"] > 0.9 * 20 * LOSSY_SECONDS
        assert found["video.freezeCount"] == before["video.freezeCount"]
        assert found["video.pliCount"] == before["video.pliCount"]
        assert found["video.nackCount"] > 0
        assert ann["video.retransmittedPacketsSent"] > 0
        assert router["video_recovered_packets"] > 0
        assert router["video_given_up_packets"] == 0
