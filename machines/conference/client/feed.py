"""The life of a stream or a view of a client: negotiated, connected, lost and negotiated again.

A table like every other, but of the client: it is stepped in the client's memory and never journaled.
"""

from enum import StrEnum

import attrs

from engine.effects import Ask, Request
from engine.machine.table import After, Ignore, Row, Said, Table
from engine.vocabulary import Command, Event

PORT = "feed"

CONNECTING_SECONDS = 20.0
"""The media host gives up before, as a rule."""

SETTLED_SECONDS = 5.0
"""A peer that was there so long is sound: the next loss begins with the shortest delay again."""

REFUSALS_MAX = 8
"""Refusals in a row after which a feed that was live is not tried again."""


class FeedState(StrEnum):
    """Where a feed stands."""

    IDLE = "idle"
    NEGOTIATING = "negotiating"
    CONNECTING = "connecting"
    LIVE = "live"
    WAITING = "waiting"
    """It was lost, and is tried again soon."""
    PARKED = "parked"
    """There is nothing to view until the stream is published again."""
    CLOSED = "closed"
    FAILED = "failed"


S = FeedState


@attrs.frozen(kw_only=True)
class FeedLife:
    """What a feed remembers."""

    attempt: int = 0
    """The number of the present peer."""
    parts: int = 0
    """Peers that have connected."""
    losses: int = 0
    """Peers lost since one was settled."""
    refusals: int = 0
    """Those of them that somebody refused."""
    retry_at: float = 0.0
    reason: str = ""
    """Why the last peer was lost, or the feed ended."""


# -- commands


@attrs.frozen
class OpenFeed(Command):
    """Begin."""


@attrs.frozen(kw_only=True)
class NoteAnswered(Command):
    """The host has answered the offer, and the peer has the answer."""

    attempt: int


@attrs.frozen(kw_only=True)
class NoteConnected(Command):
    """Media may flow."""

    attempt: int


@attrs.frozen(kw_only=True)
class LosePeer(Command):
    """The peer is gone, or was not to be had."""

    attempt: int
    reason: str = ""
    delay_seconds: float = 0.0
    """Drawn by the client: how long to wait before it is tried again."""
    is_refusal: bool = False
    """Somebody said no: to try for ever would be no use."""
    is_final: bool = False
    """It would end the same."""


@attrs.frozen
class NoteAbsent(Command):
    """The stream that is viewed is not published any more."""


@attrs.frozen
class NotePresent(Command):
    """The stream that is viewed is published again."""


@attrs.frozen
class NoteForgotten(Command):
    """The host has forgotten what this endpoint published or viewed."""


@attrs.frozen
class ExpireConnecting(Command):
    """It took too long."""


@attrs.frozen
class SettleFeed(Command):
    """The peer has been there for a while."""


@attrs.frozen
class RetryFeed(Command):
    """The delay is over."""


@attrs.frozen
class CloseFeed(Command):
    """Nobody wants it any more."""


# -- events


@attrs.frozen
class PeerTried(Event):
    """Another peer is negotiated."""


@attrs.frozen
class PeerAnswered(Event):
    """The peer has its answer."""


@attrs.frozen
class PeerJoined(Event):
    """The peer has connected."""


@attrs.frozen
class PeerSettled(Event):
    """The peer is sound."""


@attrs.frozen(kw_only=True)
class PeerLost(Event):
    """The peer is gone, and another one follows."""

    retry_at: float
    reason: str
    is_refusal: bool


@attrs.frozen
class FeedParked(Event):
    """There is nothing to view for now."""


@attrs.frozen
class FeedOver(Event):
    """It does not come back."""

    reason: str


# -- what the client is asked to do


@attrs.frozen
class Negotiate(Request):
    """Open peer `attempt`, and close the one before."""

    attempt: int


@attrs.frozen
class DropPeer(Request):
    """Close peer `attempt`, and stop negotiating it."""

    attempt: int


@attrs.frozen
class Withdraw(Request):
    """Tell the host that it is over: nobody who opened it waits any more."""


# -- guards


def is_present(life: FeedLife, command: NoteAnswered | NoteConnected | LosePeer) -> bool:
    """The present peer, and not one that was dropped."""
    return command.attempt == life.attempt


def is_hopeless(life: FeedLife, command: LosePeer) -> bool:
    """It does not come back, or was refused too often."""
    is_tired = command.is_refusal and life.refusals + 1 >= REFUSALS_MAX
    return is_present(life, command) and (command.is_final or is_tired)


def is_first(life: FeedLife, command: Command) -> bool:
    """Nobody has had anything of it yet: whoever opens it is told instead."""
    return not life.parts


def is_present_first(life: FeedLife, command: LosePeer) -> bool:
    return is_present(life, command) and is_first(life, command)


# -- reactions


def try_peer(life: FeedLife, command: Command) -> Said:
    return (PeerTried(), Ask(PORT, Negotiate(life.attempt + 1)))


def answer(life: FeedLife, command: NoteAnswered) -> Said:
    return (PeerAnswered(),)


def connect(life: FeedLife, command: NoteConnected) -> Said:
    return (PeerJoined(),)


def settle(life: FeedLife, command: SettleFeed) -> Said:
    return (PeerSettled(),)


def drop(life: FeedLife, command: ExpireConnecting) -> Said:
    # What drops it reports it, with the delay that is drawn for it: a timer cannot draw.
    return (Ask(PORT, DropPeer(life.attempt)),)


