"""A family at play, with a clock of its own."""

import pytest

from engine.effects import Tell
from engine.machine.family import RuleError
from engine.machine.stage import Stage
from engine.machine.step import Outcome
from engine.vocabulary import Address
from tests.engine.machine.test_family import (
    FAMILY,
    A,
    B,
    Echo,
    End,
    Go,
    Later,
    Never,
    Noted,
    S,
    Skip,
    Stay,
    Tick,
)
from tests.engine.machine.test_transcript import FAMILY as DOORS
from tests.engine.machine.test_transcript import Open


def test_a_machine_that_nothing_has_happened_to_is_at_its_beginning() -> None:
    stage = Stage(FAMILY)
    assert stage.snapshot(A) == FAMILY.initial(A)
    assert stage.streams == {}


def test_what_is_sent_is_kept() -> None:
    stage = Stage(FAMILY)
    stage.send(A, Go((Noted("x"), Tell(B, Stay()))))
    assert stage.snapshot(A).state is S.BUSY
    assert {name: stream.version for name, stream in stage.streams.items()} == {"t.one:a": 1, "t.two:b": 1}


def test_what_is_refused_leaves_no_stream_behind() -> None:
    stage = Stage(FAMILY)
    stage.send(A, Go((Noted("x"), Tell(B, Never()))))
    assert stage.streams == {}


def test_what_raises_is_not_kept() -> None:
    stage = Stage(FAMILY)
    with pytest.raises(RuleError):
        stage.send(A, Echo())
    assert stage.streams == {}


def test_a_command_sent_again_under_its_id_is_no_second_one() -> None:
    stage = Stage(FAMILY)
    stage.send(A, Go(), command_id="c1")
    assert stage.send(A, Stay(), command_id="c1").reason == "duplicate"


def test_commands_without_an_id_get_one_each() -> None:
    stage = Stage(FAMILY)
    stage.send(A, Go())
    assert stage.send(A, Stay()).outcome is Outcome.MOVED


def test_timers_fire_in_their_order_and_at_their_time() -> None:
    stage = Stage(FAMILY, start_at=50.0)
    stage.send(A, Go())
    stage.send(B, Go())
    done = stage.wait(7.0)
    assert [(one.decided_by, one.outcome) for one in done] == [
        (A, Outcome.IGNORED),
        (B, Outcome.IGNORED),
        (A, Outcome.IGNORED),
        (B, Outcome.IGNORED),
    ]
    assert stage.now == 57.0
    assert [timer.name for timer in stage.snapshot(A).timers] == ["called", "dated", "drop"]


def test_a_timer_whose_state_was_left_says_nothing() -> None:
    stage = Stage(FAMILY)
    stage.send(A, Go())
    stage.send(A, End())
    assert stage.wait(100.0) == []


def test_a_deadline_in_the_past_fires_now_and_time_does_not_run_back() -> None:
    stage = Stage(FAMILY, start_at=1_000.0)
    stage.send(A, Go())
    assert len(stage.wait(0.0)) == 1
    assert stage.now == 1_000.0


def test_what_machines_have_asked_for_is_no_timer() -> None:
    stage = Stage(DOORS)
    stage.send(Address("house.door", "d"), Open(by="ann"))
    assert stage.wait(9.0) == []


def test_a_stage_knows_which_cells_decided_and_by_which_entry() -> None:
    stage = Stage(FAMILY)
    stage.send(A, Go((Noted("x"), Tell(B, Skip()))))
    assert stage.received == {("t.one", "IDLE", "Go"), ("t.two", "IDLE", "Skip")}
    assert stage.decided == {("t.one", "IDLE", "Go", 0), ("t.two", "IDLE", "Skip", 0)}


def test_of_a_refused_command_only_the_refusal_counts_as_decided() -> None:
    stage = Stage(FAMILY)
    stage.send(A, Go((Noted("x"), Tell(B, Never()))))
    assert stage.received == {("t.one", "IDLE", "Go"), ("t.two", "IDLE", "Never")}
    assert stage.decided == {("t.two", "IDLE", "Never", 1)}


def test_a_command_that_the_table_does_not_know_is_decided_by_no_entry() -> None:
    stage = Stage(FAMILY)
    assert stage.send(A, Open(by="ann")).reason == "unknown_command"
    assert stage.decided == set()


def test_a_duplicate_or_a_late_timer_is_received_by_no_cell() -> None:
    stage = Stage(FAMILY)
    stage.send(A, Later(), command_id="c1")
    before = set(stage.received)
    stage.send(A, Later(), command_id="c1")
    stage.send(A, Tick(), timer="keep")
    assert stage.received == before
