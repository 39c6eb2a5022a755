"""The laws hold on tables that keep them, and find each way of breaking one."""

import random
from collections.abc import Sequence

import attrs
import msgspec
import pytest

from engine.errors import TableError
from engine.machine import laws
from engine.machine import step as stepping
from engine.machine.laws import LAWS, Breach, breaches, walk
from engine.machine.step import Snapshot, Step, choose, initial_snapshot
from engine.machine.table import After, Row, Said, Table
from engine.vocabulary import Command, Event
from tests.engine.machine.tables import (
    EVERY,
    PHONE,
    PHONE_SAMPLES,
    TURNSTILE,
    Coin,
    Paid,
    Passed,
    Push,
    T,
    let_through,
    pay,
)


def seeded(seed: int = 1) -> object:
    return random.Random(seed).choice


def broken(table: Table, samples: laws.Samples | None = None) -> dict[str, Breach]:
    return {breach.law: breach for breach in breaches(table, samples or {}, seeded(), 300)}


@pytest.mark.parametrize(("table", "samples"), EVERY, ids=lambda one: getattr(one, "name", ""))
def test_a_right_table_breaks_no_law(table: Table, samples: laws.Samples) -> None:
    assert breaches(table, samples, seeded(), 500) == ()


def test_one_seed_makes_one_walk() -> None:
    assert [*walk(PHONE, PHONE_SAMPLES, seeded(3), 100)] == [*walk(PHONE, PHONE_SAMPLES, seeded(3), 100)]
    assert [*walk(PHONE, PHONE_SAMPLES, seeded(3), 100)] != [*walk(PHONE, PHONE_SAMPLES, seeded(4), 100)]


def test_a_walk_fires_every_row() -> None:
    fired = {choose(PHONE, now, command) for now, command in walk(PHONE, PHONE_SAMPLES, seeded(), 10_000)}
    assert {*PHONE.arrows} <= fired


def test_a_walk_stamps_its_commands_and_time_never_runs_backwards() -> None:
    stamps = [command.stamp for _, command in walk(PHONE, PHONE_SAMPLES, seeded(), 200)]
    times = [stamp.at for stamp in stamps]
    assert times == sorted(times)
    assert len({stamp.id for stamp in stamps}) == len({stamp.entropy for stamp in stamps}) == 200


def test_a_walk_begins_other_machines_after_an_end_and_after_a_round() -> None:
    begun = [
        now for now, _ in walk(PHONE, PHONE_SAMPLES, seeded(), 500) if now == initial_snapshot(PHONE, "1")
    ]
    assert len(begun) > 500 / laws.ROUND
    endless = [now for now, _ in walk(TURNSTILE, {}, seeded(), laws.ROUND * 4)]
    assert [number for number, now in enumerate(endless) if not now.entries][-1] >= laws.ROUND * 3


def test_commands_that_need_arguments_need_samples() -> None:
    with pytest.raises(TableError, match="table phone: no sample of Dial, Accept"):
        breaches(PHONE, {}, seeded())
    with pytest.raises(TableError, match=r"no sample of Dial$"):
        breaches(PHONE, {**PHONE_SAMPLES, next(iter(PHONE_SAMPLES)): ()}, seeded())


def turnstile(then: object, **changes: object) -> Table:
    """A turnstile whose coin does `then`."""
    return attrs.evolve(TURNSTILE, rows=(Row(T.LOCKED, Coin, T.OPEN, then), *TURNSTILE.rows[1:]), **changes)


def test_a_step_that_raises_is_not_total_and_nothing_else_is_asked() -> None:
    def jam(_coins: int, _command: Coin) -> Said:
        raise KeyError("jammed")

    found = breaches(turnstile(jam), {}, seeded(), 300)
    assert [breach.law for breach in found] == ["total"]
    assert str(found[0]) == "turnstile is not total: Coin() in LOCKED raises KeyError: 'jammed'"


def test_a_reaction_that_answers_differently_is_not_pure() -> None:
    answers = iter(range(100_000))

    def fickle(_coins: int, _command: Coin) -> Said:
        return (Paid(),) if next(answers) % 2 else (Passed(),)

    assert "and again" in broken(turnstile(fickle))["pure"].reason


