"""The page of a machine."""

import attrs

from engine import Defer, Ignore, Kind, Row, Table
from engine.app.reference.machines import machine_page
from tests.engine.runtime.doorbell import (
    BELL,
    Answer,
    Bell,
    BellState,
    Expire,
    Press,
    bell_table,
    evolve,
    press,
)


def page_of(table: Table) -> str:
    return machine_page(Kind(name=BELL, table=table))


def test_a_machine_has_its_states_timers_rows_and_reasons() -> None:
    page = page_of(bell_table())
    assert "Each has a stream of its own in the journal, `test.bell:KEY`." in page
    assert "it ends in ANSWERED, BROKEN." in page
    assert "| `IDLE` | nobody is at the door |" in page
    assert "| `RINGING` | timer ring |" in page
    assert "| `ring` | RINGING | after `seconds_of` seconds of the data | `Expire` | keep |" in page
    assert "| IDLE | `Press` |  | RINGING | `press` | Rang, Reply, Tell, Count |" in page
    assert "| RINGING | `Press` |  | refused | rings already |" in page
    assert "goes to BROKEN by `break_down`" in page


def test_a_machine_without_a_crash_rule_says_so_and_one_in_another_stream_too() -> None:
    table: Table = Table(
        name="bell",
        initial=BellState.IDLE,
        final=frozenset(),
        start=Bell,
        evolve=evolve,
        rows=(
            Row(BellState.IDLE, Press, BellState.IDLE, press, again=True),
            Row(tuple(BellState), Answer, None, press),
        ),
        asides=(Defer(tuple(one for one in BellState if one is not BellState.IDLE), Press, "later"),),
    )
    page = machine_page(Kind(name=BELL, table=table, stream=lambda key: f"test.house:{key}"))
    assert "It is journaled in a stream of another kind, `test.house`" in page
    assert "it never ends." in page
    assert "answered with an error from then on" in page
    assert "| IDLE | `Press` |  | IDLE (anew) |" in page
    assert "| deferred | later |" in page


def test_states_stand_in_the_order_of_their_enumeration() -> None:
    table = bell_table()
    late = Ignore((BellState.BROKEN, BellState.ANSWERED), Expire, "late")
    asides = (*(one for one in table.asides if one.commands is not Expire), late)
    others = Ignore(BellState.IDLE, Expire, "late")
    assert "| ANSWERED, BROKEN | `Expire` |" in page_of(attrs.evolve(table, asides=(*asides, others)))
