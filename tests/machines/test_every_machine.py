"""Laws of every kind of machine in `machines`, on random commands that its rules never saw.

SWITCHHOOK_PROFILE=large runs ten times as many.
"""

import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations

import pytest

from engine.app.api import Api
from engine.app.discovery import installed_apis
from engine.effects import Reply, Send
from engine.journal.fold import encoded, fold
from engine.journal.port import Loaded
from engine.machine import laws
from engine.machine.check import check_table
from engine.machine.family import Decision, Kind, RuleError
from engine.machine.paths import routes
from engine.machine.stage import Stage
from engine.machine.step import Outcome, Snapshot
from engine.vocabulary import Address, Command
from tests.machines.playing import LARGE, WAITS, Run
from tests.machines.test_scenarios import stages_of

APIS = [pytest.param(api, id=api.name) for api in installed_apis()]
KINDS = [pytest.param(kind, id=kind.name) for api in installed_apis() for kind in api.kinds]
SEEDS = range(200 if LARGE else 20)
COMMANDS = 80
SEEDED = [
    pytest.param(api, seed, id=f"{api.name}-{seed}", marks=[pytest.mark.slow] if LARGE else [])
    for api in installed_apis()
    for seed in SEEDS
]


# -- tables


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_has_no_fault(kind: Kind) -> None:
    faults = check_table(kind.table)
    if not kind.table.final:
        # A line or a seat is never over; a crash brings it back to its beginning.
        faults = tuple(one for one in faults if one.rule != "crash_goes_on")
    assert [str(one) for one in faults] == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_can_be_reached(kind: Kind) -> None:
    assert {*routes(kind.table)} == {*kind.table.states}


@pytest.mark.parametrize("kind", KINDS)
def test_every_cell_is_decided(kind: Kind) -> None:
    for state in kind.table.states:
        for command in kind.table.commands:
            assert kind.table.cells[state][command][-1].when is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_machine_can_crash_in_every_state_that_is_not_final(kind: Kind) -> None:
    assert kind.table.crash is not None


# -- one step of one machine, in the snapshots that its family brings it into


class _Laws(Run):
    """A run in which every step of every machine is held to the laws of tables."""

    def __init__(self, api: Api, seed: int) -> None:
        super().__init__(api, random.Random(seed))
        self.broken: list[str] = []

    def send(self, to: Address, command: Command, **options: object) -> Decision:
        decision = super().send(to, command, **options)
        for address, now, told in self._watched.steps:
            self.broken += _broken(self.family.kinds[address.kind], now, told)
        return decision


def _broken(kind: Kind, now: Snapshot, command: Command) -> Iterator[str]:
    for name, law in laws.LAWS.items():
        reason = law(kind.table, now, command)
        if reason:
            yield f"{kind.name} is not {name}: {command} in {now.state.name} {reason}"


@cache
def run_of(api: Api, seed: int) -> _Laws:
    """A run of random commands and waiting; the same for every test that looks at it."""
    run = _Laws(api, seed)
    run.begin()
    for _ in range(COMMANDS):
        to = run.any_address()
        run.send(to, run.any_command(to))
        run.wait(run.rng.choice(WAITS))
    return run


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_every_step_keeps_the_laws_of_tables(api: Api, seed: int) -> None:
    assert run_of(api, seed).broken == []


@pytest.mark.parametrize("api", APIS)
def test_every_cell_is_received_by_a_scenario_or_a_law(api: Api) -> None:
    stages = [*stages_of(api), *(run_of(api, seed) for seed in SEEDS)]
    received = {cell for stage in stages for cell in stage.received}
    swept = {cell for kind in api.kinds for cell in _swept(api, kind, stages)}
    every = {
        (kind.name, state.name, command.__name__)
        for kind in api.kinds
        for state, cell in kind.table.cells.items()
        for command in cell
    }
    assert sorted(every - received - swept) == []


def _swept(api: Api, kind: Kind, stages: Sequence[Stage]) -> Iterator[tuple[str, str, str]]:
    """Send every command to one machine of each state that was met, and hold the steps to the laws."""
    run = Run(api, random.Random(0))
    met = {kind.table.initial: run.family.initial(Address(kind.name, "x"))} | {
        snapshot.state: snapshot
        for stage in stages
        for stream in stage.streams.values()
        for address, snapshot in stream.members.items()
        if address.kind == kind.name
    }
    for now in met.values():
        for on in kind.table.cells[now.state]:
            assert [*_broken_unless_invariant(run, kind, now, on)] == []
            yield kind.name, now.state.name, on.__name__


def _broken_unless_invariant(run: Run, kind: Kind, now: Snapshot, on: type[Command]) -> Iterator[str]:
    command = run._made(on)
    try:
        run.family.step(Address(kind.name, "x"), now, command)
    except RuleError as error:
        if not isinstance(error.__cause__, AssertionError):
            raise
    else:
        yield from _broken(kind, now, command)


