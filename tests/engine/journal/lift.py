"""A family whose folds are hard: commands deferred over several states, timers that fire in place.

And a journal kept by hand, beside the live state that a fold has to equal.
"""

from enum import StrEnum
from typing import Any

import attrs

from engine.codec.records import RecordCodec
from engine.effects import Reply
from engine.journal.fold import encoded
from engine.journal.port import Loaded, StoredEvent
from engine.machine.family import AbsentError, Decision, Draft, Family, Kind, StreamState, apply_change
from engine.machine.table import After, Defer, Ignore, OnRestart, Refuse, Row, Said, Table
from engine.vocabulary import Address, Command, Event, Message, Stamp

LIFT, CAR = "test.lift", Address("test.lift", "car")


class LiftState(StrEnum):
    """A lift."""

    CLOSED = "closed"
    OPENING = "opening"
    OPEN = "open"


@attrs.frozen
class Open(Command):
    """Open the door."""


@attrs.frozen
class Opened(Command):
    """The door is open."""


@attrs.frozen
class Call(Command):
    """Come to a floor."""

    floor: int = 0


@attrs.frozen
class Nag(Command):
    """The door has been open for long."""


@attrs.frozen
class Look(Command):
    """Nothing happens."""


@attrs.frozen
class DoorMoved(Event):
    """The door moved."""

    how: str


@attrs.frozen
class Moved(Event):
    """The lift moved."""

    floor: int


@attrs.frozen
class Nagged(Event):
    """It beeped."""


@attrs.frozen
class Beep(Message):
    """What somebody hears."""

    floor: int


@attrs.frozen
class Lift:
    """Where it is, and how often it beeped."""

    name: str
    floor: int = 0
    nags: int = 0


def open_door(lift: Lift, command: Open) -> Said:
    return (DoorMoved("opening"),)


def opened(lift: Lift, command: Opened) -> Said:
    return (DoorMoved("open"),)


def go(lift: Lift, command: Call) -> Said:
    if command.floor < 0:
        raise ZeroDivisionError("there is no such floor")
    return (DoorMoved("shut"), Moved(command.floor), Reply(Beep(command.floor)))


def nag(lift: Lift, command: Nag) -> Said:
    return (Nagged(),)


def evolve(lift: Lift, event: Event) -> Lift:
    match event:
        case Moved(floor=floor):
            return attrs.evolve(lift, floor=floor)
        case Nagged():
            return attrs.evolve(lift, nags=lift.nags + 1)
        case _:
            return lift


S = LiftState
TABLE: Table[LiftState, Lift] = Table(
    name="lift",
    initial=S.CLOSED,
    final=frozenset(),
    start=Lift,
    evolve=evolve,
    waits={S.CLOSED: "nobody is there"},
    rows=(
        Row(S.CLOSED, Open, S.OPENING, open_door),
        Row(S.CLOSED, Call, None, go),
        Row(S.OPENING, Opened, S.OPEN, opened),
        Row(S.OPEN, Call, S.CLOSED, go),
        Row(S.OPEN, Nag, None, nag),
    ),
    timers=(
        After(S.OPENING, Opened, seconds=2.0, name="opened"),
        After(S.OPEN, Nag, seconds=5.0, name="first", on_restart=OnRestart.REARM),
        After(S.OPEN, Nag, seconds=5.0, name="second", on_restart=OnRestart.DROP),
        After(S.OPEN, Look, seconds=5.0, name="look", on_restart=OnRestart.REARM),
    ),
    asides=(
        Defer(S.OPENING, Call, "it moves when the door has moved"),
        Refuse((S.OPENING, S.OPEN), Open, "it opens"),
        Ignore((S.CLOSED, S.OPEN), Opened, "late"),
        Ignore((S.CLOSED, S.OPENING), Nag, "late"),
        Ignore((S.CLOSED, S.OPENING, S.OPEN), Look, "nothing to see"),
    ),
)
FAMILY = Family((Kind(name=LIFT, table=TABLE),))
CODEC = RecordCodec(
    (Open, Opened, Call, Nag, Look, DoorMoved, Moved, Nagged, Beep, Lift), states=FAMILY.states()
)


class Book:
    """Commands decided one after another, their records kept as bytes, and the live state beside them."""

    def __init__(self, family: Family = FAMILY, codec: RecordCodec = CODEC) -> None:
        self.family = family
        self.codec = codec
        self.now = 100.0
        self.live: dict[str, StreamState] = {}
        self.stored: dict[str, list[StoredEvent]] = {}
        self.snapshots: dict[str, list[tuple[int, bytes]]] = {}
        """After each append: what a snapshot would hold."""
        self._count = 0

    def send(self, to: Address, command: Command, timer: str | None = None) -> Decision:
        """Decide and keep."""
        stamped = attrs.evolve(command, stamp=self._stamp())
        return self._keep(lambda draft: draft.decide(to, stamped, timer=timer))

    def restart(self, to: Address = CAR) -> Decision:
        """Apply the restart policies."""
        stamp = self._stamp()
        return self._keep(lambda draft: draft.decide_restart(to, stamp))

    def whole(self, stream: str) -> Loaded:
        """Every event."""
        return Loaded(None, 0, tuple(self.stored.get(stream, ())))

    def short(self, stream: str, at: int = -1) -> Loaded:
        """A snapshot, the last one by default, and the events behind it."""
        version, data = self.snapshots[stream][at]
        return Loaded(data, version, tuple(self.stored[stream][version:]))

    def _stamp(self) -> Stamp:
        self._count += 1
        return Stamp(at=self.now, id=f"c{self._count}", entropy=f"{self._count:064x}")

    def _keep(self, decide: Any) -> Decision:
        while True:
            draft = Draft(self.family, self.live)
            try:
                decision: Decision = decide(draft)
                break
            except AbsentError as absent:
                self.live[absent.stream] = StreamState(members={}, seen={})
        draft.accept(decision)
        for stream, change in draft.changes.items():
            apply_change(self.family, self.live[stream], change)
            stored = self.stored.setdefault(stream, [])
            for record in change.records:
                tag = self.codec.tag_of(type(record.event))
                stored.append(StoredEvent(len(stored) + 1, tag, self.now, self.codec.encode(record)))
            if change.records:
                snapshot = (len(stored), encoded(self.codec, self.live[stream]))
                self.snapshots.setdefault(stream, []).append(snapshot)
        return decision
