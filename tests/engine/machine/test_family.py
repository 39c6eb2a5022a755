"""Several machines that step as one."""

from enum import Enum

import attrs
import pytest

from engine.effects import Ask, Reply, Request, Send, Tell
from engine.errors import TableError
from engine.machine.family import (
    DUPLICATE,
    LATE,
    SEEN_MAX,
    AbsentError,
    Change,
    Decision,
    Draft,
    Family,
    Kind,
    Record,
    RuleError,
    StreamState,
    TimerMoved,
    apply_change,
    move_timer,
    own_stream,
    remember,
    split_index_name,
    without_timer,
)
from engine.machine.step import CommandDeferred, Outcome, Snapshot, Timer
from engine.machine.table import After, Defer, Ignore, OnRestart, Refuse, Row, Said, Table
from engine.vocabulary import Address, Command, Effect, Event, Message, Stamp


class S(Enum):
    IDLE = "idle"
    BUSY = "busy"
    OVER = "over"


@attrs.frozen
class Noted(Event):
    text: str = ""


@attrs.frozen
class Told(Message):
    text: str = ""


@attrs.frozen
class Go(Command):
    said: tuple[Event | Effect, ...] = (Noted(),)


@attrs.frozen
class Stay(Command):
    said: tuple[Event | Effect, ...] = (Noted(),)


@attrs.frozen
class End(Command):
    pass


@attrs.frozen
class Later(Command):
    pass


@attrs.frozen
class Skip(Command):
    pass


@attrs.frozen
class Never(Command):
    pass


@attrs.frozen
class Raise(Command):
    pass


@attrs.frozen
class Tick(Command):
    pass


@attrs.frozen
class Echo(Command):
    pass


@attrs.frozen
class Lamp(Request):
    pass


def say(_data: object, command: Go | Stay) -> Said:
    return command.said


def note(_data: object, _command: Command) -> Said:
    return (Noted("noted"),)


def fail(_data: object, _command: Command) -> Said:
    raise ZeroDivisionError


def echo(data: object, _command: Command) -> Said:
    return (Tell(Address("t.one", str(data)), Echo()),)


def ten(_data: object) -> float:
    return 10.0


def at_99(_data: object) -> float:
    return 99.0


def collect(data: str, event: Event) -> str:
    return data + event.text if isinstance(event, Noted) else data


def start(key: str) -> str:
    return key


def is_marked(data: str, _command: Command) -> bool:
    return "mark" in data


EVERY = (S.IDLE, S.BUSY, S.OVER)

TIMERS = (
    After(S.BUSY, Tick, seconds=5.0, name="keep"),
    After(S.BUSY, Tick, seconds=7.0, name="rearm", on_restart=OnRestart.REARM),
    After(S.BUSY, Tick, seconds=ten, name="called", on_restart=OnRestart.REARM),
    After(S.BUSY, Tick, due=at_99, name="dated", on_restart=OnRestart.REARM),
    After(S.BUSY, Tick, seconds=9.0, name="drop", on_restart=OnRestart.DROP),
)


def table(timers: tuple[After, ...] = TIMERS) -> Table:
    return Table(
        name="t",
        initial=S.IDLE,
        final=frozenset({S.OVER}),
        start=start,
        evolve=collect,
        timers=timers,
        waits={S.IDLE: "nobody has asked"},
        rows=(
            Row(S.IDLE, Go, S.BUSY, say),
            Row((S.IDLE, S.BUSY), Stay, None, say),
            Row((S.IDLE, S.BUSY), End, S.OVER, note),
            Row(S.BUSY, Later, None, note),
            Row((S.IDLE, S.BUSY), Raise, None, fail),
            Row((S.IDLE, S.BUSY), Echo, None, echo),
        ),
        asides=(
            Defer(S.IDLE, Later, "once it is busy"),
            Ignore(EVERY, Skip, "nobody minds"),
            Ignore(EVERY, Tick, "it is only a clock"),
            Refuse(EVERY, Never, "never again", when=is_marked),
            Refuse(EVERY, Never, "never"),
            Refuse(S.BUSY, Go, "busy"),
            Refuse(S.OVER, (Go, Stay, End, Later, Raise, Echo), "over"),
        ),
    )


def announce(address: Address, event: Event) -> tuple[Send, ...]:
    assert isinstance(event, Noted), "the engine's own notes are announced to nobody"
    if event.text == "boom":
        raise ZeroDivisionError
    return (Send(to=address.key, message=Told(event.text)),)


