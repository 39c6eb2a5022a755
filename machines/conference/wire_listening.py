"""The wire form of the events' WebSocket; ours, because the source has none."""

import attrs

from engine.codec.wire import on_wire
from machines.conference.wire import Ident, MaybeIdent

FOLLOW = "follow"
UNFOLLOW = "unfollow"
ACKNOWLEDGE = "acknowledge"
FOLLOWING = "following"
ERROR = "error"


@attrs.frozen(kw_only=True)
class Frame:
    """What every message has; the rest is read by its type."""

    type: str


@attrs.frozen(kw_only=True)
class Follow:
    """Hear a conference's events from `since` on."""

    conference_id: Ident
    since: int | None = None
    """The first version that is wanted; without it all events, creation included."""
    user_endpoint_id: MaybeIdent = None
    """Hear sent events for this endpoint only; without it for all of one's own."""


@attrs.frozen(kw_only=True)
class Unfollow:
    """Hear no more of it."""

    conference_id: Ident


@attrs.frozen(kw_only=True)
class Acknowledge:
    """A sent event has arrived; it is not told again."""

    conference_id: Ident
    event_id: Ident


@attrs.frozen(kw_only=True)
class Following:
    """The events from `since` on follow this."""

    type: str = FOLLOWING
    conference_id: str
    version: int
    """The version that the conference has now."""


@attrs.frozen(kw_only=True)
class Problem:
    """A message was not understood, or not done; the socket stays open."""

    type: str = ERROR
    error: str
    error_description: str = attrs.field(metadata=on_wire("error_description"))
    conference_id: str | None = None
