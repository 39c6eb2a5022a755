"""The media port: what the engine asks of a media host, and what the host reports. Plain values only.

Requests are idempotent by peer id: asking again gives the same answer, closing what is closed is done.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Protocol, TypeAlias

import attrs
import trio

from engine.errors import MediaError
from engine.media.figures import Figures as Figures
from engine.media.frame_words import CallableSink as CallableSink
from engine.media.frame_words import CallableSource as CallableSource
from engine.media.frame_words import FileSink as FileSink
from engine.media.frame_words import FileSource as FileSource
from engine.media.frame_words import FrameSink as FrameSink
from engine.media.frame_words import FrameSource as FrameSource
from engine.media.frame_words import PatternSource as PatternSource
from engine.vocabulary import length


class Kind(StrEnum):
    """Of a track."""

    AUDIO = "audio"
    VIDEO = "video"


class CloseReason(StrEnum):
    """Why a peer is closed."""

    REQUESTED = "requested"
    REMOTE = "remote"
    """The other side closed its DTLS connection."""
    FAILED = "failed"
    """It did not connect in time."""
    LOST = "lost"
    """It went silent."""
    SOURCE_ENDED = "source_ended"
    """The stream that it viewed is gone."""
    FAULT = "fault"
    """What it plays or records has failed; a PeerFault came before."""
    DRAINED = "drained"
    WORKER_GONE = "worker_gone"


@attrs.frozen(kw_only=True)
class Candidate:
    """An ICE candidate; an empty `candidate` means that there are no more."""

    candidate: str = attrs.field(repr=length)
    """The line without `a=`; it holds addresses, so it does not print."""
    sdp_mid: str | None = None
    sdp_m_line_index: int | None = None

    @property
    def is_well_formed(self) -> bool:
        """RFC 8839 section 5.1: foundation, component, transport, priority, address, port, `typ`, type."""
        words = self.candidate.removeprefix("a=").split()
        return not words or (
            len(words) >= 8
            and words[0].startswith("candidate:")
            and words[6] == "typ"
            and words[1].isdigit()
            and words[3].isdigit()
            and words[5].isdigit()
        )


# -- requests


@attrs.frozen(kw_only=True)
class MediaRequest:
    """Base of what a host can be asked."""


@attrs.frozen(kw_only=True)
class Publish(MediaRequest):
    """Take a stream in: the peer sends, we receive."""

    stream_id: str
    peer_id: str
    sdp_offer: str = attrs.field(repr=length)
    bitrate_max_bps: int = 6_000_000
    """Told to the sender by REMB."""
    video_codecs: tuple[str, ...] = ("VP8", "H264", "VP9", "AV1")
    """Wanted in this order, of those that the offer has."""
    room: str | None = None
    """Streams of one room are put on one worker while there is room, since who views one views others."""


@attrs.frozen(kw_only=True)
class View(MediaRequest):
    """Give a stream out: we send, the peer receives."""

    stream_id: str
    peer_id: str
    sdp_offer: str = attrs.field(repr=length)
    layer: str | None = None
    """RID of the simulcast layer to begin with; the first one when None."""


@attrs.frozen(kw_only=True)
class FramePeerRequest(MediaRequest):
    """Base of the two that begin a peer with frames, which is of no stream: it speaks to any other peer."""

    peer_id: str
    send: FrameSource | None = None
    receive: FrameSink | None = None
    """One of the two at least."""


@attrs.frozen(kw_only=True)
class OpenFramePeer(FramePeerRequest):
    """A peer with frames that offers; what the other side answers is told by TakeAnswer."""


@attrs.frozen(kw_only=True)
class AnswerFramePeer(FramePeerRequest):
    """A peer with frames that answers the other side's offer."""

    sdp_offer: str = attrs.field(repr=length)


@attrs.frozen(kw_only=True)
class TakeAnswer(MediaRequest):
    """The answer to the offer of a peer with frames. It cannot be undone: once begun, it is done."""

    peer_id: str
    sdp_answer: str = attrs.field(repr=length)
    """With candidates inside, or else AddCandidates brings them."""


