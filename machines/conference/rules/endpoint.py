"""The user endpoint: there as long as its keepalives come, sick for a while without them, then gone (3.3)."""

import attrs

from engine.effects import ProlongTimer, Tell
from engine.machine.table import After, EndOnCrash, Ignore, OnRestart, Refuse, Row, Said, Table
from engine.vocabulary import Command, Event
from machines.conference import vocabulary as v
from machines.conference.reasons import Reason
from machines.conference.rules.addresses import conference_address, seat_address
from machines.conference.vocabulary import EndpointState as S

GRACE_SECONDS = 2.0
"""How much later than promised a keepalive may come."""

MISSED = "missed"
"""The timer that a keepalive prolongs."""

MISSED_MAX = 3
"""Keepalives missed in a row that remove an endpoint."""

THERE = (S.HEALTHY, S.SICK)


def begin(user_endpoint_id: str) -> v.Endpoint:
    """An endpoint that nobody has registered."""
    return v.Endpoint(user_endpoint_id=user_endpoint_id)


def sick_after(endpoint: v.Endpoint) -> float:
    return endpoint.keep_alive_seconds + GRACE_SECONDS


def gone_after(endpoint: v.Endpoint) -> float:
    """Counted from when it became sick."""
    sooner = MISSED_MAX * endpoint.keep_alive_seconds - sick_after(endpoint)
    return max(endpoint.keep_alive_seconds, sooner)


def is_own(
    endpoint: v.Endpoint, command: v.RegisterEndpoint | v.KeepAlive | v.UnregisterEndpoint | v.NoteJoined
) -> bool:
    caller = command.caller
    return (caller.user, caller.organization) == (endpoint.user, endpoint.organization)


def is_joined(endpoint: v.Endpoint, command: v.NoteLeft) -> bool:
    return command.conference_id in endpoint.conferences


def register(endpoint: v.Endpoint, command: v.RegisterEndpoint) -> Said:
    return (
        v.EndpointRegistered(
            user=command.caller.user,
            organization=command.caller.organization,
            keep_alive_seconds=command.keep_alive_seconds,
        ),
    )


def register_anew(endpoint: v.Endpoint, command: v.RegisterEndpoint) -> Said:
    return (*register(endpoint, command), *_recovered(endpoint))


def keep(endpoint: v.Endpoint, command: v.KeepAlive) -> Said:
    # Nothing for the journal: a restart gives everybody the whole time anyway.
    return (ProlongTimer(MISSED, command.at + sick_after(endpoint)),)


def recover(endpoint: v.Endpoint, command: v.KeepAlive) -> Said:
    return (v.EndpointRecovered(), *_recovered(endpoint))


def sicken(endpoint: v.Endpoint, command: v.MissKeepAlive) -> Said:
    return (v.EndpointSickened(), *_seats(endpoint, v.Sicken()))


def join(endpoint: v.Endpoint, command: v.NoteJoined) -> Said:
    return (v.EndpointJoined(conference_id=command.conference_id),)


def join_and_recover(endpoint: v.Endpoint, command: v.NoteJoined) -> Said:
    """Who joins is there."""
    return (*join(endpoint, command), *_recovered(endpoint))


def leave(endpoint: v.Endpoint, command: v.NoteLeft) -> Said:
    return (v.EndpointLeft(conference_id=command.conference_id),)


def unregister(endpoint: v.Endpoint, command: v.UnregisterEndpoint) -> Said:
    return _remove(endpoint, command.reason)


def expire(endpoint: v.Endpoint, command: v.ExpireEndpoint) -> Said:
    return _remove(endpoint, "lost")


def crash(endpoint: v.Endpoint, command: Command) -> Said:
    return _remove(endpoint, "crashed")


