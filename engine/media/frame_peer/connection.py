"""The seam to aiortc: its connection, the track that it sends, and what it takes of the other side."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame

from engine.errors import MediaError
from engine.media.frame_peer.queues import Frame, FrameQueue
from engine.media.protocol import Answered, BadAnswerError, BadOfferError, Candidate, Kind

T = TypeVar("T")


def new_connection() -> RTCPeerConnection:
    """Without servers (none named would mean a public one), and with one set of sockets."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))


class SentTrack(MediaStreamTrack):
    """What aiortc's sender reads: a queue that a source fills."""

    def __init__(self, kind: Kind, queue: FrameQueue) -> None:
        super().__init__()
        self.kind = kind.value
        self.frames = 0
        """Given to the encoder."""
        self.samples = 0
        """Of sound."""
        self._to_send = queue

    @property
    def complete(self) -> bool:
        """All of the source was sent; a track that stops before that has failed."""
        return self._to_send.ended and not len(self._to_send)

    async def recv(self) -> Frame:
        """The next frame."""
        frame = await self._to_send.get()
        if frame is None:
            raise MediaStreamError
        self.frames += 1
        if isinstance(frame, AudioFrame):
            self.samples += frame.samples
        return frame


async def described(work: Awaitable[T], what: str) -> T:
    """Do what may fail because of a description.

    Raises:
        BadAnswerError: the answer; the text quotes nothing, because descriptions hold passwords.
        BadOfferError: another one.
    """
    try:
        return await work
    except MediaError:
        raise
    except Exception as error:  # aiortc's parser raises whatever its lines lead to.
        refused = BadAnswerError if what == "answer" else BadOfferError
        raise refused(f"the {what} cannot be used: {type(error).__name__}") from None


def description(sdp: str, kind: str, candidates: Iterable[Candidate] = ()) -> RTCSessionDescription:
    """With the candidates inside, and without those that name no address: aiortc would wait a second each."""
    known = tuple(one for one in candidates if _has_address(one.candidate))
    whole = Answered(sdp_answer=sdp, candidates=known).with_candidates() if known else sdp
    lines = (line for line in whole.replace("\r\n", "\n").split("\n") if line)
    kept = [line for line in lines if not line.startswith("a=candidate:") or _has_address(line)]
    return RTCSessionDescription(sdp="\r\n".join(kept) + "\r\n", type=kind)


def without_candidates(sdp: str) -> tuple[str, tuple[Candidate, ...]]:
    """(the description, our candidates ending with the empty one). All sections share one set of sockets."""
    lines = sdp.split("\r\n")
    mid = next((line.removeprefix("a=mid:") for line in lines if line.startswith("a=mid:")), None)
    found = dict.fromkeys(line.removeprefix("a=") for line in lines if line.startswith("a=candidate:"))
    kept = [line for line in lines if not line.startswith(("a=candidate:", "a=end-of-candidates"))]
    ours = (Candidate(candidate=one, sdp_mid=mid, sdp_m_line_index=0) for one in (*found, ""))
    return "\r\n".join(kept), tuple(ours)


async def add_candidate(connection: RTCPeerConnection, candidate: Candidate) -> None:
    """One of the other side's; one that names no address is left out, as in a description."""
    line = candidate.candidate.removeprefix("a=").removeprefix("candidate:")
    if not line:
        await connection.addIceCandidate(None)
    elif _has_address(line):
        known = candidate_from_sdp(line)
        known.sdpMid, known.sdpMLineIndex = candidate.sdp_mid, candidate.sdp_m_line_index
        if known.sdpMid is None and known.sdpMLineIndex is None:
            known.sdpMLineIndex = 0
        await connection.addIceCandidate(known)


def offered_kinds(sdp: str) -> tuple[Kind, ...]:
    """Of each m-line, in order; data channels are left to aiortc, which wants them behind the media.

    Raises:
        BadOfferError: the offer does not begin with sound or picture.
    """
    names = [line[2:].split(" ", 1)[0].strip() for line in sdp.splitlines() if line.startswith("m=")]
    if not names or names[0] not in Kind.__members__.values():
        raise BadOfferError("the offer cannot be used: it does not begin with sound or picture")
    return tuple(Kind(name) for name in names if name in Kind.__members__.values())


def _has_address(candidate: str) -> bool:
    words = candidate.split()
    try:
        ipaddress.ip_address(words[4])
    except (IndexError, ValueError):
        return False
    return True


async def stop_again(connection: RTCPeerConnection) -> None:
    """Stop what a connection began while it was closed: it goes on connecting beside that."""
    for transceiver in connection.getTransceivers():
        await transceiver.stop()
        await transceiver.receiver.transport.stop()
        await transceiver.receiver.transport.transport.stop()


def tasks_of(connection: RTCPeerConnection) -> list["asyncio.Task[Any]"]:
    """Those that a connection has just begun and keeps nowhere; they have not run yet."""
    found = []
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is not None and frame.f_locals.get("self") is connection:
            found.append(task)
    return found
