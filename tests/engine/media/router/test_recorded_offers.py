"""Offers as browsers write them, with candidates, keys and names taken out: each with each."""

from pathlib import Path

import pytest

from engine.media.protocol import Kind, NoCommonCodecError
from engine.media.router.sdp import Local, Outgoing, Plan, plan_publish, plan_view, write_answer

OFFERS = Path(__file__).parent / "offers"
BROWSERS = ("firefox", "chromium")
"""Firefox 153 ESR before it has loaded H.264, and Chromium 156."""
CODECS = ("VP8", "VP9", "AV1")
LOCAL = Local(session_id=7, ufrag="ours", password="pass", fingerprint="sha-256 00:11")


def offer(browser: str, what: str) -> str:
    return (OFFERS / f"{browser}_{what}.sdp").read_text()


def published(browser: str, codec: str, what: str = "publish") -> Plan:
    return plan_publish(offer(browser, what), (codec,))


def answered(plan: Plan) -> list[str]:
    outgoing = {one.kind: Outgoing(ssrc=1, rtx_ssrc=2, cname="us", stream_id="room") for one in plan.tracks}
    return write_answer(plan, LOCAL, outgoing).splitlines()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("viewer", BROWSERS)
@pytest.mark.parametrize("publisher", BROWSERS)
def test_what_one_browser_publishes_every_browser_is_given(publisher: str, viewer: str, codec: str) -> None:
    codecs = {one.kind: one.codec for one in published(publisher, codec).tracks}
    plan = plan_view(offer(viewer, "view"), codecs)
    sound, picture = plan.tracks
    assert (sound.kind, sound.codec.name) == (Kind.AUDIO, "opus")
    assert (picture.kind, picture.codec.name) == (Kind.VIDEO, codec)
    assert picture.rtx_payload_type is not None
    assert set(picture.feedback) == {"nack", "nack pli", "ccm fir", "goog-remb"}
    # With it the router tells who loses packets to play later.
    assert picture.delay_extension is not None


def test_firefox_is_not_given_what_it_has_not_loaded() -> None:
    codecs = {one.kind: one.codec for one in published("chromium", "H264").tracks}
    with pytest.raises(NoCommonCodecError):
        plan_view(offer("firefox", "view"), codecs)


@pytest.mark.parametrize("browser", BROWSERS)
def test_the_layers_of_every_browser_are_taken(browser: str) -> None:
    _, picture = published(browser, "VP8", "simulcast").tracks
    assert picture.layers == ("l", "m", "h")
    assert None not in (picture.mid_extension, picture.rid_extension, picture.repaired_rid_extension)
    # Several are announced, and none says which layer it is.
    assert picture.ssrc is None


@pytest.mark.parametrize("browser", BROWSERS)
def test_without_layers_the_streams_are_those_of_the_offer(browser: str) -> None:
    sound, picture = published(browser, "VP8").tracks
    assert (sound.ssrc, picture.ssrc, picture.rtx_ssrc) == (1000, 1001, 1002)


@pytest.mark.parametrize("browser", BROWSERS)
def test_every_browser_gets_both_media_on_one_connection(browser: str) -> None:
    codecs = {one.kind: one.codec for one in published(browser, "VP8").tracks}
    plan = plan_view(offer(browser, "view"), codecs)
    answer = answered(plan)
    # The second m-line of Firefox has port zero, and no fingerprint of its own.
    assert [line.split()[:2] for line in answer if line.startswith("m=")] == [
        ["m=audio", "9"],
        ["m=video", "9"],
    ]
    assert "a=group:BUNDLE 0 1" in answer
    assert answer.count("a=setup:passive") == answer.count("a=sendonly") == 2