def part_stream(key: str) -> str:
    return f"t.one:{key.partition('/')[0]}"


ONE = Kind(name="t.one", table=table(), announce=announce)
TWO = Kind(name="t.two", table=table())
PART = Kind(name="t.part", table=table(()), stream=part_stream)
FAMILY = Family((ONE, TWO, PART))
A, B, C = Address("t.one", "a"), Address("t.two", "b"), Address("t.two", "c")
PART_OF_A = Address("t.part", "a/1")


def world(*streams: str) -> dict[str, StreamState]:
    return {stream: StreamState() for stream in streams or ("t.one:a", "t.two:b", "t.two:c")}


def stamped(command: Command, at: float = 0.0, name: str = "") -> Command:
    return attrs.evolve(command, stamp=Stamp(at=at, id=name))


def decided(
    state: dict[str, StreamState], to: Address, command: Command, at: float = 0.0, name: str = ""
) -> Decision:
    """Decide and keep."""
    draft = Draft(FAMILY, state)
    decision = draft.decide(to, stamped(command, at, name))
    draft.accept(decision)
    for stream, change in draft.changes.items():
        apply_change(FAMILY, state.setdefault(stream, StreamState()), change)
    return decision


# -- families


def test_a_machine_has_a_stream_of_its_own_unless_its_kind_says_otherwise() -> None:
    assert own_stream("t.two")("b") == FAMILY.stream_of(B) == "t.two:b"
    assert FAMILY.stream_of(PART_OF_A) == FAMILY.stream_of(A) == "t.one:a"


def test_a_family_names_its_states_and_where_machines_begin() -> None:
    assert FAMILY.states() == {"t.one": S, "t.two": S, "t.part": S}
    assert FAMILY.initial(A) == Snapshot(S.IDLE, "a")


def test_two_kinds_of_one_name_are_a_fault() -> None:
    with pytest.raises(TableError, match=r"two kinds are called t\.one"):
        Family((ONE, ONE))


@pytest.mark.parametrize("name", ["", "a:b", "a/b"])
def test_a_kind_has_a_name_that_can_be_taken_apart_again(name: str) -> None:
    with pytest.raises(TableError, match="a kind cannot be called"):
        Family((Kind(name=name, table=table()),))


@pytest.mark.parametrize("name", ["a/b", "!a"])
def test_a_timer_has_a_name_that_can_be_taken_apart_again(name: str) -> None:
    with pytest.raises(TableError, match="a timer cannot be called"):
        Family((Kind(name="t", table=table((After(S.BUSY, Tick, seconds=1.0, name=name),))),))


# -- one command


def test_a_step_is_recorded_with_its_cause_on_its_first_event() -> None:
    command = stamped(Go((Noted("x"), Noted("y"))), name="c1")
    change = Draft(FAMILY, world()).decide(A, command).changes["t.one:a"]
    assert change.records == [
        Record(A, "BUSY", 1, Noted("x"), command),
        Record(A, "BUSY", 1, Noted("y"), None),
    ]
    assert change.version == 2
    assert change.members[A].data == "axy"
    assert change.seen == [("c1", 1)]


def test_a_command_without_an_id_is_not_remembered() -> None:
    assert Draft(FAMILY, world()).decide(A, Go()).changes["t.one:a"].seen == []


def test_a_machine_is_born_with_its_first_event_and_ended_by_a_final_state() -> None:
    state = world()
    assert decided(state, A, Stay((Noted("x"),))).changes["t.one:a"].born == [A]
    moved = decided(state, A, Go()).changes["t.one:a"]
    assert (moved.born, moved.ended) == ([], [])
    assert decided(state, A, End()).changes["t.one:a"].ended == [A]


def test_a_machine_that_is_as_at_its_beginning_is_not_kept() -> None:
    state = world()
    decided(state, A, Stay())
    assert state["t.one:a"].members == {}
    assert state["t.one:a"].version == 1
    decided(state, A, Stay((Noted("x"),)))
    assert [*state["t.one:a"].members] == [A]


def test_what_is_ignored_touches_nothing_and_asserts_what_was_read() -> None:
    state = world()
    decided(state, A, Go())
    decision = decided(state, A, Skip())
    assert (decision.outcome, decision.reason) == (Outcome.IGNORED, "nobody minds")
    assert decision.changes == {"t.one:a": Change(1)}


