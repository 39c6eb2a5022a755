"""The fake's own means: scripts, a virtual clock, and answers that look right."""

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.fake import Break, Delay, FakeHost, Lose, Refuse, open_fake_host
from tests.engine.media.rigs import OFFER, play, publish, view

OFFER_OF_A_BROWSER = "\r\n".join(
    [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=mid:sound",
        "a=rtpmap:111 opus/48000/2",
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "a=mid:picture",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:96 nack pli",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "",
    ]
)


@pytest.fixture
async def fake() -> AsyncIterator[FakeHost]:
    async with open_fake_host(connect_seconds=2.0) as fake:
        yield fake


async def read(reader: trio.MemoryReceiveChannel[p.Batch], count: int) -> list[p.MediaEvent]:
    events: list[p.MediaEvent] = []
    while len(events) < count:
        events += (await reader.receive())[1]
    return events


async def test_a_peer_connects_after_its_time_and_its_sources_start(
    fake: FakeHost, autojump_clock: MockClock
) -> None:
    async with fake.events() as reader:
        began = trio.current_time()
        await fake.request(publish(offer=OFFER_OF_A_BROWSER))
        assert await read(reader, 3) == [
            p.PeerConnected(peer_id="ann", milliseconds=2000),
            p.SourceStarted(peer_id="ann", stream_id="stream", kind=p.Kind.AUDIO, codec="opus"),
            p.SourceStarted(peer_id="ann", stream_id="stream", kind=p.Kind.VIDEO, codec="VP8"),
        ]
        assert trio.current_time() - began == pytest.approx(2.0)


async def test_a_peer_that_closed_before_it_connected_does_not_connect(
    fake: FakeHost, autojump_clock: MockClock
) -> None:
    async with fake.events() as reader:
        await fake.request(publish())
        fake.close_peer("ann", p.CloseReason.FAILED)
        fake.close_peer("ann", p.CloseReason.LOST)
        await trio.sleep(1)
        await fake.request(publish())
        await trio.sleep(1.5)
        assert reader.statistics().current_buffer_used == 1
        assert await read(reader, 1) == [p.PeerClosed(peer_id="ann", reason=p.CloseReason.FAILED)]
        assert isinstance((await read(reader, 2))[0], p.PeerConnected)


async def test_without_a_time_a_peer_connects_when_it_is_told_to() -> None:
    async with open_fake_host(connect_seconds=None) as fake, fake.events() as reader:
        await fake.request(publish())
        await fake.request(view())
        fake.connect("bob")
        fake.connect("bob")
        fake.connect("eve")
        assert await read(reader, 1) == [p.PeerConnected(peer_id="bob", milliseconds=0)]
        assert reader.statistics().current_buffer_used == 0


async def test_the_answer_has_the_sections_of_the_offer_and_is_always_the_same(
    fake: FakeHost, autojump_clock: MockClock
) -> None:
    answer = await fake.request(publish(offer=OFFER_OF_A_BROWSER))
    assert isinstance(answer, p.Answered)
    lines = answer.sdp_answer.split("\r\n")
    assert [line.split(" ")[0] for line in lines if line.startswith("m=")] == [
        "m=audio",
        "m=video",
        "m=application",
    ]
    assert "a=group:BUNDLE sound picture 2" in lines
    assert "a=rtcp-fb:96 nack pli" in lines
    assert lines.count("a=recvonly") == 3
    assert "candidate" not in answer.sdp_answer
    async with open_fake_host() as another:
        assert await another.request(publish(offer=OFFER_OF_A_BROWSER)) == answer
        assert await another.request(publish("bob", "other", OFFER_OF_A_BROWSER)) != answer


async def test_viewers_are_sent_to_and_bad_offers_refused(fake: FakeHost, autojump_clock: MockClock) -> None:
    await fake.request(publish(offer=OFFER.replace("\r\n", "\n")))
    answer = await fake.request(view())
    assert isinstance(answer, p.Answered)
    assert "a=sendonly" in answer.sdp_answer
    with pytest.raises(p.BadOfferError, match="no media"):
        await fake.request(publish("eve", "other", offer="v=0\r\n"))


