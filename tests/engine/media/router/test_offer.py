"""Reading offers: what is taken, and what is refused with a reason that quotes nothing."""

from collections.abc import Sequence

import pytest

from engine.media.protocol import BadOfferError
from engine.media.router.offer import (
    LINES_MAX,
    OFFER_CHARACTERS_MAX,
    SECTIONS_MAX,
    Codec,
    read_offer,
)
from tests.engine.media.router.clients import joined, offer_lines

PRINT = ":".join(["AB"] * 32)
FINGERPRINT = f"sha-256 {PRINT}"


def lines(direction: str = "sendonly", *, simulcast: bool = False, ssrcs: bool = False) -> list[str]:
    return offer_lines("ufrag", FINGERPRINT, direction, simulcast=simulcast, ssrcs=ssrcs)


def swapped(old: str, *new: str, source: Sequence[str] | None = None) -> str:
    """An offer in which each line `old` is replaced."""
    found: list[str] = []
    for line in source or lines():
        found += new if line == old else [line]
    return joined(found)


def test_an_offer_is_read() -> None:
    offer = read_offer(joined(lines(ssrcs=True)))
    audio, video = offer.sections
    assert (audio.kind, video.kind, offer.bundle, offer.lite) == ("audio", "video", ("0", "1"), False)
    assert (video.ssrc, video.rtx_ssrc, video.direction, video.multiplexed) == (1000, 1001, "sendonly", True)
    assert (video.ufrag, video.fingerprints, video.setup) == ("ufrag", (("sha-256", PRINT),), "actpass")
    assert audio.codecs == (
        Codec(
            payload_type=111,
            name="opus",
            clock_rate=48000,
            channels=2,
            format_parameters="minptime=10;useinbandfec=1",
        ),
    )
    assert video.codecs[0].feedback == ("nack", "nack pli", "ccm fir", "goog-remb")


def test_lines_may_end_without_a_carriage_return() -> None:
    assert read_offer("\n".join(lines())) == read_offer(joined(lines()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "v=0\r\n",
        "v=0\n" + "a" * OFFER_CHARACTERS_MAX,
        "v=0\n" + "a=x\n" * LINES_MAX,
        "v=0\n" + "m=audio 9 X 0\n" * (SECTIONS_MAX + 1),
        "v=0\nm=",
        "v=0\nm=audio",
        "v=0\nm=audio 9 UDP",
        "v=0\nm=audio x UDP 0",
        "v=0\nm=audio 65536 UDP 0",
        "v=0\nm=audio 9 U=P 0",
        "v=0\nm=aud\u00efo 9 UDP 0",
        "v=0\nm=audio 9 UDP 0 \u00e9",
        "v=0\nm=audio 9 UDP 0\na=mid:a b",
        "v=0\nm=audio 9 UDP 0\nm=audio 9 UDP 0",
        "v=0\nm=audio 9 UDP 0\na=mid:x\nm=audio 9 UDP 0\na=mid:x",
    ],
)
def test_what_is_no_offer_is_refused(text: str) -> None:
    with pytest.raises(BadOfferError):
        read_offer(text)


def test_a_refusal_quotes_nothing() -> None:
    with pytest.raises(BadOfferError) as caught:
        read_offer("v=0\nm=audio 9 UDP 0\na=mid:se cret")
    assert "cret" not in str(caught.value)


def test_what_the_session_says_holds_for_all_media() -> None:
    text = "\n".join(
        [
            "v=0",
            "a=ice-lite",
            "a=ice-ufrag:shared",
            f"a=fingerprint:{FINGERPRINT}",
            "a=setup:active",
            "a=recvonly",
            "m=audio 9 UDP/TLS/RTP/SAVPF 0",
        ]
    )
    offer = read_offer(text)
    [section] = offer.sections
    assert (section.ufrag, section.setup, section.direction, offer.lite) == (
        "shared",
        "active",
        "recvonly",
        True,
    )
    assert section.fingerprints == (("sha-256", PRINT),)


TRANSPORT = ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:", "a=rtcp-mux")


def bundle_only(*kept: str) -> list[str]:
    """An offer whose second section leaves its transport to the first, but for the lines that are kept."""
    source = lines()
    at = source.index("m=video 9 UDP/TLS/RTP/SAVPF 96 97")
    second = [one for one in source[at:] if not one.startswith(TRANSPORT) or one in kept]
    return [*source[:at], second[0].replace(" 9 ", " 0 "), "a=bundle-only", *second[1:]]


def test_what_is_for_the_bundle_only_has_the_transport_of_the_first() -> None:
    audio, video = read_offer(joined(bundle_only())).sections
    assert (video.ufrag, video.fingerprints, video.setup) == (audio.ufrag, audio.fingerprints, audio.setup)
    assert (video.ufrag, video.multiplexed, video.enabled) == ("ufrag", True, True)


def test_what_has_a_transport_of_its_own_gets_none_of_the_first() -> None:
    _, video = read_offer(joined(bundle_only("a=ice-ufrag:ufrag"))).sections
    assert (video.ufrag, video.fingerprints, video.setup, video.multiplexed) == ("ufrag", (), "", False)


@pytest.mark.parametrize("group", ["a=group:BUNDLE 0", "a=group:BUNDLE 7 1", "a=group:LS 0 1"])
def test_only_a_bundle_with_both_in_it_shares_a_transport(group: str) -> None:
    source = swapped("a=group:BUNDLE 0 1", group, source=bundle_only())
    _, video = read_offer(source).sections
    assert (video.ufrag, video.fingerprints) == ("", ())


