"""Three small tables that use all there is: a telephone's ring, a printer's queue, a turnstile."""

from enum import Enum, IntEnum, StrEnum

import attrs

from engine.effects import Reply, Send, Tell
from engine.machine.table import (
    After,
    Crash,
    Defer,
    EndOnCrash,
    Ignore,
    OnRestart,
    RebuildOnCrash,
    Refuse,
    Row,
    Said,
    Table,
)
from engine.vocabulary import Address, Command, Effect, Event, Message


class S(StrEnum):
    NEW = "new"
    RINGING = "ringing"
    CONNECTING = "connecting"
    TALKING = "talking"
    HELD = "held"
    MISSED = "missed"
    ENDED = "ended"


@attrs.frozen(kw_only=True)
class Dial(Command):
    sender: str
    callee: str
    seconds_paid: float = 60.0


@attrs.frozen
class Accept(Command):
    sender: str


@attrs.frozen
class Connected(Command):
    pass


@attrs.frozen
class Hold(Command):
    sender: str


@attrs.frozen
class Resume(Command):
    sender: str


@attrs.frozen
class Say(Command):
    sender: str
    text: str


@attrs.frozen
class HangUp(Command):
    sender: str


@attrs.frozen
class ExpireRing(Command):
    pass


@attrs.frozen
class ExpireCredit(Command):
    pass


@attrs.frozen
class Nudge(Command):
    pass


@attrs.frozen(kw_only=True)
class Dialled(Event):
    caller: str
    callee: str
    paid_until: float


@attrs.frozen
class Accepted(Event):
    pass


@attrs.frozen
class Established(Event):
    pass


@attrs.frozen
class PutOnHold(Event):
    by: str


@attrs.frozen
class Resumed(Event):
    pass


@attrs.frozen
class Spoken(Event):
    pass


@attrs.frozen
class HungUp(Event):
    by: str


@attrs.frozen
class RingExpired(Event):
    pass


@attrs.frozen
class CreditExpired(Event):
    pass


@attrs.frozen
class Crashed(Event):
    pass


@attrs.frozen
class Note(Message):
    text: str


@attrs.frozen
class Phone:
    caller: str = ""
    callee: str = ""
    held_by: str = ""
    paid_until: float = 0.0
    words: int = 0


def blank(_key: str) -> Phone:
    return Phone()


def evolve(phone: Phone, event: Event) -> Phone:
    match event:
        case Dialled(caller=caller, callee=callee, paid_until=until):
            return attrs.evolve(phone, caller=caller, callee=callee, paid_until=until)
        case PutOnHold(by=by):
            return attrs.evolve(phone, held_by=by)
        case Resumed():
            return attrs.evolve(phone, held_by="")
        case Spoken():
            return attrs.evolve(phone, words=phone.words + 1)
    return phone


def to_another(_phone: Phone, command: Dial) -> bool:
    return command.sender != command.callee


def by_callee(phone: Phone, command: Accept) -> bool:
    return command.sender == phone.callee


def by_caller(phone: Phone, command: HangUp) -> bool:
    return command.sender == phone.caller


def by_party(phone: Phone, command: Say) -> bool:
    return command.sender in (phone.caller, phone.callee)


def by_holder(phone: Phone, command: Resume) -> bool:
    return command.sender == phone.held_by


def dial(_phone: Phone, command: Dial) -> Said:
    dialled = Dialled(
        caller=command.sender, callee=command.callee, paid_until=command.at + command.seconds_paid
    )
    return dialled, Send(to=command.callee, message=Note("ring")), Reply(Note("ringing"))


def accept(phone: Phone, _command: Accept) -> Said:
    return Accepted(), *_tell_both(phone, "accepted")


def _tell_both(phone: Phone, text: str) -> tuple[Effect, ...]:
    return Send(to=phone.caller, message=Note(text)), Send(to=phone.callee, message=Note(text))


def establish(_phone: Phone, _command: Connected) -> Said:
    return (Established(),)


def hold(_phone: Phone, command: Hold) -> Said:
    return PutOnHold(command.sender), Reply(Note("held"))


def resume(_phone: Phone, _command: Resume) -> Said:
    return (Resumed(),)


def say(phone: Phone, command: Say) -> Said:
    return Spoken(), Send(to=phone.callee, message=Note(command.text))


def cancel(phone: Phone, command: HangUp) -> Said:
    return HungUp(command.sender), Send(to=phone.callee, message=Note("stop"))


