"""The same step as `step.py`, flat and fast: one dictionary look-up, then the entries of one cell."""

from collections.abc import Callable
from enum import Enum
from typing import Any

from engine.effects import StartTimer, StopTimer
from engine.machine.step import (
    UNKNOWN_COMMAND,
    Outcome,
    Snapshot,
    Step,
    Timer,
    carry_out,
)
from engine.machine.table import Guard, Reaction, Refuse, Table, timer_name
from engine.vocabulary import Command, Effect, Event

_Armer = Callable[[Any, float, int], Timer]
_Line = tuple[Guard | None, Reaction | None, Any, bool, Any]
"""Guard, reaction (None: no arrow), target, whether the target is entered, the table's own entry."""

Stepper = Callable[[Snapshot, Command], Step]


def compile_table(table: Table[Any, Any]) -> Stepper:
    """The stepper of `table`; equal to `step(table, ...)` for every snapshot and command."""
    cells: dict[Enum, dict[type[Command], tuple[_Line, ...]]] = {
        state: {on: tuple(_line(state, entry) for entry in entries) for on, entries in cell.items()}
        for state, cell in table.cells.items()
    }
    armers = {state: tuple(_armer(timer) for timer in timers) for state, timers in table.timers_of.items()}
    evolve = table.evolve
    unknown = Refuse((), (), UNKNOWN_COMMAND)

    def step(now: Snapshot, command: Command) -> Step:
        data = now.data
        for when, then, target, enters, chosen in cells[now.state].get(command.__class__, ()):
            if when is not None and not when(data, command):
                continue
            if then is None:
                break
            said = then(data, command)
            count = 0
            for word in said:
                if not isinstance(word, Event):
                    break
                data = evolve(data, word)
                count += 1
            events: Any = said[:count]
            effects: Any = said[count:]
            for word in effects:
                if not isinstance(word, Effect):
                    return carry_out(table, now, command, chosen)  # raises, with the row's name
            if not enters:
                return Step(Snapshot(target, data, now.timers, now.deferred, now.entries), events, effects)
            if not count:
                return carry_out(table, now, command, chosen)  # raises, with the row's name
            if now.deferred:
                return carry_out(table, now, command, chosen)
            entries = now.entries + 1
            if now.timers:
                effects += tuple([StopTimer(timer.name) for timer in now.timers])
            arm = armers[target]
            if not arm:
                return Step(Snapshot(target, data, (), (), entries), events, effects)
            timers = tuple([start(data, command.stamp.at, entries) for start in arm])
            effects += tuple([StartTimer(timer.name, timer.due) for timer in timers])
            return Step(Snapshot(target, data, timers, (), entries), events, effects)
        else:
            chosen = unknown
        if isinstance(chosen, Refuse):
            return Step(now, (), (), Outcome.REFUSED, chosen.reason)
        return carry_out(table, now, command, chosen)

    return step


def _line(state: Enum, entry: Any) -> _Line:
    row = entry.row
    if row is None:
        return entry.when, None, None, False, entry.aside
    return entry.when, row.then, row.target, row.target is not state or row.again, row


def _armer(timer: Any) -> _Armer:
    name, seconds, due = timer_name(timer), timer.seconds, timer.due
    if due is not None:
        return lambda data, at, entries: Timer(name, due(data), entries)
    if callable(seconds):
        return lambda data, at, entries: Timer(name, at + seconds(data), entries)
    return lambda data, at, entries: Timer(name, at + seconds, entries)
