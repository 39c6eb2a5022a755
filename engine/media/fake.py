"""A media host without media, for tests and simulations: pure trio, so its clock may be a virtual one."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import attrs
import trio

from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.fake_answers import answer_to, offer_of, sources_of
from engine.media.frame_parts import check
from engine.media.frames import seal
from engine.media.readers import BATCHES_MAX, Readers, open_readers
from engine.nurseries import open_block_nursery

WORKER = 0
CONNECT_SECONDS = 0.05


@attrs.frozen
class Refuse:
    """Raise this error."""

    error: MediaError


@attrs.frozen
class Delay:
    """Do it, but later."""

    seconds: float


@attrs.frozen
class Lose:
    """Never answer; the deadline of the request ends it."""


@attrs.frozen
class Break:
    """Fail as a bug would: a MediaFault and a MediaError."""

    error: str = "ValueError"


Fault: TypeAlias = Refuse | Delay | Lose | Break


@attrs.define
class _Scripted:
    """What happens to the next requests that fit."""

    fault: Fault
    request: type[p.MediaRequest]
    peer_id: str | None
    times: int | None

    def fits(self, request: p.MediaRequest) -> bool:
        """Whether it is about this request."""
        return isinstance(request, self.request) and self.peer_id in (None, getattr(request, "peer_id", None))


@attrs.define(eq=False)
class _Peer:
    request: p.Publish | p.View | p.FramePeerRequest
    answer: p.Answered | p.Offered
    connected: bool = False
    sdp_answer: str | None = None
    """The other side's, to our offer."""


