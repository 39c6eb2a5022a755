"""The seat: one user's place in one videochat, held by a lease so that nobody sits there as a ghost."""

from engine.effects import Tell
from engine.machine.table import After, EndOnCrash, Ignore, Refuse, Row, Said, Table
from engine.vocabulary import Address, Command, Event
from machines.videochat import vocabulary as v
from machines.videochat.reasons import Reason
from machines.videochat.vocabulary import SeatState as S

RESERVED_SECONDS = 300.0
"""How long a seat is kept for a user who does not connect."""

LOST_SECONDS = 20.0
"""How long a seat is kept for a user whose sockets are gone."""

BACKGROUND_SECONDS = 3600.0
"""How long a seat is kept for an app in the background. The sibling text sets no end; without one a phone
that died there would sit for ever."""

HELD = (S.RESERVED, S.CONNECTED, S.BACKGROUND, S.LOST)


def begin(key: str) -> v.Seat:
    """An empty seat; the key is `<videochat id>/<user id>`."""
    videochat_id, _, user = key.partition("/")
    return v.Seat(videochat_id=videochat_id, user=user)


def by_user(seat: v.Seat, command: v.LeaveSeat) -> bool:
    return not command.by_engine


def reserve(seat: v.Seat, command: v.TakeSeat) -> Said:
    return (v.SeatReserved(),)


def connect(seat: v.Seat, command: v.ConnectSeat) -> Said:
    return (
        v.SeatConnected(),
        Tell(_room(seat), v.NoteConnected(user=seat.user)),
        Tell(_line(seat), v.NoteSeated(videochat_id=seat.videochat_id, only_one=command.only_one)),
    )


def leave(seat: v.Seat, command: v.LeaveSeat) -> Said:
    return _leave(seat, "left")


def expire(seat: v.Seat, command: v.ExpireSeat) -> Said:
    return _leave(seat, "expired")


def crash(seat: v.Seat, command: Command) -> Said:
    return _leave(seat, "crashed")


def close(seat: v.Seat, command: v.CloseSeat) -> Said:
    # The room knows: it is the room that says so.
    return (v.SeatLeft(reason="room ended"), _unseat(seat))


def hide(seat: v.Seat, command: v.HideSeat) -> Said:
    return (v.SeatHidden(),)


def lose(seat: v.Seat, command: v.LoseSeat) -> Said:
    return (v.SeatLost(),)


def come_back(seat: v.Seat, command: v.ReturnSeat | v.ShowSeat) -> Said:
    return (v.SeatReturned(),)


def evolve(seat: v.Seat, event: Event) -> v.Seat:
    return seat


def _leave(seat: v.Seat, reason: str) -> Said:
    return (v.SeatLeft(reason=reason), Tell(_room(seat), v.NoteLeft(user=seat.user)), _unseat(seat))


def _unseat(seat: v.Seat) -> Tell:
    return Tell(_line(seat), v.NoteUnseated(videochat_id=seat.videochat_id))


def _room(seat: v.Seat) -> Address:
    return Address(v.ROOM, seat.videochat_id)


def _line(seat: v.Seat) -> Address:
    return Address(v.LINE, seat.user)


TABLE: Table[S, v.Seat] = Table(
    name="seat",
    initial=S.ABSENT,
    final=frozenset(),
    start=begin,
    evolve=evolve,
    crash=EndOnCrash(S.ABSENT, crash),
    waits={
        S.ABSENT: "nobody sits here",
        S.CONNECTED: "he is there; when his sockets drop, the line says so",
    },
    rows=(
        Row(S.ABSENT, v.TakeSeat, S.RESERVED, reserve),
        Row(S.RESERVED, v.ConnectSeat, S.CONNECTED, connect),
        Row((S.BACKGROUND, S.LOST), v.ConnectSeat, S.CONNECTED, come_back),
        Row(S.CONNECTED, v.HideSeat, S.BACKGROUND, hide),
        Row(S.BACKGROUND, v.ShowSeat, S.CONNECTED, come_back),
        Row(S.CONNECTED, v.LoseSeat, S.LOST, lose),
        Row(S.LOST, v.ReturnSeat, S.CONNECTED, come_back),
        Row(S.LOST, v.HideSeat, S.BACKGROUND, hide),
        Row((S.RESERVED, S.CONNECTED), v.LeaveSeat, S.ABSENT, leave),
        Row((S.BACKGROUND, S.LOST), v.LeaveSeat, S.ABSENT, leave, when=by_user),
        Row((S.RESERVED, S.BACKGROUND, S.LOST), v.ExpireSeat, S.ABSENT, expire),
        Row(HELD, v.CloseSeat, S.ABSENT, close),
    ),
    timers=(
        After(S.RESERVED, v.ExpireSeat, seconds=RESERVED_SECONDS, name="seat"),
        After(S.BACKGROUND, v.ExpireSeat, seconds=BACKGROUND_SECONDS, name="seat"),
        After(S.LOST, v.ExpireSeat, seconds=LOST_SECONDS, name="seat"),
    ),
    asides=(
        Ignore(HELD, v.TakeSeat, "it is his already"),
        Ignore(S.ABSENT, (v.LeaveSeat, v.CloseSeat), "the second report of one leaving"),
        Ignore((S.BACKGROUND, S.LOST), v.LeaveSeat, "his media is gone, and his place is kept for a while"),
        # A refresh never makes a seat: a wake-up after the end must not resurrect a ghost.
        Refuse(S.ABSENT, v.ConnectSeat, Reason.NO_PERMISSION),
        Ignore(S.CONNECTED, v.ConnectSeat, "he is connected"),
        Ignore((S.ABSENT, S.RESERVED), (v.HideSeat, v.ShowSeat), "he is not connected"),
        Ignore(S.BACKGROUND, v.HideSeat, "he is hidden already"),
        Ignore((S.CONNECTED, S.LOST), v.ShowSeat, "he was not hidden"),
        Ignore((S.ABSENT, S.RESERVED, S.LOST), v.LoseSeat, "his media was not connected"),
        Ignore(S.BACKGROUND, v.LoseSeat, "an app in the background may have no socket"),
        Ignore((S.ABSENT, S.RESERVED, S.CONNECTED, S.BACKGROUND), v.ReturnSeat, "he was not lost"),
        Ignore((S.ABSENT, S.CONNECTED), v.ExpireSeat, "late timer"),
    ),
)
