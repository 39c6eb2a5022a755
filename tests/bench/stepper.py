"""The compiled stepper against a hand-written dictionary and two state-machine libraries."""

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from enum import Enum, StrEnum
from typing import Any

import attrs
from statemachine import State as PeerState
from statemachine import StateMachine
from transitions import Machine

from engine.machine.check import check_table
from engine.machine.compiled import compile_table
from engine.machine.step import Snapshot, initial_snapshot
from engine.machine.table import After, Refuse, Row, Table
from engine.vocabulary import Command, Effect, Event
from tests.bench.report import Figure

ROUNDS = 15
CYCLES = 400
LIVE_CALLS = 10_000


class State(StrEnum):
    IDLE = "idle"
    RINGING = "ringing"
    TALKING = "talking"
    HELD = "held"
    BUSY = "busy"
    OVER = "over"


@attrs.frozen
class Dial(Command):
    who: str


@attrs.frozen
class Answer(Command):
    who: str


@attrs.frozen
class Decline(Command):
    who: str


@attrs.frozen
class Hold(Command):
    who: str


@attrs.frozen
class Resume(Command):
    who: str


@attrs.frozen
class HangUp(Command):
    who: str


@attrs.frozen
class Redial(Command):
    who: str


@attrs.frozen
class Told(Effect):
    who: str


@attrs.frozen
class Moved(Event):
    """The one fact of this table; it has no fields, so that one instance serves."""


MOVED = Moved()


@attrs.frozen
class Call:
    caller: str
    callee: str


def by_caller(call: Any, command: Any) -> bool:
    return bool(command.who == call.caller)


def by_callee(call: Any, command: Any) -> bool:
    return bool(command.who == call.callee)


def by_party(call: Any, command: Any) -> bool:
    return command.who == call.caller or command.who == call.callee


def tell_callee(call: Call, _command: Any) -> tuple[Event | Effect, ...]:
    return MOVED, Told(call.callee)


def tell_caller(call: Call, _command: Any) -> tuple[Event | Effect, ...]:
    return MOVED, Told(call.caller)


def keep(call: Call, _event: Event) -> Call:
    return call


def started(_key: str) -> Call:
    return Call("ann", "bob")


# (source, command, target, whom it tells, guard): the same ten arrows for every engine.
ARROWS: tuple[tuple[State, type[Command], State, str, Callable[[Any, Any], bool] | None], ...] = (
    (State.IDLE, Dial, State.RINGING, "callee", by_caller),
    (State.RINGING, Answer, State.TALKING, "caller", by_callee),
    (State.RINGING, Decline, State.BUSY, "caller", by_callee),
    (State.RINGING, HangUp, State.OVER, "callee", None),
    (State.TALKING, Hold, State.HELD, "callee", by_party),
    (State.TALKING, HangUp, State.OVER, "callee", None),
    (State.HELD, Resume, State.TALKING, "callee", None),
    (State.HELD, HangUp, State.OVER, "callee", None),
    (State.BUSY, Redial, State.RINGING, "callee", None),
    (State.OVER, Redial, State.IDLE, "callee", None),
)
COMMANDS = (Dial, Answer, Decline, HangUp, Hold, Resume, Redial)

WALK: tuple[Command, ...] = (
    Dial("ann"),
    Decline("bob"),
    Redial("ann"),
    Answer("bob"),
    Hold("ann"),
    Resume("ann"),
    Hold("bob"),
    HangUp("bob"),
    Redial("ann"),
    Dial("ann"),
    HangUp("ann"),
    Redial("bob"),
)
"""A round through the diagram that ends where it began; every command fires a row."""


def table(extra: int = 0) -> Table[State, Call]:
    """The ten arrows, and `extra` more on commands of their own."""
    tells = {"callee": tell_callee, "caller": tell_caller}
    rows = [Row(source, on, target, tells[whom], when=when) for source, on, target, whom, when in ARROWS]
    others = tuple(attrs.make_class(f"Other{number}", [], bases=(Command,)) for number in range(extra))
    rows += [Row(State.IDLE, other, State.RINGING, tell_callee) for other in others]
    decided = {(row.source, row.on) for row in rows if row.when is None}
    asides = tuple(
        Refuse(state, tuple(on for on in (*COMMANDS, *others) if (state, on) not in decided), "not_now")
        for state in State
    )
    return Table(
        name="bench",
        initial=State.IDLE,
        final=frozenset(),
        rows=tuple(rows),
        asides=asides,
        start=started,
        evolve=keep,
    )