def hang_up(phone: Phone, command: HangUp) -> Said:
    return HungUp(command.sender), *_tell_both(phone, "over")


def miss(phone: Phone, _command: ExpireRing) -> Said:
    return RingExpired(), Send(to=phone.caller, message=Note("missed"))


def cut_off(_phone: Phone, _command: ExpireCredit) -> Said:
    return (CreditExpired(),)


def nudge(phone: Phone, _command: Nudge) -> Said:
    return (Send(to=phone.held_by, message=Note("still there?")),)


def crash(phone: Phone, _command: Crash) -> Said:
    return Crashed(), *_tell_both(phone, "crashed")


def seconds_to_wait(phone: Phone) -> float:
    return 10.0 + phone.words


def credit_end(phone: Phone) -> float:
    return phone.paid_until


def all_but(*some: S) -> tuple[S, ...]:
    return tuple(state for state in S if state not in some)


UP = (S.CONNECTING, S.TALKING, S.HELD)
ENDS = (S.MISSED, S.ENDED)

PHONE = Table(
    name="phone",
    initial=S.NEW,
    final=frozenset(ENDS),
    start=blank,
    evolve=evolve,
    rows=(
        Row(S.NEW, Dial, S.RINGING, dial, when=to_another),
        Row(S.RINGING, Accept, S.CONNECTING, accept, when=by_callee),
        Row(S.RINGING, HangUp, S.MISSED, cancel, when=by_caller),
        Row(S.RINGING, HangUp, S.ENDED, hang_up, when=by_party),
        Row(S.RINGING, ExpireRing, S.MISSED, miss),
        Row(S.CONNECTING, Connected, S.TALKING, establish),
        Row(S.TALKING, Say, None, say, when=by_party),
        Row(S.TALKING, Hold, S.HELD, hold, when=by_party),
        Row(S.HELD, Hold, None, hold, when=by_party, again=True),
        Row(S.HELD, Resume, S.TALKING, resume, when=by_holder),
        Row(S.HELD, Nudge, None, nudge),
        Row(UP, HangUp, S.ENDED, hang_up, when=by_party),
        Row(UP, ExpireCredit, S.ENDED, cut_off),
    ),
    asides=(
        Defer((S.RINGING, S.CONNECTING), (Say, Hold), "they may speak before the line is up", when=by_party),
        Ignore(S.HELD, Say, "nobody hears it", when=by_party),
        Refuse(tuple(S), (Say, Hold, HangUp, Accept, Resume, Dial), "not_now"),
        Ignore(all_but(S.CONNECTING), Connected, "late news of a line that is gone"),
        Ignore(all_but(S.HELD), Nudge, "the timer's state was left"),
        Ignore(all_but(S.RINGING), ExpireRing, "the timer's state was left"),
        Ignore(all_but(*UP), ExpireCredit, "the timer's state was left"),
    ),
    timers=(
        After(S.RINGING, ExpireRing, 30.0),
        After(UP, ExpireCredit, due=credit_end, name="credit"),
        After(S.HELD, Nudge, seconds_to_wait, on_restart=OnRestart.REARM),
    ),
    crash=EndOnCrash(S.ENDED, crash),
    waits={S.NEW: "nothing has happened to it yet"},
)

PHONE_SAMPLES = {
    # Three names only, so that guards collide.
    Dial: [
        Dial(sender=sender, callee=callee, seconds_paid=paid)
        for sender in ("ann", "bob")
        for callee in ("ann", "bob", "eve")
        for paid in (0.0, 5.0)
    ],
    Accept: [Accept(name) for name in ("ann", "bob", "eve")],
    Hold: [Hold(name) for name in ("ann", "bob", "eve")],
    Resume: [Resume(name) for name in ("ann", "bob")],
    Say: [Say(name, "hello") for name in ("ann", "bob", "eve")],
    HangUp: [HangUp(name) for name in ("ann", "bob", "eve")],
}


class P(IntEnum):
    """Its first state is 0, which is false: no code may ask a state whether it is true."""

    WARMING = 0
    READY = 1
    PRINTING = 2
    BROKEN = 3


@attrs.frozen
class Print(Command):
    page: int


@attrs.frozen
class Warm(Command):
    pass


@attrs.frozen
class Done(Command):
    pass


@attrs.frozen
class Sleep(Command):
    pass


@attrs.frozen
class Scrap(Command):
    pass


@attrs.frozen
class Started(Event):
    page: int