class FakeHost:
    """Obeys the media port: same errors, same events, same undoing; faults come when a test scripts them.

    `connect_seconds` after its answer a peer connects; with None it never does, until `connect`. Peers with
    frames touch no file and call nothing; a pattern is over after its seconds, a file or a callable never is,
    until `finish`.
    """

    def __init__(self, nursery: trio.Nursery, readers: Readers, connect_seconds: float | None) -> None:
        self._nursery = nursery
        self._readers = readers
        self._connect_seconds = connect_seconds
        self._peers: dict[str, _Peer] = {}
        self._scripted: list[_Scripted] = []
        self._running: dict[trio.CancelScope, None] = {}
        self._up_at = -float("inf")
        self._draining = False
        self._overloaded = False
        self._closed = False
        self.asked: deque[p.MediaRequest] = deque(maxlen=10_000)
        """The last requests, in order."""

    async def request(self, request: p.MediaRequest, *, seconds: float = 5.0) -> p.MediaAnswer:
        """See MediaHost."""
        self.asked.append(request)
        with trio.move_on_after(seconds):
            # The second scope ends with the worker and the first with the deadline.
            with trio.CancelScope() as life:
                self._running[life] = None
                if self._closed:
                    life.cancel()
                try:
                    return await self._perform(request)
                finally:
                    del self._running[life]
            raise p.WorkerGoneError("the host is closed" if self._closed else "the worker has ended")
        raise p.MediaTimeoutError(f"{type(request).__name__} was not answered within {seconds:g} s")

    @property
    def figures(self) -> p.Figures:
        """See MediaHost."""
        return p.Figures(by_worker={0: {"peers_count": float(len(self._peers))}}, workers=1)

    def events(self) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[p.Batch]]:
        """See MediaHost."""
        return self._readers.open()

    # -- what a test scripts

    def script(
        self,
        fault: Fault,
        *,
        request: type[p.MediaRequest] = p.MediaRequest,
        peer_id: str | None = None,
        times: int | None = 1,
    ) -> None:
        """Let the next `times` requests of this class and peer meet `fault`; all of them when None."""
        self._scripted.append(_Scripted(fault, request, peer_id, times))

    def emit(self, *events: p.MediaEvent) -> None:
        """Report events, in one batch."""
        self._readers.publish(events)

    def connect(self, peer_id: str) -> None:
        """The peer's ICE and DTLS are done, and a publisher's first packets come."""
        peer = self._peers.get(peer_id)
        if peer is None or peer.connected:
            return
        peer.connected = True
        events: list[p.MediaEvent] = [
            p.PeerConnected(peer_id=peer_id, milliseconds=1000 * (self._connect_seconds or 0.0))
        ]
        if isinstance(peer.request, p.Publish):
            events += sources_of(peer.request)
        self.emit(*events)
        seconds = _pattern_seconds(peer.request)
        if seconds is not None:
            self._nursery.start_soon(self._finish_after, seconds, peer_id, peer)

    def finish(self, peer_id: str) -> None:
        """The peer with frames has played all it had."""
        self.emit(p.SourceFinished(peer_id=peer_id))

    def stall(self, peer_id: str) -> None:
        """The publisher sends nothing any more."""
        self.emit(p.PeerStalled(peer_id=peer_id))

    def resume(self, peer_id: str) -> None:
        """It sends again."""
        self.emit(p.PeerResumed(peer_id=peer_id))

    def close_peer(self, peer_id: str, reason: p.CloseReason) -> None:
        """The peer ends by itself, and with a publisher all who view it."""
        peer = self._peers.pop(peer_id, None)
        if peer is None:
            return
        self.emit(p.PeerClosed(peer_id=peer_id, reason=reason))
        if isinstance(peer.request, p.Publish):
            for viewer in self._viewers_of(peer.request.stream_id):
                self.close_peer(viewer, p.CloseReason.SOURCE_ENDED)

    def kill_worker(self, *, down_seconds: float = 0.0) -> None:
        """The worker dies with all peers; a fresh one takes peers after `down_seconds`."""
        self._up_at = trio.current_time() + down_seconds
        self._draining = self._overloaded = False
        self._end_requests()
        lost = tuple(self._peers)
        self._peers.clear()
        gone = p.CloseReason.WORKER_GONE
        self.emit(
            p.WorkerGone(worker=WORKER, peer_ids=lost),
            *(p.PeerClosed(peer_id=each, reason=gone) for each in lost),
        )

    def overload(self, *, lag_milliseconds: float = 50.0, cpu_fraction: float = 0.9) -> None:
        """Take no new peer until `relieve`."""
        self._overloaded = True
        self.emit(
            p.WorkerOverloaded(worker=WORKER, lag_milliseconds=lag_milliseconds, cpu_fraction=cpu_fraction)
        )

    def relieve(self) -> None:
        """Take peers again."""
        self._overloaded = False

    @property
    def peer_ids(self) -> tuple[str, ...]:
        """Peers that live, oldest first."""
        return tuple(self._peers)

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closed = True
        self._end_requests()

    # -- requests

    def _end_requests(self) -> None:
        for life in tuple(self._running):
            life.cancel()

    async def _perform(self, request: p.MediaRequest) -> p.MediaAnswer:
        await trio.lowlevel.checkpoint()
        fault = self._next_fault(request)
        if fault is not None:
            await self._meet(fault, request)
        match request:
            case p.Publish() | p.View() | p.FramePeerRequest():
                await trio.sleep_until(self._up_at)
                return self._take_in(request)
            case p.TakeAnswer():
                return self._take_answer(request)
            case p.ClosePeer(peer_id=peer_id, reason=reason):
                self.close_peer(peer_id, reason)
                return p.Done()
            case p.GetStatistics(peer_id=None):
                return self._statistics()
            case p.Drain(seconds=seconds):
                self._draining = True
                self._nursery.start_soon(self._close_all_after, seconds)
                return p.Done()
        return self._of_peer(request)

    def _next_fault(self, request: p.MediaRequest) -> Fault | None:
        for scripted in self._scripted:
            if scripted.fits(request):
                if scripted.times is not None:
                    scripted.times -= 1
                    if not scripted.times:
                        self._scripted.remove(scripted)
                return scripted.fault
        return None

    async def _meet(self, fault: Fault, request: p.MediaRequest) -> None:
        match fault:
            case Refuse(error):
                raise error
            case Delay(seconds):
                await trio.sleep(seconds)
            case Lose():
                await trio.sleep_forever()
            case Break(error):
                self.emit(p.MediaFault(where=type(request).__name__, error=error))
                raise MediaError(f"the media side failed: {error}")

    def _take_in(self, request: p.Publish | p.View | p.FramePeerRequest) -> p.MediaAnswer:
        known = self._peers.get(request.peer_id)
        if known is not None:
            if _likeness(known.request) != _likeness(request):
                raise p.PeerExistsError("the id is taken")
            return known.answer
        if self._draining or self._overloaded:
            raise p.HostBusyError("draining" if self._draining else "overloaded")
        if isinstance(request, p.FramePeerRequest):
            check(request)
            # What could not travel to a worker is refused here as well.
            seal(request)
        else:
            self._check_stream(request)
        peer = _Peer(request, _answer(request))
        self._peers[request.peer_id] = peer
        if not isinstance(request, p.OpenFramePeer):
            self._connect_soon(request.peer_id, peer)
        return peer.answer

    def _check_stream(self, request: p.Publish | p.View) -> None:
        published = self._is_published(request.stream_id)
        if isinstance(request, p.View) and not published:
            raise p.UnknownStreamError("nobody publishes this stream")
        if isinstance(request, p.Publish) and published:
            raise p.PeerExistsError("the stream has a publisher")

    def _take_answer(self, request: p.TakeAnswer) -> p.MediaAnswer:
        peer = self._peers.get(request.peer_id)
        if peer is None or not isinstance(peer.request, p.FramePeerRequest):
            raise p.UnknownPeerError("there is no such peer")
        if not isinstance(peer.request, p.OpenFramePeer):
            raise p.BadAnswerError("the peer has made no offer")
        if peer.sdp_answer not in (None, request.sdp_answer):
            raise p.BadAnswerError("the peer has another answer")
        if not request.sdp_answer.startswith("v=0"):
            raise p.BadAnswerError("it does not begin with v=0")
        if peer.sdp_answer is None:
            peer.sdp_answer = request.sdp_answer
            self._connect_soon(request.peer_id, peer)
        return p.Done()

    def _connect_soon(self, peer_id: str, peer: _Peer) -> None:
        if self._connect_seconds is not None:
            self._nursery.start_soon(self._connect_after, self._connect_seconds, peer_id, peer)

    def _of_peer(self, request: p.MediaRequest) -> p.MediaAnswer:
        peer = self._peers.get(getattr(request, "peer_id", ""))
        if peer is None:
            raise p.UnknownPeerError("there is no such peer")
        if isinstance(request, p.GetStatistics):
            homes = float(not isinstance(peer.request, p.FramePeerRequest))
            return p.Statistics(values={"connected": float(peer.connected), "homes_count": homes})
        return p.Done()

    def _statistics(self) -> p.Statistics:
        # Without the one that asks.
        return p.Statistics(
            values={
                "peers_count": len(self._peers),
                "requests_count": len(self._running) - 1,
                "workers_count": 1,
                "cascades_count": 0,
            }
        )

    def _is_published(self, stream_id: str) -> bool:
        return any(
            isinstance(each.request, p.Publish) and each.request.stream_id == stream_id
            for each in self._peers.values()
        )

    def _viewers_of(self, stream_id: str) -> list[str]:
        return [
            peer_id
            for peer_id, each in self._peers.items()
            if isinstance(each.request, p.View) and each.request.stream_id == stream_id
        ]

    async def _connect_after(self, seconds: float, peer_id: str, peer: _Peer) -> None:
        await trio.sleep(seconds)
        # The id may belong to another peer by now.
        if self._peers.get(peer_id) is peer:
            self.connect(peer_id)

    async def _finish_after(self, seconds: float, peer_id: str, peer: _Peer) -> None:
        await trio.sleep(seconds)
        if self._peers.get(peer_id) is peer:
            self.finish(peer_id)

    async def _close_all_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        for peer_id in self.peer_ids:
            self.close_peer(peer_id, p.CloseReason.DRAINED)