def test_media_send_and_receive_unless_they_say() -> None:
    [section] = read_offer("v=0\nm=audio 9 UDP 0").sections
    assert (section.direction, section.ufrag, section.fingerprints, section.mid) == ("sendrecv", "", (), "")
    assert (section.setup, section.multiplexed, section.ssrc) == ("", False, None)


@pytest.mark.parametrize(("more", "enabled"), [("", False), ("a=bundle-only\n", True)])
def test_port_zero_means_given_up_unless_it_is_for_the_bundle(more: str, enabled: bool) -> None:
    [section] = read_offer("v=0\nm=audio 0 UDP 0\n" + more).sections
    assert section.enabled is enabled


@pytest.mark.parametrize(
    "value",
    [
        "sha-1 AB:CD",
        "sha-256 AB:CD",
        f"sha-256 {PRINT}:AB",
        "sha-256",
        "",
        f"md5 {PRINT}",
        f"sha-256 {PRINT[:-1]}G",
    ],
)
def test_a_fingerprint_that_cannot_be_used_is_left_out(value: str) -> None:
    [section] = read_offer(f"v=0\nm=audio 9 UDP 0\na=fingerprint:{value}").sections
    assert section.fingerprints == ()


@pytest.mark.parametrize(
    "line",
    [
        "a=rtpmap:96",
        "a=rtpmap:96 VP8",
        "a=rtpmap:96 VP8/x",
        "a=rtpmap:96 VP8/0",
        "a=rtpmap:96 V P8/90000",
        "a=rtpmap:x VP8/90000",
        "a=rtpmap:99999999999 VP8/90000",
        "a=rtpmap:\u0663 VP8/90000",
    ],
)
def test_a_map_that_cannot_be_read_is_no_codec(line: str) -> None:
    video = read_offer(swapped("a=rtpmap:96 VP8/90000", line)).sections[1]
    assert [one.name for one in video.codecs] == ["rtx"]


@pytest.mark.parametrize("parameters", ["x" * 513, "caf\u00e9", "a\x00b", "a\rb"])
def test_parameters_that_could_break_an_answer_are_left_out(parameters: str) -> None:
    text = swapped("a=fmtp:111 minptime=10;useinbandfec=1", f"a=fmtp:111 {parameters}")
    assert read_offer(text).sections[0].codecs[0].format_parameters == ""


def test_feedback_for_all_formats_is_feedback_for_each() -> None:
    text = swapped("a=rtcp-fb:96 nack", "a=rtcp-fb:* nack")
    assert "nack" in read_offer(text).sections[1].codecs[0].feedback


def test_layers_come_in_the_order_of_the_simulcast() -> None:
    assert read_offer(joined(lines(simulcast=True))).sections[1].layers == ("l", "m", "h")


@pytest.mark.parametrize(
    ("line", "layers"),
    [
        ("a=simulcast:send h;~m,l", ("h", "m")),
        ("a=simulcast:recv x;y send h;h;m", ("h", "m")),
        ("a=simulcast:send h;strange", ("h",)),
        ("a=simulcast:recv h;m", ()),
        ("a=simulcast:send", ()),
        ("a=simulcast", ()),
        ("a=x", ()),
    ],
)
def test_a_simulcast_names_what_is_sent(line: str, layers: tuple[str, ...]) -> None:
    text = swapped("a=simulcast:send l;m;h", line, source=lines(simulcast=True))
    assert read_offer(text).sections[1].layers == layers


def test_a_layer_name_that_could_break_an_answer_is_left_out() -> None:
    text = "v=0\nm=video 9 UDP 0\na=rid:a=b send\na=rid:\na=simulcast:send a=b"
    assert read_offer(text).sections[0].layers == ()


def test_extensions_are_read_with_their_direction_cut_off() -> None:
    text = "v=0\nm=video 9 UDP 0\na=extmap:3/sendonly uri:a x\na=extmap:0 uri:b\na=extmap:x uri:c\na=extmap:4"
    assert read_offer(text).sections[0].extensions == {"uri:a": 3}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("a=ssrc:7 cname:x\na=ssrc:8 cname:x", (7, None)),
        ("a=ssrc-group:FID 7 8", (7, 8)),
        ("a=ssrc-group:FID 7 x\na=ssrc:9 cname:x", (9, None)),
        ("a=ssrc-group:SIM 7 8", (None, None)),
        ("a=ssrc-group:", (None, None)),
        ("a=ssrc:4294967296 cname:x", (None, None)),
    ],
)
def test_ssrcs_are_read_with_their_rtx(more: str, expected: tuple[int | None, int | None]) -> None:
    [section] = read_offer("v=0\nm=video 9 UDP 0\n" + more).sections
    assert (section.ssrc, section.rtx_ssrc) == expected


def test_a_parameter_is_found_whatever_its_case() -> None:
    codec = Codec(payload_type=1, name="x", clock_rate=1, format_parameters="Profile-Level-Id=42E01F; a")
    assert [codec.parameter(one) for one in ("profile-level-id", "a", "b")] == ["42e01f", "", ""]
    assert codec.parameter("b", "c") == "c"


def test_an_offer_and_its_media_do_not_print_secrets() -> None:
    offer = read_offer(joined(lines()))
    assert "ufrag" not in repr(offer).replace("ufrag=", "")
    assert PRINT not in repr(offer)
