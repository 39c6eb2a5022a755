"""The port: a seat in a room becomes a token with which a client connects to a media engine."""

import secrets
from collections.abc import Callable
from typing import Protocol, TypeAlias

import attrs

from engine.errors import MediaError
from engine.vocabulary import length

DAY_SECONDS = 86_400

Randomness: TypeAlias = Callable[[int], bytes]
"""As many random bytes as asked for; the same bytes make the same token."""

RANDOM: Randomness = secrets.token_bytes


@attrs.frozen(kw_only=True)
class Seat:
    """Who may do what in which room."""

    room: str
    identity: str
    """Names the participant in the room; a second connection with it replaces the first."""
    uid: int
    """The same as a number, for engines that want one; 1 to 2**32 - 1."""
    name: str
    """Shown to the others."""
    can_publish: bool
    can_subscribe: bool
    can_publish_data: bool
    is_admin: bool
    """May remove and mute others."""
    metadata: str = ""
    """Passed to the others as it is, by engines that can."""


@attrs.frozen(kw_only=True)
class Access:
    """What a client needs to connect."""

    engine: str
    """`livekit`, `twilio` or `agora`."""
    app_id: str
    """Agora's app id; empty for engines whose clients need none."""
    url: str
    """The server to connect to; empty for engines whose clients know it."""
    token: str = attrs.field(repr=length)


class AccessIssuer(Protocol):
    """Makes tokens of one engine, by computing alone: nothing is sent anywhere."""

    @property
    def engine(self) -> str:
        """The name that goes into `Access.engine`."""

    def issue(self, seat: Seat, *, now: float, seconds: float) -> Access:
        """A token for `seat`, good for connecting from `now` (UTC seconds) on for `seconds`.

        Raises:
            MediaError: the engine has no such room, identity or time.
        """


def check_seat(engine: str, seat: Seat, seconds: float, seconds_max: float | None = None) -> None:
    """Refuse what no engine takes.

    Raises:
        MediaError: the room or the identity is empty, or the time is not positive or too long.
    """
    if not seat.room or not seat.identity:
        raise MediaError(f"{engine}: a seat needs a room and an identity")
    if not seconds >= 1:
        raise MediaError(f"{engine}: a token lives for at least one second")
    if seconds_max is not None and seconds > seconds_max:
        raise MediaError(f"{engine}: a token lives for {seconds_max:g} seconds at most")