def _likeness(request: p.Publish | p.View | p.FramePeerRequest) -> object:
    if isinstance(request, p.FramePeerRequest):
        return request
    return type(request), request.stream_id, request.sdp_offer


def _pattern_seconds(request: p.MediaRequest) -> float | None:
    if isinstance(request, p.FramePeerRequest) and isinstance(request.send, p.PatternSource):
        return request.send.seconds
    return None


def _answer(request: p.Publish | p.View | p.FramePeerRequest) -> p.Answered | p.Offered:
    if isinstance(request, p.OpenFramePeer):
        return offer_of(request)
    assert not isinstance(request, p.FramePeerRequest) or isinstance(request, p.AnswerFramePeer)
    return answer_to(request)


@asynccontextmanager
async def open_fake_host(
    *,
    connect_seconds: float | None = CONNECT_SECONDS,
    batches_max: int = BATCHES_MAX,
    readers: Readers | None = None,
) -> AsyncIterator[FakeHost]:
    """A fake whose delays pass by trio's clock. Given `readers` outlive it."""
    with open_readers(readers, batches_max) as readers:
        async with open_block_nursery() as nursery:
            host = FakeHost(nursery, readers, connect_seconds)
            try:
                yield host
            finally:
                host.close()
                nursery.cancel_scope.cancel()
