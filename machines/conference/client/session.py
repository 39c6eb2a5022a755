"""The life of a client's seat in one conference: joined, in step with the versions, joined again (3.3).

A table like every other, but of the client: it is stepped in the client's memory and never journaled.
"""

from enum import StrEnum

import attrs

from engine.effects import Ask, Request
from engine.machine.table import After, Ignore, Row, Said, Table
from engine.vocabulary import Command, Event
from machines.conference.client.picture import Picture, after
from machines.conference.wire_events import (
    ConferenceEndedEvent,
    ConferenceEvent,
    ConferenceLeftEvent,
)

PORT = "seat"

ALREADY_JOINED = 422
"""Status of join for an endpoint that is inside."""


class SessionState(StrEnum):
    """Where a seat stands."""

    OUT = "out"
    JOINING = "joining"
    RESUMING = "resuming"
    """It reads what the conference is like now."""
    INSIDE = "inside"
    WAITING = "waiting"
    """The host was not reached, and is asked again soon."""
    LEFT = "left"
    ENDED = "ended"
    """The conference is over for all."""
    REFUSED = "refused"
    GIVEN_UP = "given_up"
    FAULTY = "faulty"


S = SessionState


@attrs.frozen(kw_only=True)
class SessionLife:
    """What a seat remembers."""

    endpoint_id: str
    picture: Picture = attrs.field(factory=Picture)
    attempt: int = 0
    """The number of the present join or reading."""
    was_inside: bool = False
    is_joined: bool = False
    """The host has said so since this endpoint was last missed."""
    give_up_seconds: float = 0.0
    give_up_at: float = 0.0
    retry_at: float = 0.0
    status: int = 0
    """The HTTP status of the refusal that ended it."""
    error: str = ""
    reason: str = ""
    path: str = ""


# -- commands


@attrs.frozen(kw_only=True)
class OpenSeat(Command):
    """Begin."""

    give_up_seconds: float = 300.0
    """How long to go on trying while it is not inside."""


@attrs.frozen(kw_only=True)
class NoteJoined(Command):
    """The host has let it in."""

    attempt: int


@attrs.frozen(kw_only=True)
class NotePicture(Command):
    """What the conference is like now."""

    attempt: int
    picture: Picture


@attrs.frozen(kw_only=True)
class NoteRefused(Command):
    """The host says no, to joining or to reading."""

    attempt: int
    status: int
    error: str = ""
    reason: str = ""


@attrs.frozen(kw_only=True)
class LoseHost(Command):
    """The host was not reached, or cannot do it now."""

    attempt: int
    reason: str = ""
    delay_seconds: float = 0.0
    """Drawn by the client: how long to wait before it is asked again."""


@attrs.frozen
class Hear(Command):
    """An event came."""

    event: ConferenceEvent


@attrs.frozen
class NoteDoubt(Command):
    """The host may know less than this seat, or may have dropped its endpoint."""


@attrs.frozen(kw_only=True)
class NoteFault(Command):
    """The host sent what this client cannot read."""

    path: str = "$"
    reason: str = ""


@attrs.frozen
class Retry(Command):
    """The delay is over."""


@attrs.frozen
class GiveUp(Command):
    """It was not inside for too long."""


@attrs.frozen
class LeaveSeat(Command):
    """The program has done."""


# -- events


@attrs.frozen(kw_only=True)
class SeatOpened(Event):
    """It wants to be inside."""

    give_up_seconds: float
    give_up_at: float


@attrs.frozen
class JoinTried(Event):
    """The host is asked to let it in."""


@attrs.frozen(kw_only=True)
class PictureAsked(Event):
    """The host is asked what the conference is like."""

    is_joined: bool


@attrs.frozen
class PictureTaken(Event):
    """It is in step."""

    picture: Picture


@attrs.frozen
class EventHeard(Event):
    """The next event, or one without a version."""

    event: ConferenceEvent


@attrs.frozen
class StepLost(Event):
    """It is not in step any more, or not inside, and has so long to come back."""

    give_up_at: float


@attrs.frozen(kw_only=True)
class HostLost(Event):
    """The host is asked again later."""

    retry_at: float
    reason: str


@attrs.frozen(kw_only=True)
class SeatOver(Event):
    """It does not come back."""

    status: int = 0
    error: str = ""
    reason: str = ""
    path: str = ""


# -- what the client is asked to do


@attrs.frozen
class Join(Request):
    """Ask the host to let this endpoint in."""

    attempt: int


@attrs.frozen
class ReadPicture(Request):
    """Read the simple view."""

    attempt: int


@attrs.frozen
class Follow(Request):
    """Hear events from the picture's version on; the picture was read anew."""

    is_first: bool
    is_joined: bool
    """The endpoint has joined just before, and had nothing published or viewed then."""


