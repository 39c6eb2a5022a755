"""One step of one machine, in its plain form: (snapshot, command) -> step. Pure and total."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeAlias

import attrs
import msgspec

from engine.effects import StartTimer, StopTimer
from engine.errors import TableError
from engine.machine.table import (
    DEFERRED_MAX,
    After,
    Aside,
    Defer,
    Entry,
    Ignore,
    Refuse,
    Row,
    Table,
    source_of,
    timer_name,
)
from engine.vocabulary import Command, Effect, Event


class Timer(msgspec.Struct, frozen=True, gc=False):
    """A running timer of the present state.

    It holds no containers, so that the collector of cycles need not know it, and it is smaller.
    """

    name: str
    due: float
    """UTC seconds."""
    armed: int
    """The machine's `entries` when it was started; a firing with another number is late."""


class Snapshot(msgspec.Struct, frozen=True):
    """Everything a machine remembers between two steps.

    A msgspec struct and not an attrs class, for speed: one is made in every step, in a sixth of the time.
    """

    state: Any
    data: Any
    timers: tuple[Timer, ...] = ()
    deferred: tuple[Command, ...] = ()
    entries: int = 0
    """How many times a state was entered."""


class Outcome(StrEnum):
    """What became of a command."""

    MOVED = "moved"
    IGNORED = "ignored"
    DEFERRED = "deferred"
    REFUSED = "refused"


class Step(msgspec.Struct, frozen=True):
    """The outcome of one command."""

    after: Snapshot
    events: tuple[Event, ...] = ()
    effects: tuple[Effect, ...] = ()
    outcome: Outcome = Outcome.MOVED
    reason: str = ""
    """Why it was refused, ignored or deferred; a key, not a sentence, when refused."""


@attrs.frozen
class CommandDeferred(Event):
    """`command` waits for the next change of state."""

    command: Command


Chosen: TypeAlias = Row[Any, Any, Any] | Aside
Chooser: TypeAlias = Callable[[Table[Any, Any], Snapshot, Command], Chosen]
"""Finds the entry that decides a command; `choose`, or another engine that must agree with it."""

UNKNOWN_COMMAND = "unknown_command"
DEFERRED_FULL = "deferred_full"


def initial_snapshot(table: Table[Any, Any], key: str) -> Snapshot:
    """The snapshot of a machine that nothing has happened to."""
    return Snapshot(table.initial, table.start(key))


def chosen_of(entry: Entry) -> Chosen:
    """The row or the aside that an entry of a cell stands for."""
    chosen = entry.row or entry.aside
    assert chosen is not None
    return chosen


def choose(table: Table[Any, Any], now: Snapshot, command: Command) -> Chosen:
    """The entry that decides `command`: the first of its cell whose guard holds."""
    for entry in table.cells[now.state].get(type(command), ()):
        if entry.when is None or entry.when(now.data, command):
            return chosen_of(entry)
    return Refuse((), (), UNKNOWN_COMMAND)


def step(
    table: Table[Any, Any],
    now: Snapshot,
    command: Command,
    *,
    at: float | None = None,
    by: Chooser = choose,
) -> Step:
    """Apply `command` to `now`, by the book; `compiled.py` does the same in less time."""
    return carry_out(table, now, command, by(table, now, command), at=at, by=by)


def carry_out(
    table: Table[Any, Any],
    now: Snapshot,
    command: Command,
    chosen: Chosen,
    *,
    at: float | None = None,
    by: Chooser = choose,
) -> Step:
    """Do what the chosen entry says, then try again what was deferred if the state was entered anew.

    `at` is when this happens, if that is not when `command` was taken in; `by` chooses for what was deferred.
    """
    match chosen:
        case Refuse(reason=reason):
            return Step(now, outcome=Outcome.REFUSED, reason=reason)
        case Ignore(reason=reason):
            return Step(now, outcome=Outcome.IGNORED, reason=reason)
        case Defer(reason=reason):
            return _defer(now, command, reason)
    events, effects, data = _react(table, now, command, chosen)
    if chosen.target is now.state and not chosen.again:
        return Step(msgspec.structs.replace(now, data=data), events, effects)
    at = command.at if at is None else at
    entries = now.entries + 1
    timers = tuple(arm(timer, data, at, entries) for timer in table.timers_of[chosen.target])
    effects += tuple(StopTimer(timer.name) for timer in now.timers)
    effects += tuple(StartTimer(timer.name, timer.due) for timer in timers)
    entered = Step(Snapshot(chosen.target, data, timers, (), entries), events, effects)
    return retry_deferred(table, entered, now.deferred, at, by=by)


def retry_deferred(
    table: Table[Any, Any],
    entered: Step,
    waiting: tuple[Command, ...],
    at: float | None = None,
    *,
    by: Chooser = choose,
) -> Step:
    """Step each waiting command in its order, at `at`; what is refused or ignored now is dropped.

    A state entered by a waiting command counts its timers from `at`: counted from when the command was
    taken in, they might be over before the state is entered.
    """
    after, events, effects = entered.after, entered.events, entered.effects
    for command in waiting:
        again = step(table, after, command, at=at, by=by)
        after, events, effects = again.after, events + again.events, effects + again.effects
    return Step(after, events, effects)


def _react(
    table: Table[Any, Any], now: Snapshot, command: Command, row: Row[Any, Any, Any]
) -> tuple[tuple[Event, ...], tuple[Effect, ...], Any]:
    said = row.then(now.data, command)
    events = tuple(word for word in said if isinstance(word, Event))
    effects = tuple(word for word in said if isinstance(word, Effect))
    if said != events + effects:
        raise TableError(f"{table.name}: {_named(row)} says an event after an effect, or neither")
    if not events and (row.target is not now.state or row.again):
        raise TableError(f"{table.name}: {_named(row)} changes the state and says no event")
    data = now.data
    for event in events:
        data = table.evolve(data, event)
    return events, effects, data


def _defer(now: Snapshot, command: Command, reason: str) -> Step:
    if len(now.deferred) >= DEFERRED_MAX:
        return Step(now, outcome=Outcome.REFUSED, reason=DEFERRED_FULL)
    after = msgspec.structs.replace(now, deferred=(*now.deferred, command))
    return Step(after, (CommandDeferred(command),), (), Outcome.DEFERRED, reason)


def arm(timer: After[Any, Any], data: Any, at: float, entries: int) -> Timer:
    """The running form of `timer` for a state that was entered at `at` (UTC seconds)."""
    if timer.due is not None:
        return Timer(timer_name(timer), timer.due(data), entries)
    seconds = timer.seconds(data) if callable(timer.seconds) else timer.seconds
    assert seconds is not None
    return Timer(timer_name(timer), at + seconds, entries)


def _named(row: Row[Any, Any, Any]) -> str:
    return f"the row {source_of(row).name} on {row.on.__name__}"
