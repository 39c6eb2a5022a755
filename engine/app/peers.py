"""Peers of an API's machines: each is owned by one performer, and what becomes of it arrives as a command."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Protocol, TypeAlias

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
    AnswerFramePeer,
    Candidate,
    ClosePeer,
    CloseReason,
    EventsLost,
    GetStatistics,
    MediaEvent,
    MediaRequest,
    PeerClosed,
    PeerEvent,
    Publish,
    UnknownPeerError,
    View,
)
from engine.runtime.performers import Asked, Performer
from engine.vocabulary import Command

CLOSE_SECONDS = 1.0
"""How long a performer that is cancelled waits for its peer's end."""

ON_DESK = ""
"""Stands for the offer in what `Terms.request` says: the offer is on the desk, under the peer's id."""

log = structlog.get_logger("switchhook.media")


class Unopened(StrEnum):
    """Why a peer that a machine has asked for is not there."""

    REFUSED = "refused"
    """The media host did not answer the offer."""
    RESTARTED = "restarted"
    """Asked before a crash: the client heard no answer, or the peer went with the old engine."""


Ending: TypeAlias = CloseReason | Unopened

Opening: TypeAlias = Publish | View | AnswerFramePeer


class Terms(Protocol):
    """What the machines of an API ask of peers, and how they are told of them."""

    def request(self, asked: Asked) -> MediaRequest:
        """What is asked of the media host: to open a peer by its offer (ON_DESK), to close or change one."""

    def answered(self, peer_id: str) -> Command:
        """The offer has its answer. When this does not move the machine, nobody wants the peer any more."""

    def heard(self, event: PeerEvent) -> Command | None:
        """What the media host reports of a peer that is there; None for what the machine is not told."""

    def gone(self, peer_id: str, ending: Ending) -> Command:
        """The peer is no more; by what has come before, the machine may have another one by now."""


class ClosedMeanwhileError(MediaError):
    """What asked for the peer was ended before the offer was answered."""


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
    """Performs what the machines of an API ask of one port about their peers. Made by `open_peers`."""

    def __init__(self, backstage: Backstage, port: str, terms: Terms) -> None:
        self.desk = Desk()
        self._port = port
        self._terms = terms
        self._backstage = backstage
        self._media = backstage.media
        self._owned: dict[str, _Owned] = {}
        self._missed = trio.Event()
        """Set when events were lost and nobody has looked since."""

    @property
    def performers(self) -> Mapping[str, Performer]:
        """By port."""
        return {self._port: self.perform}

    def __len__(self) -> int:
        return len(self._owned)

    async def perform(self, asked: Asked) -> None:
        """Do what a machine asks; an opened peer is owned until it is over."""
        match self._terms.request(asked):
            case Publish() | View() | AnswerFramePeer() as opening:
                await self._own(asked, opening)
            case ClosePeer(peer_id=peer_id):
                self._let_go(peer_id)
            case change:
                await self._change(change)

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

    async def _own(self, asked: Asked, opening: Opening) -> None:
        peer_id = opening.peer_id
        negotiation = self.desk.get(peer_id)
        if negotiation is None:
            asked.tell(self._terms.gone(peer_id, Unopened.RESTARTED))
            return
        owned = self._owned[peer_id] = _Owned(asked)
        try:
            if await self._open(owned, opening, negotiation):
                await owned.over.wait()
        except Exception:
            # The supervisor ends what asked for it; whoever waits is told that it is our fault.
            negotiation.fail(CallCrashedError("a performer failed; what it had opened has ended"))
            raise
        finally:
            del self._owned[peer_id]
            negotiation.fail(ClosedMeanwhileError("it was ended before its offer was answered"))
            await self._close(owned, peer_id)

    async def _open(self, owned: _Owned, opening: Opening, negotiation: Negotiation) -> bool:
        """Whether the peer is there and its machine knows it."""
        peer_id = opening.peer_id
        try:
            answered = await self._media.request(attrs.evolve(opening, sdp_offer=negotiation.sdp_offer))
        except MediaError as error:
            owned.gone = True
            owned.tell(self._terms.gone(peer_id, Unopened.REFUSED))
            negotiation.fail(error)
            return False
        assert isinstance(answered, Answered)
        owned.opened = True
        noted = await self._backstage.runtime.ask(owned.asked.member, self._terms.answered(peer_id))
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
            await self._change(AddCandidates(peer_id=peer_id, candidates=tuple(negotiation.candidates)))
        return True

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

    async def _change(self, request: MediaRequest) -> None:
        """What a peer is asked beside its life: what cannot be done for this one is no reason to end it.

        Kept candidates were promised to be kept, not to be good. A cap is journaled: the next peer gets it.
        """
        try:
            await self._media.request(request)
        except MediaError as error:
            peer_id = getattr(request, "peer_id", "")
            asked, raised = type(request).__name__, type(error).__name__
            log.info("peer_not_changed", peer=peer_id, request=asked, raised=raised)

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
        if isinstance(event, PeerClosed):
            self._lose(owned, event.peer_id, event.reason)
            return
        command = self._terms.heard(event)
        if command is not None:
            owned.tell(command)

    def _lose(self, owned: _Owned, peer_id: str, reason: CloseReason) -> None:
        owned.gone = True
        owned.tell(self._terms.gone(peer_id, reason))
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
            self._lose(owned, peer_id, CloseReason.LOST)
        except MediaError as error:
            log.warning("peer_unknown", peer=peer_id, raised=type(error).__name__)


@asynccontextmanager
async def open_peers(backstage: Backstage, port: str, terms: Terms) -> AsyncIterator[Peers]:
    """A crew that performs `port`, hearing the media host."""
    peers = Peers(backstage, port, terms)
    await backstage.nursery.start(peers.hear)
    yield peers
