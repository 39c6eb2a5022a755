"""The same step as `step.py`, flat and fast: one dictionary look-up, then the entries of one cell."""

from collections.abc import Callable
from enum import Enum
from typing import Any, TypeAlias

from engine.effects import StartTimer, StopTimer
from engine.machine.step import UNKNOWN_COMMAND, Outcome, Snapshot, Step, Timer, arm, carry_out
from engine.machine.table import After, Aside, Entry, Guard, Reaction, Refuse, Table, timer_name
from engine.vocabulary import Command, Effect, Event

Stepper: TypeAlias = Callable[[Snapshot, Command], Step]

_Armer: TypeAlias = Callable[[Any, float, int], Timer]
_Line: TypeAlias = tuple[Guard | None, Reaction | None, Any, bool, tuple[_Armer, ...], Any]
"""Guard, reaction (None: no arrow), target, whether it is entered, its timers, the table's own entry."""


def compile_table(table: Table[Any, Any]) -> Stepper:
    """The stepper of `table`; equal to `step(table, ...)` for every snapshot and command.

    What is rare or wrong is handed to `carry_out`, so that it is done, and raised, in one place. That calls
    a reaction a second time, which a pure one does not notice.
    """
    armers = {state: tuple(_armer(one) for one in timers) for state, timers in table.timers_of.items()}
    cells = {
        state: {on: tuple(_line(state, entry, armers) for entry in entries) for on, entries in cell.items()}
        for state, cell in table.cells.items()
    }
    evolve = table.evolve
    unknown: Aside = Refuse((), (), UNKNOWN_COMMAND)

    def step(now: Snapshot, command: Command) -> Step:
        data = now.data
        for when, then, target, enters, timers_of_target, chosen in cells[now.state].get(
            command.__class__, ()
        ):
            if when is not None and not when(data, command):
                continue
            if then is None:
                break
            if enters and now.deferred:
                return carry_out(table, now, command, chosen)
            said: Any = then(data, command)
            # One event and one effect is what most rows say: it is worth a path without loops.
            if (
                said.__class__ is tuple
                and len(said) == 2
                and isinstance(said[0], Event)
                and isinstance(said[1], Effect)
            ):
                event, effect = said
                events: Any = (event,)
                effects: Any = (effect,)
                data = evolve(data, event)
            else:
                count = _events_in(said)
                if count < 0 or (enters and not count):
                    return carry_out(table, now, command, chosen)
                events, effects = said[:count], said[count:]
                for event in events:
                    data = evolve(data, event)
            if not enters:
                return Step(Snapshot(target, data, now.timers, now.deferred, now.entries), events, effects)
            if now.timers:
                effects += tuple([StopTimer(timer.name) for timer in now.timers])
            if not timers_of_target:
                return Step(Snapshot(target, data, (), (), now.entries + 1), events, effects)
            entries, at = now.entries + 1, command.stamp.at
            timers = tuple([start(data, at, entries) for start in timers_of_target])
            effects += tuple([StartTimer(timer.name, timer.due) for timer in timers])
            return Step(Snapshot(target, data, timers, (), entries), events, effects)
        else:
            chosen = unknown
        if isinstance(chosen, Refuse):
            return Step(now, (), (), Outcome.REFUSED, chosen.reason)
        return carry_out(table, now, command, chosen)

    return step


def _events_in(said: Any) -> int:
    """How many events lead the effects of `said`; -1 when it is not a tuple of events, then effects."""
    if said.__class__ is not tuple:
        return -1
    count = 0
    for word in said:
        if not isinstance(word, Event):
            break
        count += 1
    for word in said[count:]:
        if not isinstance(word, Effect):
            return -1
    return count


def _line(state: Enum, entry: Entry, armers: dict[Any, tuple[_Armer, ...]]) -> _Line:
    row = entry.row
    if row is None:
        return entry.when, None, None, False, (), entry.aside
    enters = row.target is not state or row.again
    return entry.when, row.then, row.target, enters, armers[row.target], row


def _armer(timer: After[Any, Any]) -> _Armer:
    if timer.due is not None or callable(timer.seconds):
        return lambda data, at, entries: arm(timer, data, at, entries)
    name, seconds = timer_name(timer), timer.seconds
    assert seconds is not None
    return lambda _data, at, entries: Timer(name, at + seconds, entries)
