"""The seam to aiortc: its connection, the track that it sends, and what it takes of the other side."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from engine.errors import MediaError
from engine.media.frame_peer.queues import Frame, FrameQueue
from engine.media.protocol import Answered, BadOfferError, Candidate, Kind

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
        return frame


async def described(work: Awaitable[T], what: str) -> T:
    """Do what may fail because of a description.

    Raises:
        MediaError: it failed; the text quotes nothing, because descriptions hold passwords.
    """
    try:
        return await work
    except MediaError:
        raise
    except Exception as error:  # aiortc's parser raises whatever its lines lead to.
        raise MediaError(f"the {what} cannot be used: {type(error).__name__}") from None


def description(sdp: str, kind: str, candidates: Iterable[Candidate] = ()) -> RTCSessionDescription:
    """With the candidates inside, and without those that name no address: aiortc would wait a second each."""
    known = tuple(one for one in candidates if _has_address(one.candidate))
    whole = Answered(sdp_answer=sdp, candidates=known).with_candidates() if known else sdp
    lines = (line for line in whole.replace("\r\n", "\n").split("\n") if line)
    kept = [line for line in lines if not line.startswith("a=candidate:") or _has_address(line)]
    return RTCSessionDescription(sdp="\r\n".join(kept) + "\r\n", type=kind)


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


def tasks_of(connection: RTCPeerConnection) -> list["asyncio.Task[Any]"]:
    """Those that a connection has just begun and keeps nowhere; they have not run yet."""
    found = []
    for task in asyncio.all_tasks():
        frame = getattr(task.get_coro(), "cr_frame", None)
        if frame is not None and frame.f_locals.get("self") is connection:
            found.append(task)
    return found
