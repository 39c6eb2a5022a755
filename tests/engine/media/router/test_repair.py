"""What a viewer that loses packets gets beside its stream: the rules, then a sink with scripted loss."""

import struct
from typing import cast

import attrs
import pytest
from aiortc.rtp import RtcpReceiverInfo

from engine.media.router.link import Link
from engine.media.router.repair import (
    BURST_BYTES,
    CALM_SECONDS,
    COPIES_MAX,
    COPY_SECONDS,
    INCIDENT_PACKETS,
    INCIDENTS,
    PLAYOUT_DELAY_MILLISECONDS,
    ROUND_TRIP_MILLISECONDS_MAX,
    SPARE_BYTES,
    STEP_MILLISECONDS,
    TELLINGS,
    Budget,
    Copies,
    Losses,
    Playout,
    delay_for,
)
from engine.media.router.rtp import HEADER, extensions_of, payload_of
from engine.media.router.sdp import Outgoing, Track
from engine.media.router.sink import Sink
from tests.engine.media.router.clients import VP8_DELTA, VP8_KEY
from tests.engine.media.router.test_source import PLAIN, VIDEO, Scene, Sent, begun, packet, rtx

LATE = attrs.evolve(VIDEO, delay_extension=5)
FRAME = 3000
"""Of a timestamp."""


def test_a_burst_may_be_sent_again_and_then_as_much_as_was_sent() -> None:
    budget = Budget()
    assert budget.take(BURST_BYTES, 0)
    assert not budget.take(1, 0)
    assert budget.take(100, 100)
    assert not budget.take(1, 100)


def test_what_is_saved_up_is_no_more_than_a_burst() -> None:
    budget = Budget()
    assert not budget.take(BURST_BYTES + 1, 10 * BURST_BYTES)
    assert budget.take(BURST_BYTES, 10 * BURST_BYTES)


def test_copies_leave_something_for_what_is_asked_for() -> None:
    budget = Budget()
    assert budget.take(BURST_BYTES - SPARE_BYTES, 0, spare=True)
    assert not budget.take(1, 0, spare=True)
    assert budget.take(SPARE_BYTES, 0)