@attrs.frozen(kw_only=True)
class AddCandidates(MediaRequest):
    """Candidates of the other side; ICE-lite needs none of them, but wrong ones are told."""

    peer_id: str
    candidates: tuple[Candidate, ...]


@attrs.frozen(kw_only=True)
class SelectLayer(MediaRequest):
    """Move a viewer to another simulcast layer, at that layer's next key frame."""

    peer_id: str
    layer: str


@attrs.frozen(kw_only=True)
class Mute(MediaRequest):
    """Stop or go on sending a kind of track: of a publisher to all, of a viewer to him."""

    peer_id: str
    kind: Kind
    muted: bool


@attrs.frozen(kw_only=True)
class LimitBitrate(MediaRequest):
    """A new cap for a publisher."""

    peer_id: str
    bitrate_max_bps: int


@attrs.frozen(kw_only=True)
class ClosePeer(MediaRequest):
    """End a peer. Closing a publisher ends its stream, and with it every viewer of it.

    When this is answered, what a peer with frames has recorded is complete.
    """

    peer_id: str
    reason: CloseReason = CloseReason.REQUESTED


@attrs.frozen(kw_only=True)
class GetStatistics(MediaRequest):
    """Figures of one peer, or of the whole host."""

    peer_id: str | None = None


@attrs.frozen(kw_only=True)
class Drain(MediaRequest):
    """Take no new peer, and close what is left when `seconds` have passed."""

    seconds: float = 30.0


# -- answers


@attrs.frozen(kw_only=True)
class MediaAnswer:
    """Base of what a host answers."""


@attrs.frozen(kw_only=True)
class Done(MediaAnswer):
    """It is done."""


@attrs.frozen(kw_only=True)
class Answered(MediaAnswer):
    """An SDP answer; its candidates are given apart, so that they can be trickled."""

    sdp_answer: str = attrs.field(repr=length)
    """Without candidate lines."""
    candidates: tuple[Candidate, ...]
    """Ours, ending with the empty one."""

    def with_candidates(self) -> str:
        """The answer with the candidates inside, for clients that do not trickle."""
        return _with_candidates(self.sdp_answer, self.candidates)


@attrs.frozen(kw_only=True)
class Offered(MediaAnswer):
    """An SDP offer of ours; candidates as in Answered."""

    sdp_offer: str = attrs.field(repr=length)
    """Without candidate lines."""
    candidates: tuple[Candidate, ...]
    """Ours, ending with the empty one."""

    def with_candidates(self) -> str:
        """The offer with the candidates inside, for servers that do not trickle."""
        return _with_candidates(self.sdp_offer, self.candidates)


def _with_candidates(sdp: str, candidates: Iterable[Candidate]) -> str:
    lines = sdp.rstrip("\r\n").split("\r\n")
    inside = [f"a={one.candidate}" for one in candidates if one.candidate] + ["a=end-of-candidates"]
    out: list[str] = []
    for line in lines:
        if line.startswith("m=") and any(one.startswith("m=") for one in out):
            out += inside
        out.append(line)
    if any(one.startswith("m=") for one in out):
        out += inside
    return "\r\n".join(out) + "\r\n"


@attrs.frozen(kw_only=True)
class Statistics(MediaAnswer):
    """Figures; names end with their unit."""

    values: Mapping[str, float]


# -- events


@attrs.frozen(kw_only=True)
class MediaEvent:
    """Base of what a host reports."""


@attrs.frozen(kw_only=True)
class PeerEvent(MediaEvent):
    """Something about a peer."""

    peer_id: str


@attrs.frozen(kw_only=True)
class PeerConnected(PeerEvent):
    """ICE and DTLS are done; media may flow."""

    milliseconds: float
    """Since the request."""


@attrs.frozen(kw_only=True)
class PeerStalled(PeerEvent):
    """A publisher has sent no RTP for two seconds."""


@attrs.frozen(kw_only=True)
class PeerResumed(PeerEvent):
    """A stalled publisher sends again."""


