"""One step by the book: outcomes, timers, deferral."""

import attrs
import pytest

from engine.effects import Reply, Send, StartTimer, StopTimer
from engine.errors import TableError
from engine.machine.step import (
    DEFERRED_FULL,
    UNKNOWN_COMMAND,
    CommandDeferred,
    Outcome,
    Snapshot,
    Step,
    Timer,
    choose,
    initial_snapshot,
    retry_deferred,
    step,
)
from engine.machine.table import DEFERRED_MAX, Crash, Refuse, Row
from engine.vocabulary import Command, Stamp
from tests.engine.machine.tables import (
    PHONE,
    PRINTER,
    TURNSTILE,
    Accept,
    Accepted,
    Coin,
    Connected,
    Crashed,
    Dial,
    Dialled,
    Done,
    Established,
    Finished,
    HangUp,
    Hold,
    HungUp,
    Note,
    Nudge,
    P,
    Paid,
    Phone,
    Print,
    Push,
    PutOnHold,
    Resume,
    S,
    Say,
    Sleep,
    Spoken,
    Started,
    T,
    Warm,
    Warmed,
)

RINGING = Snapshot(S.RINGING, Phone("ann", "bob", paid_until=60.0), (Timer("ExpireRing", 30.0, 1),), (), 1)
CONNECTING = Snapshot(S.CONNECTING, RINGING.data, (Timer("credit", 60.0, 2),), (), 2)


def at(seconds: float, command: Command) -> Command:
    return attrs.evolve(command, stamp=Stamp(at=seconds))


def steps(table: object, now: Snapshot, *commands: Command) -> Step:
    for command in commands:
        done = step(table, now, command)
        now = done.after
    return done


def test_a_row_moves_says_and_starts_the_timers_of_its_target() -> None:
    done = step(PHONE, initial_snapshot(PHONE, "1"), at(0.0, Dial(sender="ann", callee="bob")))
    assert done == Step(
        RINGING,
        (Dialled(caller="ann", callee="bob", paid_until=60.0),),
        (Send(to="bob", message=Note("ring")), Reply(Note("ringing")), StartTimer("ExpireRing", 30.0)),
    )


def test_leaving_a_state_stops_its_timers_before_others_start() -> None:
    done = step(PHONE, RINGING, at(7.0, Accept("bob")))
    assert done.effects[-2:] == (StopTimer("ExpireRing"), StartTimer("credit", 60.0))


def test_a_relative_timer_counts_from_the_command_that_entered() -> None:
    done = step(PHONE, initial_snapshot(PHONE, "1"), at(100.0, Dial(sender="ann", callee="bob")))
    assert done.after.timers == (Timer("ExpireRing", 130.0, 1),)


def test_a_timer_reads_its_seconds_from_the_data_after_the_step() -> None:
    talking = Snapshot(S.TALKING, Phone("ann", "bob", words=4, paid_until=60.0), entries=3)
    done = step(PHONE, talking, at(20.0, Hold("ann")))
    assert Timer("Nudge", 34.0, 4) in done.after.timers


def test_an_absolute_timer_reads_when_it_is_due_from_the_data() -> None:
    done = step(PHONE, RINGING, at(7.0, Accept("bob")))
    assert done.after.timers == (Timer("credit", 60.0, 2),)


def test_a_row_that_stays_keeps_its_timers() -> None:
    talking = Snapshot(S.TALKING, Phone("ann", "bob"), (Timer("credit", 60.0, 3),), (), 3)
    done = step(PHONE, talking, Say("ann", "hello"))
    assert done.after == attrs_like(talking, data=Phone("ann", "bob", words=1))
    assert done.effects == (Send(to="bob", message=Note("hello")),)


def attrs_like(snapshot: Snapshot, **changes: object) -> Snapshot:
    fields = {name: getattr(snapshot, name) for name in snapshot.__struct_fields__}
    return Snapshot(**{**fields, **changes})