def test_the_first_entry_whose_guard_holds_gives_the_reason() -> None:
    marked = Address("t.two", "mark")
    assert Draft(FAMILY, world("t.two:mark")).decide(marked, Never()).reason == "never again"


def test_what_is_refused_names_the_machine_that_refused() -> None:
    decision = Draft(FAMILY, world()).decide(A, Go((Noted(), Tell(B, Never()))))
    assert (decision.outcome, decision.reason, decision.decided_by) == (Outcome.REFUSED, "never", B)
    assert decision.changes == {"t.one:a": Change(0), "t.two:b": Change(0)}
    assert decision.performances == ()


def test_what_is_deferred_is_recorded_and_announced_to_nobody() -> None:
    decision = Draft(FAMILY, world()).decide(A, Later())
    assert decision.outcome is Outcome.DEFERRED
    (record,) = decision.changes["t.one:a"].records
    assert isinstance(record.event, CommandDeferred)
    assert decision.performances == ()


def test_machines_that_are_told_step_in_the_order_of_the_telling() -> None:
    tell_c = Stay((Noted("first"), Tell(C, Stay((Noted("third"),)))))
    said = (Noted("zeroth"), Tell(B, tell_c), Tell(PART_OF_A, Go((Noted("second"),))))
    decision = Draft(FAMILY, world()).decide(A, stamped(Go(said), at=3.0, name="c1"))
    texts = [record.event.text for change in decision.changes.values() for record in change.records]
    assert [*decision.changes] == ["t.one:a", "t.two:b", "t.two:c"]
    assert texts == ["zeroth", "second", "first", "third"]
    causes = [record.cause for change in decision.changes.values() for record in change.records]
    assert [cause.stamp for cause in causes if cause is not None] == [Stamp(at=3.0, id="c1")] * 4


def test_telling_in_a_circle_is_a_fault_of_the_rule() -> None:
    with pytest.raises(RuleError) as caught:
        Draft(FAMILY, world()).decide(A, Echo())
    assert caught.value.address == A
    assert "without end" in str(caught.value.__cause__)


def test_telling_a_machine_of_no_kind_is_a_fault_of_the_rule() -> None:
    with pytest.raises(RuleError) as caught:
        Draft(FAMILY, world()).decide(A, Go((Noted(), Tell(Address("t.none", "x"), Skip()))))
    assert isinstance(caught.value.__cause__, TableError)


def test_a_rule_that_raises_is_known_by_its_machine() -> None:
    draft = Draft(FAMILY, world())
    with pytest.raises(RuleError) as caught:
        draft.decide(A, Go((Noted(), Tell(B, Raise()))))
    assert caught.value.address == B
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert draft.changes == {}


def test_an_announcement_that_raises_is_known_by_its_machine() -> None:
    with pytest.raises(RuleError) as caught:
        Draft(FAMILY, world()).decide(A, Go((Noted("boom"),)))
    assert caught.value.address == A


# -- effects


def test_effects_have_the_version_of_the_last_event_and_announcements_that_of_their_own() -> None:
    said = (Noted("x"), Noted("y"), Reply(Told("r")))
    decision = Draft(FAMILY, world()).decide(A, Stay(said))
    assert [(one.key, one.version, one.effect) for one in decision.performances] == [
        ("t.one:a:2:0", 2, Reply(Told("r"))),
        ("t.one:a:1:0", 1, Send(to="a", message=Told("x"))),
        ("t.one:a:2:1", 2, Send(to="a", message=Told("y"))),
    ]


def test_an_effect_without_an_event_has_a_key_that_no_other_command_has() -> None:
    state = world()
    answer = Stay((Reply(Told()),))
    keys = [decided(state, A, answer, name=name).performances[0].key for name in ("c1", "c2")]
    assert keys == ["t.one:a:0+c1:0", "t.one:a:0+c2:0"]


def test_what_is_asked_needs_an_event_to_be_known_by() -> None:
    with pytest.raises(RuleError):
        Draft(FAMILY, world()).decide(A, Stay((Ask("lamp", Lamp()),)))


def test_what_is_asked_is_owed_until_it_is_settled() -> None:
    state = world()
    change = decided(state, A, Stay((Noted(), Ask("lamp", Lamp()))), at=4.0).changes["t.one:a"]
    ((name, due),) = change.timers.items()
    member, owed = split_index_name(name)
    assert (member, due) == (A, 4.0)
    settled = Draft(FAMILY, state).decide_settled(A, owed, Stamp())
    assert settled.changes["t.one:a"].timers == {name: None}
    assert settled.changes["t.one:a"].records == []


