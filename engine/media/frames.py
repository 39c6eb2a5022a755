"""What trio and a media worker say to each other: a length in four bytes, then MessagePack. Never pickle.

The worker reads what strangers send, so what comes from it is checked like any other input.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec

from engine.errors import MediaError
from engine.media import inner
from engine.media import protocol as p

FRAME_BYTES_MAX = 4 * 1024 * 1024
"""Far above any offer; a frame that claims more is not one of ours."""
_LENGTH_BYTES = 4

T = TypeVar("T")


class FrameError(MediaError):
    """Bytes are not a frame, or a value is too large for one."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """At what a worker says no."""

    lag_max_milliseconds: float = 20.0
    """Lateness of the loop, 99th percentile, above which no peer is taken in."""
    cpu_max_fraction: float = 0.7
    """Of one core."""
    rss_max_bytes: int | None = 1536 * 1024 * 1024
    """Memory above which a worker drains and ends, so that a fresh one takes its place."""
    drain_seconds: float = 30.0
    events_max: int = 10_000
    """Events that wait for a host that does not read."""
    measure_seconds: float = 0.5


class _Frame(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of all frames. It may hold an offer or an address, so it prints its kind and nothing else."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} frame>"


class Sealed(_Frame, frozen=True, tag=False):
    """A value of the protocol under its class's name."""

    name: str
    body: msgspec.Raw


# -- from trio


class Start(_Frame, frozen=True):
    """The first frame but for Prepare: who you are, and what to run."""

    worker: int
    router: str
    """`module:callable`, called with `config` and a function that takes events."""
    config: dict[str, Any]
    limits: Limits


class Prepare(_Frame, frozen=True):
    """Before the Start of a spare worker: load what it will run. Prepared or Failed follows."""

    router: str


class Ask(_Frame, frozen=True):
    """A request; exactly one of Answer, Refusal and Unwound follows."""

    number: int
    request: Sealed


class Cancel(_Frame, frozen=True):
    """Unwind a request. It may cross an answer."""

    number: int


class Stop(_Frame, frozen=True):
    """Close everything within `seconds` and end."""

    seconds: float


# -- from the worker


class Prepared(_Frame, frozen=True):
    """A spare worker has loaded what it will run."""


class Ready(_Frame, frozen=True):
    """The worker takes requests."""


class Failed(_Frame, frozen=True):
    """The worker cannot start."""

    reason: str


class Answer(_Frame, frozen=True):
    """What was asked is done."""

    number: int
    answer: Sealed


class Refusal(_Frame, frozen=True):
    """What was asked is not done, and why."""

    number: int
    error: str
    """Name of one of the protocol's errors."""
    reason: str


class Unwound(_Frame, frozen=True):
    """What was asked has been cancelled, and all of it is undone."""

    number: int


class Happened(_Frame, frozen=True):
    """Events in order."""

    number: int
    """Of the first one; they go up by one, and EventsLost stands for as many as it counts."""
    events: tuple[Sealed, ...]


class Leaving(_Frame, frozen=True):
    """The worker ends of its own accord when it has drained."""

    reason: str


class Measured(_Frame, frozen=True):
    """How the worker is; also its sign of life."""

    lag_milliseconds: float
    cpu_fraction: float
    accepting: bool
    """False while it takes no new peer."""
    figures: dict[str, float]
    """Of all its peers; see engine.media.figures."""


FromHost: TypeAlias = Prepare | Start | Ask | Cancel | Stop
FromWorker: TypeAlias = Prepared | Ready | Failed | Answer | Refusal | Unwound | Happened | Measured | Leaving
Frame: TypeAlias = FromHost | FromWorker


# -- bytes

