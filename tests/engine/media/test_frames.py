"""Frames: what is said arrives, and what is not a frame is an error that quotes nothing."""

import contextlib
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import MediaError
from engine.media import frames
from engine.media import protocol as p

T = TypeVar("T")
OFFER = "v=0 a secret"
CANDIDATE = p.Candidate(candidate="candidate:1", sdp_mid="0", sdp_m_line_index=0)
REQUESTS: list[p.MediaRequest] = [
    p.Publish(stream_id="s", peer_id="ann", sdp_offer=OFFER, bitrate_max_bps=1, video_codecs=("AV1",)),
    p.View(stream_id="s", peer_id="bob", sdp_offer=OFFER, layer="h"),
    p.OpenFramePeer(peer_id="bot", send=p.FileSource("a.mp4", loop=True, audio=False)),
    p.OpenFramePeer(
        peer_id="bot", send=p.PatternSource(seconds=1.5, tone_hz=None), receive=p.FileSink("b.mkv")
    ),
    p.AnswerFramePeer(
        peer_id="bot",
        sdp_offer=OFFER,
        send=p.CallableSource("a.b:c", {"depth": [1, {"x": b"y"}]}, paced=True),
        receive=p.CallableSink("a.b:d", {"limit": 2.5, "none": None}, video=False),
    ),
    p.TakeAnswer(peer_id="bot", sdp_answer=OFFER),
    p.AddCandidates(peer_id="ann", candidates=(CANDIDATE, p.Candidate(candidate=""))),
    p.SelectLayer(peer_id="bob", layer="l"),
    p.Mute(peer_id="ann", kind=p.Kind.VIDEO, muted=True),
    p.LimitBitrate(peer_id="ann", bitrate_max_bps=5),
    p.ClosePeer(peer_id="ann", reason=p.CloseReason.LOST),
    p.GetStatistics(),
    p.Drain(seconds=1.5),
]
ANSWERS: list[p.MediaAnswer] = [
    p.Done(),
    p.Answered(sdp_answer=OFFER, candidates=(CANDIDATE,)),
    p.Offered(sdp_offer=OFFER, candidates=(CANDIDATE,)),
    p.Statistics(values={"peers": 2.0}),
]
EVENTS: list[p.MediaEvent] = [
    p.PeerConnected(peer_id="ann", milliseconds=1.5),
    p.PeerStalled(peer_id="ann"),
    p.PeerResumed(peer_id="ann"),
    p.PeerClosed(peer_id="ann", reason=p.CloseReason.FAILED),
    p.SourceStarted(peer_id="ann", stream_id="s", kind=p.Kind.AUDIO, codec="opus", layer=None),
    p.PeerQuality(peer_id="bob", loss_fraction=0.5, rtt_milliseconds=None, bitrate_estimate_bps=7),
    p.SourceFinished(peer_id="bot"),
    p.PeerFault(peer_id="bot", where="sink", error="KeyError"),
    p.MediaFault(where="close", error="KeyError"),
    p.WorkerOverloaded(worker=1, lag_milliseconds=30.0, cpu_fraction=0.9),
    p.WorkerGone(worker=1, peer_ids=("ann", "bob")),
    p.EventsLost(count=4),
]


def arrived(frame: frames.Frame) -> frames.Frame:
    (only,) = frames.FrameBuffer().feed(frames.encode(frame))
    return only


def classes_of(base: type[T]) -> set[type[T]]:
    """All classes of the protocol below `base`."""
    below: set[type[T]] = set()
    for each in base.__subclasses__():
        below |= {each} | classes_of(each)
    return {each for each in below if each.__module__ == p.__name__}


ERRORS = sorted(classes_of(MediaError), key=lambda each: each.__name__)


@pytest.mark.parametrize("request_", REQUESTS)
def test_every_request_arrives(request_: p.MediaRequest) -> None:
    frame = arrived(frames.Ask(7, frames.seal(request_)))
    assert isinstance(frame, frames.Ask)
    assert frame.number == 7
    assert frames.request_of(frame.request) == request_


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_answer_arrives(answer: p.MediaAnswer) -> None:
    frame = arrived(frames.Answer(7, frames.seal(answer)))
    assert isinstance(frame, frames.Answer)
    assert frames.answer_of(frame.answer) == answer


def test_every_event_arrives_in_its_place() -> None:
    frame = arrived(frames.Happened(3, tuple(frames.seal(each) for each in EVENTS)))
    assert isinstance(frame, frames.Happened)
    assert frames.events_of(frame) == tuple(EVENTS)


def test_no_class_of_the_protocol_is_forgotten() -> None:
    here = {type(each) for each in [*REQUESTS, *ANSWERS, *EVENTS]}
    known = classes_of(p.MediaRequest) | classes_of(p.MediaAnswer) | classes_of(p.MediaEvent)
    assert here == known - {p.PeerEvent, p.FramePeerRequest}


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_of_the_protocol_arrives_with_its_reason(error: type[MediaError]) -> None:
    frame = arrived(frames.refusal(2, error("a reason")))
    assert isinstance(frame, frames.Refusal)
    told = frames.error_of(frame)
    assert str(told) == "a reason"
    assert type(told) is error