async def test_a_section_without_codecs_is_of_the_static_one(
    fake: FakeHost, autojump_clock: MockClock
) -> None:
    async with fake.events() as reader:
        await fake.request(publish(offer="v=0\r\nm=audio 9 RTP/AVP 0\r\n"))
        _, source = await read(reader, 2)
    assert isinstance(source, p.SourceStarted)
    assert source.codec == "PCMU"


async def test_a_script_meets_as_many_requests_as_it_says(fake: FakeHost, autojump_clock: MockClock) -> None:
    fake.script(Refuse(p.NoCommonCodecError("why")), request=p.View, times=2)
    await fake.request(publish())
    for _ in range(2):
        with pytest.raises(p.NoCommonCodecError, match="why"):
            await fake.request(view())
    assert isinstance(await fake.request(view()), p.Answered)


async def test_a_script_meets_its_peer_only_and_the_first_that_fits_counts(
    fake: FakeHost, autojump_clock: MockClock
) -> None:
    fake.script(Refuse(p.HostBusyError("first")), peer_id="ann", times=None)
    fake.script(Refuse(p.BadOfferError("second")))
    for _ in range(3):
        with pytest.raises(p.HostBusyError):
            await fake.request(publish())
    with pytest.raises(p.BadOfferError):
        await fake.request(publish("bob"))
    assert isinstance(await fake.request(publish("bob")), p.Answered)


async def test_a_delay_passes_by_the_clock_and_may_pass_the_deadline(
    fake: FakeHost, autojump_clock: MockClock
) -> None:
    fake.script(Delay(3.0), times=2)
    began = trio.current_time()
    await fake.request(publish())
    assert trio.current_time() - began == pytest.approx(3.0)
    with pytest.raises(p.MediaTimeoutError):
        await fake.request(publish("bob"), seconds=2.0)
    assert fake.peer_ids == ("ann",)


async def test_what_is_lost_times_out(fake: FakeHost, autojump_clock: MockClock) -> None:
    fake.script(Lose())
    with pytest.raises(p.MediaTimeoutError):
        await fake.request(p.ClosePeer(peer_id="ann"))


async def test_a_bug_names_its_error(fake: FakeHost, autojump_clock: MockClock) -> None:
    fake.script(Break("OSError"))
    async with fake.events() as reader:
        with pytest.raises(MediaError, match="OSError"):
            await fake.request(p.GetStatistics())
        assert await read(reader, 1) == [p.MediaFault(where="GetStatistics", error="OSError")]


async def test_a_killed_worker_takes_peers_and_requests_with_it_and_comes_back(
    fake: FakeHost, autojump_clock: MockClock
) -> None:
    failed: list[str] = []

    async def ask(request: p.MediaRequest) -> None:
        try:
            await fake.request(request)
        except p.WorkerGoneError:
            failed.append(type(request).__name__)

    await fake.request(publish())
    fake.script(Lose(), times=2)
    async with fake.events() as reader, trio.open_nursery() as nursery:
        nursery.start_soon(ask, view())
        nursery.start_soon(ask, p.GetStatistics())
        await trio.testing.wait_all_tasks_blocked()
        fake.kill_worker(down_seconds=0.5)
        assert await read(reader, 2) == [
            p.WorkerGone(worker=0, peer_ids=("ann",)),
            p.PeerClosed(peer_id="ann", reason=p.CloseReason.WORKER_GONE),
        ]
    assert sorted(failed) == ["GetStatistics", "View"]
    began = trio.current_time()
    await fake.request(publish())
    assert trio.current_time() - began == pytest.approx(0.5)


async def test_an_overloaded_fake_takes_nobody_new_until_it_is_relieved(
    fake: FakeHost, autojump_clock: MockClock
) -> None:
    async with fake.events() as reader:
        fake.overload(lag_milliseconds=40, cpu_fraction=0.5)
        told = p.WorkerOverloaded(worker=0, lag_milliseconds=40, cpu_fraction=0.5)
        assert await read(reader, 1) == [told]
    with pytest.raises(p.HostBusyError, match="overloaded"):
        await fake.request(publish())
    fake.relieve()
    await fake.request(publish())