@attrs.frozen(kw_only=True)
class PeerClosed(PeerEvent):
    """The peer is gone; always the last event of a peer, and always there."""

    reason: CloseReason


@attrs.frozen(kw_only=True)
class SourceStarted(PeerEvent):
    """The first packet of a track (or of one simulcast layer of it)."""

    stream_id: str
    kind: Kind
    codec: str
    layer: str | None = None


@attrs.frozen(kw_only=True)
class PeerQuality(PeerEvent):
    """What a viewer's receiver reports said last."""

    loss_fraction: float
    rtt_milliseconds: float | None
    bitrate_estimate_bps: int | None


@attrs.frozen(kw_only=True)
class SourceFinished(PeerEvent):
    """All that a peer with frames had to play is sent; the peer stays until it is closed."""


@attrs.frozen(kw_only=True)
class PeerFault(PeerEvent):
    """The source or the sink of a peer with frames has failed, so the peer closes; nothing else does."""

    where: str
    """`source`, `sink`, `encoder` and other parts of it."""
    error: str
    """Type of the exception."""


@attrs.frozen(kw_only=True)
class MediaFault(MediaEvent):
    """A task or a callback of the media side raised; nothing else was disturbed."""

    where: str
    error: str
    """Type of the exception; its text may quote what must not be logged."""


@attrs.frozen(kw_only=True)
class WorkerOverloaded(MediaEvent):
    """The worker answers late and takes no new viewer."""

    worker: int
    lag_milliseconds: float
    cpu_fraction: float


@attrs.frozen(kw_only=True)
class WorkerGone(MediaEvent):
    """A worker has died; every peer of it is gone, and a fresh worker is starting."""

    worker: int
    peer_ids: tuple[str, ...]


@attrs.frozen(kw_only=True)
class EventsLost(MediaEvent):
    """The reader was too slow, and so many events were dropped: ask for statistics."""

    count: int
    """It stands for so many numbers."""


Batch: TypeAlias = tuple[int, tuple[MediaEvent, ...]]
"""(number of the first event, events in order); numbers go up by one an event, by `count` at EventsLost."""


def numbers_of(events: Iterable[MediaEvent]) -> int:
    """How many numbers the events take up."""
    return sum(each.count if isinstance(each, EventsLost) else 1 for each in events)


# -- errors


class BadOfferError(MediaError):
    """The offer cannot be used; the text says why and quotes nothing of it."""


class BadAnswerError(MediaError):
    """The answer cannot be used, or none is due; the text says why and quotes nothing of it."""


class BadSourceError(MediaError):
    """There is nothing to play: no such file, no such callable, or figures out of range."""


class BadSinkError(MediaError):
    """It cannot be recorded there: no such folder, callable, or kind of file."""


class NoCommonCodecError(BadOfferError):
    """The viewer cannot receive what the publisher sends."""


class UnknownPeerError(MediaError):
    """There is no such peer (any more)."""


class UnknownStreamError(MediaError):
    """Nobody publishes this stream here."""


class PeerExistsError(MediaError):
    """The peer id is taken by a peer of another stream or direction, or with another offer: there is no
    renegotiation and no ICE restart.
    """


class HostBusyError(MediaError):
    """Admission says no: late answers, too much CPU, or draining."""


class MediaTimeoutError(MediaError):
    """The host did not answer in time; what was asked is undone."""


class WorkerGoneError(MediaError):
    """The worker died before it answered."""


class MediaHost(Protocol):
    """Media workers, wherever they run.

    A cancelled request returns after the other side has undone it; one that was done before that side heard
    returns its answer, and its peer is there. Whoever owns a peer closes it by its id, whatever he has heard.
    """

    async def request(self, request: MediaRequest, *, seconds: float = 5.0) -> MediaAnswer:
        """Ask; `seconds` is the deadline.

        Raises:
            MediaError: one of the errors above.
        """

    @property
    def figures(self) -> Figures:
        """What it has counted, without asking anybody: up to half a second old."""

    def events(self) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[Batch]]:
        """What happens from now on. A reader that is too slow gets EventsLost; media never waits."""