def test_many_requests_in_few_packets_are_heavy_and_many_in_more_are_not() -> None:
    for apart, expected in ((INCIDENT_PACKETS // (INCIDENTS - 1), True), (INCIDENT_PACKETS, False)):
        losses = Losses()
        told = [losses.take(10_000 + number * apart, 0.0) for number in range(2 * INCIDENTS)]
        assert (sum(told), losses.heavy) == (expected, expected)


@pytest.mark.parametrize(("packets", "expected"), [(INCIDENT_PACKETS, True), (INCIDENT_PACKETS + 1, False)])
def test_of_a_beginner_one_is_heavy(packets: int, expected: bool) -> None:
    losses = Losses()
    assert losses.take(packets, 0.0) is losses.heavy is expected


def test_it_is_over_after_a_while_without_and_only_once() -> None:
    losses = Losses()
    assert not losses.calm(100.0)
    for _ in range(INCIDENTS):
        losses.take(0, 5.0)
    assert not losses.calm(5.0 + CALM_SECONDS - 0.01)
    assert losses.calm(5.0 + CALM_SECONDS)
    assert not losses.calm(99.0)


def test_a_copy_is_due_soon_and_only_once() -> None:
    copies = Copies()
    copies.owe(7, 1.0)
    assert copies.due(1.0 + COPY_SECONDS / 2) == []
    assert len(copies) == 1
    assert copies.due(1.0 + COPY_SECONDS) == [7]
    assert copies.due(9.0) == []


def test_no_more_copies_are_owed_than_the_limit() -> None:
    copies = Copies()
    for number in range(COPIES_MAX + 1):
        copies.owe(number, 0.0)
    assert copies.due(1.0) == list(range(1, COPIES_MAX + 1))


def delays(playout: Playout) -> list[int]:
    """What it tells, in milliseconds."""
    told = []
    while not playout.told_enough:
        least, most = divmod(int.from_bytes(playout.step(), "big"), 1 << 12)
        assert most == 1000
        told.append(10 * least)
    return told


def test_a_delay_comes_in_steps_and_goes_in_steps_and_the_last_is_told_again() -> None:
    playout = Playout()
    assert playout.told_enough
    playout.want(100)
    assert delays(playout) == [40, 80, *[100] * TELLINGS]
    playout.want(0)
    assert delays(playout) == [60, 20, *[0] * TELLINGS]


def test_who_is_farther_away_needs_more_delay_up_to_a_limit() -> None:
    assert delay_for(0.0) == PLAYOUT_DELAY_MILLISECONDS
    assert delay_for(0.05) == PLAYOUT_DELAY_MILLISECONDS + 50
    assert delay_for(9.0) == PLAYOUT_DELAY_MILLISECONDS + ROUND_TRIP_MILLISECONDS_MAX


# -- a sink, by scripted loss


class Viewer:
    """A scene whose viewer says what it has missed."""

    def __init__(self, track: Track = LATE) -> None:
        self.scene = begun(track)
        self.now, self.next = 1.0, 101
        self.first = self.scene.sent.packets[0][1]

    def frames(self, count: int = 1) -> None:
        """So many more come in, of one packet each, while time passes."""
        for _ in range(count):
            self.scene.source.take(packet(self.next, FRAME * self.next, VP8_DELTA), self.now)
            self.next += 1
            self.tick()

    def tick(self) -> None:
        self.now += 0.02
        self.scene.source.tick(self.now)

    def miss(self, *numbers: int) -> None:
        """By our numbers from the first one on."""
        self.scene.sink.take_request([(self.first + one) & 0xFFFF for one in numbers], self.now)

    def lose_much(self) -> None:
        self.frames(5)
        self.miss(0, 1)
        assert self.scene.sink.playout_delay_milliseconds == 0

    def report(self) -> None:
        self.scene.sink.take_report(RtcpReceiverInfo(7, 0, 0, 0, 0, lsr=0, dlsr=0), self.now)

    def resent(self) -> list[int]:
        """Our numbers that came by RTX, without those that tell a delay."""
        return [
            (int.from_bytes(one[4][:2], "big") - self.first) & 0xFFFF
            for one in self.scene.sent.late
            if one[1] == 97 and one not in self.told()
        ]

    def told(self) -> list[tuple[int, int, int, int, bytes]]:
        return [one for one in self.scene.sent.late if one[4][:2] == b"\xbe\xde"]


def test_what_was_asked_for_comes_twice() -> None:
    viewer = Viewer()
    viewer.frames(3)
    viewer.miss(1, 2)
    assert viewer.resent() == [1, 2]
    viewer.tick()
    viewer.tick()
    assert viewer.resent() == [1, 2, 1, 2]
    numbers = [one[2] for one in viewer.scene.sent.late]
    assert [(one - numbers[0]) & 0xFFFF for one in numbers] == [0, 1, 2, 3], "each has a number of its own"
    assert (viewer.scene.sink.resent, viewer.scene.sink.copied) == (2, 2)


def test_a_copy_of_what_is_no_longer_kept_is_no_miss() -> None:
    viewer = Viewer()
    viewer.frames(3)
    viewer.miss(1)
    for number in range(2000):
        viewer.scene.source.take(packet(viewer.next + number, 0, VP8_DELTA), viewer.now)
    viewer.tick()
    assert viewer.resent() == [1]
    assert (viewer.scene.sink.copied, viewer.scene.sink.resend_misses) == (0, 0)


def test_who_leaves_is_owed_nothing() -> None:
    viewer = Viewer()
    viewer.frames(3)
    viewer.miss(1)
    viewer.scene.sink.stop(viewer.now)
    viewer.miss(2)
    viewer.tick()
    assert viewer.resent() == [1, 2], "what is kept can still be asked for"


def test_without_rtx_a_copy_is_the_packet_itself() -> None:
    viewer = Viewer(PLAIN)
    viewer.frames(3)
    viewer.miss(1)
    viewer.tick()
    assert [one[1] for one in viewer.scene.sent.late] == [96, 96]
    assert len(set(viewer.scene.sent.late)) == 1


def test_who_asks_for_ever_gets_a_burst_and_then_no_more_than_his_stream() -> None:
    viewer = Viewer()
    body = b"\x10\x01" + bytes(1000)
    for number in range(100):
        viewer.scene.source.take(packet(viewer.next + number, 0, body), viewer.now)
    sink = viewer.scene.sink

    def ask_for_everything() -> int:
        for _ in range(20):
            viewer.miss(*range(1, 101))
            viewer.tick()
        return sum(len(one[4]) - 2 for one in viewer.scene.sent.late)

    burst = ask_for_everything()
    assert BURST_BYTES - len(body) < burst <= BURST_BYTES
    assert sink.resend_misses > 0
    for number in range(100, 110):
        viewer.scene.source.take(packet(viewer.next + number, 0, body), viewer.now)
    more = ask_for_everything() - burst
    assert 9 * len(body) < more < 11 * len(body)


@pytest.mark.parametrize(
    ("before", "loses", "expected"),
    [
        (5, False, True),
        (INCIDENT_PACKETS - 3, False, True),
        (INCIDENT_PACKETS - 2, False, False),
        (2 * INCIDENT_PACKETS, True, True),
    ],
)
def test_a_recovered_packet_comes_twice_for_a_beginner_and_for_who_loses_much(
    before: int, loses: bool, expected: bool
) -> None:
    viewer = Viewer()
    if loses:
        viewer.lose_much()
    viewer.frames(before)
    viewer.scene.sent.late.clear()
    viewer.next += 1
    viewer.frames(1)
    viewer.scene.source.take_again(rtx(viewer.next - 2), viewer.now)
    assert [one[1] for one in viewer.scene.sent.late] == [96]
    viewer.tick()
    late = (viewer.scene.sent.late[0][2] - viewer.first) & 0xFFFF
    assert viewer.resent() == ([late] if expected else [])


def test_who_loses_much_is_told_to_play_later_step_by_step() -> None:
    viewer = Viewer()
    viewer.lose_much()
    viewer.frames(20)
    steps = -(-PLAYOUT_DELAY_MILLISECONDS // STEP_MILLISECONDS)
    told = viewer.told()
    assert len(told) == steps + TELLINGS - 1
    assert viewer.scene.sink.playout_delay_milliseconds == PLAYOUT_DELAY_MILLISECONDS
    # Each is an RTX copy, sent before the frame's own packet, with a number and a time of that.
    for number, one in enumerate(told):
        whole = HEADER.pack(0x90, 97, one[2], one[3], one[0]) + one[4]
        payload = payload_of(whole)
        assert payload is not None
        stream = viewer.scene.sent.packets[6 + number]
        assert (payload[:2], payload[2:], one[3]) == (struct.pack("!H", stream[1]), stream[3], stream[2])
        [(extension, value)] = extensions_of(whole).items()
        assert (extension, len(value)) == (5, 3)


def test_it_is_told_by_the_first_packet_of_a_frame() -> None:
    viewer = Viewer()
    viewer.lose_much()
    for _ in range(3):
        viewer.scene.source.take(packet(viewer.next, 1, VP8_DELTA), viewer.now)
        viewer.next += 1
    assert len(viewer.told()) == 1


def test_the_delay_goes_when_the_loss_has_gone() -> None:
    viewer = Viewer()
    viewer.lose_much()
    viewer.frames(20)
    viewer.report()
    assert viewer.scene.sink.playout_delay_milliseconds == PLAYOUT_DELAY_MILLISECONDS
    viewer.now += CALM_SECONDS
    viewer.report()
    viewer.frames(20)
    assert viewer.scene.sink.playout_delay_milliseconds == 0


def test_the_round_trip_is_part_of_the_delay() -> None:
    viewer = Viewer()
    viewer.scene.sink.round_trip_seconds = 0.06
    viewer.lose_much()
    viewer.frames(20)
    assert viewer.scene.sink.playout_delay_milliseconds == delay_for(0.06)


def test_who_cannot_be_told_is_not() -> None:
    viewer = Viewer(VIDEO)
    viewer.lose_much()
    viewer.frames(20)
    assert viewer.told() == []
    assert viewer.scene.sink.playout_delay_milliseconds == 0


def test_what_was_not_told_on_one_source_is_told_on_the_next() -> None:
    viewer = Viewer()
    viewer.lose_much()
    viewer.scene.sink.mute(viewer.now, muted=True)
    viewer.frames(3)
    assert viewer.told() == []
    viewer.scene.sink.mute(viewer.now, muted=False)
    viewer.scene.source.take(packet(viewer.next, FRAME * viewer.next, VP8_KEY), viewer.now)
    assert len(viewer.told()) == 1


def test_loss_that_ends_while_nothing_is_sent_is_told_later() -> None:
    viewer = Viewer()
    viewer.lose_much()
    viewer.frames(20)
    viewer.scene.sink.mute(viewer.now, muted=True)
    viewer.now += CALM_SECONDS
    viewer.report()
    assert viewer.scene.sink.playout_delay_milliseconds == PLAYOUT_DELAY_MILLISECONDS
    viewer.scene.sink.mute(viewer.now, muted=False)
    viewer.scene.source.take(packet(viewer.next, FRAME * viewer.next, VP8_KEY), viewer.now)
    viewer.next += 1
    viewer.frames(20)
    assert viewer.scene.sink.playout_delay_milliseconds == 0


def test_a_sink_by_itself_owes_nothing() -> None:
    scene = Scene()
    sink = Sink(
        scene.source, cast(Link, Sent()), LATE, Outgoing(ssrc=1, rtx_ssrc=2, cname="c", stream_id="s")
    )
    sink.take_request([1, 2], 0.0)
    assert (sink.resend_misses, sink.send_copies(9.0)) == (2, False)
