"""Sources and sinks by themselves: numbers, times, gaps, what is kept, and the change from one to another."""

import struct
from collections.abc import Iterable
from typing import Any, cast

import attrs
import pytest
from aiortc.rtp import RtcpReceiverInfo, RtcpSenderInfo, RtcpSrPacket

from engine.media.protocol import Kind
from engine.media.router import rtcp
from engine.media.router.fanout import Outlet
from engine.media.router.link import Link
from engine.media.router.missing import GAP_MAX
from engine.media.router.offer import Codec
from engine.media.router.rtp import HEADER
from engine.media.router.sdp import Outgoing, Track
from engine.media.router.sink import Sink
from engine.media.router.source import HISTORY_PACKETS, JUMP_MAX, PICTURE_LOSS_SECONDS, Source
from engine.media.router.tally import Tally
from tests.engine.media.router.clients import VP8_DELTA, VP8_KEY

VIDEO = Track(
    index=0,
    kind=Kind.VIDEO,
    mid="0",
    codec=Codec(payload_type=96, name="VP8", clock_rate=90000),
    rtx_payload_type=97,
    feedback=("nack", "nack pli"),
    ssrc=1000,
)
PLAIN = Track(
    index=0,
    kind=Kind.VIDEO,
    mid="0",
    codec=Codec(payload_type=96, name="VP8", clock_rate=90000),
    rtx_payload_type=None,
    feedback=(),
    ssrc=1000,
)
SOUND = Track(
    index=1,
    kind=Kind.AUDIO,
    mid="1",
    codec=Codec(payload_type=111, name="opus", clock_rate=48000, channels=2),
    rtx_payload_type=None,
    feedback=(),
)


class Sent:
    """What a viewer is sent, and its link, which keeps it."""

    def __init__(self) -> None:
        self.packets: list[tuple[int, int, int, bytes]] = []
        """(SSRC, sequence, timestamp, body), by fan-outs."""
        self.rtcp: list[rtcp.AnyPacket] = []
        self.late: list[tuple[int, int, int, int, bytes]] = []
        """(SSRC, payload type, sequence, timestamp, body), by the link."""

    def send_rtp(self, packet: bytes) -> None:
        _, second, sequence, timestamp, ssrc = HEADER.unpack_from(packet)
        self.late.append((ssrc, second & 0x7F, sequence, timestamp, packet[12:]))

    def send_rtcp(self, packet: bytes) -> None:
        self.rtcp += rtcp.read(packet)


class Way:
    """A source's fan-out."""

    def __init__(self, sent: Sent) -> None:
        self.dropped = 0
        self._sent = sent
        self._outlets: tuple[Outlet, ...] = ()

    def changed(self, outlets: Iterable[Outlet]) -> None:
        self._outlets = tuple(outlets)

    def send(self, marker: int, sequence: int, timestamp: int, body: bytes) -> None:
        for one in self._outlets:
            number = (sequence + one.sequence_offset) & 0xFFFF
            later = (timestamp + one.timestamp_offset) & 0xFFFFFFFF
            self._sent.packets.append((one.ssrc, number, later, body))


class Scene:
    """One source and one sink of it."""

    def __init__(self, track: Track = VIDEO) -> None:
        self.sent, self.back, self.tally = Sent(), Sent(), Tally()
        self.source = self.more(track)
        self.sink = Sink(
            self.source,
            cast(Link, self.sent),
            track,
            Outgoing(ssrc=7, rtx_ssrc=8, cname="c", stream_id="s"),
        )

    def more(self, track: Track = VIDEO) -> Source:
        return Source(track, None, Way(self.sent), self.back.send_rtcp, self.tally)

    def key_frames_asked(self) -> int:
        return sum(rtcp.asks_for_key_frame(one) for one in self.back.rtcp)

    def numbers(self) -> list[int]:
        first = self.sent.packets[0][1]
        return [(one[1] - first) & 0xFFFF for one in self.sent.packets]


