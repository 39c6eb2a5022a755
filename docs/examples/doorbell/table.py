"""The door: it rings for half a minute, unless somebody opens."""

import attrs

from engine import Address, After, EndOnCrash, Event, Ignore, Kind, Refuse, Reply, Row, Said, Send, Table
from engine.vocabulary import Command

from . import vocabulary as v
from .vocabulary import DoorState as S

RING_SECONDS = 30.0


def ring(door: v.Door, command: v.RingDoor) -> Said:
    return (v.DoorRang(visitor=command.visitor), Reply(v.RingTaken(door=door.name, number=door.rings + 1)))


def open_up(door: v.Door, command: v.OpenDoor) -> Said:
    return (v.DoorOpened(sender=command.sender),)


def give_up(door: v.Door, command: Command) -> Said:
    return (v.RingExpired(),)


def evolve(door: v.Door, event: Event) -> v.Door:
    return attrs.evolve(door, rings=door.rings + 1) if isinstance(event, v.DoorRang) else door


def announce(address: Address, event: Event) -> tuple[Send, ...]:
    """What the door's sockets hear; from the event alone, so that it can be told again from the journal."""
    match event:
        case v.DoorRang():
            return (Send(to=address.key, message=v.DoorNotice(name="rang", who=event.visitor)),)
        case v.DoorOpened():
            return (Send(to=address.key, message=v.DoorNotice(name="opened", who=event.sender)),)
        case _:
            return (Send(to=address.key, message=v.DoorNotice(name="expired")),)


TABLE: Table[S, v.Door] = Table(
    name="door",
    initial=S.QUIET,
    final=frozenset(),
    start=v.Door,
    evolve=evolve,
    crash=EndOnCrash(S.QUIET, give_up),
    waits={S.QUIET: "nobody is at the door"},
    rows=(
        Row(S.QUIET, v.RingDoor, S.RINGING, ring),
        Row(S.RINGING, v.OpenDoor, S.QUIET, open_up),
        Row(S.RINGING, v.ExpireRing, S.QUIET, give_up),
    ),
    timers=(After(S.RINGING, v.ExpireRing, seconds=RING_SECONDS, name="ring"),),
    asides=(
        Refuse(S.RINGING, v.RingDoor, "rings_already"),
        Refuse(S.QUIET, v.OpenDoor, "nobody_rings"),
        Ignore(S.QUIET, v.ExpireRing, "late timer"),
    ),
)

KINDS = (Kind(name=v.DOOR, table=TABLE, announce=announce),)
