"""Peers with frames end to end: real codecs, real files, the real router, in processes and in threads."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import av
import pytest
import trio
from av import AudioFrame, VideoFrame

from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.frame_peer.sinks import HELD_FRAMES_MAX
from engine.media.host import HostSettings
from engine.media.open import open_media
from engine.media.process import WorkerProcess, open_process_host
from engine.media.settings import Driver
from tests.engine.media.rigs import CALM, wait_event

pytestmark = pytest.mark.slow
SETTINGS = HostSettings(limits=CALM)
SMALL = p.PatternSource(width=64, height=48)
CALLABLES = "tests.engine.media.frame_peer.callables"


@pytest.fixture(params=["process", "thread"])
async def host(request: pytest.FixtureRequest) -> AsyncIterator[p.MediaHost]:
    driver: Driver = request.param
    with trio.fail_after(60):
        async with open_media(driver, workers=1, settings=SETTINGS) as host:
            yield host


async def ask(host: p.MediaHost, request: p.MediaRequest) -> p.Answered | p.Offered:
    answer = await host.request(request)
    assert isinstance(answer, p.Answered | p.Offered)
    return answer


async def play(host: p.MediaHost, send: p.FrameSource) -> None:
    """As the peer `player`, through the router's `in`."""
    offered = await ask(host, p.OpenFramePeer(peer_id="player", send=send))
    publish = p.Publish(stream_id="s", peer_id="in", sdp_offer=offered.with_candidates())
    answered = await ask(host, publish)
    await host.request(p.TakeAnswer(peer_id="player", sdp_answer=answered.with_candidates()))


async def record(host: p.MediaHost, receive: p.FrameSink) -> None:
    """As the peer `recorder`, through the router's `out`."""
    offered = await ask(host, p.OpenFramePeer(peer_id="recorder", receive=receive))
    view = p.View(stream_id="s", peer_id="out", sdp_offer=offered.with_candidates())
    answered = await ask(host, view)
    await host.request(p.TakeAnswer(peer_id="recorder", sdp_answer=answered.with_candidates()))


async def figure(host: p.MediaHost, peer_id: str, name: str) -> float:
    answer = await host.request(p.GetStatistics(peer_id=peer_id))
    assert isinstance(answer, p.Statistics)
    return answer.values[name]


async def wait_figure(host: p.MediaHost, peer_id: str, name: str, least: float) -> None:
    while await figure(host, peer_id, name) < least:  # noqa: ASYNC110 # figures set no event
        await trio.sleep(0.02)


async def event_of(
    reader: trio.MemoryReceiveChannel[p.Batch], kind: type[p.PeerEvent], peer_id: str
) -> p.PeerEvent:
    while True:
        event = await wait_event(reader, kind)
        if isinstance(event, p.PeerEvent) and event.peer_id == peer_id:
            return event


def decoded(path: Path) -> tuple[list[tuple[int, int]], int]:
    """(the size of each picture, samples of sound at 48 kHz) that are in a file."""
    sizes, samples = [], 0
    with av.open(str(path)) as container:
        for frame in container.decode():
            if isinstance(frame, VideoFrame):
                sizes.append((frame.width, frame.height))
            elif isinstance(frame, AudioFrame):
                assert frame.sample_rate == 48_000
                samples += frame.samples
    return sizes, samples


