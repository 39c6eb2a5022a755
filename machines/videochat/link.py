"""The life of a client's link to its server: dialled, authenticated, lost and dialled again ("sibling text").

A table like every other, but of the client: it is stepped in the client's memory and never journaled.
Times are those of the client's own clock, which need not be UTC: nothing of it outlives the program.
"""

from enum import StrEnum

import attrs

from engine.effects import Ask, Request
from engine.machine.table import After, Ignore, Row, Said, Table
from engine.vocabulary import Command, Event

TAKEN_OVER_CODE = 4409
"""Close code of a socket whose device has opened another one."""

TURNED_AWAY_CODE = 1008
"""Close code of a socket whose token is not good."""

FAULT_CODES = frozenset({1002, 1003, 1007, 1009})
"""Close codes that say that one side cannot read the other: dialling again would end the same."""

SETTLED_SECONDS = 5.0
"""A link that was ready so long is sound: the next loss begins with the shortest delay again."""

PORT = "link"


class LinkState(StrEnum):
    """Where a client stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    READY = "ready"
    WAITING = "waiting"
    TAKEN_OVER = "taken_over"
    REFUSED = "refused"
    FAULTY = "faulty"
    GIVEN_UP = "given_up"
    CLOSED = "closed"


S = LinkState


@attrs.frozen(kw_only=True)
class LinkLife:
    """What the client remembers of its links."""

    dials: int = 0
    """Links dialled so far; the number names the present one."""
    failures: int = 0
    """Links lost since one was settled."""
    link_seconds: float = 0.0
    give_up_seconds: float = 0.0
    retry_at: float = 0.0
    give_up_at: float = 0.0
    """When a client that is not ready ends."""
    path: str = ""
    reason: str = ""
    """Why the last link was lost, or the client ended; `path` is where in the frame, after a fault."""


# -- commands


@attrs.frozen(kw_only=True)
class OpenClient(Command):
    """Begin."""

    link_seconds: float = 10.0
    """How long connecting may take, and then authenticating."""
    give_up_seconds: float = 300.0
    """How long the client goes on trying while it is not ready."""


@attrs.frozen(kw_only=True)
class NoteOpened(Command):
    """The WebSocket is open."""

    dial: int


@attrs.frozen(kw_only=True)
class NoteWelcome(Command):
    """`user_info` came."""

    dial: int


@attrs.frozen(kw_only=True)
class NoteTakeOver(Command):
    """`invalidConnection` came: another socket of this device has authenticated."""

    dial: int


@attrs.frozen(kw_only=True)
class NoteFault(Command):
    """The server sent what this client cannot read."""

    dial: int
    path: str = "$"
    reason: str = ""


@attrs.frozen(kw_only=True)
class LoseLink(Command):
    """The link is gone, or could not be had."""

    dial: int
    code: int | None = None
    """Close code of the WebSocket, if one came."""
    reason: str = ""
    delay_seconds: float = 0.0
    """Drawn by the client: how long to wait if this link is dialled again."""


@attrs.frozen
class ExpireLink(Command):
    """Connecting or authenticating took too long."""


@attrs.frozen
class SettleLink(Command):
    """The link has been ready for a while."""


@attrs.frozen
class Redial(Command):
    """The delay is over."""


@attrs.frozen
class GiveUp(Command):
    """It was not ready for too long."""


@attrs.frozen
class CloseClient(Command):
    """The program that embeds the client has done."""


# -- events


@attrs.frozen(kw_only=True)
class ClientOpened(Event):
    """The first link is dialled."""

    link_seconds: float
    give_up_seconds: float
    give_up_at: float


@attrs.frozen
class LinkDialed(Event):
    """Another link is dialled."""


@attrs.frozen
class LinkOpened(Event):
    """The server took the connection."""


@attrs.frozen
class LinkWelcomed(Event):
    """The server knows who this is."""


@attrs.frozen
class LinkSettled(Event):
    """The link is sound."""


@attrs.frozen(kw_only=True)
class LinkLost(Event):
    """The link is gone, and another one will be dialled."""

    retry_at: float
    give_up_at: float
    reason: str


@attrs.frozen(kw_only=True)
class ClientEnded(Event):
    """There will be no other link."""

    reason: str
    path: str = ""


# -- what the client is asked to do


@attrs.frozen
class Dial(Request):
    """Open link `number`."""

    number: int


@attrs.frozen
class Introduce(Request):
    """Send `authenticate`."""


@attrs.frozen
class Resume(Request):
    """Send again what has no answer."""


@attrs.frozen
class HangUp(Request):
    """Close the link, or stop opening it."""


# -- guards


def is_present(life: LinkLife, command: NoteOpened | NoteWelcome | NoteTakeOver | NoteFault) -> bool:
    """The present link says it, and not one that was hung up before."""
    return command.dial == life.dials


def lost_to_other_socket(life: LinkLife, command: LoseLink) -> bool:
    return command.dial == life.dials and command.code == TAKEN_OVER_CODE


def turned_away(life: LinkLife, command: LoseLink) -> bool:
    return command.dial == life.dials and command.code == TURNED_AWAY_CODE


def lost_by_fault(life: LinkLife, command: LoseLink) -> bool:
    return command.dial == life.dials and command.code in FAULT_CODES


def lost_for_now(life: LinkLife, command: LoseLink) -> bool:
    return command.dial == life.dials


# -- reactions


def open_client(life: LinkLife, command: OpenClient) -> Said:
    opened = ClientOpened(
        link_seconds=command.link_seconds,
        give_up_seconds=command.give_up_seconds,
        give_up_at=command.at + command.give_up_seconds,
    )
    return (opened, Ask(PORT, Dial(life.dials + 1)))


def dial_again(life: LinkLife, command: Redial) -> Said:
    return (LinkDialed(), Ask(PORT, Dial(life.dials + 1)))


def introduce(life: LinkLife, command: NoteOpened) -> Said:
    return (LinkOpened(), Ask(PORT, Introduce()))


def resume(life: LinkLife, command: NoteWelcome) -> Said:
    return (LinkWelcomed(), Ask(PORT, Resume()))


def settle(life: LinkLife, command: SettleLink) -> Said:
    return (LinkSettled(),)


def hang_up(life: LinkLife, command: ExpireLink) -> Said:
    # What ends the link reports it, with the delay that is drawn for it: a timer cannot draw.
    return (Ask(PORT, HangUp()),)


def wait_longer(life: LinkLife, command: LoseLink) -> Said:
    retry_at = command.at + command.delay_seconds
    return (LinkLost(retry_at=retry_at, give_up_at=life.give_up_at, reason=command.reason),)


def wait_anew(life: LinkLife, command: LoseLink) -> Said:
    retry_at = command.at + command.delay_seconds
    give_up_at = command.at + life.give_up_seconds
    return (LinkLost(retry_at=retry_at, give_up_at=give_up_at, reason=command.reason),)


def end_lost(life: LinkLife, command: LoseLink) -> Said:
    return (ClientEnded(reason=command.reason),)


def end_taken_over(life: LinkLife, command: NoteTakeOver) -> Said:
    return (ClientEnded(reason="another socket of this device has authenticated"), Ask(PORT, HangUp()))


def end_faulty(life: LinkLife, command: NoteFault) -> Said:
    return (ClientEnded(reason=command.reason, path=command.path), Ask(PORT, HangUp()))


def give_up(life: LinkLife, command: GiveUp) -> Said:
    last = f"; last: {life.reason}" if life.reason else ""
    reason = f"not ready for {life.give_up_seconds:g} seconds{last}"
    return (ClientEnded(reason=reason), Ask(PORT, HangUp()))


def close(life: LinkLife, command: CloseClient) -> Said:
    return (ClientEnded(reason="closed"), Ask(PORT, HangUp()))


def evolve(life: LinkLife, event: Event) -> LinkLife:
    match event:
        case ClientOpened():
            return attrs.evolve(
                life,
                dials=life.dials + 1,
                link_seconds=event.link_seconds,
                give_up_seconds=event.give_up_seconds,
                give_up_at=event.give_up_at,
            )
        case LinkDialed():
            return attrs.evolve(life, dials=life.dials + 1)
        case LinkSettled():
            return attrs.evolve(life, failures=0)
        case LinkLost():
            return attrs.evolve(
                life,
                failures=life.failures + 1,
                retry_at=event.retry_at,
                give_up_at=event.give_up_at,
                reason=event.reason,
            )
        case ClientEnded():
            return attrs.evolve(life, reason=event.reason, path=event.path)
        case _:
            return life


def begin(_key: str) -> LinkLife:
    """A client that nobody has opened."""
    return LinkLife()


def _link_seconds(life: LinkLife) -> float:
    return life.link_seconds


def _retry_at(life: LinkLife) -> float:
    return life.retry_at


def _give_up_at(life: LinkLife) -> float:
    return life.give_up_at


FINAL = (S.TAKEN_OVER, S.REFUSED, S.FAULTY, S.GIVEN_UP, S.CLOSED)
LIVE = (S.IDLE, S.CONNECTING, S.AUTHENTICATING, S.READY, S.WAITING)
LINKED = (S.CONNECTING, S.AUTHENTICATING, S.READY)
HEARD = (S.AUTHENTICATING, S.READY)
"""States in which the server says something."""
UNREADY = (S.CONNECTING, S.AUTHENTICATING, S.WAITING)

LINK_TABLE: Table[S, LinkLife] = Table(
    name="link",
    initial=S.IDLE,
    final=frozenset(FINAL),
    start=begin,
    evolve=evolve,
    waits={S.IDLE: "nobody has opened this client"},
    rows=(
        Row(S.IDLE, OpenClient, S.CONNECTING, open_client),
        Row(S.CONNECTING, NoteOpened, S.AUTHENTICATING, introduce, when=is_present),
        Row(S.AUTHENTICATING, NoteWelcome, S.READY, resume, when=is_present),
        Row(S.READY, SettleLink, None, settle),
        Row((S.CONNECTING, S.AUTHENTICATING), ExpireLink, None, hang_up),
        # A device has one socket. To dial again would take over the newer one, which would dial again.
        Row(HEARD, NoteTakeOver, S.TAKEN_OVER, end_taken_over, when=is_present),
        Row(HEARD, NoteFault, S.FAULTY, end_faulty, when=is_present),
        Row(LINKED, LoseLink, S.TAKEN_OVER, end_lost, when=lost_to_other_socket),
        Row(LINKED, LoseLink, S.REFUSED, end_lost, when=turned_away),
        Row(LINKED, LoseLink, S.FAULTY, end_lost, when=lost_by_fault),
        Row((S.CONNECTING, S.AUTHENTICATING), LoseLink, S.WAITING, wait_longer, when=lost_for_now),
        Row(S.READY, LoseLink, S.WAITING, wait_anew, when=lost_for_now),
        Row(S.WAITING, Redial, S.CONNECTING, dial_again),
        Row(UNREADY, GiveUp, S.GIVEN_UP, give_up),
        Row(LIVE, CloseClient, S.CLOSED, close),
    ),
    timers=(
        After((S.CONNECTING, S.AUTHENTICATING), ExpireLink, seconds=_link_seconds),
        After(S.READY, SettleLink, seconds=SETTLED_SECONDS),
        After(S.WAITING, Redial, due=_retry_at),
        # Read from the data: dialling again enters states and must not prolong it.
        After(UNREADY, GiveUp, due=_give_up_at),
    ),
    asides=(
        Ignore((*LINKED, S.WAITING, *FINAL), OpenClient, "it was opened before"),
        Ignore(
            (*LIVE, *FINAL),
            (NoteOpened, NoteWelcome, NoteTakeOver, NoteFault, LoseLink),
            "a link says it that was hung up before",
        ),
        Ignore((S.IDLE, S.READY, S.WAITING, *FINAL), ExpireLink, "no link is being opened"),
        Ignore((S.IDLE, *UNREADY, *FINAL), SettleLink, "the link is gone"),
        Ignore((S.IDLE, *LINKED, *FINAL), Redial, "it is dialled already, or never again"),
        Ignore((S.IDLE, S.READY, *FINAL), GiveUp, "it is ready, or has ended"),
        Ignore(FINAL, CloseClient, "it has ended"),
    ),
)