@attrs.frozen
class Deliver(Request):
    """Tell the program, and the streams and views of this seat, of an event."""

    event: ConferenceEvent


# -- guards


def is_present(life: SessionLife, command: NoteJoined | NotePicture | NoteRefused | LoseHost) -> bool:
    """The present attempt says it."""
    return command.attempt == life.attempt


def is_missed(life: SessionLife, command: NotePicture) -> bool:
    """The host does not list this endpoint, though it has not said just now that it is inside."""
    return (
        is_present(life, command) and not life.is_joined and life.endpoint_id not in command.picture.endpoints
    )


def is_inside_already(life: SessionLife, command: NoteRefused) -> bool:
    """Asked again after an answer that was lost, or by a host that kept the place."""
    return is_present(life, command) and life.was_inside and command.status == ALREADY_JOINED


def is_next(life: SessionLife, command: Hear) -> bool:
    return command.event.conference_version == life.picture.version


def is_end(life: SessionLife, command: Hear) -> bool:
    return is_next(life, command) and isinstance(command.event, ConferenceEndedEvent)


def puts_out(life: SessionLife, command: Hear) -> bool:
    """The host took this endpoint for lost: who leaves by himself does not hear it here."""
    return (
        is_next(life, command)
        and isinstance(command.event, ConferenceLeftEvent)
        and command.event.user_endpoint_id == life.endpoint_id
    )


def is_unnumbered(life: SessionLife, command: Hear) -> bool:
    return command.event.conference_version is None


def leaves_gap(life: SessionLife, command: Hear) -> bool:
    version = command.event.conference_version
    return version is not None and version > life.picture.version


def was_inside(life: SessionLife, command: Retry) -> bool:
    """Who was never inside has nothing to read."""
    return life.was_inside


# -- reactions


def open_seat(life: SessionLife, command: OpenSeat) -> Said:
    opened = SeatOpened(
        give_up_seconds=command.give_up_seconds, give_up_at=command.at + command.give_up_seconds
    )
    return (opened, JoinTried(), Ask(PORT, Join(life.attempt + 1)))


def join_anew(life: SessionLife, command: NotePicture | Retry) -> Said:
    return (JoinTried(), Ask(PORT, Join(life.attempt + 1)))


def read_inside(life: SessionLife, command: NoteJoined | NoteRefused) -> Said:
    return (PictureAsked(is_joined=True), Ask(PORT, ReadPicture(life.attempt + 1)))


def read_again(life: SessionLife, command: Retry) -> Said:
    return (PictureAsked(is_joined=life.is_joined), Ask(PORT, ReadPicture(life.attempt + 1)))


def resume(life: SessionLife, command: Hear | NoteDoubt) -> Said:
    lost = StepLost(command.at + life.give_up_seconds)
    return (lost, PictureAsked(is_joined=False), Ask(PORT, ReadPicture(life.attempt + 1)))


def doubt_again(life: SessionLife, command: NoteDoubt) -> Said:
    """What is being read may be from before."""
    return (PictureAsked(is_joined=False), Ask(PORT, ReadPicture(life.attempt + 1)))


def follow(life: SessionLife, command: NotePicture) -> Said:
    followed = Follow(is_first=not life.was_inside, is_joined=life.is_joined)
    return (PictureTaken(command.picture), Ask(PORT, followed))


def deliver(life: SessionLife, command: Hear) -> Said:
    return (EventHeard(command.event), Ask(PORT, Deliver(command.event)))


def come_back(life: SessionLife, command: Hear) -> Said:
    lost = StepLost(command.at + life.give_up_seconds)
    heard = EventHeard(command.event)
    join = Ask(PORT, Join(life.attempt + 1))
    return (heard, lost, JoinTried(), Ask(PORT, Deliver(command.event)), join)


def end(life: SessionLife, command: Hear) -> Said:
    assert isinstance(command.event, ConferenceEndedEvent), "guarded by is_end"
    over = SeatOver(reason=command.event.reason or "")
    return (EventHeard(command.event), over, Ask(PORT, Deliver(command.event)))


def wait_for_host(life: SessionLife, command: LoseHost) -> Said:
    return (HostLost(retry_at=command.at + command.delay_seconds, reason=command.reason),)


def end_refused(life: SessionLife, command: NoteRefused) -> Said:
    return (SeatOver(status=command.status, error=command.error, reason=command.reason),)


def end_faulty(life: SessionLife, command: NoteFault) -> Said:
    return (SeatOver(path=command.path, reason=command.reason),)


def give_up(life: SessionLife, command: GiveUp) -> Said:
    last = f"; last: {life.reason}" if life.reason else ""
    return (SeatOver(reason=f"not inside for {life.give_up_seconds:g} seconds{last}"),)


def leave(life: SessionLife, command: LeaveSeat) -> Said:
    return (SeatOver(reason="left"),)


