"""Shortest ways through a diagram: the skeletons of a test suite that leaves no entry out."""

from collections import deque
from typing import Any, TypeAlias

import attrs

from engine.machine.step import Chosen
from engine.machine.table import Crash, Row, Table, source_of
from engine.vocabulary import Command

AnyRow: TypeAlias = Row[Any, Any, Any]


@attrs.frozen
class Leg:
    """In `state`, `command` is decided by `entry`."""

    state: Any
    command: type[Command]
    entry: Chosen

    @property
    def target(self) -> Any:
        """The state after it."""
        return self.entry.target if isinstance(self.entry, Row) else self.state


@attrs.frozen
class Path:
    """Legs from the initial state; the last one is what the path is for.

    Abstract: it says which entry decides each command, not with which data its guard does so.
    """

    legs: tuple[Leg, ...]

    @property
    def goal(self) -> Leg:
        """The leg that this path is for."""
        return self.legs[-1]

    def __str__(self) -> str:
        steps = " ".join(f"{leg.state.name} -{leg.command.__name__}->" for leg in self.legs)
        goal = self.goal
        last = goal.target.name if isinstance(goal.entry, Row) else type(goal.entry).__name__.lower()
        return f"{steps} {last}"


def paths(table: Table[Any, Any]) -> tuple[Path, ...]:
    """One path to every row, then one to every aside of every cell, by state and command.

    Entries of states that no row leads to have no path. The order is that of the table.
    """
    ways = routes(table)
    rows, asides = [], []
    for state in table.states:
        if state not in ways:
            continue
        for command in table.commands:
            for entry in table.cells[state].get(command, ()):
                if entry.row is not None:
                    rows.append(Path((*ways[state], Leg(state, command, entry.row))))
                elif entry.aside is not None:
                    asides.append(Path((*ways[state], Leg(state, command, entry.aside))))
    return (*rows, *asides)


def routes(table: Table[Any, Any]) -> dict[Any, tuple[Leg, ...]]:
    """A shortest sequence of rows from the initial state to each reachable one.

    A crash is taken only where nothing else leads.
    """
    ways: dict[Any, tuple[Leg, ...]] = {table.initial: ()}
    _spread(ways, [row for row in table.arrows if row.on is not Crash])
    _spread(ways, table.arrows)
    return ways


def _spread(ways: dict[Any, tuple[Leg, ...]], rows: "list[AnyRow] | tuple[AnyRow, ...]") -> None:
    by_source: dict[Any, list[AnyRow]] = {}
    for row in rows:
        by_source.setdefault(source_of(row), []).append(row)
    ahead = deque(ways)
    while ahead:
        state = ahead.popleft()
        for row in by_source.get(state, ()):
            if row.target not in ways:
                ways[row.target] = (*ways[state], Leg(state, row.on, row))
                ahead.append(row.target)
