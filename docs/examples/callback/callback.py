"""A customer asks to be called back; an agent takes the request, and a dialer places the call."""

from enum import StrEnum

import attrs

from engine import (
    After,
    Api,
    Ask,
    Command,
    EndOnCrash,
    Event,
    Ignore,
    Kind,
    Refuse,
    Request,
    Row,
    Said,
    Table,
    length,
)

CALLBACK = "desk.callback"


class S(StrEnum):
    """States."""

    NEW = "new"
    WAITING = "waiting"
    DIALING = "dialing"
    TALKED = "talked"
    GIVEN_UP = "given up"


@attrs.frozen
class Callback:
    """Data. It begins with the key alone, and events make the rest."""

    key: str
    phone: str = attrs.field(default="", repr=length)  # logs and listings show how long it is
    agent: str = ""


# Commands ask, and may be refused.


@attrs.frozen(kw_only=True)
class AskCallback(Command):
    phone: str = attrs.field(repr=length)


@attrs.frozen(kw_only=True)
class TakeCallback(Command):
    agent: str


@attrs.frozen
class ReportAnswered(Command):
    pass


@attrs.frozen
class ReportMissed(Command):
    pass


@attrs.frozen
class GiveUp(Command):
    pass


# Events are facts. They are what the journal keeps.


@attrs.frozen(kw_only=True)
class CallbackAsked(Event):
    phone: str = attrs.field(repr=length)


@attrs.frozen(kw_only=True)
class CallbackTaken(Event):
    agent: str


@attrs.frozen
class CallAnswered(Event):
    pass


@attrs.frozen
class CallMissed(Event):
    pass


@attrs.frozen
class CallbackGivenUp(Event):
    pass


@attrs.frozen(kw_only=True)
class Dial(Request):
    """What the dialer is asked."""

    phone: str = attrs.field(repr=length)


# Rules: plain functions of data and command. They return events, then effects.


def note(data: Callback, command: AskCallback) -> Said:
    return (CallbackAsked(phone=command.phone),)


def dial(data: Callback, command: TakeCallback) -> Said:
    return (CallbackTaken(agent=command.agent), Ask("desk.dialer", Dial(phone=data.phone)))


def talk(data: Callback, command: ReportAnswered) -> Said:
    return (CallAnswered(),)


def miss(data: Callback, command: ReportMissed) -> Said:
    return (CallMissed(),)


def give_up(data: Callback, command: Command) -> Said:
    return (CallbackGivenUp(),)


def evolve(data: Callback, event: Event) -> Callback:
    match event:
        case CallbackAsked():
            return attrs.evolve(data, phone=event.phone)
        case CallbackTaken():
            return attrs.evolve(data, agent=event.agent)
        case _:
            return data


OVER = (S.TALKED, S.GIVEN_UP)
REPORTS = (ReportAnswered, ReportMissed)

TABLE: Table[S, Callback] = Table(
    name="callback",
    initial=S.NEW,
    final=frozenset(OVER),
    start=Callback,
    evolve=evolve,
    crash=EndOnCrash(S.GIVEN_UP, give_up),
    waits={S.NEW: "nobody has asked yet"},
    rows=(
        Row(S.NEW, AskCallback, S.WAITING, note),
        Row(S.WAITING, TakeCallback, S.DIALING, dial),
        Row(S.DIALING, ReportAnswered, S.TALKED, talk),
        Row(S.DIALING, ReportMissed, S.WAITING, miss),
        Row((S.WAITING, S.DIALING), GiveUp, S.GIVEN_UP, give_up),
    ),
    timers=(
        After(S.WAITING, GiveUp, seconds=3600.0, name="patience"),
        After(S.DIALING, ReportMissed, seconds=45.0, name="ringing"),
    ),
    asides=(
        Refuse((S.WAITING, S.DIALING, *OVER), AskCallback, "asked_already"),
        Refuse((S.NEW, S.DIALING, *OVER), TakeCallback, "not_waiting"),
        Ignore((S.NEW, S.WAITING, *OVER), REPORTS, "a late report"),
        Refuse((S.NEW, *OVER), GiveUp, "not_waiting"),
    ),
)


API = Api(
    name="desk",
    kinds=(Kind(name=CALLBACK, table=TABLE),),
    words=(
        Callback,
        *(AskCallback, TakeCallback, ReportAnswered, ReportMissed, GiveUp),
        *(CallbackAsked, CallbackTaken, CallAnswered, CallMissed, CallbackGivenUp),
    ),
)