# -- streams that are not there


def test_a_stream_that_is_not_loaded_must_be_loaded_first() -> None:
    with pytest.raises(AbsentError) as caught:
        Draft(FAMILY, {}).decide(A, Go())
    assert caught.value.stream == "t.one:a"
    with pytest.raises(AbsentError):
        Draft(FAMILY, world("t.one:a")).decide(A, Go((Noted(), Tell(B, Skip()))))


def test_a_fresh_stream_is_empty_without_being_read() -> None:
    decision = Draft(FAMILY, {}).decide(
        A, stamped(Go((Noted(), Tell(B, Go(), fresh=True))), name="c"), fresh=True
    )
    assert {stream: change.base for stream, change in decision.changes.items()} == {
        "t.one:a": 0,
        "t.two:b": 0,
    }


def test_a_fresh_stream_of_a_draft_is_known_to_later_commands() -> None:
    draft = Draft(FAMILY, {})
    draft.accept(draft.decide(A, stamped(Go(), name="c1"), fresh=True))
    decision = draft.decide(A, stamped(Stay(), name="c2"))
    assert decision.changes["t.one:a"].base == 1


# -- repeated commands


def test_a_command_that_the_stream_has_seen_is_not_done_again() -> None:
    state = world()
    decided(state, A, Go(), name="c1")
    decided(state, A, Stay(), name="c2")
    again = decided(state, A, Stay(), name="c2")
    assert (again.outcome, again.reason, again.seen_at) == (Outcome.IGNORED, DUPLICATE, 2)
    assert again.changes == {"t.one:a": Change(2)}


def test_a_command_that_the_draft_has_seen_is_not_done_again() -> None:
    draft = Draft(FAMILY, world())
    draft.accept(draft.decide(A, stamped(Go(), name="c1")))
    draft.accept(draft.decide(A, stamped(Stay(), name="c2")))
    again = draft.decide(A, stamped(Stay(), name="c2"))
    assert (again.reason, again.seen_at) == (DUPLICATE, 2)


def test_a_refused_command_may_be_sent_again() -> None:
    state = world()
    assert decided(state, A, Never(), name="c1").outcome is Outcome.REFUSED
    assert decided(state, A, Go(), name="c1").outcome is Outcome.MOVED


def test_the_oldest_ids_are_forgotten() -> None:
    state = StreamState()
    for number in range(SEEN_MAX + 1):
        remember(state, str(number), number + 1)
    assert len(state.seen) == SEEN_MAX
    assert "0" not in state.seen
    assert state.seen["1"] == 2


def test_an_id_keeps_its_first_version() -> None:
    state = StreamState()
    remember(state, "c", 1)
    remember(state, "c", 2)
    assert state.seen == {"c": 1}


# -- drafts


def test_later_decisions_of_a_draft_build_on_earlier_ones() -> None:
    draft = Draft(FAMILY, world())
    for command in (Go((Noted("1"),)), Stay((Noted("2"),)), Stay((Noted("3"),)), End()):
        draft.accept(draft.decide(A, command))
    change = draft.changes["t.one:a"]
    assert (change.base, change.version, change.born, change.ended) == (0, 4, [A], [A])
    assert change.members[A].data == "a123noted"
    assert set(change.timers.values()) == {None}


def test_a_decision_stays_what_it_was_when_the_draft_goes_on() -> None:
    draft = Draft(FAMILY, world())
    first = draft.decide(A, Go())
    draft.accept(first)
    draft.accept(draft.decide(A, Stay()))
    assert len(first.changes["t.one:a"].records) == 1
    assert first.changes["t.one:a"].version == 1


def test_what_is_not_accepted_is_forgotten() -> None:
    draft = Draft(FAMILY, world())
    draft.decide(A, Go())
    assert draft.changes == {}
    assert draft.decide(A, Go()).outcome is Outcome.MOVED


def test_a_change_is_applied_to_the_version_it_was_decided_on() -> None:
    with pytest.raises(AssertionError):
        apply_change(FAMILY, StreamState(version=1), Change(0))


# -- timers


