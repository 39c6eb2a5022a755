"""RTCP: packets both ways, and the arithmetic of reception."""

import struct

import pytest
from aiortc.rtp import RtcpPsfbPacket, RtcpRrPacket, RtcpSdesPacket, RtcpSenderInfo, RtcpSrPacket

from engine.media.router import rtcp


def _info(ntp: int = 0, rtp: int = 0) -> RtcpSenderInfo:
    return RtcpSenderInfo(ntp_timestamp=ntp, rtp_timestamp=rtp, packet_count=1, octet_count=2)


def test_a_request_for_a_key_frame_is_read_as_one() -> None:
    [packet] = rtcp.read(rtcp.picture_loss(sender=1, media=2))
    assert rtcp.asks_for_key_frame(packet)
    assert isinstance(packet, RtcpPsfbPacket)
    assert (packet.ssrc, packet.media_ssrc) == (1, 2)


def test_a_fir_asks_for_a_key_frame_too() -> None:
    assert rtcp.asks_for_key_frame(RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=bytes(8)))


def test_other_feedback_asks_for_no_key_frame() -> None:
    [packet] = rtcp.read(rtcp.bitrate_limit(500_000, [1], sender=2))
    assert not rtcp.asks_for_key_frame(packet)
    assert rtcp.asked_again(packet) == ()


def test_lost_packets_are_asked_for_across_the_wrap() -> None:
    [packet] = rtcp.read(rtcp.negative_acknowledgement([65534, 65535, 0, 9], sender=1, media=2))
    assert sorted(rtcp.asked_again(packet)) == [0, 9, 65534, 65535]


def test_one_request_names_no_more_than_its_limit() -> None:
    [packet] = rtcp.read(rtcp.negative_acknowledgement(range(0, 4000, 20), sender=1, media=2))
    assert len(rtcp.asked_again(packet)) == rtcp.NACK_SEQUENCES_MAX


def test_a_bitrate_limit_is_read_as_it_was_written() -> None:
    [packet] = rtcp.read(rtcp.bitrate_limit(6_000_000, [1, 2], sender=3))
    assert rtcp.told_bitrate_bps(packet) == pytest.approx(6_000_000, rel=1e-4)


@pytest.mark.parametrize("fci", [b"", b"REMB", b"XXXX\x01\x00\x00\x00\x00\x00\x00\x00"])
def test_a_strange_estimate_is_none(fci: bytes) -> None:
    assert rtcp.told_bitrate_bps(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=fci)) is None


def test_a_picture_loss_tells_no_bitrate() -> None:
    assert rtcp.told_bitrate_bps(RtcpPsfbPacket(fmt=1, ssrc=1, media_ssrc=0)) is None


@pytest.mark.parametrize(
    "data",
    [b"\x80", b"\x40\xc9\x00\x00", b"\x81\xc9\x00\x09" + bytes(4), b"\x85\xca\x00\x01\x00\x00\x00\x01"],
)
def test_a_malformed_compound_has_no_packets(data: bytes) -> None:
    assert rtcp.read(data) == ()


def test_a_sender_report_goes_with_its_name() -> None:
    report, names = rtcp.read(rtcp.sender_report(7, _info(5 << 32, 99), "who"))
    assert isinstance(report, RtcpSrPacket)
    assert isinstance(names, RtcpSdesPacket)
    assert (report.ssrc, report.sender_info.rtp_timestamp) == (7, 99)
    assert names.chunks[0].items == [(1, b"who")]


def test_a_report_has_at_most_31_blocks() -> None:
    reception = rtcp.Reception(90000)
    blocks = [reception.info(number, 0.0) for number in range(40)]
    [packet] = rtcp.read(rtcp.receiver_report(blocks, sender=1))
    assert isinstance(packet, RtcpRrPacket)
    assert len(packet.reports) == 31


def test_nothing_is_expected_before_the_first_packet() -> None:
    reception = rtcp.Reception(90000)
    assert (reception.expected, reception.lost) == (0, 0)
    assert reception.info(1, 0.0).fraction_lost == 0


