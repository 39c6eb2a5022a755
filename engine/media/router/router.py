"""The media router: answers offers, and forwards what publishers send to those who view it."""

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import attrs

from engine.media.inner import ClosePipe, OpenPipe
from engine.media.protocol import (
    AddCandidates,
    Answered,
    BadOfferError,
    ClosePeer,
    CloseReason,
    Done,
    Drain,
    GetStatistics,
    HostBusyError,
    LimitBitrate,
    MediaAnswer,
    MediaEvent,
    MediaFault,
    MediaRequest,
    Mute,
    PeerClosed,
    PeerExistsError,
    PeerResumed,
    PeerStalled,
    Publish,
    SelectLayer,
    Statistics,
    UnknownPeerError,
    UnknownStreamError,
    View,
)
from engine.media.router.allowance import Allowance
from engine.media.router.dtls import Identity
from engine.media.router.fanout import (
    BatchedFanout,
    FanoutFactory,
    PortableFanout,
    Slots,
    batching_is_possible,
)
from engine.media.router.ice_mux import Listening, Mux
from engine.media.router.liveness import Liveness, Ticker, Verdict
from engine.media.router.peer import Peer, Surroundings
from engine.media.router.pipe import PipeAround
from engine.media.router.pipes import Pipes
from engine.media.router.publisher import Publisher
from engine.media.router.sdp import plan_publish, plan_view
from engine.media.router.stream import Stream
from engine.media.router.tally import Tally
from engine.media.router.viewer import Viewer

LIVENESS_TICKS = 10
"""Silence is looked for every tenth tick: it is measured in seconds."""
FAULTS_AT_ONCE = 20
FAULTS_PER_SECOND = 1.0
"""Told; the others are counted."""
_FATAL = {Verdict.FAILED: CloseReason.FAILED, Verdict.LOST: CloseReason.LOST}


@attrs.frozen(kw_only=True)
class RouterConfig:
    """Where a router listens, and its deadlines."""

    listening: tuple[Listening, ...] = (Listening(host="127.0.0.1"),)
    batched: bool | None = None
    """Whether to use the batched path; where it is possible, when None."""
    connect_seconds: float = 10.0
    stalled_seconds: float = 2.0
    lost_seconds: float = 10.0
    clock: Callable[[], float] = time.monotonic


