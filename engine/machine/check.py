"""Faults of a table that can be seen without running it."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any, TypeAlias

import attrs

from engine.machine.table import (
    After,
    Aside,
    Crash,
    Defer,
    Entry,
    Ignore,
    OnRestart,
    RebuildOnCrash,
    Row,
    Table,
    end_of,
    many,
    name_of,
    source_of,
    target_of,
    timer_name,
)
from engine.vocabulary import Command

AnyTable: TypeAlias = Table[Any, Any]


@attrs.frozen
class Fault:
    """Something that is wrong with a table."""

    table: str
    where: str
    """A state, a cell `(STATE, Command)`, a function, or the table's name."""
    rule: str
    """Which check found it; a key, see `RULES`."""
    reason: str

    def __str__(self) -> str:
        return f"{self.table}: {self.where}: {self.reason} [{self.rule}]"


Found: TypeAlias = Iterator[tuple[str, str]]
"""(where, reason) of each fault."""


def check_table(table: AnyTable) -> tuple[Fault, ...]:
    """Every fault of `table`, rule by rule.

    What a `Table` refuses to be made with (undecided cells, entries behind an unguarded one, rows that
    leave a final state) is not looked for again.
    """
    return tuple(
        Fault(table.name, where, rule, reason)
        for rule, find in RULES.items()
        for where, reason in find(table)
    )


def _unreachable(table: AnyTable) -> Found:
    reached = _closure({table.initial}, _ways(table.arrows))
    yield from ((state.name, "no row leads here") for state in table.states if state not in reached)


def _dead_end(table: AnyTable) -> Found:
    if not table.final:
        return
    # A crash is no way out: it would make every state look as if it could end.
    back = _ways(table.arrows, backwards=True, crash=False)
    ending = _closure({*table.final}, back)
    yield from (
        (state.name, "no final state can be reached from here")
        for state in table.states
        if state not in ending
    )


def _silent_wait(table: AnyTable) -> Found:
    for state in table.states:
        if state in table.final or state in table.waits:
            continue
        timers = table.timers_of[state]
        if not timers:
            yield state.name, "it may wait for ever: it has neither a timer nor a reason in `waits`"
        elif all(timer.on_restart is OnRestart.DROP for timer in timers):
            yield state.name, "it may wait for ever after a restart, which drops all its timers"


def _never_armed(table: AnyTable) -> Found:
    entered = {row.target for row in table.arrows if row.again or row.target is not row.source}
    if table.initial not in entered:
        for timer in table.timers_of[table.initial]:
            yield table.initial.name, f"the timer {timer_name(timer)} never starts: no row enters this state"


def _never_fires(table: AnyTable) -> Found:
    for row in table.rows:
        if row.source == ():
            yield row.on.__name__, "a row without a source"
    for state, command, entries in _cells(table):
        guards = [entry.when for entry in entries]
        for number, entry in enumerate(entries):
            if entry.when in guards[:number]:
                yield _cell(state, command), f"{_entry(entry)} comes after another with the same guard"


def _instant_cycle(table: AnyTable) -> Found:
    for cycle in _instant_cycles(table, table.states):
        names = ", ".join(state.name for state in cycle)
        yield names, "timers without delay go round here for ever"


def _deferred_for_ever(table: AnyTable) -> Found:
    # A crash would end the waiting of every command.
    ways = _ways(table.arrows, crash=False)
    for state, command, entries in _cells(table):
        if not any(isinstance(entry.aside, Defer) for entry in entries):
            continue
        if state in table.final:
            yield _cell(state, command), "a final state is never left, so this waits for ever"
        elif not any(_handles(table, later, command) for later in _closure(ways.get(state, ()), ways)):
            yield _cell(state, command), "no later state does anything but defer it"


def _handles(table: AnyTable, state: Enum, command: type[Command]) -> bool:
    return any(not isinstance(entry.aside, Defer) for entry in table.cells[state][command])


def _unheard_timer(table: AnyTable) -> Found:
    for state, timers in table.timers_of.items():
        for timer in timers:
            entries = table.cells[state][timer.command]
            if not any(entry.row or isinstance(entry.aside, Ignore) for entry in entries):
                yield _cell(state, timer.command), "the timer fires, and no row hears it"
    for timer in table.timers:
        needed = _needed(timer.command)
        if needed:
            yield timer.command.__name__, f"a timer makes it without arguments, but it needs {needed}"


def _needed(command: type[Command]) -> str:
    parameters = inspect.signature(command).parameters.values()
    return ", ".join(one.name for one in parameters if one.default is one.empty)


def _no_reason(table: AnyTable) -> Found:
    for aside in table.asides:
        if not aside.reason.strip():
            yield _aside(aside), "it gives no reason"
    for state, reason in table.waits.items():
        if not reason.strip():
            yield state.name, "`waits` gives no reason"


