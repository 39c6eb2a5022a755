"""Shortest ways through a diagram: the skeletons of a test suite that leaves no entry out."""

from collections import deque
from typing import Any, TypeAlias

import attrs

from engine.machine.step import Chosen, chosen_of
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
    found = [
        Path((*ways[state], Leg(state, command, chosen_of(entry))))
        for state in table.states
        if state in ways
        for command in table.commands
        for entry in table.cells[state].get(command, ())
    ]
    rows = [path for path in found if isinstance(path.goal.entry, Row)]
    return (*rows, *(path for path in found if not isinstance(path.goal.entry, Row)))


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