def test_a_row_that_enters_again_starts_its_timers_anew() -> None:
    held = Snapshot(S.HELD, Phone("ann", "bob", "ann"), (Timer("Nudge", 10.0, 4),), (), 4)
    done = step(PHONE, held, at(8.0, Hold("bob")))
    assert done.after.timers == (Timer("credit", 0.0, 5), Timer("Nudge", 18.0, 5))
    assert StopTimer("Nudge") in done.effects


def test_a_row_may_have_effects_alone_if_it_stays() -> None:
    held = Snapshot(S.HELD, Phone("ann", "bob", "ann"), entries=4)
    assert step(PHONE, held, Nudge()) == Step(held, (), (Send(to="ann", message=Note("still there?")),))


def test_the_first_guard_that_holds_decides() -> None:
    assert step(PHONE, RINGING, HangUp("ann")).after.state is S.MISSED
    assert step(PHONE, RINGING, HangUp("bob")).after.state is S.ENDED
    assert step(PHONE, RINGING, HangUp("eve")) == Step(RINGING, outcome=Outcome.REFUSED, reason="not_now")


def test_an_ignored_command_changes_nothing_and_gives_its_reason() -> None:
    done = step(PHONE, RINGING, Nudge())
    assert done == Step(RINGING, outcome=Outcome.IGNORED, reason="the timer's state was left")


def test_a_command_of_another_table_is_refused_as_unknown() -> None:
    assert step(PHONE, RINGING, Coin()) == Step(RINGING, outcome=Outcome.REFUSED, reason=UNKNOWN_COMMAND)


def test_a_subclass_of_a_command_is_another_command() -> None:
    class Impostor(Accept):
        pass

    assert step(PHONE, RINGING, Impostor("bob")).reason == UNKNOWN_COMMAND


def test_a_guard_counts_as_held_when_its_answer_is_true_in_python() -> None:
    ready = Snapshot(P.READY, (1,), entries=3)
    assert step(PRINTER, ready, Sleep()).after.state is P.READY
    assert step(PRINTER, attrs_like(ready, data=(2,)), Sleep()).after.state is P.WARMING


def test_a_crash_ends_the_machine_and_tells_its_parties() -> None:
    done = step(PHONE, RINGING, Crash())
    assert done.after.state is S.ENDED
    assert done.events == (Crashed(),)


def test_a_deferred_command_waits_and_is_journaled() -> None:
    early = Say("bob", "hi")
    done = step(PHONE, RINGING, early)
    assert done == Step(
        attrs_like(RINGING, deferred=(early,)),
        (CommandDeferred(early),),
        (),
        Outcome.DEFERRED,
        "they may speak before the line is up",
    )


def test_deferred_commands_are_done_in_their_order_after_the_change_of_state() -> None:
    done = steps(PHONE, CONNECTING, Say("bob", "1"), Say("ann", "2"), Hold("bob"), Connected())
    assert done.events == (Established(), Spoken(), Spoken(), PutOnHold("bob"))
    assert done.after.state is S.HELD
    assert done.after.deferred == ()
    texts = [effect.message.text for effect in done.effects if isinstance(effect, Send)]
    assert texts == ["1", "2"]


def test_what_was_deferred_survives_a_row_that_stays() -> None:
    done = steps(PRINTER, Snapshot(P.PRINTING, ()), Print(1), Warm(), Print(2))
    assert [command.page for command in done.after.deferred] == [1, 2]


def test_a_command_may_be_deferred_again_by_the_state_that_is_entered() -> None:
    early = Hold("ann")
    done = steps(PHONE, RINGING, early, Accept("bob"))
    assert done.after.state is S.CONNECTING
    assert done.after.deferred == (early,)
    assert done.events == (Accepted(), CommandDeferred(early))


def test_a_retried_command_that_moves_on_lets_the_others_wait_on() -> None:
    done = steps(PRINTER, initial_snapshot(PRINTER, "1"), Print(1), Print(2), Print(3), Warm())
    assert done.events == (Warmed(), Started(1), CommandDeferred(Print(2)), CommandDeferred(Print(3)))
    assert done.after.deferred == (Print(2), Print(3))
    after = step(PRINTER, done.after, Done())
    assert after.events == (Finished(), Started(2), CommandDeferred(Print(3)))


