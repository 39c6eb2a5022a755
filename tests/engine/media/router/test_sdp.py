"""From an offer to a plan and to the answer."""

from collections.abc import Sequence

import pytest

from engine.media.protocol import BadOfferError, Kind, NoCommonCodecError
from engine.media.router.offer import read_offer
from engine.media.router.sdp import (
    PLAYOUT_DELAY_URI,
    Local,
    Outgoing,
    Plan,
    codec_name,
    plan_publish,
    plan_view,
    write_answer,
)
from tests.engine.media.router.clients import joined, offer_lines
from tests.engine.media.router.test_offer import FINGERPRINT, PRINT, TRANSPORT, bundle_only, lines, swapped

LOCAL = Local(session_id=7, ufrag="ours", password="pass", fingerprint="sha-256 00:11")
H264 = [
    "a=rtpmap:102 H264/90000",
    "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
    "a=rtpmap:103 H264/90000",
    "a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640034",
    "a=rtpmap:104 H264/90000",
    "a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
]
MANY = [
    "a=rtpmap:98 VP9/90000",
    "a=fmtp:98 profile-id=2",
    "a=rtpmap:99 VP9/90000",
    "a=fmtp:99 profile-id=0",
    "a=rtpmap:45 AV1/90000",
    "a=rtpmap:100 red/90000",
    *H264,
]


def many(direction: str = "sendonly") -> str:
    """An offer with every codec."""
    source = lines(direction)
    at = source.index("a=rtpmap:96 VP8/90000")
    source[at:at] = MANY
    first = "m=video 9 UDP/TLS/RTP/SAVPF 96 97"
    return swapped(first, f"{first} 98 99 45 100 102 103 104", source=source)


def outgoing(plan: Plan) -> dict[Kind, Outgoing]:
    return {
        one.kind: Outgoing(
            ssrc=10 + one.index, rtx_ssrc=20 + one.index, cname="who", stream_id="room 1\r\na=x"
        )
        for one in plan.tracks
    }


def viewed(text: str, publisher: str | None = None) -> Plan:
    published = plan_publish(publisher or joined(lines()))
    return plan_view(text, {one.kind: one.codec for one in published.tracks})


def test_a_publisher_is_answered_with_one_codec_of_each_kind() -> None:
    plan = plan_publish(many())
    text = write_answer(plan, LOCAL)
    assert [(one.kind, codec_name(one.codec)) for one in plan.tracks] == [("audio", "opus"), ("video", "VP8")]
    assert "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" in text
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n" in text
    assert text.count("a=recvonly\r\n") == text.count("a=setup:passive\r\n") == 2
    assert "a=ice-lite\r\n" in text
    assert "a=group:BUNDLE 0 1\r\n" in text
    assert "a=rtcp-fb:96 nack pli\r\n" in text
    assert "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid\r\n" in text
    assert "candidate" not in text


def test_an_answer_can_be_read_as_sdp_again() -> None:
    answer = read_offer(write_answer(plan_publish(joined(lines(simulcast=True))), LOCAL))
    assert [one.mid for one in answer.sections] == ["0", "1"]
    assert answer.lite
    assert answer.bundle == ("0", "1")


@pytest.mark.parametrize(
    ("wanted", "payload_type"),
    [
        (("AV1", "VP8"), 45),
        (("vp9",), 99),
        (("H264",), 104),
        (("H265", "VP8"), 96),
    ],
)
def test_the_codec_is_the_first_one_wanted_in_its_commonest_form(
    wanted: Sequence[str], payload_type: int
) -> None:
    video = plan_publish(many(), wanted).tracks[1]
    assert video.codec.payload_type == payload_type


def test_rtx_is_that_of_the_codec() -> None:
    assert plan_publish(many(), ("VP8",)).tracks[1].rtx_payload_type == 97
    assert plan_publish(many(), ("AV1",)).tracks[1].rtx_payload_type is None


