"""Static faults: each rule finds its fault, and nothing on a table that is right."""

from collections.abc import AsyncIterator, Iterator
from enum import Enum
from functools import partial

import attrs
import pytest

from engine.machine.check import RULES, check_table
from engine.machine.table import (
    After,
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
from engine.vocabulary import Command, Event
from tests.engine.machine.tables import EVERY, PHONE, Crashed, Paid


class A(Enum):
    ONE = 1
    TWO = 2
    END = 3


@attrs.frozen
class Go(Command):
    pass


@attrs.frozen
class Tick(Command):
    pass


@attrs.frozen
class Name(Command):
    name: str


def go(_data: object, _command: object) -> Said:
    return (Paid(),)


def may(_data: object, _command: object) -> bool:
    return True


def nothing(_key: str) -> None:
    return None


def same(data: object, _event: Event) -> object:
    return data


WAITS = {A.ONE: "for a person", A.TWO: "for a person"}
REST = Refuse((A.ONE, A.TWO, A.END), Tick, "not_now")


def table(*rows: Row, asides: tuple = (), **changes: object) -> Table:
    """A table of three states; what the rows and asides leave open is refused."""
    whole = {"final": frozenset([A.END]), "waits": WAITS, "start": nothing, "evolve": same, **changes}
    commands = dict.fromkeys(
        [row.on for row in rows]
        + [
            one
            for aside in asides
            for one in (aside.commands if isinstance(aside.commands, tuple) else (aside.commands,))
        ]
        + [timer.command for timer in changes.get("timers", ())]
    )
    open_cells = [
        Refuse(state, on, "not_now")
        for state in A
        for on in commands
        if not any(state in many(one.source) and one.on is on and one.when is None for one in rows)
        and not any(
            state in many(one.states) and on in many(one.commands) and one.when is None for one in asides
        )
    ]
    return Table(name="t", initial=A.ONE, rows=rows, asides=(*asides, *open_cells), **whole)


def many(one: object) -> tuple:
    return one if isinstance(one, tuple) else (one,)


def found(checked: Table) -> list[tuple[str, str]]:
    return [(fault.rule, fault.where) for fault in check_table(checked)]


LINE = (Row(A.ONE, Go, A.TWO, go), Row(A.TWO, Go, A.END, go))


@pytest.mark.parametrize("right", [one for one, _ in EVERY] + [table(*LINE)], ids=lambda one: one.name)
def test_a_right_table_has_no_faults(right: Table) -> None:
    assert check_table(right) == ()


def test_a_state_that_no_row_leads_to_is_found() -> None:
    lost = table(Row(A.ONE, Go, A.END, go), Row(A.TWO, Go, A.END, go))
    assert found(lost) == [("unreachable", "TWO")]


def test_a_state_that_only_a_crash_leads_to_is_reached() -> None:
    crashing = table(Row((A.ONE, A.TWO), Go, A.TWO, go), final=frozenset(), crash=EndOnCrash(A.END, go))
    assert "unreachable" not in [rule for rule, _ in found(crashing)]


def test_a_state_from_which_nothing_ends_is_found() -> None:
    stuck = table(
        Row(A.ONE, Go, A.TWO, go), Row(A.ONE, Tick, A.END, go), Row(A.TWO, Go, A.TWO, go, again=True)
    )
    assert found(stuck) == [("dead_end", "TWO")]


def test_a_crash_is_no_way_to_an_end() -> None:
    stuck = table(Row(A.ONE, Go, A.TWO, go), Row(A.TWO, Go, A.ONE, go), crash=EndOnCrash(A.END, go))
    assert found(stuck) == [("dead_end", "ONE"), ("dead_end", "TWO")]


def test_a_table_without_final_states_has_no_dead_ends() -> None:
    endless = table(
        Row(A.ONE, Go, A.TWO, go), Row(A.TWO, Go, A.END, go), Row(A.END, Go, A.ONE, go), final=frozenset()
    )
    assert found(endless) == [("silent_wait", "END")]


def test_a_state_that_waits_in_silence_is_found() -> None:
    assert found(table(*LINE, waits={A.ONE: "for a person"})) == [("silent_wait", "TWO")]


def test_a_timer_is_a_reason_to_wait() -> None:
    timed = table(
        *LINE,
        Row(A.TWO, Tick, A.END, go),
        timers=(After(A.TWO, Tick, 1.0),),
        waits={A.ONE: "for a person"},
    )
    assert found(timed) == []


def test_timers_that_a_restart_drops_are_no_reason_to_wait() -> None:
    dropped = table(
        *LINE,
        Row(A.TWO, Tick, A.END, go),
        timers=(After(A.TWO, Tick, 1.0, on_restart=OnRestart.DROP),),
        waits={A.ONE: "for a person"},
    )
    assert found(dropped) == [("silent_wait", "TWO")]


def test_a_timer_of_a_first_state_that_is_never_entered_is_found() -> None:
    early = table(*LINE, Row(A.ONE, Tick, A.END, go), timers=(After(A.ONE, Tick, 1.0),))
    assert found(early) == [("never_armed", "ONE")]


def test_a_timer_of_a_first_state_that_is_entered_again_is_armed() -> None:
    again = table(*LINE, Row(A.ONE, Tick, None, go, again=True), timers=(After(A.ONE, Tick, 1.0),))
    assert found(again) == []


def test_an_entry_with_the_guard_of_an_earlier_one_is_found() -> None:
    doubled = table(
        Row(A.ONE, Go, A.TWO, go, when=may),
        Row(A.ONE, Go, A.END, go, when=may),
        LINE[1],
        asides=(Ignore(A.ONE, Go, "why", when=may),),
    )
    assert [str(fault) for fault in check_table(doubled)] == [
        "t: (ONE, Go): the row to END comes after another with the same guard [never_fires]",
        "t: (ONE, Go): Ignore comes after another with the same guard [never_fires]",
    ]


def test_a_row_without_a_source_is_found() -> None:
    assert found(table(*LINE, Row((), Go, A.END, go))) == [("never_fires", "Go")]


def test_timers_without_delay_that_go_round_are_found() -> None:
    spinning = table(
        Row(A.ONE, Tick, A.TWO, go),
        Row(A.TWO, Tick, A.ONE, go),
        Row((A.ONE, A.TWO), Go, A.END, go),
        timers=(After((A.ONE, A.TWO), Tick, 0.0),),
    )
    assert found(spinning) == [("instant_cycle", "ONE, TWO")]


def test_a_state_that_enters_itself_without_delay_is_found() -> None:
    spinning = table(*LINE, Row(A.TWO, Tick, None, go, again=True), timers=(After(A.TWO, Tick, 0),))
    assert found(spinning) == [("instant_cycle", "TWO")]


def test_a_timer_that_is_not_started_again_does_not_go_round() -> None:
    still = table(*LINE, Row(A.TWO, Tick, None, go), timers=(After(A.TWO, Tick, 0.0),))
    assert found(still) == []


@pytest.mark.parametrize("seconds", [0.1, lambda _data: 0.0])
def test_a_cycle_with_a_delay_somewhere_is_no_fault(seconds: object) -> None:
    slow = table(
        Row(A.ONE, Tick, A.TWO, go),
        Row(A.TWO, Tick, A.ONE, go),
        Row((A.ONE, A.TWO), Go, A.END, go),
        timers=(After(A.ONE, Tick, 0.0), After(A.TWO, Tick, seconds)),
    )
    assert "instant_cycle" not in [rule for rule, _ in found(slow)]


def test_a_timer_that_waits_in_one_state_and_moves_another_goes_round() -> None:
    spinning = table(
        Row(A.ONE, Go, A.TWO, go),
        Row(A.TWO, Tick, A.ONE, go),
        Row(A.TWO, Go, A.END, go),
        asides=(Defer(A.ONE, Tick, "later"),),
        timers=(After(A.ONE, Tick, 0.0), After(A.ONE, Go, 0.0)),
    )
    assert found(spinning) == [("instant_cycle", "ONE, TWO"), ("unheard_timer", "(ONE, Tick)")]


def test_what_waits_only_outside_a_cycle_does_not_drive_it() -> None:
    fed = table(
        Row(A.ONE, Go, A.TWO, go),
        Row(A.TWO, Tick, None, go, again=True),
        Row(A.TWO, Go, A.END, go),
        asides=(Defer(A.ONE, Tick, "later"),),
        timers=(After(A.ONE, Tick, 0.0),),
    )
    assert found(fed) == [("never_armed", "ONE"), ("unheard_timer", "(ONE, Tick)")]


def test_a_command_that_every_later_state_defers_is_found() -> None:
    endless = table(
        Row(A.ONE, Go, A.TWO, go),
        Row(A.TWO, Go, A.ONE, go),
        asides=(Defer((A.ONE, A.TWO), Tick, "later"),),
        crash=EndOnCrash(A.END, go),
    )
    faults = found(endless)
    assert ("deferred_for_ever", "(ONE, Tick)") in faults
    assert ("deferred_for_ever", "(TWO, Tick)") in faults


def test_a_command_that_waits_in_a_final_state_is_found() -> None:
    late = table(*LINE, asides=(Defer(A.END, Tick, "later"),))
    assert found(late) == [("deferred_for_ever", "(END, Tick)")]


def test_a_timer_that_no_row_hears_is_found() -> None:
    unheard = table(*LINE, asides=(REST,), timers=(After(A.TWO, Tick, 1.0),))
    assert found(unheard) == [("unheard_timer", "(TWO, Tick)")]


def test_a_timer_that_is_ignored_with_a_reason_is_heard() -> None:
    ignored = table(
        *LINE, asides=(Ignore(A.TWO, Tick, "it only wakes us"),), timers=(After(A.TWO, Tick, 1.0),)
    )
    assert found(ignored) == []


def test_a_timer_whose_command_needs_arguments_is_found() -> None:
    needy = table(*LINE, Row(A.TWO, Name, A.END, go), timers=(After(A.TWO, Name, 1.0),))
    (fault,) = check_table(needy)
    assert (fault.rule, fault.where) == ("unheard_timer", "Name")
    assert fault.reason.endswith("it needs name")


def test_empty_reasons_are_found() -> None:
    silent = table(*LINE, asides=(Ignore(A.ONE, (Tick, Name), " "),), waits={**WAITS, A.ONE: ""})
    assert found(silent) == [("no_reason", "Ignore Tick, Name"), ("no_reason", "ONE")]


def test_a_crash_that_ends_in_a_state_that_goes_on_is_found() -> None:
    assert found(table(*LINE, crash=EndOnCrash(A.TWO, go))) == [("crash_goes_on", "TWO")]


def test_a_crash_of_a_table_without_an_end_goes_on() -> None:
    endless = table(
        Row(A.ONE, Go, A.TWO, go), Row(A.TWO, Go, A.ONE, go), final=frozenset(), crash=EndOnCrash(A.ONE, go)
    )
    assert "crash_goes_on" not in [rule for rule, _ in found(endless)]


@pytest.mark.parametrize(("limit", "faults"), [(0, [("crash_goes_on", "END")]), (1, [])])
def test_a_rebuild_needs_a_limit_of_one_or_more(limit: int, faults: object) -> None:
    assert found(table(*LINE, crash=RebuildOnCrash(limit, EndOnCrash(A.END, go)))) == faults


def test_rules_without_a_name_are_found() -> None:
    nameless = table(
        Row(A.ONE, Go, A.TWO, lambda _data, _command: (Paid(),)),
        Row(A.TWO, Go, A.END, partial(go), when=may),
        timers=(After(A.TWO, Go, lambda _data: 1.0), After(A.TWO, Go, due=lambda _data: 1.0, name="due")),
    )
    faults = [one for one in check_table(nameless) if one.rule == "unreadable"]
    assert len(faults) == 4
    assert faults[0].where.startswith("lambda in line ")
    assert faults[1].where == "partial"


def test_start_may_be_a_lambda_since_no_diagram_shows_it() -> None:
    assert check_table(table(*LINE, start=lambda _key: None)) == ()


async def waiting(_data: object, _command: object) -> bool:
    return True


async def streaming(_data: object, _command: object) -> AsyncIterator[Event]:
    yield Crashed()


def yielding(_data: object, _command: object) -> Iterator[Event]:
    yield Crashed()


class Waiting:
    __name__ = "Waiting"

    async def __call__(self, _data: object, _command: object) -> bool:
        return True


@pytest.mark.parametrize(
    ("rule", "where", "reason"),
    [
        (waiting, "waiting", "cannot await"),
        (streaming, "streaming", "cannot await"),
        (Waiting(), "Waiting", "cannot await"),
        (yielding, "yielding", "does not yield"),
    ],
)
def test_rules_that_are_no_plain_functions_are_found(rule: object, where: str, reason: str) -> None:
    (fault,) = check_table(table(Row(A.ONE, Go, A.TWO, go, when=rule), LINE[1]))
    assert (fault.rule, fault.where) == ("not_plain", where)
    assert reason in fault.reason


def test_faults_come_rule_by_rule() -> None:
    rules = [fault.rule for fault in check_table(attrs.evolve(PHONE, waits={}, rows=PHONE.rows[1:]))]
    assert rules == sorted(rules, key=list(RULES).index)
    assert {"unreachable", "dead_end", "silent_wait"} <= {*rules}


def test_the_order_of_faults_does_not_depend_on_sets() -> None:
    wrong = attrs.evolve(PHONE, waits={}, timers=())
    assert found(wrong) == found(attrs.evolve(wrong, final=frozenset(reversed([*wrong.final]))))