def lose(life: FeedLife, command: LosePeer) -> Said:
    lost = PeerLost(
        retry_at=command.at + command.delay_seconds, reason=command.reason, is_refusal=command.is_refusal
    )
    return (lost, Ask(PORT, DropPeer(life.attempt)))


def fail(life: FeedLife, command: LosePeer) -> Said:
    return (FeedOver(command.reason), Ask(PORT, DropPeer(life.attempt)), Ask(PORT, Withdraw()))


def fail_first(life: FeedLife, command: LosePeer) -> Said:
    # Whoever opens it hears it, and withdraws.
    return (FeedOver(command.reason), Ask(PORT, DropPeer(life.attempt)))


def fail_absent(life: FeedLife, command: NoteAbsent) -> Said:
    return (FeedOver("the stream is not published any more"), Ask(PORT, DropPeer(life.attempt)))


def park(life: FeedLife, command: NoteAbsent) -> Said:
    return (FeedParked(), Ask(PORT, DropPeer(life.attempt)))


def close(life: FeedLife, command: CloseFeed) -> Said:
    return (FeedOver("closed"), Ask(PORT, DropPeer(life.attempt)))


def evolve(life: FeedLife, event: Event) -> FeedLife:
    match event:
        case PeerTried():
            return attrs.evolve(life, attempt=life.attempt + 1)
        case PeerJoined():
            return attrs.evolve(life, parts=life.parts + 1)
        case PeerSettled():
            return attrs.evolve(life, losses=0, refusals=0)
        case PeerLost():
            return attrs.evolve(
                life,
                losses=life.losses + 1,
                refusals=life.refusals + event.is_refusal,
                retry_at=event.retry_at,
                reason=event.reason,
            )
        case FeedOver():
            return attrs.evolve(life, reason=event.reason)
        case _:
            return life


def begin(_key: str) -> FeedLife:
    """A feed that nobody has opened."""
    return FeedLife()


def _retry_at(life: FeedLife) -> float:
    return life.retry_at


FINAL = (S.CLOSED, S.FAILED)
UNSURE = (S.NEGOTIATING, S.CONNECTING)
WITH_PEER = (*UNSURE, S.LIVE)
OPEN = (*WITH_PEER, S.WAITING, S.PARKED)

FEED_TABLE: Table[S, FeedLife] = Table(
    name="feed",
    initial=S.IDLE,
    final=frozenset(FINAL),
    start=begin,
    evolve=evolve,
    waits={
        S.IDLE: "nobody has opened this feed",
        S.NEGOTIATING: "each request of it has a deadline",
        S.PARKED: "the host says when the stream is published again",
    },
    rows=(
        Row(S.IDLE, OpenFeed, S.NEGOTIATING, try_peer),
        Row(S.NEGOTIATING, NoteAnswered, S.CONNECTING, answer, when=is_present),
        # Media may say so before the request that gave it the answer is done.
        Row(UNSURE, NoteConnected, S.LIVE, connect, when=is_present),
        Row(S.CONNECTING, ExpireConnecting, None, drop),
        Row(S.LIVE, SettleFeed, None, settle),
        Row(UNSURE, LosePeer, S.FAILED, fail_first, when=is_present_first),
        Row(WITH_PEER, LosePeer, S.FAILED, fail, when=is_hopeless),
        Row(WITH_PEER, LosePeer, S.WAITING, lose, when=is_present),
        Row(S.WAITING, RetryFeed, S.NEGOTIATING, try_peer),
        Row(UNSURE, NoteAbsent, S.FAILED, fail_absent, when=is_first),
        Row((*WITH_PEER, S.WAITING), NoteAbsent, S.PARKED, park),
        Row((S.PARKED, S.WAITING), NotePresent, S.NEGOTIATING, try_peer),
        Row((S.CONNECTING, S.LIVE, S.WAITING), NoteForgotten, S.NEGOTIATING, try_peer),
        Row((S.IDLE, *OPEN), CloseFeed, S.CLOSED, close),
    ),
    timers=(
        After(S.CONNECTING, ExpireConnecting, seconds=CONNECTING_SECONDS),
        After(S.LIVE, SettleFeed, seconds=SETTLED_SECONDS),
        After(S.WAITING, RetryFeed, due=_retry_at),
    ),
    asides=(
        Ignore((*OPEN, *FINAL), OpenFeed, "it was opened before"),
        Ignore(
            (S.IDLE, *OPEN, *FINAL),
            (NoteAnswered, NoteConnected, LosePeer),
            "it is about a peer that was dropped, or is known",
        ),
        Ignore((S.IDLE, S.NEGOTIATING, S.LIVE, S.WAITING, S.PARKED, *FINAL), ExpireConnecting, "late timer"),
        Ignore((S.IDLE, *UNSURE, S.WAITING, S.PARKED, *FINAL), SettleFeed, "the peer is gone"),
        Ignore((S.IDLE, *WITH_PEER, S.PARKED, *FINAL), RetryFeed, "it is tried already, or not any more"),
        Ignore((S.IDLE, S.PARKED, *FINAL), NoteAbsent, "it is known"),
        Ignore((S.IDLE, *WITH_PEER, *FINAL), NotePresent, "it is viewed already"),
        Ignore((S.IDLE, S.NEGOTIATING, S.PARKED, *FINAL), NoteForgotten, "it is asked for already, or later"),
        Ignore(FINAL, CloseFeed, "it is over"),
    ),
)