def test_a_publisher_without_a_wanted_picture_still_sends_sound() -> None:
    plan = plan_publish(joined(lines()), ("AV1",))
    text = write_answer(plan, LOCAL)
    assert [one.kind for one in plan.tracks] == [Kind.AUDIO]
    assert "m=video 0 UDP/TLS/RTP/SAVPF 96 97\r\n" in text
    assert "a=group:BUNDLE 0\r\n" in text


def test_other_sound_than_opus_in_stereo_is_not_taken() -> None:
    text = swapped("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 PCMU/8000")
    assert [one.kind for one in plan_publish(text).tracks] == [Kind.VIDEO]


def test_a_simulcast_is_answered_layer_by_layer() -> None:
    plan = plan_publish(joined(lines(simulcast=True, ssrcs=True)))
    text = write_answer(plan, LOCAL)
    assert plan.tracks[1].layers == ("l", "m", "h")
    assert (plan.tracks[1].ssrc, plan.tracks[1].rid_extension, plan.tracks[1].repaired_rid_extension) == (
        None,
        2,
        3,
    )
    assert "a=rid:l recv\r\na=rid:m recv\r\na=rid:h recv\r\na=simulcast:recv l;m;h\r\n" in text


def test_a_simulcast_whose_packets_do_not_name_their_layer_is_none() -> None:
    text = swapped(
        "a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", source=lines(simulcast=True, ssrcs=True)
    )
    video = plan_publish(text).tracks[1]
    assert (video.layers, video.rid_extension, video.ssrc, video.rtx_ssrc) == ((), None, 1000, 1001)


def test_an_rtx_stream_without_an_rtx_codec_is_not_expected() -> None:
    text = swapped("a=rtpmap:97 rtx/90000", source=lines(ssrcs=True))
    video = plan_publish(text).tracks[1]
    assert (video.ssrc, video.rtx_ssrc, video.rtx_payload_type) == (1000, None, None)


@pytest.mark.parametrize(
    "section",
    [
        ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:9"],
        ["m=strange 9 UDP/TLS/RTP/SAVPF 0", "a=mid:9"],
        ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:9", "a=rtpmap:96 VP8/90000"],
        ["m=audio 9 RTP/AVP 0", "a=mid:9"],
        ["m=video 0 UDP/TLS/RTP/SAVPF 96", "a=mid:9"],
        ["m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:9", "a=inactive"],
    ],
)
def test_media_that_are_not_used_are_answered_with_port_zero(section: list[str]) -> None:
    text = write_answer(plan_publish(joined(lines() + section)), LOCAL)
    _, _, rest = text.partition("a=mid:9")
    line = [one for one in text.split("\r\n") if one.startswith("m=")][2]
    assert line.split()[1] == "0"
    assert line.split()[2:] == section[0].split()[2:]
    assert rest.startswith("\r\na=inactive")
    assert "a=group:BUNDLE 0 1\r\n" in text


DATA = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:d", "a=sctp-port:5000"]


def test_media_for_the_bundle_only_are_taken_behind_a_data_channel_that_is_not() -> None:
    source = joined(bundle_only())
    transport = [one for one in lines() if one.startswith(TRANSPORT[:-1])][:4]
    media = source.partition("m=audio")[2].replace("a=rtcp-mux\r\n", "", 1)
    for line in transport:
        media = media.replace(line + "\r\n", "", 1)
    head = source.partition("m=audio")[0].replace("BUNDLE 0 1", "BUNDLE d 0 1")
    plan = plan_publish(head + joined([*DATA, *transport, "a=rtcp-mux"]) + "m=audio" + media)
    assert (plan.ufrag, plan.fingerprints) == ("ufrag", (("sha-256", PRINT),))
    answered = [one.split()[:2] for one in write_answer(plan, LOCAL).split("\r\n") if one.startswith("m=")]
    assert answered == [["m=application", "0"], ["m=audio", "9"], ["m=video", "9"]]