def evolve(endpoint: v.Endpoint, event: Event) -> v.Endpoint:
    match event:
        case v.EndpointRegistered():
            return attrs.evolve(
                endpoint,
                user=event.user,
                organization=event.organization,
                keep_alive_seconds=event.keep_alive_seconds,
            )
        case v.EndpointJoined(conference_id=joined):
            others = tuple(one for one in endpoint.conferences if one != joined)
            return attrs.evolve(endpoint, conferences=(*others, joined))
        case v.EndpointLeft(conference_id=left):
            conferences = tuple(one for one in endpoint.conferences if one != left)
            return attrs.evolve(endpoint, conferences=conferences)
        case v.EndpointRemoved():
            return begin(endpoint.user_endpoint_id)
        case _:
            return endpoint


def _remove(endpoint: v.Endpoint, reason: str) -> Said:
    dropped = v.DropEndpoint(user_endpoint_id=endpoint.user_endpoint_id, reason=reason)
    tells = (Tell(conference_address(one), dropped) for one in endpoint.conferences)
    return (v.EndpointRemoved(reason=reason), *tells)


def _recovered(endpoint: v.Endpoint) -> tuple[Tell, ...]:
    return _seats(endpoint, v.Recover())


def _seats(endpoint: v.Endpoint, command: Command) -> tuple[Tell, ...]:
    """The endpoint's participants, wherever it has joined."""
    name = endpoint.user_endpoint_id
    return tuple(Tell(seat_address(one, name), command) for one in endpoint.conferences)


_ASKED = (v.KeepAlive, v.UnregisterEndpoint, v.ClaimEndpoint, v.NoteJoined)

TABLE: Table[S, v.Endpoint] = Table(
    name="endpoint",
    initial=S.UNREGISTERED,
    final=frozenset(),
    start=begin,
    evolve=evolve,
    crash=EndOnCrash(S.UNREGISTERED, crash),
    waits={S.UNREGISTERED: "nobody has registered it"},
    rows=(
        Row(S.UNREGISTERED, v.RegisterEndpoint, S.HEALTHY, register),
        Row(S.HEALTHY, v.RegisterEndpoint, S.HEALTHY, register, when=is_own, again=True),
        Row(S.SICK, v.RegisterEndpoint, S.HEALTHY, register_anew, when=is_own),
        Row(S.HEALTHY, v.KeepAlive, None, keep, when=is_own),
        Row(S.SICK, v.KeepAlive, S.HEALTHY, recover, when=is_own),
        Row(S.HEALTHY, v.MissKeepAlive, S.SICK, sicken),
        Row(S.SICK, v.ExpireEndpoint, S.UNREGISTERED, expire),
        Row(S.HEALTHY, v.NoteJoined, None, join, when=is_own),
        Row(S.SICK, v.NoteJoined, S.HEALTHY, join_and_recover, when=is_own),
        Row(THERE, v.NoteLeft, None, leave, when=is_joined),
        Row(THERE, v.UnregisterEndpoint, S.UNREGISTERED, unregister, when=is_own),
    ),
    timers=(
        # After a restart nobody could have been heard: the full time again.
        After(S.HEALTHY, v.MissKeepAlive, seconds=sick_after, name=MISSED, on_restart=OnRestart.REARM),
        After(S.SICK, v.ExpireEndpoint, seconds=gone_after, name="gone", on_restart=OnRestart.REARM),
    ),
    asides=(
        Refuse(S.UNREGISTERED, _ASKED, Reason.ENDPOINT_NOT_FOUND),
        Refuse(THERE, v.RegisterEndpoint, Reason.ENDPOINT_TAKEN),
        Ignore(THERE, v.ClaimEndpoint, "it is there, and is the caller's", when=is_own),
        Refuse(THERE, _ASKED, Reason.ENDPOINT_TAKEN),
        Ignore((S.UNREGISTERED, *THERE), v.NoteLeft, "it is not there"),
        Ignore((S.UNREGISTERED, S.SICK), v.MissKeepAlive, "late timer"),
        Ignore((S.UNREGISTERED, S.HEALTHY), v.ExpireEndpoint, "late timer"),
    ),
)