def test_a_reaction_that_changes_its_data_is_not_pure() -> None:
    def grow(coins: list[int], _command: Coin) -> Said:
        coins.append(1)
        return (Paid(),)

    def kept(coins: object, _event: Event) -> object:
        return coins

    found = broken(turnstile(grow, start=lambda _key: [], evolve=kept))
    assert found["pure"].reason.startswith("changes what it is given into")


@attrs.frozen
class Odd:
    """Data that is equal to nothing, as a NaN."""

    def __eq__(self, _other: object) -> bool:
        return False

    __hash__ = object.__hash__


def test_data_that_cannot_be_compared_breaks_the_laws_that_compare_it() -> None:
    table = attrs.evolve(TURNSTILE, start=lambda _key: Odd(), evolve=lambda _data, _event: Odd())
    assert {"pure", "agreed", "replayed"} <= {*broken(table)}


def test_an_evolve_that_depends_on_more_than_the_event_is_not_replayed() -> None:
    counts = iter(range(1_000_000))
    assert (
        "and replayed" in broken(attrs.evolve(TURNSTILE, evolve=lambda *_: next(counts)))["replayed"].reason
    )


class Wrong:
    """A stepper by the book with one fault put in."""

    def __init__(self, change: object) -> None:
        self.change = change

    def __call__(self, table: Table, now: Snapshot, command: Command, **_options: object) -> Step:
        return self.change(stepping.step(table, now, command), now)


def with_step(change: object, monkeypatch: pytest.MonkeyPatch, table: Table = TURNSTILE) -> set[str]:
    monkeypatch.setattr(laws, "step", Wrong(change))
    return {*broken(table, PHONE_SAMPLES if table is PHONE else None)}


def test_a_refusal_that_changes_something_is_not_unmoved(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(done: Step, now: Snapshot) -> Step:
        after = msgspec.structs.replace(now, data=now.data + 1)
        return done if done.outcome == "moved" else msgspec.structs.replace(done, after=after)

    assert "unmoved" in with_step(count, monkeypatch)


def test_an_end_that_changes_is_not_final(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(done: Step, now: Snapshot) -> Step:
        if now.state not in PHONE.final:
            return done
        return msgspec.structs.replace(done, after=msgspec.structs.replace(now, entries=99))

    assert "final" in with_step(forget, monkeypatch, PHONE)


def test_a_compiled_step_of_its_own_mind_is_not_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws, "_compiled", lambda _table: lambda now, _command: Step(now))
    assert "and compiled" in broken(TURNSTILE)["agreed"].reason


def test_a_library_of_its_own_mind_is_not_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws, "reference_step", lambda _table, now, _command: Step(now))
    assert "by the library" in broken(TURNSTILE)["agreed"].reason


def test_timers_that_do_not_belong_to_the_state_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(done: Step, _now: Snapshot) -> Step:
        return msgspec.structs.replace(done, after=msgspec.structs.replace(done.after, timers=()))

    table = attrs.evolve(TURNSTILE, timers=(After(T.OPEN, Push, 5.0),))
    assert "timed" in with_step(lose, monkeypatch, table)


def test_timers_of_an_earlier_entry_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    def miscount(done: Step, _now: Snapshot) -> Step:
        return msgspec.structs.replace(
            done, after=msgspec.structs.replace(done.after, entries=done.after.entries + 1)
        )

    monkeypatch.setattr(laws, "step", Wrong(miscount))
    table = attrs.evolve(TURNSTILE, timers=(After(T.OPEN, Push, 5.0),))
    reason = laws.timed(table, initial_snapshot(table, "1"), Coin())
    assert reason == "leaves the timers ['Push'] of an earlier state"


def test_each_law_is_told_once() -> None:
    def longer(said: Sequence[object]) -> object:
        return said[-1]

    found = breaches(attrs.evolve(TURNSTILE, evolve=lambda *_: Odd()), {}, longer, 50)
    assert len(found) == len({breach.law for breach in found})
    assert {*LAWS} >= {breach.law for breach in found}
    assert pay(0, Coin()) == (Paid(),)
    assert let_through(0, Push()) == (Passed(),)