def packet(
    sequence: int, timestamp: int = 0, body: bytes = VP8_KEY, *, ssrc: int = 1000, first: int = 0x80
) -> bytes:
    return HEADER.pack(first, 96, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + body


def rtx(of: int, body: bytes = VP8_DELTA) -> bytes:
    return HEADER.pack(0x80, 97, 1, 0, 1001) + struct.pack("!H", of & 0xFFFF) + body


def begun(track: Track = VIDEO, first: int = 100, count: int = 1) -> Scene:
    scene = Scene(track)
    scene.sink.start(0.0)
    for number in range(first, first + count):
        scene.source.take(packet(number, 3000 * number), 0.001 * number)
    return scene


def test_numbers_go_on_across_the_wrap_of_the_sender_s() -> None:
    scene = begun(first=65500, count=100)
    assert scene.numbers() == list(range(100))
    times = [one[2] for one in scene.sent.packets]
    assert [(one - times[0]) & 0xFFFFFFFF for one in times] == [3000 * n for n in range(100)]


def test_the_first_number_is_in_the_lower_quarter() -> None:
    assert all(begun().sent.packets[0][1] < 0x4000 for _ in range(50))


def test_a_viewer_s_own_numbers_wrap() -> None:
    scene = begun(first=0, count=1)
    for number in range(1, 70_000, 997):
        scene.source.take(packet(number, number), 0.0)
    assert scene.source.reception.lost > 60_000
    out = scene.sent.packets
    assert (out[-1][1] - out[0][1]) & 0xFFFF == (range(1, 70_000, 997)[-1]) & 0xFFFF


def test_pictures_of_vp8_lose_the_numbers_that_their_sender_gave_them() -> None:
    scene = begun()
    scene.source.take(packet(101, body=b"\x90\x80\x85\x05\x01one"), 0.2)
    scene.source.take(packet(103, body=b"\x90\xe0\x07\x08\x20\x01three"), 0.2)
    scene.source.take_again(rtx(102, b"\x90\x80\x85\x06\x01two"), 0.3)
    assert [one[3] for one in scene.sent.packets[1:]] == [b"\x10\x01one", b"\x10\x01three"]
    assert [one[4] for one in scene.sent.late] == [b"\x10\x01two"]


@pytest.mark.parametrize("name", ["VP9", "H264", "AV1"])
def test_payloads_of_other_codecs_stay_as_they_are(name: str) -> None:
    track = attrs.evolve(VIDEO, codec=Codec(payload_type=96, name=name, clock_rate=90000))
    scene = begun(track)
    body = b"\x90\x80\x85\x05\x01body"
    # Beyond the patience of the sink, whatever begins a key frame in this codec.
    scene.source.take(packet(101, body=body), 9.0)
    scene.source.take(packet(103, body=body), 9.0)
    scene.source.take_again(rtx(102, body), 9.0)
    assert [one[3] for one in scene.sent.packets[-2:]] == [body, body]
    assert [one[4] for one in scene.sent.late] == [body]


def test_what_a_source_does_is_counted_beyond_its_own_beginnings() -> None:
    scene = begun(count=3)
    scene.source.take(packet(105), 0.2)
    scene.source.take_again(rtx(103), 0.3)
    scene.source.take_again(rtx(103), 0.3)
    scene.source.tick(0.3)
    scene.source.take(packet(105 + JUMP_MAX + 1), 0.4)
    assert scene.tally == Tally(
        received_packets=6,
        missed_packets=2,
        recovered_packets=1,
        # Not the last one: whoever was on it waits for a key frame, which this one is.
        forwarded_packets=5,
        nacks_sent_count=len(scene.back.rtcp) - scene.key_frames_asked(),
        plis_sent_count=scene.key_frames_asked(),
    )
    assert scene.tally.nacks_sent_count > 0


def test_a_malformed_packet_is_counted() -> None:
    scene = begun()
    scene.source.take(packet(101, body=b"", first=0x90), 0.0)
    scene.source.take_again(packet(1, body=b"", first=0x90), 0.0)
    assert scene.source.malformed == 2


def test_a_probe_without_a_payload_is_nothing() -> None:
    scene = begun()
    scene.source.take_again(packet(1, body=b""), 0.0)
    assert (scene.source.malformed, scene.source.too_late) == (0, 0)


def test_what_is_missing_is_asked_for_and_what_comes_by_rtx_is_given_late() -> None:
    scene = begun()
    scene.source.take(packet(103), 0.0)
    scene.source.tick(0.0)
    assert [sorted(rtcp.asked_again(one)) for one in scene.back.rtcp if rtcp.asked_again(one)] == [[101, 102]]
    scene.source.take_again(rtx(101, b"lost"), 0.01)
    first = scene.sent.packets[0][1]
    assert scene.sent.late == [(7, 96, (first + 1) & 0xFFFF, scene.sent.late[0][3], b"lost")]
    assert (scene.source.recovered, scene.sink.packets) == (1, 3)
    scene.source.take_again(rtx(101, b"lost"), 0.01)
    scene.source.take_again(rtx(99, b"early"), 0.01)
    assert (len(scene.sent.late), scene.source.too_late) == (1, 2)


def test_two_that_overtake_a_packet_are_enough_to_ask_for_it() -> None:
    scene = begun()
    scene.source.take(packet(102), 0.0)
    assert not any(rtcp.asked_again(one) for one in scene.back.rtcp)
    scene.source.take(packet(103), 0.0)
    scene.source.take(packet(104), 0.0)
    assert [rtcp.asked_again(one) for one in scene.back.rtcp if rtcp.asked_again(one)] == [[101]]


def test_a_long_gap_is_asked_for_in_packets_that_are_not_too_long() -> None:
    scene = begun()
    scene.source.take(packet(100 + rtcp.NACK_SEQUENCES_MAX + 2), 0.0)
    scene.source.tick(0.0)
    asked = [rtcp.asked_again(one) for one in scene.back.rtcp if rtcp.asked_again(one)]
    assert [len(one) for one in asked] == [rtcp.NACK_SEQUENCES_MAX, 1]
    assert sorted(number for one in asked for number in one) == list(
        range(101, 102 + rtcp.NACK_SEQUENCES_MAX)
    )


def test_what_only_came_late_is_given_late_and_twice_is_once() -> None:
    scene = begun()
    scene.source.take(packet(102), 0.0)
    for _ in range(2):
        scene.source.take(packet(101), 0.0)
    assert [one[2] - scene.sent.packets[0][1] for one in scene.sent.late] == [1]
    assert scene.source.too_late == 1
    assert len(scene.source.missing) == 0


def test_what_comes_before_anything_by_rtx_is_nothing() -> None:
    scene = Scene()
    scene.source.take_again(rtx(1), 0.0)
    assert scene.source.too_late == 1


def test_a_packet_from_before_a_viewer_joined_has_no_number_for_it() -> None:
    scene = Scene()
    scene.source.take(packet(100), 0.0)
    scene.sink.start(0.0)
    scene.source.take(packet(102), 0.0)
    scene.source.take(packet(101), 0.0)
    assert scene.sent.late == []


def test_late_packets_are_given_however_long_a_viewer_has_been_there() -> None:
    scene = begun(first=0, count=40_000)
    scene.source.take(packet(40_001), 0.0)
    scene.source.take(packet(40_000), 0.0)
    assert len(scene.sent.late) == 1
    out = (scene.sent.packets[0][1] + 39_990) & 0xFFFF
    scene.sink.take_request([out], 0.0)
    assert scene.sent.late[-1][4] == struct.pack("!H", out) + VP8_KEY


def test_a_gap_that_is_too_large_asks_for_a_key_frame_instead() -> None:
    scene = begun()
    scene.source.take(packet(100 + GAP_MAX + 2, body=VP8_DELTA), 1.0)
    scene.source.tick(1.0)
    assert (scene.key_frames_asked(), len(scene.source.missing)) == (2, 0)


def test_a_sender_that_does_not_resend_is_not_asked() -> None:
    scene = begun(PLAIN)
    scene.source.take(packet(103, body=VP8_DELTA), 0.0)
    scene.source.tick(0.0)
    assert not any(rtcp.asked_again(one) for one in scene.back.rtcp)


def test_what_is_given_up_makes_a_key_frame_wanted() -> None:
    scene = begun()
    scene.source.take(packet(102, body=VP8_DELTA), 1.0)
    for tick in range(30):
        scene.source.tick(1.0 + tick / 20)
    assert (scene.key_frames_asked(), scene.source.missing.given_up) == (2, 1)


def test_key_frames_are_asked_for_no_more_often_than_allowed_and_no_wish_is_lost() -> None:
    scene = begun()
    for _ in range(5):
        scene.source.want_key_frame(1.0)
    assert scene.key_frames_asked() == 2
    scene.source.tick(1.0 + PICTURE_LOSS_SECONDS - 0.01)
    assert scene.key_frames_asked() == 2
    scene.source.tick(1.0 + PICTURE_LOSS_SECONDS + 0.01)
    scene.source.tick(5.0)
    assert scene.key_frames_asked() == 3


def test_a_key_frame_that_comes_settles_the_wish() -> None:
    scene = begun()
    scene.source.want_key_frame(1.0)
    scene.source.want_key_frame(1.0)
    scene.source.take(packet(101), 1.1)
    scene.source.tick(5.0)
    assert scene.key_frames_asked() == 2


def test_a_viewer_that_waits_goes_on_asking() -> None:
    scene = Scene()
    for tick in range(100):
        scene.sink.start(0.0) if tick == 0 else scene.source.tick(tick / 50)
    assert scene.key_frames_asked() == 7


def test_no_key_frame_is_asked_of_a_stream_that_has_not_come_or_of_sound() -> None:
    unknown, sound = Scene(Track(**{**_fields(VIDEO), "ssrc": None})), Scene(SOUND)
    for scene in (unknown, sound):
        scene.sink.start(0.0)
        scene.source.tick(1.0)
        assert scene.back.rtcp == []
        assert scene.source.report(0.0) is None


def _fields(track: Track) -> dict[str, Any]:
    return {
        name: getattr(track, name)
        for name in ("index", "kind", "mid", "codec", "rtx_payload_type", "feedback")
    }


def test_a_sender_that_begins_anew_does_not_disturb_a_viewer_s_numbers() -> None:
    scene = begun(count=3)
    scene.source.take(packet(110, body=VP8_DELTA), 1.0)
    scene.source.take(packet(110 + JUMP_MAX + 1, 5, VP8_DELTA), 1.1)
    scene.source.take(packet(110 + JUMP_MAX + 2, 5, VP8_KEY), 1.2)
    assert scene.numbers() == [0, 1, 2, 10, 11]
    assert scene.source.reception.expected == 2
    times = [one[2] for one in scene.sent.packets]
    assert 0 < (times[-1] - times[-2]) & 0xFFFFFFFF < 90_000


def test_another_ssrc_is_a_new_beginning_only_when_there_was_one_before() -> None:
    scene = Scene()
    scene.source.rebind(5, 0.0)
    assert scene.key_frames_asked() == 0
    scene = begun()
    scene.source.rebind(5, 1.0)
    scene.source.take(packet(7, 0, VP8_KEY, ssrc=5), 1.1)
    assert scene.numbers() == [0, 1]


def test_while_muted_nothing_is_given_and_nothing_asked() -> None:
    scene = begun()
    asked = scene.key_frames_asked()
    scene.source.mute(1.0, muted=True)
    scene.source.take(packet(102), 1.0)
    scene.source.take(packet(101), 1.0)
    scene.source.want_key_frame(2.0)
    scene.source.take_report(RtcpSenderInfo(1, 2, 3, 4), 2.0)
    assert (len(scene.sent.packets), scene.sent.late, scene.key_frames_asked()) == (1, [], asked)
    scene.source.mute(3.0, muted=False)
    assert scene.key_frames_asked() == asked + 1


def test_a_source_without_viewers_can_be_muted() -> None:
    scene = Scene()
    scene.source.mute(0.0, muted=True)
    scene.source.mute(0.0, muted=False)
    assert scene.back.rtcp == []


def test_a_resent_packet_goes_by_rtx_with_its_own_numbers() -> None:
    scene = begun(count=5)
    first = scene.sent.packets[0][1]
    scene.sink.take_request([out & 0xFFFF for out in (first + 2, first + 2, first + 4)], 0.0)
    assert [(one[0], one[1]) for one in scene.sent.late] == [(8, 97)] * 3
    numbers = [one[2] for one in scene.sent.late]
    assert [(one - numbers[0]) & 0xFFFF for one in numbers] == [0, 1, 2]
    assert scene.sent.late[0][4] == struct.pack("!H", (first + 2) & 0xFFFF) + VP8_KEY
    assert scene.sent.late[0][3] == scene.sent.packets[2][2]


def test_without_rtx_a_packet_is_sent_as_it_was() -> None:
    scene = begun(PLAIN, count=3)
    ssrc, number, timestamp, body = scene.sent.packets[1]
    scene.sink.take_request([number], 0.0)
    assert scene.sent.late == [(ssrc, 96, number, timestamp, body)]


def test_what_is_no_longer_kept_or_never_was_is_not_resent() -> None:
    scene = Scene()
    scene.sink.take_request([5], 0.0)
    scene.source.take(packet(99), 0.0)
    scene.sink.start(0.0)
    scene.source.take(packet(100), 0.0)
    first = scene.sent.packets[0][1]
    for out in (first - 1, first + 1, first - 500):
        scene.sink.take_request([out & 0xFFFF], 0.0)
    assert (scene.sent.late, scene.sink.resend_misses) == ([], 4)
    for number in range(101, 101 + HISTORY_PACKETS):
        scene.source.take(packet(number), 0.0)
    scene.sink.take_request([first], 0.0)
    assert (scene.sent.late, scene.sink.resend_misses) == ([], 5)
    scene.sink.take_request([(first + 1) & 0xFFFF], 0.0)
    assert len(scene.sent.late) == 1


# -- from one source to another


def switched(scene: Scene, other: Source, sequence: int, timestamp: int, now: float) -> None:
    scene.sink.select(other, now)
    other.take(packet(sequence, timestamp), now)


def test_a_change_goes_on_in_numbers_and_waits_for_a_key_frame() -> None:
    scene = begun(count=5)
    other = scene.more()
    scene.sink.select(other, 0.2)
    scene.sink.select(other, 0.2)
    other.take(packet(60_000, 777, VP8_DELTA), 0.2)
    scene.source.take(packet(105, 315_000), 0.21)
    other.take(packet(60_001, 3777, VP8_KEY), 0.25)
    scene.source.take(packet(106, 318_000), 0.26)
    assert scene.numbers() == [0, 1, 2, 3, 4, 5, 6]
    times = [one[2] for one in scene.sent.packets]
    assert (times[6] - times[5]) & 0xFFFFFFFF == int((0.25 - 0.21) * 90000)
    assert (scene.source.sink_count, other.sink_count, scene.sink.source) == (0, 1, other)


def test_what_was_sent_before_a_change_can_still_be_resent() -> None:
    scene = begun(count=5)
    first = scene.sent.packets[0][1]
    other = scene.more()
    other.take(packet(299, 0, b"other" + VP8_DELTA), 0.1)
    switched(scene, other, 300, 0, 0.2)
    for out, body in ((first + 4, VP8_KEY), (first + 5, VP8_KEY)):
        scene.sink.take_request([out & 0xFFFF], 0.3)
        assert scene.sent.late[-1][4] == struct.pack("!H", out & 0xFFFF) + body
    assert len(scene.sent.late) == 2


def test_a_late_packet_of_the_former_source_is_not_given() -> None:
    scene = begun(count=2)
    scene.source.take(packet(103), 0.1)
    switched(scene, scene.more(), 300, 0, 0.2)
    scene.source.take(packet(102), 0.3)
    assert scene.sent.late == []


def test_a_change_of_mind_leaves_the_one_that_was_waited_for() -> None:
    scene = begun()
    second, third = scene.more(), scene.more()
    scene.sink.select(second, 0.2)
    scene.sink.select(third, 0.2)
    assert (second.sink_count, third.sink_count) == (0, 1)
    scene.sink.select(scene.source, 0.2)
    assert (scene.source.sink_count, second.sink_count, third.sink_count) == (1, 0, 0)


def test_a_viewer_that_waits_for_its_first_picture_may_choose_another() -> None:
    scene = Scene()
    scene.sink.start(0.0)
    other = scene.more()
    scene.sink.select(other, 0.0)
    assert (scene.source.sink_count, other.sink_count) == (0, 1)
    other.take(packet(1, 0, VP8_DELTA), 1.5)
    assert scene.sink.source is other


def test_a_muted_viewer_changes_without_seeing_anything() -> None:
    scene = begun()
    other = scene.more()
    scene.sink.mute(0.1, muted=True)
    scene.sink.mute(0.1, muted=True)
    scene.sink.select(other, 0.2)
    scene.sink.start(0.2)
    other.take(packet(1), 0.3)
    assert (len(scene.sent.packets), other.sink_count) == (1, 0)
    scene.sink.mute(0.4, muted=False)
    other.take(packet(2), 0.5)
    assert scene.numbers() == [0, 1]


def test_a_former_source_that_begins_anew_does_not_get_its_viewer_back() -> None:
    scene = begun()
    other = scene.more()
    scene.sink.select(other, 0.2)
    scene.source.mute(0.2, muted=True)
    assert (scene.source.sink_count, other.sink_count) == (0, 1)


def test_a_viewer_that_leaves_is_on_nothing() -> None:
    scene = begun()
    scene.sink.stop(1.0)
    scene.sink.stop(1.0)
    scene.source.leave(scene.sink)
    scene.source.take(packet(101), 1.0)
    assert (len(scene.sent.packets), scene.source.sink_count, scene.sink.packets) == (1, 0, 1)


@pytest.mark.parametrize(
    ("told", "step"), [((0, 0), 4500), ((900, 0), 5400), ((0, 20_000_000), 9000), ((0, 18_000), 9000)]
)
def test_when_both_have_told_their_clocks_the_times_are_exact(told: tuple[int, int], step: int) -> None:
    scene = begun()
    other = scene.more()
    before = scene.sent.packets[-1][2]
    # The old source's packet at 0.1 s has the time 300,000; both report the same instant.
    scene.source.take_report(RtcpSenderInfo(1 << 32, 300_000, 0, 0), 0.1)
    other.take_report(RtcpSenderInfo(1 << 32, 50_000, 0, 0), 0.1)
    switched(scene, other, 300, 54_500 + told[0] - told[1], 0.2)
    assert (scene.sent.packets[-1][2] - before) & 0xFFFFFFFF == step


# -- reports


def test_a_viewer_that_joins_is_told_the_clock_at_once() -> None:
    scene = Scene()
    scene.source.take_report(RtcpSenderInfo(5 << 32, 1000, 9, 9), 0.0)
    scene.sink.start(0.0)
    scene.source.take(packet(1, 1000), 0.1)
    [report] = [one for one in scene.sent.rtcp if isinstance(one, RtcpSrPacket)]
    assert report.sender_info.rtp_timestamp == scene.sent.packets[0][2]


def test_a_sink_that_is_on_nothing_reports_nothing() -> None:
    scene = Scene()
    scene.sink.send_report(0.0)
    scene.source.take(packet(1), 0.0)
    scene.sink.start(0.0)
    scene.source.take(packet(2), 0.0)
    assert scene.sent.rtcp == []


def test_the_round_trip_is_measured_by_our_clock_and_only_by_our_last_report() -> None:
    scene = begun()
    scene.source.take_report(RtcpSenderInfo(5 << 32, 1000, 9, 9), 10.0)
    block = RtcpReceiverInfo(7, 128, 0, 0, 0, lsr=1, dlsr=0)
    scene.sink.take_report(block, 11.0)
    assert (scene.sink.loss_fraction, scene.sink.round_trip_seconds) == (0.5, None)
    block.lsr, block.dlsr = rtcp.middle_bits(5 << 32), 65536 // 2
    scene.sink.take_report(block, 11.0)
    assert scene.sink.round_trip_seconds == 0.5


def test_octets_are_counted_without_headers() -> None:
    scene = begun(count=3)
    assert (scene.sink.packets, scene.sink.octets) == (3, 3 * len(VP8_KEY))
    scene.sink.stop(1.0)
    assert (scene.sink.packets, scene.sink.octets) == (3, 3 * len(VP8_KEY))
