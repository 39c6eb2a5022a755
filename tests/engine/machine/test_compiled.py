"""The compiled stepper does what the step by the book does, errors included."""

import random

import attrs
import pytest

from engine.effects import Reply, StopTimer
from engine.errors import TableError
from engine.machine.compiled import compile_table
from engine.machine.laws import walk
from engine.machine.step import Snapshot, Timer, initial_snapshot, step
from engine.machine.table import Crash, Row
from engine.vocabulary import Event
from tests.engine.machine.tables import (
    EVERY,
    PHONE,
    PRINTER,
    TURNSTILE,
    Accept,
    Coin,
    Note,
    P,
    Paid,
    Passed,
    Phone,
    Print,
    S,
    T,
    Warm,
)


@pytest.mark.parametrize(("table", "samples"), EVERY, ids=lambda one: getattr(one, "name", ""))
def test_it_agrees_with_the_book_on_a_random_walk(table: object, samples: object) -> None:
    fast = compile_table(table)
    for now, command in walk(table, samples, random.Random(11).choice, 2_000):
        assert fast(now, command) == step(table, now, command)


def saying(said: object, *, stays: bool = False) -> object:
    row = Row(T.LOCKED, Coin, T.LOCKED if stays else T.OPEN, lambda *_: said)
    return attrs.evolve(TURNSTILE, rows=(row, *TURNSTILE.rows[1:]))


class SaidTuple(tuple[object, ...]):
    """A tuple by inheritance, as a named tuple is."""

    __slots__ = ()


@pytest.mark.parametrize(
    "said",
    [
        (Paid(),),
        (Paid(), Reply(Note("x"))),
        (Paid(), Passed()),
        (Paid(), Paid(), Reply(Note("x")), Reply(Note("y"))),
        SaidTuple((Paid(), Reply(Note("x")))),
    ],
)
def test_every_shape_of_a_saying_is_taken(said: object) -> None:
    table = saying(said)
    now = initial_snapshot(table, "1")
    assert compile_table(table)(now, Coin()) == step(table, now, Coin())


@pytest.mark.parametrize("said", [(), (Reply(Note("x")),), (Reply(Note("x")), Reply(Note("y")))])
def test_a_row_that_stays_may_say_effects_alone(said: object) -> None:
    table = saying(said, stays=True)
    now = initial_snapshot(table, "1")
    assert compile_table(table)(now, Coin()) == step(table, now, Coin())


@pytest.mark.parametrize(
    "said",
    [
        (),
        None,
        [Paid()],
        "text",
        (Reply(Note("x")),),
        (Reply(Note("x")), Paid()),
        (Paid(), "text"),
        (Paid(), Reply(Note("x")), Paid()),
        (Paid(), Reply(Note("x")), None),
    ],
)
def test_a_wrong_saying_raises_what_the_book_raises(said: object) -> None:
    table = saying(said)
    now = initial_snapshot(table, "1")
    with pytest.raises((TableError, TypeError)) as by_the_book:
        step(table, now, Coin())
    with pytest.raises(by_the_book.type) as compiled:
        compile_table(table)(now, Coin())
    assert str(compiled.value) == str(by_the_book.value)


def test_a_wrong_saying_is_found_before_any_event_is_evolved() -> None:
    def never(_coins: int, _event: Event) -> int:
        raise AssertionError("evolved")

    table = attrs.evolve(saying((Paid(), None)), evolve=never)
    with pytest.raises(TableError):
        compile_table(table)(initial_snapshot(table, "1"), Coin())


def test_a_command_of_another_table_is_refused_as_unknown() -> None:
    now = initial_snapshot(PHONE, "1")
    assert compile_table(PHONE)(now, Coin()) == step(PHONE, now, Coin())


def test_leaving_a_state_with_timers_for_one_without_stops_them() -> None:
    now = Snapshot(P.PRINTING, (1,), (Timer("Done", 2.0, 1),), (), 1)
    done = compile_table(PRINTER)(now, Crash())
    assert done == step(PRINTER, now, Crash())
    assert done.effects == (StopTimer("Done"),)


def test_what_a_guard_raises_comes_out() -> None:
    def broken(_phone: Phone, _command: Accept) -> bool:
        raise KeyError("broken")

    rows = tuple(attrs.evolve(row, when=broken) if row.on is Accept else row for row in PHONE.rows)
    fast = compile_table(attrs.evolve(PHONE, rows=rows))
    with pytest.raises(KeyError, match="broken"):
        fast(Snapshot(S.RINGING, Phone("ann", "bob")), Accept("bob"))


def test_a_reaction_runs_once_even_when_commands_wait() -> None:
    calls = []

    def warm(_pages: object, _command: Warm) -> tuple[Event, ...]:
        calls.append(1)
        return (Paid(),)

    rows = tuple(attrs.evolve(row, then=warm) if row.on is Warm else row for row in PRINTER.rows)
    fast = compile_table(attrs.evolve(PRINTER, rows=rows))
    waiting = fast(initial_snapshot(PRINTER, "1"), Print(1)).after
    fast(waiting, Warm())
    assert calls == [1]
