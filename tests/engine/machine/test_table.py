"""Tables refuse to be made wrongly, and lay their cells out in order."""

import re
from enum import StrEnum

import attrs
import pytest

from engine.errors import TableError
from engine.machine.table import (
    After,
    Crash,
    Defer,
    EndOnCrash,
    Ignore,
    RebuildOnCrash,
    Refuse,
    Row,
    end_of,
    name_of,
    say_nothing,
    timer_name,
)
from tests.engine.machine.tables import (
    ENDS,
    PHONE,
    PRINTER,
    TURNSTILE,
    UP,
    Accept,
    Coin,
    Dial,
    ExpireCredit,
    ExpireRing,
    HangUp,
    P,
    Print,
    Push,
    S,
    Say,
    Sleep,
    T,
    by_callee,
    by_caller,
    by_party,
    cut_off,
    hang_up,
    let_through,
    pay,
)


class Other(StrEnum):
    ELSEWHERE = "elsewhere"


def with_rows(*rows: Row) -> object:
    return attrs.evolve(TURNSTILE, rows=(*rows, *TURNSTILE.rows))


def test_states_keep_the_order_of_their_enumeration() -> None:
    assert PHONE.states == tuple(S)


def test_commands_keep_the_order_of_their_first_mention() -> None:
    assert PHONE.commands[:3] == (Dial, Accept, HangUp)
    assert PHONE.commands.index(Crash) > PHONE.commands.index(ExpireCredit)


def test_a_row_with_several_sources_becomes_one_arrow_each() -> None:
    arrows = [row for row in PHONE.arrows if row.on is ExpireCredit]
    assert [(row.source, row.target, row.then) for row in arrows] == [
        (state, S.ENDED, cut_off) for state in UP
    ]


def test_a_row_without_a_target_stays_in_its_source() -> None:
    assert [row.target for row in PHONE.arrows if row.on is Say] == [S.TALKING]


def test_a_row_without_a_target_stays_even_in_a_state_that_is_false() -> None:
    stay = Row((P.READY, P.WARMING), Sleep, None, lambda _pages, _command: ())
    asides = tuple(one for one in PRINTER.asides if one.commands is not Sleep)
    table = attrs.evolve(
        PRINTER,
        rows=(stay, *(row for row in PRINTER.rows if row.on is not Sleep)),
        asides=(*asides, Ignore((P.PRINTING, P.BROKEN), Sleep, "busy")),
    )
    assert [row.target for row in table.arrows if row.on is Sleep] == [P.READY, P.WARMING]


def test_a_target_that_is_false_is_still_a_target() -> None:
    (row,) = [row for row in PRINTER.arrows if row.on is Sleep and row.target is not row.source]
    assert row.target is P.WARMING


def test_entries_of_a_cell_stand_rows_first() -> None:
    entries = PHONE.cells[S.RINGING][HangUp]
    assert [entry.when for entry in entries] == [by_caller, by_party, None]
    assert [type(entry.aside) for entry in entries] == [type(None), type(None), Refuse]


def test_a_crash_is_an_arrow_of_every_state_that_is_not_final() -> None:
    crashes = [row.source for row in PHONE.arrows if row.on is Crash]
    assert crashes == [state for state in S if state not in ENDS]


@pytest.mark.parametrize("state", ENDS)
def test_a_crash_after_the_end_is_ignored_with_a_reason(state: S) -> None:
    (entry,) = PHONE.cells[state][Crash]
    assert isinstance(entry.aside, Ignore)
    assert entry.aside.reason


def test_a_table_without_a_crash_policy_does_not_know_the_command() -> None:
    assert Crash not in TURNSTILE.commands


def test_the_end_of_a_rebuilt_machine_is_the_end_behind_the_limit() -> None:
    end = EndOnCrash(P.BROKEN, say_nothing)
    assert end_of(RebuildOnCrash(2, end)) is end
    assert end_of(end) is end


def test_a_timer_is_called_like_its_command_unless_it_has_a_name() -> None:
    assert timer_name(After(S.RINGING, ExpireRing, 1.0)) == "ExpireRing"
    assert timer_name(After(S.RINGING, ExpireRing, 1.0, name="ring")) == "ring"


def test_a_rule_without_a_name_is_called_like_its_class() -> None:
    class Rule:
        def __call__(self, _data: object, _command: object) -> bool:
            return True

    assert name_of(Rule()) == "Rule"
    assert name_of(by_callee) == "by_callee"