@attrs.define
class HandCall:
    """What the hand-written table moves: one mutable object with slots."""

    state: State
    caller: str
    callee: str


def hand_callee(call: HandCall, _command: Any) -> Told:
    return Told(call.callee)


def hand_caller(call: HandCall, _command: Any) -> Told:
    return Told(call.caller)


HAND = {
    (source, on): (when, hand_callee if whom == "callee" else hand_caller, target)
    for source, on, target, whom, when in ARROWS
}


def hand_step(call: HandCall, command: Command) -> Effect | None:
    """The fastest honest form: one look-up, one guard, one effect, one assignment."""
    cell = HAND.get((call.state, command.__class__))
    if cell is None:
        return None
    when, then, target = cell
    if when is not None and not when(call, command):
        return None
    effect = then(call, command)
    call.state = target
    return effect


def run_hand(cycles: int) -> None:
    """Drive the hand-written table."""
    call = HandCall(State.IDLE, "ann", "bob")
    for _ in range(cycles):
        for command in WALK:
            hand_step(call, command)
    assert call.state is State.IDLE


def compiled_runner(extra: int = 0) -> Callable[[int], None]:
    """A driver of the compiled table."""
    step = compile_table(table(extra))
    begin = initial_snapshot(table(), "1")

    def run(cycles: int) -> None:
        now = begin
        for _ in range(cycles):
            for command in WALK:
                now = step(now, command).after
        assert now.entries == cycles * len(WALK)

    return run


def transitions_runner() -> Callable[[int], None]:
    """A driver of one machine of the `transitions` library, shared by all calls."""
    machine = Machine(
        model=None,
        states=State,
        initial=State.IDLE,
        auto_transitions=False,
        send_event=True,
        transitions=[
            {
                "trigger": on.__name__,
                "source": source,
                "dest": target,
                "conditions": [] if when is None else [_condition(when)],
                "before": [_before(hand_callee if whom == "callee" else hand_caller)],
            }
            for source, on, target, whom, when in ARROWS
        ],
    )
    events = machine.events

    def run(cycles: int) -> None:
        call = HandCall(State.IDLE, "ann", "bob")
        for _ in range(cycles):
            for command in WALK:
                events[command.__class__.__name__].trigger(call, command)
        assert call.state is State.IDLE

    return run


def _condition(when: Callable[[Any, Any], bool]) -> Callable[[Any], bool]:
    return lambda event: when(event.model, event.args[0])


def _before(then: Callable[[Any, Any], Told]) -> Callable[[Any], None]:
    return lambda event: (then(event.model, event.args[0]), None)[1]


def statemachine_runner() -> Callable[[int], None]:
    """A driver of python-statemachine: one object a call, as its users write it."""
    call = HandCall(State.IDLE, "ann", "bob")
    machine = _peer_class()(call)

    def run(cycles: int) -> None:
        for _ in range(cycles):
            for command in WALK:
                machine.send(command.__class__.__name__.lower(), command=command)
        assert machine.idle.is_active

    return run


def _peer_class() -> type[StateMachine]:
    """The ten arrows as a class of the library's, whose events and states are attributes."""
    states = {state: PeerState(state.name, value=state.value, initial=state is State.IDLE) for state in State}
    body: dict[str, Any] = {state.value: one for state, one in states.items()}
    for number, (source, on, target, whom, when) in enumerate(ARROWS):
        then = hand_callee if whom == "callee" else hand_caller
        body[f"act_{number}"] = _acting(then)
        if when is not None:
            body[f"may_{number}"] = _asking(when)
        arrow = states[source].to(
            states[target], on=f"act_{number}", cond=None if when is None else f"may_{number}"
        )
        name = on.__name__.lower()
        body[name] = body[name] | arrow if name in body else arrow
    return type("PeerCall", (StateMachine,), body)