def test_entering_and_leaving_a_state_moves_the_index_of_timers() -> None:
    state = world()
    started = decided(state, A, Go(), at=1.0).changes["t.one:a"].timers
    assert started == {
        "t.one:a/keep": 6.0,
        "t.one:a/rearm": 8.0,
        "t.one:a/called": 11.0,
        "t.one:a/dated": 99.0,
        "t.one:a/drop": 10.0,
    }
    stopped = decided(state, A, End()).changes["t.one:a"].timers
    assert stopped == dict.fromkeys(started)


def test_a_timer_that_is_not_due_or_not_pending_is_late() -> None:
    state = world()
    decided(state, A, Go())
    draft = Draft(FAMILY, state)
    for name, at in (("keep", 4.9), ("other", 100.0)):
        decision = draft.decide(A, stamped(Tick(), at=at), timer=name)
        assert (decision.outcome, decision.reason) == (Outcome.IGNORED, LATE)
        assert decision.changes == {"t.one:a": Change(1)}


def test_a_timer_that_fires_for_nothing_is_gone_and_that_is_recorded() -> None:
    state = world()
    decided(state, A, Go())
    draft = Draft(FAMILY, state)
    decision = draft.decide(A, stamped(Tick(), at=5.0), timer="keep")
    change = decision.changes["t.one:a"]
    assert decision.outcome is Outcome.IGNORED
    assert change.records == [Record(A, "BUSY", 1, TimerMoved("keep", None))]
    assert change.timers == {"t.one:a/keep": None}
    assert [timer.name for timer in change.members[A].timers] == ["rearm", "called", "dated", "drop"]
    draft.accept(decision)
    assert draft.decide(A, stamped(Tick(), at=5.0), timer="keep").reason == LATE


def test_a_timer_that_fires_is_gone_when_its_command_stays() -> None:
    state = world()
    decided(state, A, Go())
    decision = Draft(FAMILY, state).decide(A, stamped(Later(), at=5.0), timer="keep")
    change = decision.changes["t.one:a"]
    assert [record.event for record in change.records] == [TimerMoved("keep", None), Noted("noted")]
    assert "keep" not in [timer.name for timer in change.members[A].timers]


def test_only_the_addressed_machine_is_asked_for_its_timer() -> None:
    state = world()
    decided(state, A, Go())
    firing = stamped(Stay((Noted(), Tell(B, Go()))), at=5.0)
    decision = Draft(FAMILY, state).decide(A, firing, timer="keep")
    assert decision.changes["t.two:b"].members[B].state is S.BUSY


def test_a_restart_does_to_each_timer_what_its_policy_says() -> None:
    state = world()
    decided(state, A, Go())
    draft = Draft(FAMILY, state)
    decision = draft.decide_restart(A, Stamp(at=50.0))
    change = decision.changes["t.one:a"]
    assert [record.event for record in change.records] == [
        TimerMoved("rearm", 57.0),
        TimerMoved("called", 60.0),
        TimerMoved("drop", None),
    ]
    assert all(record.cause is None for record in change.records)
    assert {timer.name: timer.due for timer in change.members[A].timers} == {
        "keep": 5.0,
        "rearm": 57.0,
        "called": 60.0,
        "dated": 99.0,
    }
    assert change.timers == {"t.one:a/rearm": 57.0, "t.one:a/called": 60.0, "t.one:a/drop": None}
    assert decision.performances == ()


def test_a_restart_leaves_alone_what_has_no_timer_or_one_that_nobody_knows() -> None:
    state = world()
    assert Draft(FAMILY, state).decide_restart(A, Stamp()).changes == {"t.one:a": Change(0)}
    state["t.one:a"].members[A] = Snapshot(S.IDLE, "", (Timer("old", 1.0, 1),), (), 1)
    assert Draft(FAMILY, state).decide_restart(A, Stamp()).changes == {"t.one:a": Change(0)}


def test_a_moved_timer_keeps_its_place_and_its_number() -> None:
    now = Snapshot(S.BUSY, "", (Timer("x", 1.0, 4), Timer("y", 2.0, 4)), (), 4)
    moved = move_timer(now, TimerMoved("x", 9.0))
    assert moved.timers == (Timer("x", 9.0, 4), Timer("y", 2.0, 4))
    assert move_timer(now, TimerMoved("x", None)) == without_timer(now, "x")
    assert move_timer(now, TimerMoved("none", 9.0)) == now


@pytest.mark.parametrize("address", [A, PART_OF_A, Address("t.two", "x:y/z")])
def test_the_name_of_a_timer_is_taken_apart_again(address: Address) -> None:
    assert split_index_name(f"{address}/keep") == (address, "keep")
