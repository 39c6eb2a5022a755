"""Timers that fire later than the journal has it."""

import pytest

from engine.effects import ProlongTimer
from engine.errors import TableError
from engine.machine.family import LATE, Change, Draft, RuleError, prolong
from engine.machine.step import Outcome
from engine.vocabulary import Stamp
from tests.engine.machine.test_family import FAMILY, A, End, Go, Stay, Tick, decided, world


def test_a_prolonged_timer_fires_later_and_nothing_of_it_is_for_the_journal() -> None:
    state = world()
    decided(state, A, Go())
    draft = Draft(FAMILY, state)
    decision = draft.decide(A, Stay((ProlongTimer("rearm", 20.0),)))
    assert decision.outcome is Outcome.MOVED
    assert decision.changes == {"t.one:a": Change(1, prolonged={"t.one:a/rearm": 20.0})}
    draft.accept(decision)
    assert draft.decide(A, Tick(stamp=Stamp(at=19.9)), timer="rearm").reason == LATE
    assert draft.decide(A, Tick(stamp=Stamp(at=20.0)), timer="rearm").reason == "it is only a clock"
    # The others have their time.
    assert draft.decide(A, Tick(stamp=Stamp(at=10.0)), timer="called").reason == "it is only a clock"


def test_what_is_known_of_prolonged_timers_comes_from_outside() -> None:
    state, known = world(), {"t.one:a/rearm": 20.0}
    decided(state, A, Go())
    tick = Tick(stamp=Stamp(at=19.9))
    assert Draft(FAMILY, state, known).decide(A, tick, timer="rearm").reason == LATE
    assert Draft(FAMILY, state).decide(A, tick, timer="rearm").reason != LATE
    # A timer that does not run is not brought back.
    assert Draft(FAMILY, world(), known).decide(A, tick, timer="rearm").reason == LATE


def test_a_timer_that_begins_anew_is_not_prolonged_any_more() -> None:
    state, known = world(), {"t.one:a/rearm": 20.0}
    decided(state, A, Go())
    draft = Draft(FAMILY, state, known)
    draft.accept(draft.decide_restart(A, Stamp(at=1.0)))
    assert draft.decide(A, Tick(stamp=Stamp(at=8.0)), timer="rearm").reason != LATE
    prolong(known, draft.changes["t.one:a"])
    assert known == {}


def test_a_draft_knows_the_last_of_what_prolongs_and_what_stops() -> None:
    draft = Draft(FAMILY, world())
    for command in (Go(), Stay((ProlongTimer("rearm", 20.0),)), Stay((ProlongTimer("rearm", 30.0),))):
        draft.accept(draft.decide(A, command))
    assert draft.changes["t.one:a"].prolonged == {"t.one:a/rearm": 30.0}
    draft.accept(draft.decide(A, End()))
    assert draft.changes["t.one:a"].prolonged == {}


@pytest.mark.parametrize("name", ["keep", "drop", "dated", "none"])
def test_only_a_timer_that_a_restart_arms_anew_can_be_prolonged(name: str) -> None:
    state = world()
    decided(state, A, Go())
    with pytest.raises(RuleError) as caught:
        Draft(FAMILY, state).decide(A, Stay((ProlongTimer(name, 20.0),)))
    assert isinstance(caught.value.__cause__, TableError)
