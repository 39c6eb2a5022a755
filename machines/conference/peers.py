"""Peers of conferences: each is owned by one performer, and what becomes of it arrives as a command."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import structlog
import trio

from engine.app.api import Backstage
from engine.app.desk import Desk, Negotiation
from engine.errors import CallCrashedError, MediaError
from engine.machine.step import Outcome
from engine.media.protocol import (
    AddCandidates,
    Answered,
    Candidate,
    ClosePeer,
    CloseReason,
    EventsLost,
    GetStatistics,
    LimitBitrate,
    MediaEvent,
    PeerClosed,
    PeerConnected,
    PeerEvent,
    PeerResumed,
    PeerStalled,
    Publish,
    UnknownPeerError,
    View,
)
from engine.runtime.performers import Asked, Performer
from engine.vocabulary import Command
from machines.conference import vocabulary as v
from machines.conference.rules.addresses import stream_of

CLOSE_SECONDS = 1.0
"""How long a performer that is cancelled waits for its peer's end."""

_ENDS = {
    CloseReason.REQUESTED: v.PeerEnd.REMOTE,
    CloseReason.REMOTE: v.PeerEnd.REMOTE,
    CloseReason.FAILED: v.PeerEnd.FAILED,
    CloseReason.FAULT: v.PeerEnd.FAILED,
    CloseReason.LOST: v.PeerEnd.LOST,
    CloseReason.SOURCE_ENDED: v.PeerEnd.SOURCE_ENDED,
    CloseReason.DRAINED: v.PeerEnd.WORKER_GONE,
    CloseReason.WORKER_GONE: v.PeerEnd.WORKER_GONE,
}

log = structlog.get_logger("switchhook.conference")


class ClosedMeanwhileError(MediaError):
    """The stream or the view was ended before its offer was answered."""


@attrs.define(eq=False)
class _Owned:
    """A peer, and whom it is reported to."""

    asked: Asked
    over: trio.Event = attrs.field(factory=trio.Event)
    """Nobody wants it any more, or it is gone."""
    opened: bool = False
    """The media host has answered its offer."""
    gone: bool = False
    """The media host has said so, or never had it."""

    def tell(self, command: Command) -> None:
        self.asked.tell(command)