@attrs.frozen
class Finished(Event):
    pass


@attrs.frozen
class Warmed(Event):
    pass


@attrs.frozen
class Slept(Event):
    pass


@attrs.frozen
class Broke(Event):
    pass


FINISHED = Finished()


def no_pages(_key: str) -> tuple[int, ...]:
    return ()


def add_page(pages: tuple[int, ...], event: Event) -> tuple[int, ...]:
    return (*pages, event.page) if isinstance(event, Started) else pages


def start_page(_pages: tuple[int, ...], command: Print) -> Said:
    return (Started(command.page),)


def finish(_pages: tuple[int, ...], _command: Done) -> Said:
    return FINISHED, Tell(Address("billing", "1"), Print(0))


def warm(_pages: tuple[int, ...], _command: Warm) -> Said:
    return (Warmed(),)


def fall_asleep(_pages: tuple[int, ...], _command: Sleep) -> Said:
    return (Slept(),)


def stay_awake(_pages: tuple[int, ...], _command: Sleep) -> Said:
    return (Warmed(),)


def has_printed(pages: tuple[int, ...], _command: Sleep) -> list[int]:
    """A guard that answers with something true, and not with True."""
    return [page for page in pages if page % 2]


def break_down(_pages: tuple[int, ...], _command: Crash | Scrap) -> Said:
    return (Broke(),)


PRINTER = Table(
    name="printer",
    initial=P.WARMING,
    final=frozenset([P.BROKEN]),
    start=no_pages,
    evolve=add_page,
    rows=(
        Row(P.WARMING, Warm, P.READY, warm),
        Row(P.READY, Print, P.PRINTING, start_page),
        Row(P.READY, Sleep, P.READY, stay_awake, when=has_printed, again=True),
        Row(P.READY, Sleep, P.WARMING, fall_asleep),
        Row(P.PRINTING, Done, P.READY, finish),
        Row((P.WARMING, P.READY), Scrap, P.BROKEN, break_down),
    ),
    asides=(
        Defer((P.WARMING, P.PRINTING), Print, "one page after another"),
        Refuse(P.BROKEN, Print, "broken"),
        Refuse((P.PRINTING, P.BROKEN), Scrap, "not_now"),
        Ignore((P.READY, P.PRINTING, P.BROKEN), Warm, "it is warm, or will never be"),
        Ignore((P.WARMING, P.READY, P.BROKEN), Done, "nothing is being printed"),
        Ignore((P.WARMING, P.PRINTING, P.BROKEN), Sleep, "it is asleep, or busy"),
    ),
    timers=(
        After(P.READY, Sleep, 60.0, name="nap", on_restart=OnRestart.DROP),
        After(P.PRINTING, Done, 2.0, on_restart=OnRestart.REARM),
    ),
    crash=RebuildOnCrash(3, EndOnCrash(P.BROKEN, break_down)),
    waits={P.WARMING: "the lamp says when", P.READY: "pages may never come"},
)
PRINTER_SAMPLES = {Print: [Print(1), Print(2), Print(3)]}


class T(Enum):
    """Values that the transitions library would take for wildcards."""

    LOCKED = "*"
    OPEN = "="


@attrs.frozen
class Coin(Command):
    pass


@attrs.frozen
class Push(Command):
    pass


@attrs.frozen
class Paid(Event):
    pass


@attrs.frozen
class Passed(Event):
    pass


def none_yet(_key: str) -> int:
    return 0


def count_coins(coins: int, event: Event) -> int:
    return coins + isinstance(event, Paid)


def pay(_coins: int, _command: Coin) -> Said:
    return (Paid(),)


def let_through(_coins: int, _command: Push) -> Said:
    return (Passed(),)


TURNSTILE = Table(
    name="turnstile",
    initial=T.LOCKED,
    final=frozenset(),
    start=none_yet,
    evolve=count_coins,
    rows=(
        Row(T.LOCKED, Coin, T.OPEN, pay),
        Row(T.OPEN, Push, T.LOCKED, let_through),
        Row(T.OPEN, Coin, T.OPEN, pay),
    ),
    asides=(Refuse(T.LOCKED, Push, "locked"),),
    waits={T.LOCKED: "people come or not", T.OPEN: "people come or not"},
)

EVERY = ((PHONE, PHONE_SAMPLES), (PRINTER, PRINTER_SAMPLES), (TURNSTILE, {}))
"""Each table with its samples."""
