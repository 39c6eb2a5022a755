"""The participant: one user endpoint in one conference, healthy or sick."""

from engine.effects import Tell
from engine.machine.table import EndOnCrash, Ignore, Row, Said, Table
from engine.vocabulary import Command, Event
from machines.conference import vocabulary as v
from machines.conference.rules.addresses import conference_address
from machines.conference.vocabulary import ParticipantState as S


def begin(key: str) -> v.Seat:
    """Nobody; the key is `<conference id>/<user endpoint id>`."""
    conference_id, _, endpoint = key.partition("/")
    return v.Seat(conference_id=conference_id, user_endpoint_id=endpoint)


def enter(seat: v.Seat, command: v.EnterConference) -> Said:
    return (v.ParticipantEntered(),)


def leave(seat: v.Seat, command: v.ExitConference) -> Said:
    return (v.ParticipantExited(),)


def crash(seat: v.Seat, command: Command) -> Said:
    dropped = v.DropEndpoint(user_endpoint_id=seat.user_endpoint_id, reason="crashed")
    return (v.ParticipantExited(), Tell(conference_address(seat.conference_id), dropped))


def sicken(seat: v.Seat, command: v.Sicken) -> Said:
    return (v.ParticipantSickened(), _note(seat, v.Health.SICK))


def recover(seat: v.Seat, command: v.Recover) -> Said:
    return (v.ParticipantRecovered(), _note(seat, v.Health.HEALTHY))


def evolve(seat: v.Seat, event: Event) -> v.Seat:
    return seat


def _note(seat: v.Seat, health: v.Health) -> Tell:
    note = v.NoteHealth(user_endpoint_id=seat.user_endpoint_id, health=health)
    return Tell(conference_address(seat.conference_id), note)


TABLE: Table[S, v.Seat] = Table(
    name="participant",
    initial=S.ABSENT,
    final=frozenset(),
    start=begin,
    evolve=evolve,
    crash=EndOnCrash(S.ABSENT, crash),
    waits={
        S.ABSENT: "the endpoint has not joined",
        S.HEALTHY: "the endpoint's machine counts its keepalives",
        S.SICK: "the endpoint's machine says when it is over",
    },
    rows=(
        Row((S.ABSENT, S.SICK), v.EnterConference, S.HEALTHY, enter),
        Row((S.HEALTHY, S.SICK), v.ExitConference, S.ABSENT, leave),
        Row(S.HEALTHY, v.Sicken, S.SICK, sicken),
        Row(S.SICK, v.Recover, S.HEALTHY, recover),
    ),
    asides=(
        Ignore(S.HEALTHY, v.EnterConference, "it is in"),
        Ignore(S.ABSENT, (v.ExitConference, v.Sicken, v.Recover), "it is not in"),
        Ignore(S.SICK, v.Sicken, "it is known"),
        Ignore(S.HEALTHY, v.Recover, "it is known"),
    ),
)