async def test_streams_stall_and_resume(fake: FakeHost, autojump_clock: MockClock) -> None:
    await fake.request(publish())
    async with fake.events() as reader:
        fake.stall("ann")
        fake.resume("ann")
        assert await read(reader, 2) == [p.PeerStalled(peer_id="ann"), p.PeerResumed(peer_id="ann")]


async def test_what_was_asked_can_be_looked_up(fake: FakeHost, autojump_clock: MockClock) -> None:
    await fake.request(publish())
    await fake.request(p.ClosePeer(peer_id="ann"))
    assert list(fake.asked) == [publish(), p.ClosePeer(peer_id="ann")]


async def test_a_peer_with_frames_connects_after_its_answer_and_a_pattern_is_over_after_its_seconds(
    fake: FakeHost, autojump_clock: MockClock
) -> None:
    async with fake.events() as reader:
        await fake.request(play(send=p.PatternSource(seconds=3.0)))
        await trio.sleep(10)
        answer = p.TakeAnswer(peer_id="ann", sdp_answer="v=0\r\n")
        began = trio.current_time()
        for _ in range(2):
            await fake.request(answer)
        assert await read(reader, 2) == [
            p.PeerConnected(peer_id="ann", milliseconds=2000),
            p.SourceFinished(peer_id="ann"),
        ]
        assert trio.current_time() - began == pytest.approx(5.0)
    assert fake.peer_ids == ("ann",)


async def test_a_pattern_is_not_over_when_its_peer_is_gone(fake: FakeHost, autojump_clock: MockClock) -> None:
    async with fake.events() as reader:
        pattern = p.PatternSource(seconds=3.0)
        await fake.request(p.AnswerFramePeer(peer_id="ann", sdp_offer=OFFER, send=pattern))
        await trio.sleep(4)
        await fake.request(p.ClosePeer(peer_id="ann"))
        await trio.sleep(10)
        await fake.request(publish("bob"))
        events = await read(reader, 3)
    assert p.SourceFinished(peer_id="ann") not in events


async def test_another_source_is_over_when_a_test_says_so(autojump_clock: MockClock) -> None:
    async with open_fake_host(connect_seconds=None) as fake, fake.events() as reader:
        await fake.request(play(send=p.FileSource("none.mp4", loop=True)))
        await fake.request(p.TakeAnswer(peer_id="ann", sdp_answer="v=0\r\n"))
        fake.connect("ann")
        fake.finish("ann")
        assert (await read(reader, 2))[-1] == p.SourceFinished(peer_id="ann")


@pytest.mark.parametrize(
    ("request_", "directions"),
    [
        (play(send=p.PatternSource()), {"audio": "sendonly", "video": "sendonly"}),
        (play(send=p.PatternSource(tone_hz=None)), {"video": "sendonly"}),
        (p.OpenFramePeer(peer_id="ann", receive=p.FileSink("a.mkv", video=False)), {"audio": "recvonly"}),
        (
            p.OpenFramePeer(peer_id="ann", send=p.CallableSource("a:b"), receive=p.CallableSink("a:c")),
            {"audio": "recvonly", "video": "sendrecv"},
        ),
    ],
)
async def test_an_offer_has_what_is_sent_and_received(
    fake: FakeHost, autojump_clock: MockClock, request_: p.OpenFramePeer, directions: dict[str, str]
) -> None:
    offered = await fake.request(request_)
    assert isinstance(offered, p.Offered)
    sections = [one.split("\r\n") for one in offered.sdp_offer.split("m=")[1:]]
    assert {one[0].split(" ")[0]: one[2].removeprefix("a=") for one in sections} == directions
    # What it offers, it could be answered.
    assert isinstance(await fake.request(publish("bob", offer=offered.with_candidates())), p.Answered)


async def test_a_peer_with_frames_answers_what_it_was_offered_with_what_it_has(
    fake: FakeHost, autojump_clock: MockClock
) -> None:
    answered = await fake.request(
        p.AnswerFramePeer(peer_id="ann", sdp_offer=OFFER_OF_A_BROWSER, send=p.PatternSource(tone_hz=None))
    )
    assert isinstance(answered, p.Answered)
    sections = answered.sdp_answer.split("m=")[1:]
    assert ["a=inactive" in one for one in sections] == [True, False, True]
    assert "a=sendonly" in sections[1]
