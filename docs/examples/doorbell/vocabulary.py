"""Words of the doorbell: states, commands, events, messages, data."""

from enum import StrEnum

import attrs

from engine import Command, Event, Message

DOOR = "doorbell.door"


class DoorState(StrEnum):
    """One door."""

    QUIET = "quiet"
    RINGING = "ringing"


@attrs.frozen
class Door:
    """Data of a door."""

    name: str
    rings: int = 0


@attrs.frozen(kw_only=True)
class RingDoor(Command):
    """Somebody presses the button."""

    door: str
    visitor: str


@attrs.frozen(kw_only=True)
class OpenDoor(Command):
    """Somebody inside opens."""

    sender: str


@attrs.frozen
class ExpireRing(Command):
    """Nobody came to the door."""


@attrs.frozen(kw_only=True)
class DoorRang(Event):
    """It rings."""

    visitor: str


@attrs.frozen(kw_only=True)
class DoorOpened(Event):
    """It was opened."""

    sender: str


@attrs.frozen
class RingExpired(Event):
    """Nobody came."""


@attrs.frozen(kw_only=True)
class RingTaken(Message):
    """Answer to whoever rings."""

    door: str
    number: int
    """How many rings this door has heard."""


@attrs.frozen(kw_only=True)
class DoorNotice(Message):
    """What the sockets of a door are told."""

    name: str
    who: str = ""