def test_an_error_of_its_own_becomes_the_nearest_that_is_known() -> None:
    class OwnError(p.NoCommonCodecError): ...

    assert type(frames.error_of(frames.refusal(1, OwnError("why")))) is p.NoCommonCodecError
    assert type(frames.error_of(frames.Refusal(1, "SystemExit", "why"))) is MediaError


def test_the_other_frames_arrive() -> None:
    limits = frames.Limits(rss_max_bytes=None)
    for frame in (
        frames.Start(1, "a:b", {"port": 7}, limits),
        frames.Cancel(4),
        frames.Stop(0.5),
        frames.Ready(),
        frames.Failed("why"),
        frames.Unwound(4),
        frames.Measured(1.0, 0.5, True, {"peers_count": 2.0}),
        frames.Leaving("its memory is full"),
        frames.Prepare("some:router"),
        frames.Prepared(),
    ):
        assert arrived(frame) == frame


def test_a_frame_does_not_print_what_it_holds() -> None:
    frame = frames.Ask(1, frames.seal(REQUESTS[0]))
    assert "secret" not in f"{frame!r} {frame.request!r} {arrived(frame)!r}"


@given(st.lists(st.integers(1, 60), max_size=30))
def test_frames_may_arrive_in_any_pieces(sizes: list[int]) -> None:
    told = [frames.Ask(n, frames.seal(request)) for n, request in enumerate(REQUESTS)]
    data = b"".join(frames.encode(each) for each in told)
    buffer, heard, at = frames.FrameBuffer(), [], 0
    for size in [*sizes, len(data)]:
        heard += buffer.feed(data[at : at + size])
        at += size
    assert heard == told


@given(st.binary(max_size=80))
def test_any_bytes_are_frames_or_an_error(data: bytes) -> None:
    buffer = frames.FrameBuffer()
    with contextlib.suppress(frames.FrameError):
        buffer.feed(data)
        buffer.feed(len(data).to_bytes(4, "big") + data)


def test_text_that_is_not_utf_8_is_an_error_like_any_other() -> None:
    wrong = msgspec.msgpack.encode(["Failed", "x"])[:-1] + b"\xff"
    with pytest.raises(frames.FrameError, match="not a frame"):
        frames.FrameBuffer().feed(len(wrong).to_bytes(4, "big") + wrong)
    wrong = msgspec.msgpack.encode({"peer_id": "x"})[:-1] + b"\xff"
    with pytest.raises(frames.FrameError, match="not a ClosePeer"):
        frames.request_of(frames.Sealed("ClosePeer", msgspec.Raw(wrong)))


def test_a_frame_that_claims_too_much_is_refused_before_it_is_there() -> None:
    buffer = frames.FrameBuffer()
    assert buffer.feed(frames.FRAME_BYTES_MAX.to_bytes(4, "big")) == []
    with pytest.raises(frames.FrameError, match="claims"):
        frames.FrameBuffer().feed((frames.FRAME_BYTES_MAX + 1).to_bytes(4, "big"))


def test_what_is_too_large_for_a_frame_is_not_sent() -> None:
    request = p.View(stream_id="s", peer_id="bob", sdp_offer="x" * frames.FRAME_BYTES_MAX)
    with pytest.raises(frames.FrameError, match="the limit is"):
        frames.encode(frames.Ask(1, frames.seal(request)))


def test_what_is_not_of_the_protocol_is_an_error() -> None:
    with pytest.raises(frames.FrameError, match="unknown kind"):
        frames.request_of(frames.Sealed("Done", msgspec.Raw(b"\x80")))
    with pytest.raises(frames.FrameError, match="not a View"):
        frames.request_of(frames.Sealed("View", msgspec.Raw(b"\x80")))
    with pytest.raises(frames.FrameError, match="unknown kind"):
        frames.answer_of(frames.seal(EVENTS[0]))


@pytest.mark.parametrize("send", [p.Done(), p.FileSink("a.mp4")])
def test_a_peer_with_frames_plays_nothing_but_sources(send: object) -> None:
    request = p.OpenFramePeer(peer_id="ann", send=send)  # type: ignore[arg-type] # what is wrong
    with pytest.raises(frames.FrameError, match="unknown kind"):
        frames.request_of(frames.seal(request))


@pytest.mark.parametrize("value", [object(), 2**70, {1, object()}])
def test_arguments_that_cannot_travel_are_refused_and_not_quoted(value: object) -> None:
    request = p.OpenFramePeer(peer_id="ann", send=p.CallableSource("a:b", {"secret": value}))
    with pytest.raises(frames.FrameError, match="the arguments are not plain values") as refused:
        frames.seal(request)
    assert "secret" not in str(refused.value)


def test_arguments_that_contain_themselves_are_refused() -> None:
    endless: dict[str, object] = {}
    endless["again"] = endless
    with pytest.raises(frames.FrameError, match="not plain values"):
        frames.seal(p.OpenFramePeer(peer_id="ann", send=p.CallableSource("a:b", endless)))