_UNREADABLE = msgspec.MsgspecError, UnicodeDecodeError
"""What a decoder raises; text that is not UTF-8 is no error of its own kind."""
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def encode(frame: Frame) -> bytes:
    """The frame with its length before it.

    Raises:
        FrameError: it would be larger than FRAME_BYTES_MAX.
    """
    body = _ENCODER.encode(frame)
    if len(body) > FRAME_BYTES_MAX:
        raise FrameError(f"a frame of {len(body)} bytes; the limit is {FRAME_BYTES_MAX}")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameBuffer:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes.

        Raises:
            FrameError: these are not frames; the stream is useless from here on.
        """
        self._unread += data
        frames: list[Frame] = []
        at = 0
        while (end := self._end_of_frame(at)) is not None:
            frames.append(_decode(bytes(self._unread[at + _LENGTH_BYTES : end])))
            at = end
        del self._unread[:at]
        return frames

    def _end_of_frame(self, at: int) -> int | None:
        """Where the frame that begins at `at` ends; None while it is incomplete."""
        start = at + _LENGTH_BYTES
        if len(self._unread) < start:
            return None
        size = int.from_bytes(self._unread[at:start], "big")
        if size > FRAME_BYTES_MAX:
            raise FrameError(f"a frame claims {size} bytes; the limit is {FRAME_BYTES_MAX}")
        return start + size if len(self._unread) >= start + size else None


def _decode(body: bytes) -> Frame:
    try:
        return _DECODER.decode(body)
    except _UNREADABLE as error:
        # `from None`: the original may quote what it read.
        raise FrameError(f"not a frame ({type(error).__name__})") from None


# -- values of the protocol


def _named(*classes: type[T]) -> dict[str, "msgspec.msgpack.Decoder[T]"]:
    return {each.__name__: msgspec.msgpack.Decoder(each) for each in classes}


_REQUESTS: Mapping[str, "msgspec.msgpack.Decoder[p.MediaRequest]"] = _named(
    p.Publish,
    p.View,
    p.TakeAnswer,
    p.AddCandidates,
    p.SelectLayer,
    p.Mute,
    p.LimitBitrate,
    p.ClosePeer,
    p.GetStatistics,
    p.Drain,
    inner.OpenPipe,
    inner.ClosePipe,
)
_ANSWERS: Mapping[str, "msgspec.msgpack.Decoder[p.MediaAnswer]"] = _named(
    p.Done, p.Answered, p.Offered, p.Statistics
)
_EVENTS: Mapping[str, "msgspec.msgpack.Decoder[p.MediaEvent]"] = _named(
    p.PeerConnected,
    p.PeerStalled,
    p.PeerResumed,
    p.PeerClosed,
    p.SourceStarted,
    p.PeerQuality,
    p.SourceFinished,
    p.PeerFault,
    p.MediaFault,
    p.WorkerOverloaded,
    p.WorkerGone,
    p.EventsLost,
)
_ERRORS: Mapping[str, type[MediaError]] = {
    each.__name__: each
    for each in (
        MediaError,
        p.BadOfferError,
        p.BadAnswerError,
        p.BadSourceError,
        p.BadSinkError,
        p.NoCommonCodecError,
        p.UnknownPeerError,
        p.UnknownStreamError,
        p.PeerExistsError,
        p.HostBusyError,
        p.MediaTimeoutError,
        p.WorkerGoneError,
    )
}


class _FramePeer(msgspec.Struct, frozen=True, array_like=True):
    """A request for a peer with frames: what it plays and records has the names of its classes beside it."""

    peer_id: str
    send: Sealed | None
    receive: Sealed | None
    sdp_offer: str = ""


_FRAME_PEERS: Mapping[str, "msgspec.msgpack.Decoder[_FramePeer]"] = {
    each.__name__: msgspec.msgpack.Decoder(_FramePeer) for each in (p.OpenFramePeer, p.AnswerFramePeer)
}
_SOURCES: Mapping[str, "msgspec.msgpack.Decoder[p.FrameSource]"] = _named(
    p.FileSource, p.PatternSource, p.CallableSource
)
_SINKS: Mapping[str, "msgspec.msgpack.Decoder[p.FrameSink]"] = _named(p.FileSink, p.CallableSink)


def seal(value: p.MediaRequest | p.MediaAnswer | p.MediaEvent) -> Sealed:
    """The value as it travels inside a frame.

    Raises:
        FrameError: the arguments of a callable are not plain values.
    """
    if isinstance(value, p.FramePeerRequest):
        send = None if value.send is None else _seal(value.send)
        receive = None if value.receive is None else _seal(value.receive)
        sdp_offer = value.sdp_offer if isinstance(value, p.AnswerFramePeer) else ""
        return Sealed(type(value).__name__, _raw(_FramePeer(value.peer_id, send, receive, sdp_offer)))
    return _seal(value)


def _seal(value: object) -> Sealed:
    return Sealed(type(value).__name__, _raw(value))


def _raw(value: object) -> msgspec.Raw:
    try:
        return msgspec.Raw(_ENCODER.encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        # Only what a caller passes on unseen can be something else than what its class says.
        raise FrameError(f"the arguments are not plain values ({type(error).__name__})") from None


def request_of(sealed: Sealed) -> p.MediaRequest:
    """The request inside.

    Raises:
        FrameError: there is none.
    """
    if sealed.name not in _FRAME_PEERS:
        return _unseal(sealed, _REQUESTS)
    inside = _unseal(sealed, _FRAME_PEERS)
    send = None if inside.send is None else _unseal(inside.send, _SOURCES)
    receive = None if inside.receive is None else _unseal(inside.receive, _SINKS)
    if sealed.name == p.OpenFramePeer.__name__:
        return p.OpenFramePeer(peer_id=inside.peer_id, send=send, receive=receive)
    return p.AnswerFramePeer(peer_id=inside.peer_id, send=send, receive=receive, sdp_offer=inside.sdp_offer)


def answer_of(sealed: Sealed) -> p.MediaAnswer:
    """The answer inside.

    Raises:
        FrameError: there is none.
    """
    return _unseal(sealed, _ANSWERS)


def events_of(frame: Happened) -> tuple[p.MediaEvent, ...]:
    """The events inside.

    Raises:
        FrameError: something else is.
    """
    return tuple([_unseal(each, _EVENTS) for each in frame.events])


def _unseal(sealed: Sealed, known: Mapping[str, "msgspec.msgpack.Decoder[T]"]) -> T:
    decoder = known.get(sealed.name)
    if decoder is None:
        raise FrameError("a value of an unknown kind")
    try:
        return decoder.decode(sealed.body)
    except _UNREADABLE as error:
        raise FrameError(f"not a {sealed.name} ({type(error).__name__})") from None


def refusal(number: int, error: MediaError) -> Refusal:
    """The error as it travels; a class that the other side does not know becomes the nearest that it does."""
    name = next(each.__name__ for each in type(error).__mro__ if each.__name__ in _ERRORS)
    return Refusal(number, name, str(error))


def error_of(refused: Refusal) -> MediaError:
    """The error that travelled."""
    return _ERRORS.get(refused.error, MediaError)(refused.reason)
