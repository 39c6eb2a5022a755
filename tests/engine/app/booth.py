"""An API of tests: booths, each with one peer at a time."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import StrEnum

import attrs
import trio

from engine.app.api import Api, Backstage
from engine.app.configuration import Configuration
from engine.app.desk import Negotiation
from engine.app.engine import Engine, open_engine
from engine.app.peers import ON_DESK, Ending, Opening, Peers, open_peers
from engine.effects import Ask, Request
from engine.journal.port import Journal
from engine.machine.family import Kind
from engine.machine.table import EndOnCrash, Ignore, Row, Said, Table
from engine.media import protocol as p
from engine.media.fake import FakeHost, open_fake_host
from engine.runtime.performers import Asked
from engine.vocabulary import Address, Command, Event
from tests.engine.media.rigs import OFFER

BOOTH, PORT = "booth.booth", "booth.media"
PEER = "p1"


class S(StrEnum):
    """A booth."""

    EMPTY = "empty"
    OPENING = "opening"
    CONNECTING = "connecting"
    LIVE = "live"
    LOST = "lost"
    CLOSED = "closed"


@attrs.frozen
class Enter(Command):
    """Somebody comes with an offer."""

    peer_id: str = PEER


@attrs.frozen
class Leave(Command):
    """He goes, and another may come."""


@attrs.frozen
class Limit(Command):
    """A cap."""


@attrs.frozen
class Close(Command):
    """For good."""


@attrs.frozen
class NoteAnswered(Command):
    """The offer has its answer."""

    peer_id: str


@attrs.frozen
class NoteConnected(Command):
    """Media may flow."""

    peer_id: str


@attrs.frozen
class NoteGone(Command):
    """The peer is no more."""

    peer_id: str
    ending: str


@attrs.frozen
class Noted(Event):
    """Something has changed."""

    peer_id: str
    ending: str = ""


@attrs.frozen
class Open(Request):
    """Open a peer."""

    peer_id: str


@attrs.frozen
class Change(Request):
    """Cap or close a peer."""

    request: p.MediaRequest


@attrs.frozen
class Booth:
    """Data of a booth."""

    name: str
    peer_id: str = ""
    ending: str = ""


def enter(booth: Booth, command: Enter) -> Said:
    return (Noted(command.peer_id), Ask(PORT, Open(command.peer_id)))


def note(booth: Booth, command: Command) -> Said:
    return (Noted(booth.peer_id, getattr(command, "ending", "")),)


def leave(booth: Booth, command: Command) -> Said:
    return (Noted(""), Ask(PORT, Change(p.ClosePeer(peer_id=booth.peer_id))))


def limit(booth: Booth, command: Limit) -> Said:
    changed = p.LimitBitrate(peer_id=booth.peer_id, bitrate_max_bps=100_000)
    return (Noted(booth.peer_id), Ask(PORT, Change(changed)))


def evolve(booth: Booth, event: Event) -> Booth:
    assert isinstance(event, Noted)
    return attrs.evolve(booth, peer_id=event.peer_id, ending=event.ending)


THERE = (S.OPENING, S.CONNECTING, S.LIVE)
OPEN = (S.EMPTY, *THERE, S.LOST)
NOTES = (NoteAnswered, NoteConnected, NoteGone)

TABLE: Table[S, Booth] = Table(
    name="booth",
    initial=S.EMPTY,
    final=frozenset({S.CLOSED}),
    start=Booth,
    evolve=evolve,
    crash=EndOnCrash(S.CLOSED, note),
    waits=dict.fromkeys(OPEN, "it is a booth"),
    rows=(
        Row((S.EMPTY, S.LOST), Enter, S.OPENING, enter),
        Row(S.OPENING, NoteAnswered, S.CONNECTING, note),
        Row(S.CONNECTING, NoteConnected, S.LIVE, note),
        Row(THERE, NoteGone, S.LOST, note),
        Row(THERE, Leave, S.EMPTY, leave),
        Row(THERE, Limit, None, limit),
        Row(OPEN, Close, S.CLOSED, note),
    ),
    asides=(
        Ignore((S.EMPTY, S.LOST, S.CLOSED), (*NOTES, Leave, Limit), "nobody is in"),
        Ignore(S.OPENING, NoteConnected, "not answered"),
        Ignore(S.CONNECTING, NoteAnswered, "answered"),
        Ignore(S.LIVE, (NoteAnswered, NoteConnected), "connected"),
        Ignore((*THERE, S.CLOSED), Enter, "taken"),
        Ignore(S.CLOSED, Close, "closed"),
    ),
)


def published(peer_id: str) -> Opening:
    return p.Publish(stream_id=peer_id, peer_id=peer_id, sdp_offer=ON_DESK)


def with_frames(peer_id: str) -> Opening:
    sink = p.CallableSink("tests.engine.media.frame_peer.callables:ignore")
    return p.AnswerFramePeer(peer_id=peer_id, sdp_offer=ON_DESK, receive=sink)


@attrs.frozen
class BoothTerms:
    """Of booths with their peers."""

    opening: Callable[[str], Opening]

    def request(self, asked: Asked) -> p.MediaRequest:
        if isinstance(asked.request, Open):
            return self.opening(asked.request.peer_id)
        assert isinstance(asked.request, Change)
        return asked.request.request

    def answered(self, peer_id: str) -> Command:
        return NoteAnswered(peer_id)

    def heard(self, event: p.PeerEvent) -> Command | None:
        return NoteConnected(event.peer_id) if isinstance(event, p.PeerConnected) else None

    def gone(self, peer_id: str, ending: Ending) -> Command:
        return NoteGone(peer_id, ending.value)


def booths(opening: Callable[[str], Opening] = published) -> Api:
    """The API, with booths whose peers are opened so."""

    def crew(backstage: Backstage) -> AbstractAsyncContextManager[Peers]:
        return open_peers(backstage, PORT, BoothTerms(opening))

    return Api(
        name="booth",
        kinds=(Kind(name=BOOTH, table=TABLE),),
        words=(Enter, Leave, Limit, Close, *NOTES, Noted, Booth),
        crew=crew,
    )


@attrs.define(eq=False)
class Arcade:
    """An engine with booths, its media host, and the crew between them."""

    engine: Engine
    media: FakeHost
    peers: Peers

    def lay(self, peer_id: str = PEER) -> Negotiation:
        """An offer for whoever enters."""
        return self.peers.desk.lay(peer_id, OFFER)

    def tell(self, command: Command) -> None:
        self.engine.runtime.tell(Address(BOOTH, "b"), command)

    async def booth(self) -> tuple[S, str]:
        """Its state, and how its last peer ended."""
        snapshot = await self.engine.runtime.snapshot(Address(BOOTH, "b"))
        return S(snapshot.state), snapshot.data.ending

    async def go_live(self) -> Negotiation:
        """Enter, and wait until media may flow."""
        negotiation = self.lay()
        self.tell(Enter())
        await negotiation.wait_answer()
        await self.engine.call(BOOTH, "b").wait_for(S.LIVE)
        return negotiation

    def nothing_is_open(self) -> bool:
        return not (self.media.peer_ids or len(self.peers))


@asynccontextmanager
async def arcade(
    journal: str | Journal = "memory:", opening: Callable[[str], Opening] = published
) -> AsyncIterator[Arcade]:
    """Booths with a virtual clock; who waits for what never comes fails."""
    with trio.fail_after(60):
        async with open_arcade(journal, opening) as stage:
            yield stage


@asynccontextmanager
async def open_arcade(journal: str | Journal, opening: Callable[[str], Opening]) -> AsyncIterator[Arcade]:
    async with (
        open_fake_host() as media,
        open_engine(journal, apis=[booths(opening)], configuration=Configuration(), media=media) as engine,
    ):
        yield Arcade(engine, media, engine._crews.by_api["booth"])
