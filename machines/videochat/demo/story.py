"""Calls of a journal as sequence diagrams: who sent what, and what each user's devices were told.

Told in the words of the API, without their prefix `videochat:`. Answers to requests are not journaled, and
refused requests leave no trace.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import attrs

from engine.app.discovery import installed_apis
from engine.app.engine import codec_of, family_of
from engine.effects import Send
from engine.journal.fold import Episode, episodes
from engine.journal.port import Journal
from engine.machine.sequence import Arrow, sequence_diagram
from engine.vocabulary import Address, Command, Event, Message
from machines.videochat import vocabulary as v
from machines.videochat.line import announce

SERVER = "server"

ASKED: dict[type[Command], str] = {
    v.RequestCall: "requestDirectVideochat",
    v.InviteUser: "invite",
    v.AcceptCall: "acceptVideochatRequest",
    v.DeclineCall: "declineVideochatRequest",
    v.MergeCall: "mergeToVideochat",
}
TOLD: dict[type[Message], str] = {
    v.VideochatRequested: "videochatRequested",
    v.SeatGranted: "directVideochatRequestAccepted",
    v.VideochatAccepted: "videochatAccepted",
    v.VideochatDeclined: "videochatDeclined",
}


@attrs.frozen(kw_only=True)
class Story:
    """One call."""

    title: str
    diagram: str
    """Mermaid."""


@attrs.frozen(kw_only=True)
class Told:
    """What a line announced."""

    version: int
    send: Send
    event: Event


async def episodes_of(journal: Journal, kind: str) -> dict[str, list[Episode]]:
    """Everything that happened to each machine of this kind, by key."""
    apis = installed_apis()
    codec = codec_of(apis, family_of(apis))
    found: dict[str, list[Episode]] = {}
    after = f"{kind}:"
    while page := [name for name, _ in await journal.streams(after) if name.startswith(f"{kind}:")]:
        for name in page:
            loaded = await journal.load(name, snapshot=False)
            found[name.removeprefix(f"{kind}:")] = [*episodes(codec, name, loaded)]
        after = page[-1]
    return found


async def stories(journal: Journal) -> list[Story]:
    """Every call of the journal, in the order in which they began."""
    rings = await episodes_of(journal, v.RING)
    lines = await episodes_of(journal, v.LINE)
    rooms = await episodes_of(journal, v.ROOM)
    told = []
    for request_id, ring in sorted(rings.items(), key=lambda item: item[1][0].at):
        first = ring[0].records[0].event
        if isinstance(first, v.RingGlared):
            # Its whole story is told with the ring that it met.
            continue
        steps = [*_ring_steps(ring)]
        for user, line in lines.items():
            steps += _line_steps(user, line, request_id, _seat_of(ring))
        for room in rooms.values():
            steps += _room_steps(room, request_id)
        # Arrows of one moment: what was asked, what became of it, what was told.
        arrows = [arrow for _, _, arrow in sorted(steps, key=lambda step: step[:2])]
        told.append(Story(title=_title(ring), diagram=sequence_diagram(arrows)))
    return told


def announced(user: str, line: list[Episode], device: str) -> Iterator[Told]:
    """What a line announced to one device of its owner, in order."""
    for episode in line:
        for version, record in enumerate(episode.records, episode.version):
            for send in announce(Address(v.LINE, user), record.event):
                if send.only in (None, device) and send.skip != device:
                    yield Told(version=version, send=send, event=record.event)


_Step = tuple[float, int, Arrow]
_ASKED, _DONE, _TOLD = range(3)


def _ring_steps(ring: list[Episode]) -> Iterator[_Step]:
    for episode in ring:
        cause, state = episode.cause, episode.records[-1].state.lower().replace("_", " ")
        if isinstance(cause, v.AcceptCall | v.DeclineCall | v.MergeCall):
            yield episode.at, _ASKED, _ask(cause.sender, cause, cause.device)
        for record in episode.records:
            yield episode.at, _DONE, Arrow(SERVER, SERVER, f"{_happened(record.event)} ({state})")


def _line_steps(user: str, line: list[Episode], request_id: str, videochat_id: str) -> Iterator[_Step]:
    for episode in line:
        for record in episode.records:
            event, cause = record.event, episode.cause
            if not _is_about(event, request_id, videochat_id):
                continue
            if isinstance(cause, v.RequestCall):
                yield episode.at, _ASKED, _ask(cause.initiator, cause, cause.device)
            for send in announce(Address(v.LINE, user), event):
                yield episode.at, _TOLD, Arrow(SERVER, user, f"{TOLD[type(send.message)]} {_to(send)}")


def _room_steps(room: list[Episode], request_id: str) -> Iterator[_Step]:
    for episode in room:
        cause = episode.cause
        if isinstance(cause, v.InviteUser) and any(
            isinstance(one.event, v.UserInvited) and one.event.request_id == request_id
            for one in episode.records
        ):
            yield episode.at, _ASKED, _ask(cause.inviter, cause, cause.device)


def _is_about(event: Event, request_id: str, videochat_id: str) -> bool:
    match event:
        case v.RingArrived():
            return event.ring.request_id == request_id
        case v.RingClosed() | v.GlareMet():
            return event.request_id == request_id
        case v.SeatOffered():
            return event.grant.room.videochat_id == videochat_id
        case _:
            return False


def _seat_of(ring: list[Episode]) -> str:
    """The videochat that a ring led to, if it was met by another ring."""
    return next(
        (
            record.event.videochat_id
            for episode in ring
            for record in episode.records
            if isinstance(record.event, v.RingAccepted) and record.event.by_glare
        ),
        "",
    )


def _ask(user: str, command: Command, device: str) -> Arrow:
    return Arrow(user, SERVER, f"{ASKED[type(command)]} (from the {device})")


def _to(send: Send) -> str:
    if send.only is not None:
        return f"(to the {send.only})"
    return "(to every device)" if send.skip is None else f"(to every device but the {send.skip})"


def _happened(event: Event) -> str:
    match event:
        case v.RingStarted():
            return "the ring begins"
        case v.RingExpired():
            return "nobody answered in time"
        case v.PartyLost(caller=caller):
            return f"the {_party(caller)} socket is gone"
        case v.PartyReturned(caller=caller):
            return f"the {_party(caller)} socket is back"
        case v.CallerMoved():
            return "the caller asked again, from another device"
        case v.RingAccepted(by_glare=True):
            return "two requests met"
        case _:
            return "the ring ends"


def _party(caller: object) -> str:
    return "caller's" if caller else "target's"


def _title(ring: list[Episode]) -> str:
    first = ring[0].records[0].event
    assert isinstance(first, v.RingStarted), "a ring begins by ringing"
    when = datetime.fromtimestamp(ring[0].at, UTC).strftime("%H:%M:%S")
    verb = "requests" if first.kind is v.RingKind.DIRECT else "invites"
    end = ring[-1].records[-1].state.lower().replace("_", " ")
    return f"{when} {first.initiator.user} {verb} {first.target.user}: {end}"