# -- one command on its way through a family


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_a_decision_is_pure_and_the_same_by_the_book(api: Api, seed: int) -> None:
    for run, to, command in _drawn(api, seed):
        try:
            once, twice, by_the_book = run.decisions(to, command)
        except RuleError:
            continue
        assert once == twice == by_the_book
        assert [*once.changes] == [*twice.changes] == [*by_the_book.changes]


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_what_is_refused_changes_nothing_anywhere(api: Api, seed: int) -> None:
    for _, _, _, decision in _decided(api, seed):
        if decision.outcome is Outcome.REFUSED:
            assert decision.performances == ()
            for change in decision.changes.values():
                assert not any((change.records, change.members, change.timers, change.seen))


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_only_the_addressed_machine_answers_and_once(api: Api, seed: int) -> None:
    for _, to, command, decision in _decided(api, seed):
        replies = [one for one in decision.performances if isinstance(one.effect, Reply)]
        assert [one.member for one in replies] in ([], [to]), f"{command} to {to}"


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_an_answer_goes_out_before_what_it_causes(api: Api, seed: int) -> None:
    for _, _, command, decision in _decided(api, seed):
        kinds = [type(one.effect) for one in decision.performances]
        if Reply in kinds and Send in kinds:
            assert kinds.index(Reply) < kinds.index(Send), f"{command}: {decision.performances}"


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_an_event_announces_at_most_one_message_to_a_device(api: Api, seed: int) -> None:
    for run, _, _, decision in _decided(api, seed):
        for change in decision.changes.values():
            for record in change.records:
                told = run.family.announced(record.member, record.event)
                for one, other in combinations(told, 2):
                    assert one.to != other.to or _apart(one, other), f"{record.event}: {told}"


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_a_fired_timer_is_never_refused(api: Api, seed: int) -> None:
    for run, _, _, _ in _decided(api, seed):
        done = run.wait(run.rng.choice(WAITS))
        assert [one.reason for one in done if one.outcome is Outcome.REFUSED] == []


def _apart(one: Send, other: Send) -> bool:
    """Whether no device gets both."""
    if one.only is not None and other.only is not None:
        return one.only != other.only
    return (one.only is not None and one.only == other.skip) or (
        other.only is not None and other.only == one.skip
    )


def _drawn(api: Api, seed: int) -> Iterator[tuple[Run, Address, Command]]:
    run = Run(api, random.Random(seed))
    run.begin()
    for _ in range(COMMANDS):
        to = run.any_address()
        command = run.any_command(to)
        yield run, to, command
        run.send(to, command)
        run.wait(run.rng.choice(WAITS))


def _decided(api: Api, seed: int) -> Iterator[tuple[Run, Address, Command, Decision]]:
    run = Run(api, random.Random(seed))
    run.begin()
    for _ in range(COMMANDS):
        to = run.any_address()
        command = run.any_command(to)
        crashes = run.crashes
        decision = run.send(to, command)
        if run.crashes == crashes:
            yield run, to, command, decision


# -- what is journaled


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_the_journal_alone_gives_what_is_in_memory(api: Api, seed: int) -> None:
    run = run_of(api, seed)
    for stream, live in run.streams.items():
        folded = fold(run.family, run.codec, stream, Loaded(None, 0, tuple(run.journal[stream])))
        assert folded == live, stream


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_a_snapshot_and_the_events_behind_it_give_what_is_in_memory(api: Api, seed: int) -> None:
    run = run_of(api, seed)
    for stream, live in run.streams.items():
        events = tuple(run.journal[stream])
        for cut in (0, _middle(run, stream), len(events)):
            early = fold(run.family, run.codec, stream, Loaded(None, 0, events[:cut]))
            loaded = Loaded(encoded(run.codec, early), cut, events[cut:])
            assert fold(run.family, run.codec, stream, loaded) == live, (stream, cut)


def _middle(run: Run, stream: str) -> int:
    """The last version before half of the stream at which a command begins."""
    events = run.journal[stream]
    cuts = [
        event.version - 1
        for event in events[: len(events) // 2 + 1]
        if run.codec.decode(event.data).cause is not None
    ]
    return max(cuts)


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_the_index_of_timers_is_what_the_machines_wait_for(api: Api, seed: int) -> None:
    run = run_of(api, seed)
    waiting = {
        f"{address}/{timer.name}": timer.due
        for stream in run.streams.values()
        for address, snapshot in stream.members.items()
        for timer in snapshot.timers
    }
    assert run.index == waiting


@pytest.mark.parametrize(("api", "seed"), SEEDED)
def test_no_timer_is_overdue(api: Api, seed: int) -> None:
    run = run_of(api, seed)
    assert [name for name, due in run.index.items() if due <= run.now] == []