def test_what_is_refused_when_retried_is_dropped() -> None:
    done = steps(PHONE, RINGING, Say("ann", "hi"), HangUp("ann"))
    assert done.after.state is S.MISSED
    assert done.after.deferred == ()
    assert done.events == (HungUp("ann"),)


def test_a_state_entered_by_a_retried_command_counts_from_the_retry() -> None:
    done = steps(PRINTER, initial_snapshot(PRINTER, "1"), at(1.0, Print(1)), at(500.0, Warm()))
    assert done.after.state is P.PRINTING
    assert done.after.timers == (Timer("Done", 502.0, 2),)


def test_retrying_without_a_time_counts_from_each_command() -> None:
    ready = Step(Snapshot(P.READY, (), entries=1))
    done = retry_deferred(PRINTER, ready, (at(9.0, Print(1)),))
    assert done.after.timers == (Timer("Done", 11.0, 2),)


def test_as_many_commands_wait_as_the_limit_says_and_one_more_is_refused() -> None:
    now = initial_snapshot(PRINTER, "1")
    for page in range(DEFERRED_MAX):
        done = step(PRINTER, now, Print(page))
        assert done.outcome is Outcome.DEFERRED
        now = done.after
    assert step(PRINTER, now, Print(99)) == Step(now, outcome=Outcome.REFUSED, reason=DEFERRED_FULL)


def test_every_waiting_command_is_done_however_many_there_are() -> None:
    now = initial_snapshot(PRINTER, "1")
    for page in range(DEFERRED_MAX):
        now = step(PRINTER, now, Print(page)).after
    now = step(PRINTER, now, Warm()).after
    for _ in range(DEFERRED_MAX):
        now = step(PRINTER, now, Done()).after
    assert now.data == tuple(range(DEFERRED_MAX))
    assert (now.state, now.deferred) == (P.READY, ())


@pytest.mark.parametrize("said", [(Reply(Note("x")), Paid()), ("text",), [Paid()], (Paid(), "text")])
def test_saying_anything_but_events_then_effects_is_an_error_of_the_table(said: object) -> None:
    wrong = attrs.evolve(TURNSTILE, rows=(Row(T.LOCKED, Coin, T.OPEN, lambda *_: said), *TURNSTILE.rows[1:]))
    with pytest.raises(TableError, match="turnstile: the row LOCKED on Coin says an event after an effect"):
        step(wrong, initial_snapshot(wrong, "1"), Coin())


@pytest.mark.parametrize("said", [(), (Reply(Note("x")),)])
def test_a_change_of_state_without_an_event_is_an_error_of_the_table(said: object) -> None:
    wrong = attrs.evolve(TURNSTILE, rows=(Row(T.LOCKED, Coin, T.OPEN, lambda *_: said), *TURNSTILE.rows[1:]))
    with pytest.raises(TableError, match="the row LOCKED on Coin changes the state and says no event"):
        step(wrong, initial_snapshot(wrong, "1"), Coin())


def test_a_chooser_decides_for_what_was_deferred_too() -> None:
    asked = []

    def counting(table: object, now: Snapshot, command: Command) -> object:
        asked.append(type(command))
        return choose(table, now, command)

    waiting = step(PRINTER, initial_snapshot(PRINTER, "1"), Print(1)).after
    step(PRINTER, waiting, Warm(), by=counting)
    assert asked == [Warm, Print]


def test_an_unknown_command_is_chosen_to_be_refused() -> None:
    chosen = choose(TURNSTILE, initial_snapshot(TURNSTILE, "1"), Resume("ann"))
    assert isinstance(chosen, Refuse)
    assert chosen.reason == UNKNOWN_COMMAND
    assert choose(TURNSTILE, initial_snapshot(TURNSTILE, "1"), Push()).reason == "locked"