def test_the_only_kind_that_is_sent_is_enough_and_an_unknown_codec_is_not() -> None:
    for kind in ("audio", "video"):
        offer = joined(offer_lines("ufrag", FINGERPRINT, kinds=(kind,)))
        assert [track.kind for track in plan_publish(offer).tracks] == [kind]
    strange = joined(offer_lines("ufrag", FINGERPRINT, kinds=("video",), codec="H265/90000"))
    with pytest.raises(BadOfferError, match="sends no media that we can take"):
        plan_publish(strange)
    with pytest.raises(NoCommonCodecError):
        viewed(strange.replace("a=sendonly", "a=recvonly"))


def test_a_section_alone_needs_no_mid() -> None:
    source = [one for one in offer_lines("ufrag", FINGERPRINT, kinds=("audio",)) if "BUNDLE" not in one]
    text = write_answer(plan_publish(joined([one for one in source if one != "a=mid:0"])), LOCAL)
    assert "BUNDLE" not in text
    assert "a=mid" not in text


def test_a_rejected_section_without_a_mid_gets_none() -> None:
    section = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel"]
    text = write_answer(plan_publish(joined(lines() + section)), LOCAL)
    assert text.count("a=mid:") == 2


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("t=0 0", ["t=0 0", "a=ice-lite"], "ICE-lite"),
        ("a=group:BUNDLE 0 1", ["a=group:BUNDLE 0"], "BUNDLE"),
        ("a=group:BUNDLE 0 1", ["a=group:LS 0 1"], "BUNDLE"),
        ("a=rtcp-mux", [], "rtcp-mux"),
        ("a=setup:actpass", ["a=setup:passive"], "passive"),
        ("a=setup:actpass", ["a=setup:holdconn"], "passive"),
        ("a=ice-ufrag:ufrag", [], "user fragment"),
        ("a=ice-ufrag:ufrag", ["a=ice-ufrag:x"], "user fragment"),
        (f"a=fingerprint:{FINGERPRINT}", [], "fingerprint"),
        ("a=sendonly", ["a=recvonly"], "sends no media"),
    ],
)
def test_an_offer_that_cannot_be_used_is_refused_with_its_reason(
    old: str, new: list[str], reason: str
) -> None:
    with pytest.raises(BadOfferError, match=reason) as caught:
        plan_publish(swapped(old, *new))
    assert PRINT not in str(caught.value)


def test_a_viewer_is_answered_in_the_stream_s_codecs() -> None:
    plan = viewed(many("recvonly"), many())
    text = write_answer(plan, LOCAL, outgoing(plan))
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n" in text
    assert text.count("a=sendonly\r\n") == 2
    assert "a=ssrc-group:FID 11 21\r\n" in text
    assert "a=ssrc:11 cname:who\r\na=ssrc:21 cname:who\r\n" in text, "Chromium takes the first for the stream"
    assert "a=ssrc:10 cname:who\r\n" in text
    assert "extmap:" not in text


@pytest.mark.parametrize(
    ("at", "number", "expected"), [("video", 14, True), ("video", 15, False), ("audio", 5, False)]
)
def test_a_viewer_can_be_told_how_late_to_play(at: str, number: int, expected: bool) -> None:
    kind = "a=rtpmap:96 VP8/90000" if at == "video" else "a=rtpmap:111 opus/48000/2"
    extension = f"a=extmap:{number} {PLAYOUT_DELAY_URI}"
    plan = viewed(swapped(kind, kind, extension, source=lines("recvonly")))
    assert (f"{extension}\r\n" in write_answer(plan, LOCAL, outgoing(plan))) is expected
    assert (plan.tracks[1].delay_extension == number) is expected


def test_sound_is_sent_again_to_and_by_whom_offers_it() -> None:
    opus = "a=rtpmap:111 opus/48000/2"
    more = (opus, "a=rtcp-fb:111 transport-cc", "a=rtcp-fb:111 nack")
    publisher, viewer = (swapped(opus, *more, source=lines(way)) for way in ("sendonly", "recvonly"))
    plan = viewed(viewer)
    for text in (write_answer(plan_publish(publisher), LOCAL), write_answer(plan, LOCAL, outgoing(plan))):
        assert "a=rtcp-fb:111 nack\r\n" in text
        assert "transport-cc" not in text
    assert "a=rtcp-fb:111" not in write_answer(viewed(joined(lines("recvonly"))), LOCAL, outgoing(plan))


