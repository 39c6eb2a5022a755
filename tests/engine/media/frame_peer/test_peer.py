"""Peers with frames, through the real router and with real codecs."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import pytest
from av import AudioFrame, VideoFrame

from engine.errors import MediaError
from engine.media.frame_peer.parts import FramePeerConfig
from engine.media.frame_peer.peer import FramePeer
from engine.media.frame_peer.queues import Frame
from engine.media.frame_peer.sinks import CallableSink, FileSink, Sink
from engine.media.frame_peer.sources import CallableSource, FileSource, PatternSource, Source
from engine.media.protocol import (
    Answered,
    CloseReason,
    Kind,
    MediaEvent,
    PeerClosed,
    PeerConnected,
    PeerFault,
    Publish,
    SourceFinished,
    View,
)
from tests.engine.media.router.clients import Trial, trial, until

pytestmark = pytest.mark.slow
PICTURE = Kind.VIDEO
SOUND = Kind.AUDIO
T = TypeVar("T")


class Told:
    """A peer and its events."""

    def __init__(self, name: str = "p", **config: float) -> None:
        self.events: list[MediaEvent] = []
        self.peer = FramePeer(FramePeerConfig(peer_id=name, **config), self.events.append)  # type: ignore[arg-type] # figures of both types
        self.name = name

    def faults(self) -> list[PeerFault]:
        return [one for one in self.events if isinstance(one, PeerFault)]

    def closed(self) -> list[PeerClosed]:
        return [one for one in self.events if isinstance(one, PeerClosed)]

    def figure(self, name: str) -> float:
        return self.peer.statistics()[name]


def run(main: Callable[[], Awaitable[T]]) -> T:
    async def within() -> T:
        async with asyncio.timeout(30):
            return await main()

    return asyncio.run(within())


async def _join(the: Trial, told: Told, *, publishes: bool) -> None:
    offer = await told.peer.offer()
    ask = (
        Publish(stream_id="s", peer_id=told.name, sdp_offer=offer)
        if publishes
        else View(stream_id="s", peer_id=told.name, sdp_offer=offer)
    )
    answered = await the.ask(ask)
    assert isinstance(answered, Answered)
    await told.peer.take_answer(answered.sdp_answer, answered.candidates)


async def play(the: Trial, source: Source, **config: float) -> Told:
    told = Told("player", **config)
    await told.peer.add_source(source)
    await _join(the, told, publishes=True)
    return told


async def record(the: Trial, sink: Sink, **config: float) -> Told:
    told = Told("recorder", **config)
    told.peer.add_sink(sink)
    await _join(the, told, publishes=False)
    return told


def decoded(path: Path) -> tuple[int, int]:
    """(pictures, samples of sound) that are in a file."""
    pictures = samples = 0
    with av.open(str(path)) as container:
        for frame in container.decode():
            if isinstance(frame, VideoFrame):
                pictures += 1
            elif isinstance(frame, AudioFrame):
                samples += frame.samples
    return pictures, samples


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def small(**more: object) -> PatternSource:
    return PatternSource(width=160, height=120, **more)  # type: ignore[arg-type] # passed on


def picture(number: int) -> VideoFrame:
    frame = VideoFrame(64, 48, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([number % 256]) * plane.buffer_size)
    frame.pts, frame.time_base = number, Fraction(1, 50)
    return frame


async def _pictures() -> AsyncIterator[VideoFrame]:
    for number in itertools.count():
        await asyncio.sleep(0.02)
        yield picture(number)


async def _ignore(frames: AsyncIterator[Frame]) -> None:
    async for _ in frames:
        pass


@pytest.mark.parametrize("suffix", [".webm", ".mp4"])
def test_what_one_peer_plays_another_records_into_a_file_that_can_be_played(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"call{suffix}"

    async def main() -> None:
        async with trial() as the:
            player = await play(the, small())
            recorder = await record(the, FileSink(path))
            await until(lambda: recorder.figure("video_received_frames") >= 10)
            await until(lambda: recorder.figure("audio_received_frames") >= 25)
            for told in (recorder, player):
                await told.peer.close()
                assert isinstance(told.events[0], PeerConnected)
                assert told.events[-1] == PeerClosed(peer_id=told.name, reason=CloseReason.REQUESTED)
                assert len(told.events) == 2
                assert told.figure("tasks_count") == told.figure("abandoned_count") == 0

    run(main)
    pictures, samples = decoded(path)
    assert pictures >= 8
    assert samples >= 20 * 960


def test_a_file_is_played_to_its_end_and_the_peer_stays_until_it_is_closed(tmp_path: Path) -> None:
    path, again = tmp_path / "short.webm", tmp_path / "again.webm"

    async def main() -> None:
        sink, pattern = FileSink(path), small()
        for _ in range(60):
            frame = await pattern.next()
            assert frame is not None
            await sink.take(frame)
        await sink.close()
        async with trial() as the:
            player = await play(the, FileSource(path))
            recorder = await record(the, FileSink(again))
            await until(lambda: SourceFinished(peer_id="player") in player.events)
            assert not player.closed()
            await player.peer.close()
            assert player.events.count(SourceFinished(peer_id="player")) == 1
            await until(recorder.closed)
            assert recorder.closed()[0].reason is CloseReason.REMOTE
            assert not player.faults() + recorder.faults()

    run(main)
    pictures, samples = decoded(again)
    assert pictures > 3
    assert samples > 3 * 960


def test_frames_of_a_callable_reach_a_callable() -> None:
    seen: list[Frame] = []

    async def take(frames: AsyncIterator[Frame]) -> None:
        async for frame in frames:
            seen.append(frame)  # noqa: PERF401 # it is looked at while they come

    async def main() -> None:
        async with trial() as the:
            player = await play(the, CallableSource(_pictures(), (PICTURE,)))
            recorder = await record(the, CallableSink(take, (PICTURE,)))
            await until(lambda: len(seen) > 5)
            await recorder.peer.close()
            await player.peer.close()

    run(main)
    assert {(one.width, one.height) for one in seen if isinstance(one, VideoFrame)} == {(64, 48)}


def test_a_slow_sink_loses_frames_that_are_counted_and_never_holds_more_than_its_limit() -> None:
    gate = asyncio.Event()

    async def take(frames: AsyncIterator[Frame]) -> None:
        await gate.wait()

    async def main() -> None:
        async with trial() as the:
            player = await play(the, small())
            recorder = await record(the, CallableSink(take), video_frames_max=2, audio_frames_max=3)
            await until(lambda: recorder.figure("video_sink_dropped_frames") > 3)
            await until(lambda: recorder.figure("audio_sink_dropped_frames") > 3)
            assert len(recorder.peer._recorded[0].queue) == 5
            gate.set()
            await recorder.peer.close()
            await player.peer.close()

    run(main)


def test_a_sink_that_never_returns_is_abandoned_at_the_deadline() -> None:
    async def take(frames: AsyncIterator[Frame]) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with trial() as the:
            player = await play(the, small())
            recorder = await record(the, CallableSink(take), close_seconds=0.2)
            await until(lambda: recorder.figure("video_received_frames") > 1)
            await recorder.peer.close()
            assert recorder.figure("abandoned_count") == 1
            assert [one.where for one in recorder.faults()] == ["close rest"]
            assert recorder.events[-1] == recorder.closed()[0]
            await player.peer.close()

    run(main)


@pytest.mark.parametrize("side", ["source", "sink"])
def test_what_raises_is_told_as_a_fault_and_closes_the_peer(side: str) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def none() -> AsyncIterator[Frame]:
        await broken()
        yield picture(0)

    async def main() -> None:
        async with trial() as the:
            source = CallableSource(none() if side == "source" else _pictures(), (PICTURE,))
            told = player = await play(the, source)
            if side == "sink":
                told = await record(the, CallableSink(broken, (PICTURE,)))
            await until(told.closed)
            assert told.faults() == [PeerFault(peer_id=told.name, where=side, error="ZeroDivisionError")]
            assert told.closed() == [PeerClosed(peer_id=told.name, reason=CloseReason.FAULT)]
            await player.peer.close()

    run(main)


def test_an_encoder_that_gives_up_is_a_fault() -> None:
    async def main() -> None:
        async with trial() as the:
            player = await play(the, small())
            await until(lambda: player.figure("video_sent_frames") > 0)
            player.peer._played[0].tracks[0].stop()  # As aiortc's sender does when its encoder raises.
            await until(player.closed)
            assert player.faults() == [PeerFault(peer_id="player", where="encoder", error="MediaError")]

    run(main)


def test_two_peers_reach_each_other_and_one_answers_only_what_it_wants() -> None:
    seen: list[Frame] = []

    async def take(frames: AsyncIterator[Frame]) -> None:
        async for frame in frames:
            seen.append(frame)  # noqa: PERF401 # it is looked at while they come

    async def main() -> None:
        player, recorder = Told("player"), Told("recorder")
        await player.peer.add_source(small())
        recorder.peer.add_sink(CallableSink(take, (PICTURE,)))
        offer = await player.peer.offer()
        named = "a=candidate:1 1 udp 1 unknown.local 9 typ host\r\n"
        answer = await recorder.peer.answer(offer + named)
        assert "a=inactive" in answer
        await player.peer.take_answer(answer)
        await until(lambda: len(seen) > 3)
        assert player.figure("audio_sent_frames") == 0
        assert not [one for one in threading.enumerate() if one.name == "audio-decoder"]
        await player.peer.close()
        await until(recorder.closed)
        assert recorder.closed()[0].reason is CloseReason.REMOTE

    run(main)


def test_five_cycles_leave_no_task_no_thread_and_no_descriptor(tmp_path: Path) -> None:
    async def cycle(number: int) -> None:
        async with trial() as the:
            player = await play(the, small())
            recorder = await record(the, FileSink(tmp_path / f"{number}.webm"))
            await until(lambda: recorder.figure("video_received_frames") >= 2)
            await recorder.peer.close()
            await player.peer.close()

    async def main() -> int:
        for number in range(5):
            await cycle(number)
            await until(lambda: len(asyncio.all_tasks()) == 1)
            names = [one.name for one in threading.enumerate()]
            assert not [name for name in names if "decoder" in name]
            if number == 0:
                before = _descriptors()
        return _descriptors() - before

    threads = threading.active_count()
    assert run(main) <= 0
    for one in threading.enumerate():
        if one.name.startswith("frame-"):
            # It has done its last work, but may not have ended yet.
            one.join(timeout=5)
    assert threading.active_count() <= threads


# -- before there is a connection


def test_a_peer_that_hears_nothing_fails_at_its_deadline() -> None:
    async def main() -> None:
        told = Told(connect_seconds=0.1)
        await told.peer.add_source(small())
        await told.peer.offer()
        await until(told.closed)
        assert told.events == [PeerClosed(peer_id="p", reason=CloseReason.FAILED)]

    run(main)


def test_closing_while_connecting_ends_everything_and_the_first_reason_counts() -> None:
    async def main() -> None:
        player, silent = Told(), Told("silent")
        await player.peer.add_source(small())
        silent.peer.add_sink(CallableSink(_ignore))
        answer = await silent.peer.answer(await player.peer.offer())
        await silent.peer.close(CloseReason.DRAINED)
        await player.peer.take_answer(answer)
        await asyncio.sleep(0)
        await player.peer.close(CloseReason.DRAINED)
        await player.peer.close(CloseReason.LOST)
        assert player.closed() == [PeerClosed(peer_id="p", reason=CloseReason.DRAINED)]
        assert not player.faults() + silent.faults()
        await until(lambda: len(asyncio.all_tasks()) == 1)

    run(main)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("state", ["checking", "completed"])
def test_closing_at_any_moment_of_connecting_is_no_fault_and_leaves_nothing(state: str, turns: int) -> None:
    async def main() -> None:
        player, recorder = Told("player"), Told("recorder")
        await player.peer.add_source(small())
        recorder.peer.add_sink(CallableSink(_ignore))
        closes: list[asyncio.Task[None]] = []

        async def close() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await player.peer.close()

        def changed() -> None:
            if player.peer._connection.iceConnectionState == state and not closes:
                closes.append(asyncio.ensure_future(close()))

        player.peer._connection.on("iceconnectionstatechange", changed)
        await player.peer.take_answer(await recorder.peer.answer(await player.peer.offer()))
        await until(lambda: closes)
        await closes[0]
        await recorder.peer.close()
        assert not player.faults() + recorder.faults()
        await until(lambda: len(asyncio.all_tasks()) == 1)

    run(main)


@pytest.mark.parametrize("steps", range(6))
def test_a_cancelled_wait_leaves_a_peer_that_can_be_closed(steps: int) -> None:
    async def main() -> None:
        told, other = Told(), Told("other")
        await told.peer.add_source(small())
        other.peer.add_sink(CallableSink(_ignore))

        async def whole() -> None:
            await told.peer.take_answer(await other.peer.answer(await told.peer.offer()))
            await told.peer.close()

        task = asyncio.ensure_future(whole())
        for _ in range(steps * 3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        for one in (told, other):
            await one.peer.close()
            assert len(one.closed()) == 1
            assert not one.faults()
        await until(lambda: len(asyncio.all_tasks()) == 1)

    run(main)


@pytest.mark.parametrize("kind", ["answer", "offer"])
def test_a_description_that_cannot_be_used_is_an_error_that_quotes_nothing(kind: str) -> None:
    async def main() -> None:
        told = Told()
        await told.peer.add_source(small())
        if kind == "answer":
            await told.peer.offer()
        take = told.peer.take_answer if kind == "answer" else told.peer.answer
        with pytest.raises(MediaError, match=f"the {kind} cannot be used") as failed:
            await take("m=secret\r\n")
        assert "secret" not in str(failed.value)
        await told.peer.close()

    run(main)


def test_a_peer_has_something_to_do_one_source_and_sink_of_a_kind_and_begins_once() -> None:
    async def main() -> None:
        told = Told()
        with pytest.raises(MediaError, match="neither source nor sink"):
            await told.peer.offer()
        await told.peer.add_source(small())
        with pytest.raises(MediaError, match="one source"):
            await told.peer.add_source(small(kinds=(SOUND,)))
        sink = CallableSink(_ignore)
        told.peer.add_sink(sink)
        with pytest.raises(MediaError, match="one sink"):
            told.peer.add_sink(sink)
        assert (await told.peer.offer()).count("a=sendrecv") == 2
        with pytest.raises(MediaError, match="begun already"):
            await told.peer.offer()
        await told.peer.close()

    run(main)


def test_an_offer_that_does_not_begin_with_media_is_refused() -> None:
    async def main() -> None:
        told = Told()
        await told.peer.add_source(small())
        with pytest.raises(MediaError, match="does not begin with sound or picture"):
            await told.peer.answer("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n")
        await told.peer.close()

    run(main)


def test_a_file_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    async def main() -> None:
        told = Told()
        with pytest.raises(MediaError, match=r"there is no file 'none\.webm' to play"):
            await told.peer.add_source(FileSource(tmp_path / "none.webm"))
        await told.peer.close()

    run(main)


def test_what_a_source_or_the_connection_raises_at_the_end_does_not_stop_the_end() -> None:
    class Stubborn(PatternSource):
        async def close(self) -> None:
            raise ZeroDivisionError

    async def main() -> None:
        told = Told()
        await told.peer.add_source(Stubborn())
        await told.peer.close()
        assert told.events == [
            PeerFault(peer_id="p", where="source", error="ZeroDivisionError"),
            PeerClosed(peer_id="p", reason=CloseReason.REQUESTED),
        ]

    run(main)


def test_a_sink_that_is_stuck_does_not_keep_another_from_finishing(tmp_path: Path) -> None:
    path = tmp_path / "sound.webm"

    async def take(frames: AsyncIterator[Frame]) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with trial() as the:
            player = await play(the, small())
            told = Told("recorder", close_seconds=0.5)
            told.peer.add_sink(CallableSink(take, (PICTURE,)))
            told.peer.add_sink(FileSink(path, (SOUND,)))
            await _join(the, told, publishes=False)
            await until(
                lambda: told.figure("audio_received_frames") > 5 < told.figure("video_received_frames")
            )
            await told.peer.close()
            assert told.figure("abandoned_count") == 1
            await player.peer.close()

    run(main)
    assert decoded(path)[1] > 0