def made(path: Path, *, pictures: int) -> Path:
    """An mp4 of 96x64 at 15 pictures a second, without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(pictures):
            frame = VideoFrame(96, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([8 * number % 256]) * plane.buffer_size)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".webm", ".mkv", ".mp4"])
async def test_a_pattern_goes_through_the_router_into_a_file(
    suffix: str, host: p.MediaHost, tmp_path: Path
) -> None:
    path = tmp_path / f"call{suffix}"
    async with host.events() as reader:
        await play(host, p.PatternSource(width=160, height=120, frames_per_second=20))
        await record(host, p.FileSink(str(path)))
        await wait_figure(host, "recorder", "video_received_frames", 20)
        pictures = await figure(host, "recorder", "video_received_frames")
        pictures -= await figure(host, "recorder", "video_sink_dropped_frames")
        samples = await figure(host, "recorder", "audio_received_samples")
        assert await host.request(p.ClosePeer(peer_id="recorder")) == p.Done()
        # No later than the answer: what closes the file has been waited for.
        sizes, recorded = decoded(path)
        closed = await event_of(reader, p.PeerClosed, "recorder")
        assert closed == p.PeerClosed(peer_id="recorder", reason=p.CloseReason.REQUESTED)
    assert set(sizes) == {(160, 120)}
    # Meanwhile some came, so what was sent is the upper limit; codecs add and cut a frame of sound or two.
    assert pictures - 2 <= len(sizes) <= await figure(host, "player", "video_sent_frames")
    assert samples - 4800 <= recorded <= await figure(host, "player", "audio_sent_samples") + 4800


async def test_a_file_goes_through_the_router_into_a_file_and_its_end_is_told(
    host: p.MediaHost, tmp_path: Path
) -> None:
    path, again = made(tmp_path / "short.mp4", pictures=45), tmp_path / "again.mp4"
    async with host.events() as reader:
        await play(host, p.FileSource(str(path)))
        await record(host, p.FileSink(str(again), audio=False))
        await event_of(reader, p.SourceFinished, "player")
        assert await figure(host, "player", "video_sent_frames") == 45
        await host.request(p.ClosePeer(peer_id="recorder"))
        await host.request(p.ClosePeer(peer_id="player"))
    sizes, samples = decoded(again)
    # Those that were sent before the recorder was there are not in it.
    assert 10 <= len(sizes) <= 45
    assert set(sizes) == {(96, 64)}
    assert samples == 0


async def test_a_file_that_repeats_has_no_end(host: p.MediaHost, tmp_path: Path) -> None:
    path = made(tmp_path / "short.mp4", pictures=8)
    await play(host, p.FileSource(str(path), loop=True))
    await wait_figure(host, "player", "video_sent_frames", 20)


async def test_frames_of_a_callable_reach_a_callable_with_its_arguments(
    host: p.MediaHost, tmp_path: Path
) -> None:
    path = tmp_path / "count"
    await play(host, p.CallableSource(f"{CALLABLES}:pictures", {"width": 96, "height": 64}))
    await record(host, p.CallableSink(f"{CALLABLES}:count", {"path": str(path)}, audio=False))
    await wait_figure(host, "recorder", "video_received_frames", 5)
    await host.request(p.ClosePeer(peer_id="recorder"))
    assert int(path.read_text()) >= 5


async def test_what_a_recorder_has_is_complete_when_the_host_is_left(tmp_path: Path) -> None:
    path = tmp_path / "left.mp4"
    with trio.fail_after(60):
        async with open_media("process", workers=1, settings=SETTINGS) as host:
            await play(host, p.PatternSource(width=160, height=120))
            await record(host, p.FileSink(str(path)))
            await wait_figure(host, "recorder", "video_received_frames", 5)
    assert len(decoded(path)[0]) >= 5


@pytest.mark.parametrize("side", ["source", "sink"])
async def test_a_callable_that_raises_ends_its_peer_and_no_other(host: p.MediaHost, side: str) -> None:
    broken = "player" if side == "source" else "recorder"
    async with host.events() as reader:
        source = "broken_pictures" if side == "source" else "pictures"
        await play(host, p.CallableSource(f"{CALLABLES}:{source}"))
        if side == "sink":
            await record(host, p.CallableSink(f"{CALLABLES}:broken", audio=False))
        fault = await event_of(reader, p.PeerFault, broken)
        assert fault == p.PeerFault(peer_id=broken, where=side, error="ZeroDivisionError")
        closed = await event_of(reader, p.PeerClosed, broken)
        assert closed == p.PeerClosed(peer_id=broken, reason=p.CloseReason.FAULT)
    if side == "sink":
        assert await figure(host, "player", "connected") == 1


async def test_a_callable_that_ends_has_finished(host: p.MediaHost) -> None:
    async with host.events() as reader:
        await play(host, p.CallableSource(f"{CALLABLES}:pictures", {"count": 3}))
        await event_of(reader, p.SourceFinished, "player")
    assert await figure(host, "player", "video_sent_frames") == 3


async def test_what_is_not_there_is_told_at_the_request(host: p.MediaHost, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("hello")
    silent = made(tmp_path / "silent.mp4", pictures=1)
    sources: dict[str, p.FrameSource] = {
        r"no file 'none\.mp4'": p.FileSource(str(tmp_path / "none.mp4")),
        "the file cannot be used: InvalidDataError": p.FileSource(str(text)),
        "neither picture nor sound that is wanted": p.FileSource(str(silent), video=False),
        "no_such_module:x cannot be imported: ModuleNotFoundError": p.CallableSource("no_such_module:x"),
        "no_such cannot be imported: AttributeError": p.CallableSource(f"{CALLABLES}:no_such"),
        "no_function cannot be called": p.CallableSource(f"{CALLABLES}:no_function"),
        "pictures raised TypeError": p.CallableSource(f"{CALLABLES}:pictures", {"depth": 3}),
        "ignore raised TypeError": p.CallableSource(f"{CALLABLES}:ignore"),
        "later does not give an async iterator": p.CallableSource(f"{CALLABLES}:later"),
        "plain does not give an async iterator": p.CallableSource(f"{CALLABLES}:plain"),
    }
    for why, source in sources.items():
        with pytest.raises(p.BadSourceError, match=why):
            await host.request(p.OpenFramePeer(peer_id="player", send=source))
    sinks: dict[str, p.FrameSink] = {
        "no folder": p.FileSink(str(tmp_path / "none" / "a.mp4")),
        "pictures is not an async function": p.CallableSink(f"{CALLABLES}:pictures"),
        "count does not take frames and these arguments": p.CallableSink(f"{CALLABLES}:count"),
        "no_such_module:x cannot be imported": p.CallableSink("no_such_module:x"),
    }
    for why, sink in sinks.items():
        with pytest.raises(p.BadSinkError, match=why):
            await host.request(p.OpenFramePeer(peer_id="recorder", receive=sink))
    answer = await host.request(p.GetStatistics())
    assert isinstance(answer, p.Statistics)
    assert (answer.values["peers_count"], answer.values["tasks_count"]) == (0, 0)


async def test_candidates_may_come_after_the_answer_or_before_it(host: p.MediaHost) -> None:
    async with host.events() as reader:
        for early in (True, False):
            offered = await ask(host, p.OpenFramePeer(peer_id="player", send=p.PatternSource()))
            request = p.Publish(stream_id="s", peer_id="in", sdp_offer=offered.with_candidates())
            answered = await ask(host, request)
            assert isinstance(answered, p.Answered)
            steps: list[p.MediaRequest] = [
                p.AddCandidates(peer_id="player", candidates=answered.candidates),
                p.TakeAnswer(peer_id="player", sdp_answer=answered.sdp_answer),
            ]
            for step in steps if early else reversed(steps):
                assert await host.request(step) == p.Done()
            await event_of(reader, p.PeerConnected, "player")
            for peer_id in ("player", "in"):
                await host.request(p.ClosePeer(peer_id=peer_id))


async def test_a_bad_candidate_is_refused(host: p.MediaHost) -> None:
    await host.request(p.OpenFramePeer(peer_id="player", send=p.PatternSource()))
    wrong = p.Candidate(candidate="candidate:secret")
    with pytest.raises(MediaError, match="a candidate cannot be read"):
        await host.request(p.AddCandidates(peer_id="player", candidates=(wrong,)))
    many = (p.Candidate(candidate="candidate:1 1 udp 1 192.0.2.7 9 typ host"),) * 101
    with pytest.raises(MediaError, match="too many candidates"):
        await host.request(p.AddCandidates(peer_id="player", candidates=many))


async def test_an_offer_that_cannot_be_answered_is_refused_and_leaves_no_peer(host: p.MediaHost) -> None:
    for offer in ("v=0\r\nm=application 9 X 1\r\n", "m=audio secret\r\n"):
        request = p.AnswerFramePeer(peer_id="player", sdp_offer=offer, send=p.PatternSource())
        with pytest.raises(p.BadOfferError) as refused:
            await host.request(request)
        assert "secret" not in str(refused.value)
        with pytest.raises(p.UnknownPeerError):
            await host.request(p.GetStatistics(peer_id="player"))
    silent = attrs.evolve(SMALL, tone_hz=None)
    offered = await ask(host, p.OpenFramePeer(peer_id="player", send=silent))
    request = p.AnswerFramePeer(
        peer_id="recorder",
        sdp_offer=offered.with_candidates(),
        receive=p.FileSink("sound.mkv", video=False),
    )
    with pytest.raises(p.BadOfferError, match="no kind that is played or recorded"):
        await host.request(request)


async def test_a_sink_that_is_stuck_is_left_behind_in_time(host: p.MediaHost) -> None:
    async with host.events() as reader:
        await play(host, SMALL)
        await record(host, p.CallableSink(f"{CALLABLES}:stuck"))
        await wait_figure(host, "recorder", "video_received_frames", 10)
        assert await figure(host, "recorder", "video_sink_dropped_frames") > 0
        assert await host.request(p.ClosePeer(peer_id="recorder")) == p.Done()
        fault = await event_of(reader, p.PeerFault, "recorder")
    assert fault == p.PeerFault(peer_id="recorder", where="close rest", error="TimeoutError")
    assert await figure(host, "player", "connected") == 1


async def cycle(host: p.MediaHost, path: Path, send: p.FrameSource = SMALL) -> None:
    await play(host, send)
    await record(host, p.FileSink(str(path)))
    await wait_figure(host, "recorder", "video_received_frames", 2)
    for peer_id in ("recorder", "out", "player", "in"):
        await host.request(p.ClosePeer(peer_id=peer_id))


def holdings(pid: int) -> tuple[int, int]:
    """(descriptors, threads) of a process."""
    return tuple(len(list(Path(f"/proc/{pid}/{what}").iterdir())) for what in ("fd", "task"))  # type: ignore[return-value] # of two


async def test_ten_recordings_leave_nothing_in_a_worker(tmp_path: Path) -> None:
    pool = min(32, (os.cpu_count() or 1) + 4)
    with trio.fail_after(60):
        async with open_process_host(SETTINGS) as host:
            running = host.running[0]
            assert isinstance(running, WorkerProcess)
            idle = holdings(running.pid)
            looped = p.FileSource(str(made(tmp_path / "short.mp4", pictures=30)), loop=True)
            await cycle(host, tmp_path / "0.webm")
            descriptors, _ = holdings(running.pid)
            for number in range(10):
                send = looped if number % 2 else SMALL
                await cycle(host, tmp_path / f"{number}.webm", send)
            after = holdings(running.pid)
            assert after[0] <= descriptors
            # The loop's own pool, in which codecs run, keeps its threads; codecs have more.
            assert after[1] <= idle[1] + pool
            answer = await host.request(p.GetStatistics())
            assert isinstance(answer, p.Statistics)
            assert (answer.values["peers_count"], answer.values["tasks_count"]) == (0, 0)


async def test_with_its_worker_a_peer_with_frames_is_gone(tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with open_process_host(SETTINGS) as host, host.events() as reader:
            await cycle(host, tmp_path / "before.webm")
            await play(host, p.PatternSource())
            running = host.running[0]
            assert isinstance(running, WorkerProcess)
            os.kill(running.pid, signal.SIGKILL)
            gone = p.PeerClosed(peer_id="player", reason=p.CloseReason.WORKER_GONE)
            while gone != await event_of(reader, p.PeerClosed, "player"):
                pass
            # A busy machine may need more than the usual deadline for a fresh worker.
            await host.request(p.OpenFramePeer(peer_id="first", send=SMALL), seconds=30)
            await cycle(host, tmp_path / "after.webm")
    assert decoded(tmp_path / "after.webm")[0]


@pytest.mark.parametrize("suffix", [".webm", ".mkv"])
async def test_what_was_recorded_before_a_worker_died_can_be_played(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"cut{suffix}"
    with trio.fail_after(60):
        async with open_process_host(SETTINGS) as host:
            await play(host, attrs.evolve(SMALL, frames_per_second=40))
            await record(host, p.FileSink(str(path)))
            await wait_figure(host, "recorder", "video_received_frames", 120)
            running = host.running[0]
            assert isinstance(running, WorkerProcess)
            os.kill(running.pid, signal.SIGKILL)
    sizes, samples = decoded(path)
    # Of three seconds, all but the last one.
    assert len(sizes) >= 40
    assert samples >= 48_000


async def test_a_stream_without_sound_is_recorded_from_its_first_picture(
    host: p.MediaHost, tmp_path: Path
) -> None:
    path = tmp_path / "silent.mkv"
    await play(host, attrs.evolve(SMALL, tone_hz=None))
    await record(host, p.FileSink(str(path)))
    await wait_figure(host, "recorder", "video_received_frames", 1)
    while not await trio.Path(path).exists():  # noqa: ASYNC110 # a file sets no event
        await trio.sleep(0.02)
    assert await figure(host, "recorder", "video_received_frames") < HELD_FRAMES_MAX[p.Kind.VIDEO]
    await host.request(p.ClosePeer(peer_id="recorder"))
    assert decoded(path)[1] == 0