def _acting(then: Callable[[Any, Any], Told]) -> Callable[[Any, Any], Told]:
    def act(self: Any, command: Any) -> Told:
        return then(self.model, command)

    return act


def _asking(when: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def may(self: Any, command: Any) -> bool:
        return when(self.model, command)

    return may


def medians(runners: dict[str, tuple[Callable[[int], None], int]]) -> dict[str, float]:
    """Microseconds of CPU time per command of each runner, in rounds that take turns."""
    spent: dict[str, list[float]] = {name: [] for name in runners}
    for run, _ in runners.values():
        run(1)
    for _ in range(ROUNDS):
        for name, (run, cycles) in runners.items():
            gc.collect()
            began = time.process_time()
            run(cycles)
            spent[name].append((time.process_time() - began) / cycles / len(WALK) * 1e6)
    return {name: statistics.median(of_runner) for name, of_runner in spent.items()}


def bytes_per_call(timers: tuple[After[State, Call], ...] = ()) -> float:
    """What a call that rings costs: its snapshot, its data and its timers; names are shared."""
    step = compile_table(attrs.evolve(table(), timers=timers))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    live = []
    for _ in range(LIVE_CALLS):
        now = Snapshot(State.IDLE, Call("ann", "bob"))
        live.append(step(now, WALK[0]).after)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(live) == LIVE_CALLS
    return (after - before) / LIVE_CALLS


def seconds_to_check() -> float:
    """CPU time of the static checks on 10 states by 15 commands, median."""
    big = _big_table()
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time()
        assert check_table(big) == ()
        spent.append(time.process_time() - began)
    return statistics.median(spent)


def _big_table() -> Table[Any, Any]:
    states = Enum("states", [f"S{number}" for number in range(10)])  # type: ignore[misc]
    ring = [*states]
    commands = [attrs.make_class(f"C{number}", [], bases=(Command,)) for number in range(15)]
    rows = [
        Row(state, on, ring[(place + number) % 10], tell_callee, when=by_party)
        for place, state in enumerate(ring)
        for number, on in enumerate(commands)
    ]
    timers = tuple(After(state, commands[0], 1.0) for state in ring[1:])
    return Table(
        name="big",
        initial=ring[0],
        final=frozenset(),
        rows=tuple(rows),
        asides=(Refuse(tuple(ring), tuple(commands), "not_now"),),
        timers=timers,
        start=started,
        evolve=keep,
        waits={ring[0]: "for anybody"},
    )


def figures() -> Iterator[Figure]:
    """The stepper's figures; every runner sends the same commands through the same ten arrows."""
    spent = medians(
        {
            "hand": (run_hand, CYCLES),
            "compiled": (compiled_runner(), CYCLES),
            "600 rows": (compiled_runner(590), CYCLES),
            "transitions": (transitions_runner(), CYCLES // 8),
            "statemachine": (statemachine_runner(), max(1, CYCLES // 80)),
        }
    )
    ours = spent["compiled"]
    yield Figure(
        "hand-written table", spent["hand"], "us", 1.0, note="dict[(state, command)], slots, mutable"
    )
    yield Figure("compiled stepper", ours, "us", ours / spent["hand"], "<= 2.2", "of the hand-written table")
    yield Figure(
        "transitions, shared machine",
        spent["transitions"],
        "us",
        spent["transitions"] / ours,
        ">= 6",
        "of ours",
    )
    yield Figure(
        "python-statemachine", spent["statemachine"], "us", spent["statemachine"] / ours, ">= 80", "of ours"
    )
    yield Figure(
        "compiled, 600 rows", spent["600 rows"], "us", spent["600 rows"] / ours, "<= 1.1", "of 10 rows"
    )
    yield Figure(
        "a live call", bytes_per_call(), "bytes", ask="<= 250", note="snapshot and data, 10,000 calls"
    )
    timed = bytes_per_call((After(State.RINGING, Answer, 30.0),))
    yield Figure(
        "a live call with a timer", timed, "bytes", ask="<= 250", note="one of 30 s, in the snapshot"
    )
    yield Figure("check_table, 10 by 15", seconds_to_check() * 1e3, "ms", ask="<= 50")