def test_without_rtx_there_is_nothing_to_tell_it_with() -> None:
    extension = f"a=extmap:5 {PLAYOUT_DELAY_URI}"
    plan = viewed(swapped("a=rtpmap:97 rtx/90000", extension, source=lines("recvonly")))
    assert "extmap:" not in write_answer(plan, LOCAL, outgoing(plan))


def test_a_stream_s_name_cannot_break_its_answer() -> None:
    plan = viewed(joined(lines("recvonly")))
    assert "a=msid:room-1--a-x video\r\n" in write_answer(plan, LOCAL, outgoing(plan))


def test_a_stream_may_have_a_name_without_letters() -> None:
    plan = viewed(joined(lines("recvonly")))
    named = {kind: Outgoing(ssrc=1, rtx_ssrc=2, cname="c", stream_id="") for kind in Kind}
    assert "a=msid:- audio\r\n" in write_answer(plan, LOCAL, named)


@pytest.mark.parametrize(("wanted", "payload_type"), [("VP9", 99), ("H264", 104), ("AV1", 45)])
def test_a_viewer_gets_the_same_profile(wanted: str, payload_type: int) -> None:
    published = {Kind.VIDEO: plan_publish(many(), (wanted,)).tracks[1].codec}
    assert plan_view(many("recvonly"), published).tracks[0].codec.payload_type == payload_type


def test_a_viewer_that_lacks_the_profile_has_no_common_codec() -> None:
    source = many("recvonly").split("\r\n")
    for line in H264[4:]:
        source.remove(line)
    published = {Kind.VIDEO: plan_publish(many(), ("H264",)).tracks[1].codec}
    with pytest.raises(NoCommonCodecError):
        plan_view("\r\n".join(source), published)


def test_a_viewer_of_sound_only_needs_no_codec_for_pictures() -> None:
    text = joined(offer_lines("ufrag", FINGERPRINT, "recvonly", kinds=("audio",)))
    assert [one.kind for one in viewed(text, many()).tracks] == [Kind.AUDIO]


def test_a_viewer_with_a_second_picture_in_the_right_codec_has_a_common_one() -> None:
    source = lines("recvonly")
    strange = offer_lines("ufrag", FINGERPRINT, "recvonly", kinds=("video",), codec="AV1/90000")
    source = [*source[:5], *[one.replace("a=mid:0", "a=mid:9") for one in strange[5:]], *source[5:]]
    plan = viewed(joined(source).replace("BUNDLE 0 1", "BUNDLE 9 0 1"))
    assert [one.mid for one in plan.tracks] == ["0", "1"]


def test_a_viewer_that_wants_nothing_that_is_there_is_refused() -> None:
    with pytest.raises(BadOfferError, match="receives no media"):
        viewed(joined(lines("sendonly")))


def test_a_viewer_without_pictures_of_a_stream_without_pictures_gets_the_rest_rejected() -> None:
    published = {Kind.AUDIO: plan_publish(joined(lines())).tracks[0].codec}
    plan = plan_view(joined(lines("recvonly")), published)
    assert "m=video 0 " in write_answer(plan, LOCAL, outgoing(plan))


def test_a_viewer_without_rtx_is_told_of_no_rtx() -> None:
    plan = viewed(swapped("a=rtpmap:97 rtx/90000", source=lines("recvonly")))
    assert "FID" not in write_answer(plan, LOCAL, outgoing(plan))


def test_neither_a_plan_nor_our_side_prints_secrets() -> None:
    text = repr(plan_publish(joined(lines()))) + repr(LOCAL)
    assert "pass'" not in text
    assert "'ours'" not in text
    assert PRINT not in text