def test_the_highest_number_counts_its_cycles() -> None:
    reception = rtcp.Reception(90000)
    for number in range(65530, 65530 + 12):
        reception.advance(number & 0xFFFF, 3000 * number, number / 30)
    block = reception.info(1, 0.0)
    assert block.highest_sequence == (1 << 16) + 5
    assert (reception.expected, block.packets_lost, block.fraction_lost) == (12, 0, 0)


def test_the_fraction_is_of_the_last_interval_only() -> None:
    reception = rtcp.Reception(90000)
    for number in (0, 1, 3):
        reception.advance(number, 0, 0.0)
    assert reception.info(1, 0.0).fraction_lost == 64
    for number in (4, 5):
        reception.advance(number, 0, 0.0)
    block = reception.info(1, 0.0)
    assert (block.fraction_lost, block.packets_lost) == (0, 1)
    reception.fill()
    assert reception.lost == 0


def test_everything_lost_still_fits_its_octet() -> None:
    reception = rtcp.Reception(90000)
    reception.advance(0, 0, 0.0)
    reception.info(1, 0.0)
    reception.advance(1000, 0, 0.0)
    assert reception.info(1, 0.0).fraction_lost == 255


def test_packets_that_come_again_never_make_a_fraction() -> None:
    reception = rtcp.Reception(90000)
    reception.advance(0, 0, 0.0)
    reception.fill()
    block = reception.info(1, 0.0)
    assert (block.fraction_lost, block.packets_lost) == (0, -1)


def test_even_arrival_has_no_jitter_and_uneven_has() -> None:
    even, uneven = rtcp.Reception(90000), rtcp.Reception(90000)
    for number in range(50):
        even.advance(number, 3000 * number, number / 30)
        uneven.advance(number, 3000 * number, (number + number % 2 / 2) / 30)
    assert even.info(1, 0.0).jitter <= 1
    assert uneven.info(1, 0.0).jitter > 500


def test_packets_of_one_frame_say_nothing_about_jitter() -> None:
    reception = rtcp.Reception(90000)
    for number in range(20):
        reception.advance(number, 0, number / 10)
    assert reception.info(1, 0.0).jitter == 0


def test_a_new_clock_is_not_jitter() -> None:
    reception = rtcp.Reception(90000)
    reception.advance(0, 0, 0.0)
    reception.advance(1, 0x40000000, 0.03)
    assert reception.info(1, 0.0).jitter == 0


def test_jitter_survives_the_wrap_of_the_timestamp() -> None:
    reception = rtcp.Reception(90000)
    for number in range(50):
        reception.advance(number, (0xFFFFFFFF - 30000 + 3000 * number) & 0xFFFFFFFF, number / 30)
    assert reception.info(1, 0.0).jitter <= 1


def test_a_report_says_how_long_ago_the_senders_came() -> None:
    reception = rtcp.Reception(90000)
    reception.take_report(_info(0x1234_5678_9ABC_DEF0), 10.0)
    block = reception.info(1, 12.5)
    assert (block.lsr, block.dlsr) == (0x5678_9ABC, int(2.5 * 65536))


def test_one_stream_is_told_on_the_clock_of_another() -> None:
    here, there = _info(ntp=10 << 32, rtp=1000), _info(ntp=8 << 32, rtp=500_000)
    # Nine thousand ticks after `here` reported, which was two seconds after `there` did.
    assert rtcp.aligned_timestamp(10_000, 90_000, here=here, there=there) == 500_000 + 180_000 + 9_000


def test_the_other_clock_may_wrap_and_be_ahead() -> None:
    here, there = _info(ntp=10 << 32, rtp=0), _info(ntp=11 << 32, rtp=100)
    assert rtcp.aligned_timestamp(0, 90_000, here=here, there=there) == (100 - 90_000) & 0xFFFFFFFF


def test_a_truncated_packet_is_no_reason_to_raise() -> None:
    whole = rtcp.sender_report(7, _info(), "x")
    for size in range(len(whole)):
        rtcp.read(whole[:size])
    rtcp.read(struct.pack("!BBH", 0x9F, 203, 0))