class Peers:
    """The crew of the conference API: performs what streams and views ask of `conference.media`."""

    def __init__(self, backstage: Backstage) -> None:
        self.desk = Desk()
        self._backstage = backstage
        self._media = backstage.media
        self._owned: dict[str, _Owned] = {}
        self._missed = trio.Event()
        """Set when events were lost and nobody has looked since."""

    @property
    def performers(self) -> Mapping[str, Performer]:
        """By port."""
        return {v.MEDIA: self.perform}

    def __len__(self) -> int:
        return len(self._owned)

    async def perform(self, asked: Asked) -> None:
        """Do what a stream or a view asks; an opened peer is owned until it is over."""
        match asked.request:
            case v.OpenPublisher(peer_id=peer_id):
                await self._own(asked, peer_id)
            case v.OpenViewer(peer_id=peer_id):
                await self._own(asked, peer_id)
            case v.ClosePeer(peer_id=peer_id):
                self._let_go(peer_id)
            case v.LimitPeer(peer_id=peer_id, bitrate_bps=bitrate_bps):
                await self._limit(peer_id, bitrate_bps)

    async def add_candidates(self, peer_id: str, candidates: tuple[Candidate, ...]) -> None:
        """Candidates of the client; those that come before the answer wait for it.

        Raises:
            MediaError: one of them is no candidate, or the peer is gone.
        """
        negotiation = self.desk.get(peer_id)
        if negotiation is not None:
            negotiation.keep(candidates)
        else:
            await self._media.request(AddCandidates(peer_id=peer_id, candidates=candidates))

    # -- owning a peer

    async def _own(self, asked: Asked, peer_id: str) -> None:
        negotiation = self.desk.get(peer_id)
        if negotiation is None:
            # Asked before a crash: the client heard no answer, or the peer went with the old engine.
            asked.tell(v.NotePeerGone(peer_id=peer_id, end=v.PeerEnd.RESTARTED))
            return
        owned = self._owned[peer_id] = _Owned(asked)
        try:
            if await self._open(owned, peer_id, negotiation):
                await owned.over.wait()
        except Exception:
            # The supervisor ends the stream or the view for it; whoever waits is told that it is our fault.
            negotiation.fail(CallCrashedError("a performer failed; what it had opened has ended"))
            raise
        finally:
            del self._owned[peer_id]
            negotiation.fail(ClosedMeanwhileError("it was ended before its offer was answered"))
            await self._close(owned, peer_id)

    async def _open(self, owned: _Owned, peer_id: str, negotiation: Negotiation) -> bool:
        """Whether the peer is there and its machine knows it."""
        try:
            answered = await self._media.request(_request(owned.asked, peer_id, negotiation.sdp_offer))
        except MediaError as error:
            owned.gone = True
            owned.tell(v.NotePeerGone(peer_id=peer_id, end=v.PeerEnd.REFUSED))
            negotiation.fail(error)
            return False
        assert isinstance(answered, Answered)
        owned.opened = True
        noted = await self._backstage.runtime.ask(owned.asked.member, v.NoteAnswered(peer_id=peer_id))
        if noted.error is not None:
            # Not his offer: the journal cannot take the answer now, or a rule has failed.
            negotiation.fail(noted.error)
            return False
        if noted.outcome is not Outcome.MOVED:
            # What ended it meanwhile has the last word, and `_own` closes the peer.
            return False
        # From here on candidates go straight to the peer.
        self.desk.clear(peer_id)
        negotiation.answer(answered.with_candidates())
        if negotiation.candidates:
            await self._add_kept(peer_id, tuple(negotiation.candidates))
        return True

    async def _add_kept(self, peer_id: str, candidates: tuple[Candidate, ...]) -> None:
        try:
            await self._media.request(AddCandidates(peer_id=peer_id, candidates=candidates))
        except MediaError as error:
            # They were promised to be kept, not to be good; a peer without them may connect all the same.
            log.info("candidates_refused", peer=peer_id, raised=type(error).__name__)

    async def _close(self, owned: _Owned, peer_id: str) -> None:
        if owned.gone:
            return
        # Shielded, because most often it is a cancelled call whose peer must not outlive it.
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            try:
                await self._media.request(ClosePeer(peer_id=peer_id), seconds=CLOSE_SECONDS)
            except MediaError as error:
                log.warning("peer_not_closed", peer=peer_id, raised=type(error).__name__)

    def _let_go(self, peer_id: str) -> None:
        owned = self._owned.get(peer_id)
        if owned is not None:
            owned.over.set()

    async def _limit(self, peer_id: str, bitrate_bps: int) -> None:
        try:
            await self._media.request(LimitBitrate(peer_id=peer_id, bitrate_max_bps=bitrate_bps))
        except MediaError as error:
            # The cap is journaled; a peer that is gone needs none, and the next one gets it.
            log.info("bitrate_not_limited", peer=peer_id, raised=type(error).__name__)

    # -- what the media host reports

    async def hear(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Turn what the media host reports into commands, for ever."""
        async with self._media.events() as batches, trio.open_nursery() as nursery:
            nursery.start_soon(self._ask_when_missed)
            task_status.started()
            async for _, events in batches:
                for event in events:
                    self._take(event)
            nursery.cancel_scope.cancel()

    def _take(self, event: MediaEvent) -> None:
        if isinstance(event, EventsLost):
            self._missed.set()
        elif isinstance(event, PeerEvent):
            owned = self._owned.get(event.peer_id)
            if owned is not None:
                self._report(owned, event)

    def _report(self, owned: _Owned, event: PeerEvent) -> None:
        match event:
            case PeerConnected():
                owned.tell(v.NoteConnected(peer_id=event.peer_id))
            case PeerStalled():
                owned.tell(v.NoteStalled(peer_id=event.peer_id))
            case PeerResumed():
                owned.tell(v.NoteResumed(peer_id=event.peer_id))
            case PeerClosed():
                self._lose(owned, event.peer_id, _ENDS[event.reason])

    def _lose(self, owned: _Owned, peer_id: str, end: v.PeerEnd) -> None:
        owned.gone = True
        owned.tell(v.NotePeerGone(peer_id=peer_id, end=end))
        owned.over.set()

    async def _ask_when_missed(self) -> None:
        """Beside the hearing: whoever waits for answers must not miss more."""
        while True:
            await self._missed.wait()
            self._missed = trio.Event()
            await self._ask_after_all()

    async def _ask_after_all(self) -> None:
        """Events were lost, and with them perhaps the end of a peer."""
        for peer_id, owned in [*self._owned.items()]:
            # One that is being opened has had no end that could be lost.
            if owned.opened and not owned.over.is_set():
                await self._ask_after(peer_id, owned)

    async def _ask_after(self, peer_id: str, owned: _Owned) -> None:
        try:
            await self._media.request(GetStatistics(peer_id=peer_id))
        except UnknownPeerError:
            self._lose(owned, peer_id, v.PeerEnd.LOST)
        except MediaError as error:
            log.warning("peer_unknown", peer=peer_id, raised=type(error).__name__)


def _request(asked: Asked, peer_id: str, sdp_offer: str) -> Publish | View:
    """A stream goes by the id of its publisher's peer, so that one that is published again is another."""
    request = asked.request
    if isinstance(request, v.OpenViewer):
        return View(stream_id=request.source_id, peer_id=peer_id, sdp_offer=sdp_offer)
    assert isinstance(request, v.OpenPublisher)
    room = stream_of(asked.member.key)
    published = Publish(stream_id=peer_id, peer_id=peer_id, sdp_offer=sdp_offer, room=room)
    if request.bitrate_bps is None:
        return published
    return attrs.evolve(published, bitrate_max_bps=request.bitrate_bps)


@asynccontextmanager
async def open_peers(backstage: Backstage) -> AsyncIterator[Peers]:
    """The crew, hearing the media host."""
    peers = Peers(backstage)
    await backstage.nursery.start(peers.hear)
    yield peers