def _crash_goes_on(table: AnyTable) -> Found:
    if table.crash is None:
        return
    target = end_of(table.crash).target
    # A table without final states has nowhere to end: a crash puts it where it can go on.
    if table.final and target not in table.final:
        yield target.name, "a crash ends the machine here, but the state is not final"
    if isinstance(table.crash, RebuildOnCrash) and table.crash.limit < 1:
        yield target.name, "a machine that may be rebuilt is rebuilt at least once"


def _unreadable(table: AnyTable) -> Found:
    for rule in _drawn(table):
        name = getattr(rule, "__name__", None)
        if name is None:
            yield type(rule).__name__, "a rule without a name cannot be drawn"
        elif name == "<lambda>":
            yield f"lambda in line {rule.__code__.co_firstlineno}", "a rule without a name cannot be drawn"


def _not_plain(table: AnyTable) -> Found:
    for rule in dict.fromkeys((*_drawn(table), table.evolve, table.start)):
        called = (rule, type(rule).__call__)
        if any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in called):
            yield name_of(rule), "a rule cannot await: what must be fetched arrives as a command"
        elif any(inspect.isgeneratorfunction(one) for one in called):
            yield name_of(rule), "a rule returns; it does not yield"


RULES: dict[str, Callable[[AnyTable], Found]] = {
    "unreachable": _unreachable,
    "dead_end": _dead_end,
    "silent_wait": _silent_wait,
    "never_armed": _never_armed,
    "never_fires": _never_fires,
    "instant_cycle": _instant_cycle,
    "deferred_for_ever": _deferred_for_ever,
    "unheard_timer": _unheard_timer,
    "no_reason": _no_reason,
    "crash_goes_on": _crash_goes_on,
    "unreadable": _unreadable,
    "not_plain": _not_plain,
}
"""The checks, by the name that `Fault.rule` gives."""


def _drawn(table: AnyTable) -> tuple[Any, ...]:
    """Guards, reactions and times: the rules whose names a diagram shows."""
    rules: list[Any] = []
    for row in table.arrows:
        rules += [row.then, row.when]
    rules += [aside.when for aside in table.asides]
    for timer in table.timers:
        rules += [timer.seconds if callable(timer.seconds) else None, timer.due]
    return tuple(dict.fromkeys(rule for rule in rules if rule is not None))


def _ways(
    rows: Iterable[Row[Any, Any, Any]], *, backwards: bool = False, crash: bool = True
) -> dict[Any, list[Any]]:
    ways: dict[Any, list[Any]] = {}
    for row in rows:
        if crash or row.on is not Crash:
            source, target = source_of(row), row.target
            ways.setdefault(target if backwards else source, []).append(source if backwards else target)
    return ways


def _closure(states: Iterable[Any], ways: dict[Any, list[Any]]) -> set[Any]:
    """`states` and all that can be reached from them."""
    reached = {*states}
    ahead = [*reached]
    while ahead:
        new = [state for state in ways.get(ahead.pop(), ()) if state not in reached]
        reached.update(new)
        ahead += new
    return reached


def _instant_cycles(table: AnyTable, states: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Groups of states that lead to each other by nothing but timers of theirs that have no delay.

    A command of such a timer may also wait in one state of the group and move another. Dropping a state
    takes its timers away, so each group is looked at again by itself.
    """
    ways = _ways(_instant_rows(table, states))
    seen: set[Any] = set()
    for state in states:
        if state in seen or state not in _closure(ways.get(state, ()), ways):
            continue
        ahead = _closure({state}, ways)
        group = tuple(one for one in states if one in ahead and state in _closure({one}, ways))
        seen.update(group)
        if len(group) == len(states):
            yield group
        else:
            yield from _instant_cycles(table, group)


def _instant_rows(table: AnyTable, states: tuple[Any, ...]) -> Iterator[Row[Any, Any, Any]]:
    own = {state: {one.command for one in table.timers_of[state] if _is_instant(one)} for state in states}
    waiting = {
        command
        for state in states
        for command in own[state]
        if any(isinstance(entry.aside, Defer) for entry in table.cells[state][command])
    }
    for row in table.arrows:
        enters = row.again or row.target is not row.source
        if enters and row.source in own and row.target in own and row.on in own[source_of(row)] | waiting:
            yield row


def _is_instant(timer: After[Any, Any]) -> bool:
    return timer.seconds is not None and not callable(timer.seconds) and timer.seconds <= 0


def _cells(table: AnyTable) -> Iterator[tuple[Any, type[Command], tuple[Entry, ...]]]:
    for state, cell in table.cells.items():
        yield from ((state, command, entries) for command, entries in cell.items())


def _cell(state: Enum, command: type[Command]) -> str:
    return f"({state.name}, {command.__name__})"


def _entry(entry: Entry) -> str:
    if entry.row is not None:
        return f"the row to {target_of(entry.row).name}"
    return type(entry.aside).__name__


def _aside(aside: Aside) -> str:
    return f"{type(aside).__name__} {', '.join(command.__name__ for command in many(aside.commands))}"