def evolve(life: SessionLife, event: Event) -> SessionLife:
    match event:
        case SeatOpened():
            seconds, until = event.give_up_seconds, event.give_up_at
            return attrs.evolve(life, give_up_seconds=seconds, give_up_at=until)
        case JoinTried():
            return attrs.evolve(life, attempt=life.attempt + 1, is_joined=False)
        case PictureAsked():
            return attrs.evolve(life, attempt=life.attempt + 1, is_joined=event.is_joined)
        case PictureTaken():
            return attrs.evolve(life, picture=event.picture, was_inside=True, is_joined=False)
        case EventHeard():
            return attrs.evolve(life, picture=after(life.picture, event.event))
        case StepLost():
            return attrs.evolve(life, give_up_at=event.give_up_at)
        case HostLost():
            return attrs.evolve(life, retry_at=event.retry_at, reason=event.reason)
        case SeatOver():
            status, error, reason, path = event.status, event.error, event.reason, event.path
            return attrs.evolve(life, status=status, error=error, reason=reason, path=path)
        case _:
            return life


def begin(endpoint_id: str) -> SessionLife:
    """An endpoint that is not inside."""
    return SessionLife(endpoint_id=endpoint_id)


def _retry_at(life: SessionLife) -> float:
    return life.retry_at


def _give_up_at(life: SessionLife) -> float:
    return life.give_up_at


FINAL = (S.LEFT, S.ENDED, S.REFUSED, S.GIVEN_UP, S.FAULTY)
ASKING = (S.JOINING, S.RESUMING)
UNSURE = (*ASKING, S.WAITING)
OPEN = (*UNSURE, S.INSIDE)

SESSION_TABLE: Table[S, SessionLife] = Table(
    name="session",
    initial=S.OUT,
    final=frozenset(FINAL),
    start=begin,
    evolve=evolve,
    waits={S.OUT: "nobody has opened this seat", S.INSIDE: "the host says what happens"},
    rows=(
        Row(S.OUT, OpenSeat, S.JOINING, open_seat),
        Row(S.JOINING, NoteJoined, S.RESUMING, read_inside, when=is_present),
        Row(S.JOINING, NoteRefused, S.RESUMING, read_inside, when=is_inside_already),
        Row(ASKING, NoteRefused, S.REFUSED, end_refused, when=is_present),
        Row(ASKING, LoseHost, S.WAITING, wait_for_host, when=is_present),
        Row(S.WAITING, Retry, S.RESUMING, read_again, when=was_inside),
        Row(S.WAITING, Retry, S.JOINING, join_anew),
        Row(S.RESUMING, NotePicture, S.JOINING, join_anew, when=is_missed),
        Row(S.RESUMING, NotePicture, S.INSIDE, follow, when=is_present),
        Row(S.RESUMING, NoteDoubt, S.RESUMING, doubt_again, again=True),
        # Equal is acted on and counts, one's own too; lower is known; higher says that some were missed.
        Row(S.INSIDE, Hear, S.ENDED, end, when=is_end),
        Row(S.INSIDE, Hear, S.JOINING, come_back, when=puts_out),
        Row(S.INSIDE, Hear, None, deliver, when=is_next),
        Row(S.INSIDE, Hear, None, deliver, when=is_unnumbered),
        Row(S.INSIDE, Hear, S.RESUMING, resume, when=leaves_gap),
        Row(S.INSIDE, NoteDoubt, S.RESUMING, resume),
        Row(UNSURE, GiveUp, S.GIVEN_UP, give_up),
        Row(OPEN, NoteFault, S.FAULTY, end_faulty),
        Row((S.OUT, *OPEN), LeaveSeat, S.LEFT, leave),
    ),
    timers=(
        After(S.WAITING, Retry, due=_retry_at),
        # Read from the data: asking again enters states and must not prolong it.
        After(UNSURE, GiveUp, due=_give_up_at),
    ),
    asides=(
        Ignore((*OPEN, *FINAL), OpenSeat, "it was opened before"),
        Ignore(
            (S.OUT, *OPEN, *FINAL),
            (NoteJoined, NotePicture, NoteRefused, LoseHost),
            "an attempt says it that another one has replaced",
        ),
        Ignore(S.INSIDE, Hear, "it is known already"),
        Ignore((S.OUT, *UNSURE, *FINAL), Hear, "what is read next has it"),
        Ignore((S.OUT, S.JOINING, S.WAITING, *FINAL), NoteDoubt, "it is asked for next, or not any more"),
        Ignore((S.OUT, *ASKING, S.INSIDE, *FINAL), Retry, "it is asked already, or not any more"),
        Ignore((S.OUT, S.INSIDE, *FINAL), GiveUp, "it is inside, or over"),
        Ignore((S.OUT, *FINAL), NoteFault, "nothing is heard"),
        Ignore(FINAL, LeaveSeat, "it is over"),
    ),
)