def test_saying_nothing_is_an_empty_tuple() -> None:
    assert say_nothing(None, None) == ()


def faulty(reason: str, **changes: object) -> None:
    with pytest.raises(TableError, match=reason):
        attrs.evolve(TURNSTILE, **changes)


def test_an_undecided_cell_is_refused() -> None:
    faulty(r"\(LOCKED, Push\) is undecided; decide each by a Row, a Refuse, an Ignore or a Defer$", asides=())


def test_a_cell_of_guards_alone_is_refused() -> None:
    faulty(
        r"\(LOCKED, Push\) is undecided when no guard holds",
        asides=(Refuse(T.LOCKED, Push, "locked", when=by_party),),
    )


def test_an_entry_behind_an_unguarded_one_is_refused() -> None:
    faulty(r"\(LOCKED, Coin\) has an entry behind", asides=(Refuse(T.LOCKED, (Push, Coin), "locked"),))


def test_a_final_state_that_is_left_is_refused() -> None:
    faulty("OPEN on Push: the state is final", final=frozenset([T.OPEN]))


def test_entering_again_is_for_rows_that_stay() -> None:
    faulty(
        "LOCKED on Coin: `again` is for a row that stays",
        rows=(Row(T.LOCKED, Coin, T.OPEN, pay, again=True), *TURNSTILE.rows[1:]),
    )


def test_a_change_of_state_must_say_something() -> None:
    faulty(
        "LOCKED on Coin: a change of state must say an event",
        rows=(Row(T.LOCKED, Coin, T.OPEN), *TURNSTILE.rows[1:]),
    )


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        ("rows", {"rows": (Row(Other.ELSEWHERE, Coin, T.OPEN, pay),)}),
        ("rows", {"rows": (Row(T.OPEN, Coin, Other.ELSEWHERE, pay),)}),
        ("asides", {"asides": (Defer(Other.ELSEWHERE, Coin, "no"),)}),
        ("timers", {"timers": (After(Other.ELSEWHERE, Coin, 1.0),)}),
        ("final", {"final": frozenset([Other.ELSEWHERE])}),
        ("waits", {"waits": {Other.ELSEWHERE: "why"}}),
        ("crash", {"crash": EndOnCrash(Other.ELSEWHERE, pay)}),
    ],
)
def test_a_state_of_another_enumeration_is_refused(place: str, changes: dict[str, object]) -> None:
    faulty(f"{place}: .*ELSEWHERE.* is not a T", **changes)


def test_two_timers_of_a_state_need_two_names() -> None:
    faulty("OPEN: two timers are called Push", timers=(After(T.OPEN, Push, 1.0), After(T.OPEN, Push, 2.0)))


def test_one_timer_name_stands_for_one_command() -> None:
    faulty(
        "the timer late sends Coin and Push",
        timers=(After(T.OPEN, Push, 1.0, name="late"), After(T.LOCKED, Coin, 1.0, name="late")),
    )


@pytest.mark.parametrize("timer", [After(T.OPEN, Push), After(T.OPEN, Push, 1.0, due=lambda _coins: 1.0)])
def test_a_timer_needs_one_time(timer: After) -> None:
    faulty("OPEN: timer Push needs either", timers=(timer,))


def test_a_final_state_owns_no_timer() -> None:
    with pytest.raises(TableError, match="MISSED is final and cannot own the timer ExpireRing"):
        attrs.evolve(PHONE, timers=(After((S.RINGING, S.MISSED), ExpireRing, 1.0),))


def test_all_faults_of_a_table_are_told_at_once() -> None:
    with pytest.raises(TableError) as caught:
        attrs.evolve(PHONE, asides=())
    assert str(caught.value).startswith("table phone: ")
    undecided = re.findall(r"is undecided", str(caught.value))
    assert len(undecided) == sum(
        not any(entry.when is None and entry.row for entry in PHONE.cells[state].get(command, ()))
        for state in PHONE.states
        for command in PHONE.commands
    ) - len(ENDS)


def test_rows_may_be_told_apart_though_they_say_the_same() -> None:
    assert Row(T.OPEN, Push, T.LOCKED, let_through) != Row(T.OPEN, Push, T.LOCKED, let_through)
    assert hang_up is not let_through
    assert Print(1) == Print(1)