class Router:
    """All peers of one worker. Everything runs on the loop that it was opened on.

    `emit` is called on that loop, and must neither block nor raise. PeerClosed is the last event of a peer.
    """

    def __init__(self, config: RouterConfig, emit: Callable[[MediaEvent], None]) -> None:
        self._config = config
        self._emit = emit
        self._clock = config.clock
        self._mux = Mux(config.listening, config.clock, self._fault)
        self._tally = Tally()
        self._dropped_before = 0
        self._around = Surroundings(
            mux=self._mux,
            identity=Identity.generateCertificate(),
            clock=config.clock,
            emit=emit,
            spawn=self._spawn,
            fault=self._fault,
            ended=self._end,
            fanout=_fanout_factory(config.batched),
            liveness=partial(_liveness, config),
            tally=self._tally,
        )
        self._ticker = Ticker(self._tick, self._fault)
        self._ticks = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._peers: dict[str, Peer] = {}
        self._streams: dict[str, Stream] = {}
        around = PipeAround(
            clock=config.clock, fault=self._fault, fanout=self._around.fanout, tally=self._tally
        )
        self._pipes = Pipes(self._streams, around, self._end_viewers)
        self._faults = 0
        self._faults_told = Allowance(FAULTS_AT_ONCE, FAULTS_PER_SECOND)
        self._refuses = False
        self._drains: asyncio.Task[None] | None = None

    # -- life

    async def open(self) -> None:
        """Bind the sockets and start the timer.

        Raises:
            ConfigurationError: an address cannot be bound, or advertised.
        """
        await self._mux.open()
        self._ticker.start()

    async def close(self) -> None:
        """End every peer, and wait until nothing is left."""
        self._refuses = True
        if self._drains is not None:
            self._drains.cancel()
        self._end_all(CloseReason.REQUESTED)
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        self._pipes.close_all()
        self._ticker.stop()
        self._mux.close()

    def __contains__(self, peer_id: str) -> bool:
        return peer_id in self._peers

    @property
    def candidate_count(self) -> int:
        """Addresses that peers are told."""
        return len(self._mux.candidates)

    @property
    def mux(self) -> Mux:
        """The sockets; for trials of loss and of strange datagrams."""
        return self._mux

    # -- requests

    async def handle(self, request: MediaRequest) -> MediaAnswer:
        """Do what is asked; asking again does nothing and answers the same.

        Raises:
            MediaError: one of the errors in the protocol.
        """
        match request:
            case Publish():
                return await self._publish(request)
            case View():
                return await self._view(request)
            case AddCandidates():
                self._add_candidates(request)
            case SelectLayer():
                self._select(request)
            case Mute():
                self._mute(request)
            case LimitBitrate():
                self._publisher(request.peer_id).limit(request.bitrate_max_bps)
            case ClosePeer():
                await self._close_peer(request)
            case GetStatistics():
                return Statistics(values=self.statistics(request.peer_id))
            case Drain():
                self._drain(request)
            case ClosePipe():
                self._pipes.close(request)
            case _:
                raise TypeError(f"no such request: {type(request).__name__}")
        return Done()

    async def connect(self, request: OpenPipe, sock: socket.socket) -> MediaAnswer:
        """Carry a stream through `sock`, which is ours from now on whatever happens.

        Raises:
            MediaError: there is no such stream, or it comes from elsewhere already.
        """
        self._pipes.open(request, sock)
        return Done()

    async def _publish(self, request: Publish) -> Answered:
        known = await self._known(request.peer_id)
        if known is not None:
            same = isinstance(known, Publisher) and known.stream_id == request.stream_id
            return _same_answer(known, request.sdp_offer, same=same)
        self._refuse_when_busy()
        if request.stream_id in self._streams:
            raise PeerExistsError("the stream has a publisher")
        plan = plan_publish(request.sdp_offer, request.video_codecs)
        publisher = Publisher(
            request.peer_id,
            request.sdp_offer,
            plan,
            self._around,
            stream_id=request.stream_id,
            bitrate_max_bps=request.bitrate_max_bps,
        )
        self._peers[publisher.id] = self._streams[publisher.stream_id] = publisher
        return publisher.answered

    async def _view(self, request: View) -> Answered:
        known = await self._known(request.peer_id)
        if known is not None:
            same = isinstance(known, Viewer) and known.stream.stream_id == request.stream_id
            return _same_answer(known, request.sdp_offer, same=same)
        self._refuse_when_busy()
        stream = self._streams.get(request.stream_id)
        if stream is None:
            raise UnknownStreamError("nobody publishes this stream here")
        layers = {one.layer for one in stream.sources} - {None}
        if request.layer is not None and layers and request.layer not in layers:
            raise UnknownStreamError("the stream has no such layer")
        plan = plan_view(request.sdp_offer, {kind: track.codec for kind, track in stream.tracks.items()})
        viewer = Viewer(
            request.peer_id,
            request.sdp_offer,
            plan,
            self._around,
            stream=stream,
            layer=request.layer if layers else None,
        )
        self._peers[viewer.id] = viewer
        return viewer.answered

    async def _known(self, peer_id: str) -> Peer | None:
        """The live peer of this id; one that is closing is waited for, so that its last event is the last."""
        while (known := self._peers.get(peer_id)) is not None and known.ending is not None:
            await asyncio.shield(known.ending)
        return known

    def _refuse_when_busy(self) -> None:
        if self._refuses:
            raise HostBusyError("it is being drained")

    def _peer(self, peer_id: str) -> Peer:
        peer = self._peers.get(peer_id)
        if peer is None or peer.ending is not None:
            raise UnknownPeerError("there is no such peer")
        return peer

    def _publisher(self, peer_id: str) -> Publisher:
        peer = self._peer(peer_id)
        if not isinstance(peer, Publisher):
            raise UnknownPeerError("there is no such publisher")
        return peer

    def _add_candidates(self, request: AddCandidates) -> None:
        self._peer(request.peer_id)
        for one in request.candidates:
            if not one.is_well_formed:
                raise BadOfferError("a candidate cannot be read")

    def _select(self, request: SelectLayer) -> None:
        peer = self._peer(request.peer_id)
        if not isinstance(peer, Viewer):
            raise UnknownPeerError("there is no such viewer")
        if not peer.select(request.layer, self._clock()):
            raise UnknownStreamError("the stream has no such layer")

    def _mute(self, request: Mute) -> None:
        peer = self._peer(request.peer_id)
        assert isinstance(peer, Publisher | Viewer), "there is no other kind of peer"
        peer.mute(request.kind, self._clock(), muted=request.muted)

    async def _close_peer(self, request: ClosePeer) -> None:
        peer = self._peers.get(request.peer_id)
        if peer is None:
            return
        self._end(peer, request.reason)
        if peer.ending is not None:
            await asyncio.shield(peer.ending)

    def _drain(self, request: Drain) -> None:
        self._refuses = True
        if self._drains is None:
            self._drains = self._spawn("drain", self._end_all_after(request.seconds))

    async def _end_all_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._end_all(CloseReason.DRAINED)

    def statistics(self, peer_id: str | None = None) -> Mapping[str, float]:
        """Figures of one peer, or of all.

        Raises:
            UnknownPeerError: there is no such peer.
        """
        if peer_id is not None:
            return {name: float(value) for name, value in self._peer(peer_id).statistics(self._clock())}
        publishers = [one for one in self._peers.values() if isinstance(one, Publisher)]
        live = [one for one in publishers if one.ending is None]
        return {
            "publishers_count": len(publishers),
            "viewers_count": len(self._peers) - len(publishers),
            "peers_count": len(self._peers),
            "tasks_count": len(self._tasks),
            "faults_count": self._faults,
            "addresses_count": self._mux.address_count,
            "strange_packets": self._mux.strangers,
            "send_dropped_packets": self._mux.sends_dropped,
            "tick_lag_seconds": self._ticker.lag_seconds,
            "fanout_dropped_packets": self._dropped_before + sum(one.dropped for one in live),
            **attrs.asdict(self._tally),
            **self._pipes.statistics(),
        }

    # -- ends

    def _end(self, peer: Peer, reason: CloseReason) -> None:
        if peer.ending is None:
            peer.leave(self._clock())
            peer.ending = self._spawn("close", self._close(peer, reason))
            if isinstance(peer, Publisher):
                self._streams.pop(peer.stream_id, None)
                self._pipes.end(peer, CloseReason.SOURCE_ENDED)
                self._dropped_before += peer.dropped
                self._end_viewers(peer, CloseReason.SOURCE_ENDED)

    def _end_viewers(self, stream: Stream, reason: CloseReason) -> None:
        for one in list(self._peers.values()):
            if isinstance(one, Viewer) and one.stream is stream:
                self._end(one, reason)

    def _end_all(self, reason: CloseReason) -> None:
        # Viewers first, here and on other workers: they are told the real reason, and not that their stream
        # has ended.
        self._pipes.end(None, reason)
        for one in sorted(self._peers.values(), key=lambda peer: isinstance(peer, Publisher)):
            self._end(one, reason)

    async def _close(self, peer: Peer, reason: CloseReason) -> None:
        try:
            await peer.close()
        finally:
            del self._peers[peer.id]
            self._emit(PeerClosed(peer_id=peer.id, reason=reason))

    # -- time

    def _tick(self) -> None:
        now = self._clock()
        for stream in list(self._streams.values()):
            stream.tick(now)
        self._ticks += 1
        if self._ticks % LIVENESS_TICKS == 0:
            for peer in list(self._peers.values()):
                self._check(peer, now)

    def _check(self, peer: Peer, now: float) -> None:
        peer.liveness.heard_at = peer.heard_at()
        verdict = None if peer.ending is not None else peer.liveness.check(now)
        if verdict is Verdict.STALLED:
            self._emit(PeerStalled(peer_id=peer.id))
        elif verdict is Verdict.RESUMED:
            self._emit(PeerResumed(peer_id=peer.id))
        elif verdict is not None:
            self._end(peer, _FATAL[verdict])

    # -- tasks

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_ended)
        return task

    def _spawned_ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fault(task.get_name(), error)

    def _fault(self, where: str, error: BaseException) -> None:
        self._faults += 1
        if self._faults_told.take(self._clock()):
            self._emit(MediaFault(where=where, error=type(error).__name__))


def _fanout_factory(batched: bool | None) -> FanoutFactory:
    if batched is None:
        batched = batching_is_possible()
    return partial(BatchedFanout, Slots()) if batched else PortableFanout


def _liveness(config: RouterConfig, opened_at: float) -> Liveness:
    return Liveness(
        connect_seconds=config.connect_seconds,
        stalled_seconds=config.stalled_seconds,
        lost_seconds=config.lost_seconds,
        opened_at=opened_at,
    )


def _same_answer(known: Peer, offer: str, *, same: bool) -> Answered:
    if not same:
        raise PeerExistsError("the peer id is taken")
    if known.offer != offer:
        # Neither renegotiation nor an ICE restart: whoever wants something else is another peer.
        raise PeerExistsError("the peer has made another offer; it must be closed before it makes a new one")
    return known.answered
