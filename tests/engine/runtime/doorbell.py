"""A small family for tests: a bell that rings, asks a port and may crash; a board that counts."""

from enum import StrEnum

import attrs

from engine.codec.records import RecordCodec
from engine.effects import Ask, ProlongTimer, Reply, Request, Send, Tell
from engine.machine.family import Family, Kind
from engine.machine.table import After, EndOnCrash, Ignore, OnRestart, Refuse, Row, Said, Table
from engine.vocabulary import Address, Command, Event, Message

BELL, BOARD = "test.bell", "test.board"


class BellState(StrEnum):
    """A bell."""

    IDLE = "idle"
    RINGING = "ringing"
    ANSWERED = "answered"
    BROKEN = "broken"


class BoardState(StrEnum):
    """A board."""

    OPEN = "open"


@attrs.frozen
class Press(Command):
    """Ring."""

    seconds: float = 60.0
    board: str = ""


@attrs.frozen
class Answer(Command):
    """Somebody is there."""

    who: str = ""


@attrs.frozen
class Expire(Command):
    """Nobody came."""


@attrs.frozen
class Linger(Command):
    """Ring longer, and note nothing."""


@attrs.frozen
class Explode(Command):
    """A rule that raises."""


@attrs.frozen
class Wire(Command):
    """Ask the port for something."""

    what: str = "tone"


@attrs.frozen
class HangUp(Command):
    """End, and have the port say so."""


@attrs.frozen
class Count(Command):
    """One more."""


@attrs.frozen
class Forbid(Command):
    """Refused always."""


@attrs.frozen
class Rang(Event):
    """It rings."""

    seconds: float


@attrs.frozen
class Answered(Event):
    """It was answered."""

    who: str


@attrs.frozen
class Stopped(Event):
    """It stopped."""

    why: str


@attrs.frozen
class Wired(Event):
    """The port was asked."""

    what: str


@attrs.frozen
class Counted(Event):
    """One more."""


@attrs.frozen
class Told(Message):
    """What followers hear."""

    text: str


@attrs.frozen
class Tone(Request):
    """What the port is asked."""

    what: str


@attrs.frozen
class Bell:
    """Data of a bell."""

    name: str
    seconds: float = 60.0
    who: str = ""


@attrs.frozen
class Board:
    """Data of a board."""

    name: str
    count: int = 0


def press(bell: Bell, command: Press) -> Said:
    said = (Rang(command.seconds), Reply(Told("ringing")))
    return (*said, Tell(Address(BOARD, command.board), Count())) if command.board else said


def answer(bell: Bell, command: Answer) -> Said:
    return (Answered(command.who), Reply(Told(f"hello {command.who}")))


def expire(bell: Bell, command: Expire) -> Said:
    return (Stopped("nobody"),)


def linger(bell: Bell, command: Linger) -> Said:
    return (ProlongTimer("ring", command.at + bell.seconds),)


def explode(bell: Bell, command: Explode) -> Said:
    raise ZeroDivisionError("a rule of the test raises")


def wire(bell: Bell, command: Wire) -> Said:
    return (Wired(command.what), Ask("tone", Tone(command.what)))


def hang_up(bell: Bell, command: HangUp) -> Said:
    return (Stopped("hung up"), Ask("tone", Tone("bye")))


def break_down(bell: Bell, command: Command) -> Said:
    return (Stopped("crashed"),)


def forbid(bell: Bell, command: Forbid) -> Said:
    return (Wired("never"), Tell(Address(BOARD, "b"), Forbid()))


def evolve(bell: Bell, event: Event) -> Bell:
    match event:
        case Rang():
            return attrs.evolve(bell, seconds=event.seconds)
        case Answered():
            return attrs.evolve(bell, who=event.who)
        case _:
            return bell


def count(board: Board, command: Count) -> Said:
    return (Counted(),)


def evolve_board(board: Board, event: Event) -> Board:
    return attrs.evolve(board, count=board.count + 1)


def announce(address: Address, event: Event) -> tuple[Send, ...]:
    match event:
        case Rang():
            return (Send(to=address.key, message=Told("rang")),)
        case Answered():
            return (Send(to=address.key, message=Told(f"answered by {event.who}")),)
        case _:
            return ()


def seconds_of(bell: Bell) -> float:
    return bell.seconds


S = BellState
LIVE = (S.IDLE, S.RINGING)
DONE = (S.ANSWERED, S.BROKEN)


def bell_table(on_restart: OnRestart = OnRestart.KEEP) -> Table[BellState, Bell]:
    """A bell whose timer does this at a restart."""
    return Table(
        name="bell",
        initial=S.IDLE,
        final=frozenset(DONE),
        start=Bell,
        evolve=evolve,
        crash=EndOnCrash(S.BROKEN, break_down),
        waits={S.IDLE: "nobody is at the door"},
        rows=(
            Row(S.IDLE, Press, S.RINGING, press),
            Row(S.RINGING, Answer, S.ANSWERED, answer),
            Row(S.RINGING, Expire, S.IDLE, expire),
            Row(S.RINGING, Linger, None, linger),
            Row(LIVE, Explode, None, explode),
            Row(LIVE, Wire, None, wire),
            Row(LIVE, Forbid, None, forbid),
            Row(LIVE, HangUp, S.BROKEN, hang_up),
        ),
        timers=(After(S.RINGING, Expire, seconds=seconds_of, name="ring", on_restart=on_restart),),
        asides=(
            Refuse(S.RINGING, Press, "rings already"),
            Refuse(S.IDLE, (Answer, Linger), "does not ring"),
            Ignore(S.IDLE, Expire, "late"),
            Refuse(DONE, (Press, Answer, Linger, Explode, Wire, Forbid, HangUp), "done"),
            Ignore(DONE, Expire, "late"),
        ),
    )


BOARD_TABLE: Table[BoardState, Board] = Table(
    name="board",
    initial=BoardState.OPEN,
    final=frozenset(),
    start=Board,
    evolve=evolve_board,
    waits={BoardState.OPEN: "it is a board"},
    rows=(Row(BoardState.OPEN, Count, None, count),),
    asides=(Refuse(BoardState.OPEN, Forbid, "forbidden"),),
)


def doorbell(on_restart: OnRestart = OnRestart.KEEP) -> tuple[Family, RecordCodec]:
    """The family and its codec."""
    family = Family(
        (
            Kind(name=BELL, table=bell_table(on_restart), announce=announce, indexed=True),
            Kind(name=BOARD, table=BOARD_TABLE),
        )
    )
    words = (Press, Answer, Expire, Explode, Wire, Count, Forbid, HangUp)
    facts = (Rang, Answered, Stopped, Wired, Counted, Told)
    return family, RecordCodec((*words, *facts, Bell, Board), states=family.states())
