"""Chromium views one stream on two workers."""

import pytest
import trio

from engine.media import protocol as p
from tests.browser.browser import Browser
from tests.browser.stage import open_stage
from tests.browser.test_media import (
    CONNECTED,
    LAYERS,
    PLAYS,
    WIDE,
    publish_and_view,
    show,
    sound_and_picture_are_together,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_viewers_on_two_workers_see_and_hear_what_is_published(browser: Browser, codec: str) -> None:
    async with open_stage(browser, workers=2, viewers_per_worker=1) as stage:
        page = await stage.page()
        await publish_and_view(stage, page, codecs=[codec])
        await page.view("eve", "stream")
        found = await page.wait("eve", *PLAYS)
        show(f"far, {codec}", found, "firstFrame", "video.framesDecoded", "video.freezeCount")
        assert (await stage.statistics("ann"))["homes_count"] == 2
        later = await page.wait("eve", ("video.framesDecoded", ">=", found["video.framesDecoded"] + 20))
        assert later["video.packetsLost"] == later["audio.packetsLost"] == 0
        await sound_and_picture_are_together(page, "eve")
        await page.call("closePeer", "ann")
        for peer_id in ("bob", "eve"):
            assert (await stage.event(p.PeerClosed, peer_id)).reason is p.CloseReason.SOURCE_ENDED


async def test_a_viewer_on_the_second_worker_changes_between_layers(browser: Browser) -> None:
    async with open_stage(browser, workers=2, viewers_per_worker=1) as stage:
        page = await stage.page()
        await page.publish("ann", "stream", layers=LAYERS, **WIDE)
        for layer in LAYERS:
            await stage.event(p.SourceStarted, "ann", layer=layer)
        await page.view("bob", "stream", layer="l")
        await page.wait("bob", CONNECTED)
        await page.view("eve", "stream", layer="l")
        await page.wait("eve", CONNECTED)
        for layer in "lhm":
            began = trio.current_time()
            await stage.host.request(p.SelectLayer(peer_id="eve", layer=layer))
            width = WIDE["width"] // LAYERS[layer]
            found = await page.wait("eve", ("video.frameWidth", "==", width), seconds=5)
            show(f"{layer} after {trio.current_time() - began:.2f} s", found, "video.freezeCount")
        assert found["video.packetsLost"] == found["video.framesDropped"] == 0
        assert (await page.figures("bob"))["video.frameWidth"] == WIDE["width"] // LAYERS["l"]
