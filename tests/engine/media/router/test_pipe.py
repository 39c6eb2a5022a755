"""Both ends of a pipe by themselves, on one loop: what crosses it, is dropped, or is not believed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, cast

import attrs
import msgspec
import pytest
from aiortc.rtp import RtcpSenderInfo, RtcpSrPacket

from engine.errors import MediaError
from engine.media.protocol import CloseReason, Kind
from engine.media.rights import packet_pair
from engine.media.router import rtcp
from engine.media.router.fanout import FanoutFactory
from engine.media.router.link import Link
from engine.media.router.pipe import Ended, FarEnd, Hello, HomeEnd, Muted, PipeAround, Watched
from engine.media.router.sdp import Outgoing, Track
from engine.media.router.sink import Sink
from engine.media.router.source import Source
from engine.media.router.stream import source_of
from engine.media.router.tally import Tally
from tests.engine.media.router.clients import VP8_DELTA, VP8_KEY
from tests.engine.media.router.test_source import SOUND, VIDEO, Sent, Way, packet

INFO = RtcpSenderInfo(ntp_timestamp=5 << 32, rtp_timestamp=90_000, packet_count=3, octet_count=4)
LAYERED = attrs.evolve(VIDEO, layers=("l", "h"), ssrc=None)


async def turns(count: int = 4) -> None:
    """Let the loop look at its sockets so often; what was sent within this process is there at once."""
    for _ in range(count):
        await asyncio.sleep(0)


class Published:
    """A stream as the router has it, without its peer."""

    def __init__(self, *tracks: Track, stream_id: str = "s") -> None:
        self.stream_id = stream_id
        self.back = Sent()
        self.tracks = {track.kind: track for track in tracks}
        self.sources = [
            Source(track, layer, Way(Sent()), self.back.send_rtcp, Tally())
            for track in tracks
            for layer in track.layers or (None,)
        ]
        for number, source in enumerate(self.sources):
            source.ssrc = 1000 + number

    def tick(self, now: float) -> None:
        for source in self.sources:
            source.tick(now)

    def key_frames_asked(self) -> int:
        return sum(rtcp.asks_for_key_frame(one) for one in self.back.rtcp)


class Piped:
    """A stream, the pipe that carries it, and one viewer at its far end."""

    def __init__(self, *tracks: Track) -> None:
        self.now = 100.0
        self.faults: list[str] = []
        self.ended: list[CloseReason] = []
        self.there, self.tally = Sent(), Tally()
        self.stream = Published(*tracks)
        self.home_sock, self.far_sock = packet_pair()
        self.home = HomeEnd(self.home_sock, self.stream.tracks, self.stream.sources, self.around)
        self.far = FarEnd(self.far_sock, "s", self.around, self._ended)
        self.sinks = {track.kind: self._sink(track, number) for number, track in enumerate(tracks)}

    @property
    def around(self) -> PipeAround:
        fanout = cast(FanoutFactory, lambda: Way(self.there))
        return PipeAround(
            clock=lambda: self.now,
            fault=lambda _, error: self._failed(error),
            fanout=fanout,
            tally=self.tally,
        )

    def _failed(self, error: BaseException) -> None:
        self.faults.append(type(error).__name__)

    def _ended(self, reason: CloseReason) -> None:
        self.ended.append(reason)

    def _sink(self, track: Track, number: int) -> Sink:
        source = source_of(self.far, track.kind, None)
        assert source is not None
        outgoing = Outgoing(ssrc=7 + number, rtx_ssrc=77, cname="c", stream_id="s")
        return Sink(source, cast(Link, self.there), track, outgoing)

    async def view(self) -> None:
        for sink in self.sinks.values():
            sink.start(self.now)
        self.far.tick(self.now)
        await turns()

    async def send(self, *numbers: int, source: int = 0, key_every: int = 10) -> None:
        for number in numbers:
            body = (VP8_KEY if number % key_every == 0 else VP8_DELTA) + number.to_bytes(4, "big")
            self.stream.sources[source].take(packet(number, 3000 * number, body), self.now)
        await turns()

    def shown(self, ssrc: int = 7) -> list[int]:
        return [int.from_bytes(body[-4:], "big") for whose, _, _, body in self.there.packets if whose == ssrc]

    def shown_late(self) -> list[int]:
        # By the stream itself: a viewer that has just begun gets each once more, by RTX.
        late = (one for one in self.there.late if one[1] == VIDEO.codec.payload_type)
        return [int.from_bytes(body[-4:], "big") for *_, body in late]

    def say(self, *, from_home: bytes = b"", from_far: bytes = b"") -> None:
        """Put bytes into the pipe that no end would send."""
        if from_home:
            self.home_sock.send(from_home)
        if from_far:
            self.far_sock.send(from_far)

    def close(self) -> None:
        self.home.close()
        self.far.close()


def run(main: Callable[[Piped], Awaitable[None]], *tracks: Track, faults: int = 0) -> None:
    async def within() -> None:
        piped = Piped(*(tracks or (VIDEO,)))
        try:
            await main(piped)
        finally:
            piped.close()
        assert len(piped.faults) == faults

    asyncio.run(within())


def test_a_far_viewer_gets_every_packet_with_its_time_and_marker() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        await piped.send(*range(10, 60))
        assert piped.shown() == list(range(10, 60))
        times = [one[2] for one in piped.there.packets]
        assert [(one - times[0]) & 0xFFFFFFFF for one in times] == [3000 * n for n in range(50)]

    run(main)


def test_a_far_viewer_asks_the_publisher_for_a_key_frame_and_begins_with_one() -> None:
    async def main(piped: Piped) -> None:
        await piped.send(*range(11, 15))
        asked = piped.stream.key_frames_asked()
        await piped.view()
        assert piped.stream.key_frames_asked() == asked + 1
        await piped.send(*range(15, 25))
        assert piped.shown() == list(range(20, 25))

    run(main)


def test_the_request_for_a_key_frame_crosses_before_any_packet_has() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        assert piped.stream.key_frames_asked() == 1

    run(main)


def test_sound_and_layers_keep_apart() -> None:
    async def main(piped: Piped) -> None:
        sound, low, high = piped.far.sources
        assert (sound.kind, low.layer, high.layer) == (Kind.AUDIO, "l", "h")
        await piped.view()
        piped.stream.sources[0].take(packet(1, 0, b"voice"), piped.now)
        await piped.send(10, 11, source=1)
        await piped.send(20, 21, source=2)
        assert piped.shown(8) == [10, 11]
        assert [one[0] for one in piped.there.packets].count(7) == 1
        piped.sinks[Kind.VIDEO].select(high, piped.now)
        await piped.send(12, source=1)
        await piped.send(30, 31, source=2)
        assert piped.shown(8) == [10, 11, 12, 30, 31]

    run(main, SOUND, LAYERED)


def test_reports_cross_so_that_lips_stay_with_voices() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        await piped.send(10)
        piped.stream.sources[0].take_report(INFO, piped.now)
        await turns()
        [told] = [one.sender_info for one in piped.there.rtcp if hasattr(one, "sender_info")]
        assert told.ntp_timestamp == INFO.ntp_timestamp
        offset = piped.sinks[Kind.VIDEO].timestamp_offset
        assert told.rtp_timestamp == (INFO.rtp_timestamp + offset) & 0xFFFFFFFF

    run(main)


def test_a_pipe_that_begins_later_knows_the_last_report_and_what_is_muted() -> None:
    async def main(piped: Piped) -> None:
        piped.stream.sources[0].take_report(INFO, piped.now)
        piped.stream.sources[0].mute(piped.now, muted=True)
        ours, theirs = packet_pair()
        home = HomeEnd(ours, piped.stream.tracks, piped.stream.sources, piped.around)
        far = FarEnd(theirs, "s", piped.around, lambda _: None)
        await turns()
        assert far.sources[0].muted
        assert far.sources[0].reception.report == INFO
        home.close()
        far.close()

    run(main)


def test_what_the_far_worker_has_missed_is_sent_to_it_again() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        await piped.send(10)
        lost = piped.far.pipe._take
        piped.far.pipe._take = lambda *_: None
        await piped.send(11, 12)
        piped.far.pipe._take = lost
        await piped.send(13)
        assert piped.shown() == [10, 13]
        for _ in range(4):
            piped.now += 0.05
            piped.far.tick(piped.now)
            await turns()
        assert piped.shown_late() == [11, 12]
        assert not piped.far.sources[0].missing
        assert piped.stream.back.rtcp == piped.stream.back.rtcp[:1], "the publisher hears nothing of it"

    run(main)


def test_what_the_home_recovers_reaches_the_far_viewer_too() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        await piped.send(10, 12)
        await piped.send(11)
        assert (piped.shown(), piped.shown_late()) == ([10, 12], [11])

    run(main)


def test_a_request_for_what_the_home_has_not_is_left_to_the_home() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        await piped.send(10, 12)
        sent = piped.home.pipe.sent
        nack = rtcp.negative_acknowledgement([11], sender=1, media=0)
        piped.say(from_far=nack)
        await turns()
        assert piped.home.pipe.sent == sent

    run(main)


def test_a_sender_that_begins_anew_does_so_on_both_workers() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        await piped.send(10, 11)
        # Numbers from before what was sent: only the home knows that they are newer.
        piped.stream.sources[0].rebind(2000, piped.now)
        await turns()
        await piped.send(5, key_every=5)
        assert piped.shown() == [10, 11, 5]
        assert piped.far.sources[0].beginnings == 1

    run(main)


def test_a_muted_stream_is_muted_on_both_workers() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        await piped.send(10)
        piped.stream.sources[0].mute(piped.now, muted=True)
        await piped.send(11, 20)
        assert piped.shown() == [10]
        piped.stream.sources[0].mute(piped.now, muted=False)
        await piped.send(21, 30)
        assert piped.shown() == [10, 30]

    run(main)


def fill(piped: Piped) -> int:
    """Send until the kernel takes no more; how many it took."""
    before = piped.home.pipe.sent
    number = 0
    while not piped.home.pipe.dropped:
        number += 1
        piped.stream.sources[0].take(packet(number, 0, VP8_DELTA + bytes(1000)), piped.now)
    return piped.home.pipe.sent - before


def test_a_full_pipe_drops_and_counts_and_waits_for_nobody() -> None:
    async def main(piped: Piped) -> None:
        taken = fill(piped)
        assert 50 < taken < 2000
        assert piped.home.pipe.dropped == 1
        await turns(taken // 32)
        assert piped.far.sources[0].reception.received == taken

    run(main)


def test_nothing_passes_a_pipe_that_was_too_full_to_say_muted() -> None:
    async def main(piped: Piped) -> None:
        source, there = piped.stream.sources[0], piped.far.sources[0]
        fill(piped)
        source.mute(piped.now, muted=True)
        assert not piped.home._taps[0]._told_muted
        source.take(packet(5000, 0), piped.now)
        await turns(200)
        highest = there.reception.highest
        assert not there.muted
        # There is room again: it is said before the next packet.
        source.take(packet(5001, 0), piped.now)
        await turns()
        assert there.muted
        assert (there.reception.highest, highest) == (5001, highest)

    run(main)


def test_the_publisher_s_figures_count_far_sinks() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        assert piped.stream.sources[0].sink_count == 1
        piped.sinks[Kind.VIDEO].stop(piped.now)
        piped.far.tick(piped.now)
        await turns()
        assert piped.stream.sources[0].sink_count == 0

    run(main)


def test_of_what_crosses_only_what_goes_to_far_viewers_is_counted_there() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        await piped.send(10, 11, 13)
        assert piped.tally == Tally()
        piped.far.tick(piped.now)
        assert piped.tally == Tally(forwarded_packets=3)
        await piped.send(14)
        piped.far.close()
        assert piped.tally == Tally(forwarded_packets=4)

    run(main)


def test_the_publisher_s_figures_keep_what_far_fan_outs_have_dropped() -> None:
    async def main(piped: Piped) -> None:
        source = piped.stream.sources[0]
        piped.far.sources[0].fanout.dropped = 5
        piped.far.tick(piped.now)
        await turns()
        assert source.dropped == 5
        piped.home.close()
        piped.home.close()
        assert source.dropped == 5

    run(main)


def test_the_end_of_the_stream_crosses_after_its_last_packet() -> None:
    async def main(piped: Piped) -> None:
        await piped.view()
        await piped.send(10)
        piped.stream.sources[0].take(packet(11, 0, VP8_DELTA + b"\0\0\0\x0b"), piped.now)
        piped.home.end(CloseReason.DRAINED)
        await turns()
        assert piped.shown() == [10, 11]
        assert piped.ended == [CloseReason.DRAINED]
        assert not piped.stream.sources[0].taps

    run(main)


def test_an_end_that_is_gone_is_no_end_of_the_stream() -> None:
    async def main(piped: Piped) -> None:
        piped.say(from_far=b"unread")
        piped.home.close()
        await turns()
        assert piped.ended == []
        dropped = piped.far.pipe.dropped
        piped.far.sources[0].want_key_frame(piped.now)
        assert piped.far.pipe.dropped == dropped + 1

    run(main)


def test_a_home_whose_far_end_is_gone_drops() -> None:
    async def main(piped: Piped) -> None:
        piped.far.close()
        await turns()
        await piped.send(10)
        assert piped.home.pipe.dropped == 1

    run(main)


def nonsense(seed: int) -> bytes:
    draw = random.Random(seed)  # not a secret
    first = draw.choice((0, 0x80, 0x81, 0x90, 0xBF, draw.randrange(256)))
    second = draw.choice((96, 200, 205, 206, draw.randrange(256)))
    return bytes((first, second)) + draw.randbytes(draw.randrange(60))


def test_nonsense_in_a_pipe_raises_nothing_and_stops_nothing() -> None:
    async def main(piped: Piped) -> None:
        for seed in range(3000):
            piped.say(from_home=nonsense(seed), from_far=nonsense(seed))
            await turns(1)
        await turns()
        assert piped.far.pipe.strange
        assert piped.home.pipe.strange
        assert piped.stream.sources[0].kept(1) is None
        piped.stream.sources[0].rebind(1, piped.now)
        piped.say(from_home=b"\0" + msgspec.msgpack.encode(Ended(CloseReason.LOST)))
        await turns()
        assert piped.ended == [CloseReason.LOST]

    run(main)


@pytest.mark.parametrize(
    "said",
    [
        b"\x80",
        b"\x80\x60" + bytes(9),
        b"\0",
        b"\0nonsense",
        packet(1, ssrc=200),
        bytes(RtcpSrPacket(ssrc=200, sender_info=INFO)),
        b"\0" + msgspec.msgpack.encode(Muted(200, muted=True)),
    ],
)
def test_what_the_far_end_does_not_believe_is_counted(said: bytes) -> None:
    async def main(piped: Piped) -> None:
        piped.say(from_home=said)
        await turns()
        assert piped.far.pipe.strange == 1

    run(main)


def test_what_the_home_end_does_not_believe_is_counted_or_passed_over() -> None:
    async def main(piped: Piped) -> None:
        piped.say(from_far=b"\0nonsense")
        piped.say(from_far=rtcp.picture_loss(sender=1, media=200))
        piped.say(from_far=b"\0" + msgspec.msgpack.encode(Watched((1, 2, 3, 4), (0, 0, 0, 0))))
        await turns()
        assert piped.home.pipe.strange == 1
        assert piped.stream.key_frames_asked() == 0

    run(main)


def test_a_packet_that_brings_out_a_bug_is_reported_and_stops_nothing() -> None:
    async def main(piped: Piped) -> None:
        def fail(*_: Any) -> None:
            raise KeyError

        works, piped.far.pipe._take = piped.far.pipe._take, fail
        await piped.send(10)
        piped.far.pipe._take = works
        await piped.send(20)
        assert piped.faults == ["KeyError"]
        assert piped.far.sources[0].reception.received == 1

    run(main, faults=1)


def hello(*tracks: Track, ssrcs: tuple[int, ...] = (0,)) -> bytes:
    return b"\0" + msgspec.msgpack.encode(Hello(tracks, ssrcs))


UNKNOWN = attrs.evolve(VIDEO, codec=attrs.evolve(VIDEO.codec, name="H265"))


@pytest.mark.parametrize(
    "first",
    [
        None,
        b"\0",
        b"\0" + msgspec.msgpack.encode(Ended(CloseReason.LOST)),
        b"\1" + hello(VIDEO)[1:],
        hello(ssrcs=()),
        hello(VIDEO, ssrcs=()),
        hello(VIDEO, ssrcs=(1,)),
        hello(VIDEO, ssrcs=(1 << 32,)),
        hello(VIDEO, VIDEO, ssrcs=(0, 1)),
        hello(UNKNOWN),
    ],
)
def test_a_pipe_that_does_not_say_what_it_carries_is_refused(first: bytes | None) -> None:
    async def main(piped: Piped) -> None:
        ours, theirs = packet_pair()
        if first is not None:
            ours.send(first)
        with pytest.raises(MediaError, match="does not begin with what it carries"):
            FarEnd(theirs, "s", piped.around, lambda _: None)
        ours.close()
        theirs.close()

    run(main)
