"""RTP bytes: sequence numbers, payloads, header extensions, key frames."""

import pytest

from engine.media.router.rtp import (
    HEADER,
    KEY_FRAME_SNIFFERS,
    always,
    av1_key_frame,
    distance,
    extended,
    extensions_of,
    h264_key_frame,
    is_rtcp,
    payload_of,
    timestamp_distance,
    vp8_key_frame,
    vp8_unnumbered,
    vp9_key_frame,
)


def _packet(first: int, rest: bytes) -> bytes:
    return HEADER.pack(first, 96, 1, 2, 3) + rest


@pytest.mark.parametrize(("second", "expected"), [(191, False), (192, True), (223, True), (224, False)])
def test_rtcp_is_known_by_its_second_octet(second: int, expected: bool) -> None:
    assert is_rtcp(bytes((0x80, second))) is expected


@pytest.mark.parametrize(
    ("later", "earlier", "expected"),
    [(5, 3, 2), (3, 5, -2), (0, 65535, 1), (65535, 0, -1), (0x7FFF, 0, 32767), (0x8000, 0, -32768)],
)
def test_sequence_numbers_wrap(later: int, earlier: int, expected: int) -> None:
    assert distance(later, earlier) == expected


@pytest.mark.parametrize(
    ("later", "earlier", "expected"),
    [(7, 3, 4), (0, 0xFFFFFFFF, 1), (0xFFFFFFFF, 0, -1), (1 << 31, 0, -(1 << 31))],
)
def test_timestamps_wrap(later: int, earlier: int, expected: int) -> None:
    assert timestamp_distance(later, earlier) == expected


@pytest.mark.parametrize(
    ("first", "rest", "expected"),
    [
        (0x80, b"abc", b"abc"),
        (0x80, b"", b""),
        (0x82, b"8bytes!!abc", b"abc"),
        (0x82, b"short", None),
        (0x90, b"\xbe\xde\x00\x01\x10m\x00\x00abc", b"abc"),
        (0x90, b"\xbe\xde\x00\x09\x10m\x00\x00abc", None),
        (0x90, b"\xbe\xde", None),
        (0xA0, b"abc\x00\x02", b"abc"),
        (0xA0, b"\x00\x00\x03", b""),
        (0xA0, b"\x00\x00\x00", None),
        (0xA0, b"\x00\x00\x09", None),
    ],
)
def test_a_payload_comes_without_what_is_around_it(first: int, rest: bytes, expected: bytes | None) -> None:
    assert payload_of(_packet(first, rest)) == expected


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"\xbe\xde\x00\x02\x10a\x21bc\x00\x00\x00", {1: b"a", 2: b"bc"}),
        (b"\xbe\xde\x00\x01\x00\x00\x10a", {1: b"a"}),
        (b"\xbe\xde\x00\x01\xf0a\x10b", {}),
        (b"\xbe\xde\x00\x01\x10a\x2fb", {1: b"a"}),
        (b"\x10\x00\x00\x02\x01\x01a\x11\x02bc\x00", {1: b"a", 17: b"bc"}),
        (b"\x10\x0f\x00\x01\x01\x00\x00\x02", {1: b""}),
        (b"\x10\x00\x00\x01\x01\x09ab", {}),
        (b"\x12\x34\x00\x01\x10a\x00\x00", {}),
        (b"\xbe\xde", {}),
    ],
)
def test_extensions_are_read_in_both_forms(rest: bytes, expected: dict[int, bytes]) -> None:
    assert extensions_of(_packet(0x90, rest)) == expected


def test_a_packet_without_the_extension_bit_has_no_extensions() -> None:
    assert extensions_of(_packet(0x80, b"\xbe\xde\x00\x01\x10a\x00\x00")) == {}


@pytest.mark.parametrize("value", [b"a", b"abc", b"abcd", b"sixteen letters!"])
def test_an_extension_that_is_written_can_be_read(value: bytes) -> None:
    packet = extended(_packet(0x80, b""), 14, value) + b"payload"
    assert extensions_of(packet) == {14: value}
    assert payload_of(packet) == b"payload"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x10\x00", True),
        (b"\x10\x01", False),
        (b"\x11\x00", False),
        (b"\x00\x00", False),
        (b"\x90\x80\x05\x00", True),
        (b"\x90\x80\x85\x05\x00", True),
        (b"\x90\xf0\x85\x05\x01\x02\x00", True),
        (b"\x90\xf0\x85\x05\x01\x02\x01", False),
        (b"\x90\x40\x01\x00", True),
        (b"\x90\x10\x01\x00", True),
        (b"\x90\x80", False),
        (b"\x90", False),
        (b"\x10", False),
        (b"", False),
    ],
)
def test_a_vp8_key_frame_is_seen(payload: bytes, expected: bool) -> None:
    assert vp8_key_frame(payload) is expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x10\x00", b"\x10\x00"),
        (b"\x90\x80\x05\x00", b"\x10\x00"),
        (b"\x90\x80\x85\x05\x00", b"\x10\x00"),
        (b"\xb1\xf0\x85\x05\x01\x02abc", b"\x31abc"),
        (b"\x90\x40\x01\x00", b"\x10\x00"),
        (b"\x90\x00\x00", b"\x10\x00"),
        (b"\x90\x80", b"\x10"),
        (b"\x90", b"\x10"),
        (b"", b""),
    ],
)
def test_a_vp8_payload_loses_its_numbers_and_nothing_else(payload: bytes, expected: bytes) -> None:
    assert vp8_unnumbered(payload) == expected
    assert vp8_key_frame(expected) is vp8_key_frame(payload)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x08", True),
        (b"\x48", False),
        (b"\x00", False),
        (b"\xa8\x05\x00", True),
        (b"\xa8\x85\x05\x10", True),
        (b"\xa8\x05\x02", False),
        (b"\x28\x00", True),
        (b"\xa8", False),
        (b"", False),
    ],
)
def test_a_vp9_key_frame_is_seen(payload: bytes, expected: bool) -> None:
    assert vp9_key_frame(payload) is expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x67\x42", True),
        (b"\x65\x88", True),
        (b"\x41\x9a", False),
        (b"\x78\x00\x02\x68\x01\x00\x02\x65\x88", True),
        (b"\x78\x00\x02\x41\x01", False),
        (b"\x78\x00", False),
        (b"\x7c\x85", True),
        (b"\x7c\x05", False),
        (b"\x7c\x81", False),
        (b"\x65", False),
    ],
)
def test_an_h264_key_frame_is_seen(payload: bytes, expected: bool) -> None:
    assert h264_key_frame(payload) is expected


@pytest.mark.parametrize(
    ("payload", "expected"), [(b"\x08", True), (b"\x88", False), (b"\x10", False), (b"", False)]
)
def test_an_av1_sequence_is_seen_to_begin(payload: bytes, expected: bool) -> None:
    assert av1_key_frame(payload) is expected


def test_every_packet_of_opus_stands_by_itself() -> None:
    assert KEY_FRAME_SNIFFERS["opus"] is always
    assert always(b"")
