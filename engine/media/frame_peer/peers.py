"""All peers with frames of one worker: begins them, passes answers on to them, and ends them."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs

from engine.errors import MediaError
from engine.media.frame_parts import check
from engine.media.frame_peer.build import sink_of, source_of
from engine.media.frame_peer.connection import without_candidates
from engine.media.frame_peer.parts import FramePeerConfig
from engine.media.frame_peer.peer import FramePeer
from engine.media.protocol import (
    AddCandidates,
    Answered,
    AnswerFramePeer,
    BadAnswerError,
    BadSourceError,
    ClosePeer,
    CloseReason,
    Done,
    FramePeerRequest,
    FrameSource,
    GetStatistics,
    HostBusyError,
    MediaAnswer,
    MediaEvent,
    MediaRequest,
    Offered,
    OpenFramePeer,
    PeerClosed,
    PeerExistsError,
    Statistics,
    TakeAnswer,
    UnknownPeerError,
)


@attrs.define(eq=False)
class _Known:
    """A peer and how far it is."""

    request: FramePeerRequest
    peer: FramePeer
    opens: "asyncio.Task[Offered | Answered]"
    waiting: int = 0
    """Requests that wait until it is open."""
    given: bool = False
    """Somebody has heard that it is there; nothing is told of a peer that never was."""
    sdp_answer: str | None = None
    takes: "asyncio.Task[None] | None" = None


class FramePeers:
    """Peers with frames, by id. Everything runs on one loop; `emit` is as for FramePeer."""

    def __init__(self, emit: Callable[[MediaEvent], None], *, connect_seconds: float = 10.0) -> None:
        self._emit, self._connect_seconds = emit, connect_seconds
        self._peers: dict[str, _Known] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._drains: asyncio.Task[None] | None = None
        self._refuses = False

    def __contains__(self, peer_id: str) -> bool:
        return peer_id in self._peers

    def statistics(self) -> Mapping[str, float]:
        """Figures of all of them."""
        each = [known.peer.statistics() for known in self._peers.values()]
        return {
            "frame_peers_count": len(each),
            "peers_count": len(each),
            "tasks_count": len(self._tasks) + sum(one["tasks_count"] for one in each),
            "faults_count": sum(one["faults_count"] for one in each),
        }

    async def handle(self, request: MediaRequest) -> MediaAnswer:
        """Do what is asked; asking again does nothing and answers the same.

        Raises:
            MediaError: one of the errors in the protocol.
        """
        match request:
            case FramePeerRequest():
                return await self._begin(request)
            case TakeAnswer():
                await self._take_answer(request)
            case AddCandidates():
                await self._open_one(request.peer_id).peer.add_candidates(request.candidates)
            case ClosePeer():
                await self._close_one(request.peer_id, request.reason)
            case GetStatistics(peer_id=str() as peer_id):
                return Statistics(values=self._open_one(peer_id).peer.statistics())
            case _:
                raise TypeError(f"no such request: {type(request).__name__}")
        return Done()

    def drain(self, seconds: float) -> None:
        """Take no new peer, and close what is left then."""
        self._refuses = True
        if self._drains is None:
            self._drains = self._spawn(self._close_all_after(seconds))

    async def close(self) -> None:
        """End every peer, and wait until nothing is left."""
        self._refuses = True
        if self._drains is not None:
            self._drains.cancel()
        await self._close_all(CloseReason.REQUESTED)
        while self._tasks:
            await asyncio.wait({*self._tasks})

    # -- beginning

    async def _begin(self, request: FramePeerRequest) -> Offered | Answered:
        known = await self._living(request.peer_id)
        if known is None:
            known = self._add(request)
        elif known.request != request:
            raise PeerExistsError("the peer id is taken")
        known.waiting += 1
        try:
            answer = await asyncio.shield(known.opens)
        except asyncio.CancelledError:
            if known.waiting == 1 and not known.given:
                await asyncio.shield(self._spawn(self._undo(known)))
            raise
        else:
            known.given = True
            return answer
        finally:
            known.waiting -= 1

    def _add(self, request: FramePeerRequest) -> _Known:
        if self._refuses:
            raise HostBusyError("it is being drained")
        check(request)
        config = FramePeerConfig(peer_id=request.peer_id, connect_seconds=self._connect_seconds)
        peer = FramePeer(config, lambda event: self._told(known, event))
        known = _Known(request, peer, self._spawn(self._open(request, peer)))
        self._peers[request.peer_id] = known
        return known

    async def _living(self, peer_id: str) -> _Known | None:
        """One that is closing is waited for, so that its last event is the last."""
        while (known := self._peers.get(peer_id)) is not None and known.peer.ending:
            await known.peer.close()
        return known

    async def _open(self, request: FramePeerRequest, peer: FramePeer) -> Offered | Answered:
        try:
            if request.send is not None:
                await _add_source(peer, request.send)
            if request.receive is not None:
                peer.add_sink(await sink_of(request.receive))
            if isinstance(request, AnswerFramePeer):
                sdp, candidates = without_candidates(await peer.answer(request.sdp_offer))
                return Answered(sdp_answer=sdp, candidates=candidates)
            sdp, candidates = without_candidates(await peer.offer())
            return Offered(sdp_offer=sdp, candidates=candidates)
        except BaseException:
            await peer.close()
            raise

    async def _undo(self, known: _Known) -> None:
        await asyncio.wait({known.opens})
        await known.peer.close()

    def _told(self, known: _Known, event: MediaEvent) -> None:
        if isinstance(event, PeerClosed):
            del self._peers[event.peer_id]
        if known.given:
            self._emit(event)

    # -- what is asked of one that is there

    def _open_one(self, peer_id: str) -> _Known:
        known = self._peers.get(peer_id)
        if known is None or known.peer.ending or not known.given:
            raise UnknownPeerError("there is no such peer")
        return known

    async def _take_answer(self, request: TakeAnswer) -> None:
        known = self._open_one(request.peer_id)
        if not isinstance(known.request, OpenFramePeer):
            raise BadAnswerError("the peer has made no offer")
        if known.takes is None:
            known.sdp_answer = request.sdp_answer
            known.takes = self._spawn(known.peer.take_answer(request.sdp_answer))
        elif known.sdp_answer != request.sdp_answer:
            raise BadAnswerError("the peer has another answer")
        takes = known.takes
        try:
            await _to_its_end(takes)
        except MediaError:
            if known.takes is takes:
                # Another one may be better.
                known.takes = known.sdp_answer = None
            raise

    async def _close_one(self, peer_id: str, reason: CloseReason) -> None:
        known = self._peers.get(peer_id)
        if known is None:
            return
        if not known.opens.done():
            # Not half way: whoever asked for it is told that it is open, and then that it is closed.
            await asyncio.wait({known.opens})
        await known.peer.close(reason)

    async def _close_all_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._close_all(CloseReason.DRAINED)

    async def _close_all(self, reason: CloseReason) -> None:
        await asyncio.gather(*(self._close_one(peer_id, reason) for peer_id in tuple(self._peers)))

    # -- tasks

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whoever waited has it; when nobody does any more, it is of no interest.
            task.exception()


async def _add_source(peer: FramePeer, value: FrameSource) -> None:
    try:
        await peer.add_source(await source_of(value))
    except BadSourceError:
        raise
    except MediaError as error:
        raise BadSourceError(str(error)) from error


async def _to_its_end(task: "asyncio.Task[None]") -> None:
    """Wait, cancelled or not: half of a description cannot be taken back, and all of it is soon taken."""
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            continue
    task.result()
