"""A state diagram as data: rows, the cells beside them, and the timers that states own."""

from collections.abc import Callable, Iterable
from enum import Enum, StrEnum
from functools import cached_property
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from engine.errors import TableError
from engine.machine.sayings import ports
from engine.vocabulary import Command, Effect, Event

S = TypeVar("S", bound=Enum)
D = TypeVar("D")
C = TypeVar("C", bound=Command)

Said: TypeAlias = tuple[Event | Effect, ...]
"""What a reaction says: events first, effects after, in order."""

Guard: TypeAlias = Callable[[Any, Any], bool]
Reaction: TypeAlias = Callable[[Any, Any], Said]

DEFERRED_MAX = 64
"""Commands that one machine may hold back; one more is refused with `deferred_full`."""


def say_nothing(_data: object, _command: object) -> Said:
    """The reaction of a row that only a self-loop may have: a change must say an event."""
    return ()


@attrs.frozen
class Crash(Command):
    """A rule of this machine raised; sent by the supervisor."""

    reason: str = "a rule raised"


@attrs.frozen(eq=False)
class Row(Generic[S, D, C]):
    """An arrow: in `source`, on a command, when the guard holds, go to `target`."""

    source: S | tuple[S, ...]
    """One state, or several that share the arrow."""
    on: type[C]
    """The command's class; subclasses are commands of their own."""
    target: S | None
    """None stays in the source, whichever it is."""
    then: Callable[[D, C], Said] = say_nothing
    """The reaction: what is said, events first and then effects. Its name and words are in the diagram."""
    when: Callable[[D, C], bool] | None = None
    """The guard; rows of one state and command are tried top to bottom."""
    again: bool = False
    """Only for `target` equal to `source`: enter the state anew, so that its timers start anew."""


@attrs.frozen(eq=False)
class Refuse:
    """These commands change nothing in these states, and the sender is told `reason`."""

    states: Enum | tuple[Enum, ...]
    commands: type[Command] | tuple[type[Command], ...]
    """Each of them in each of `states`."""
    reason: str
    """A key, such as `not_waiting`: `CommandRefusedError.reason`, and what an API's error codes go by."""
    when: Guard | None = None
    """Tried behind all rows; without it the aside decides whatever is left."""


@attrs.frozen(eq=False)
class Ignore:
    """These commands change nothing in these states and nobody is told; `reason` says why that is right."""

    states: Enum | tuple[Enum, ...]
    commands: type[Command] | tuple[type[Command], ...]
    """Each of them in each of `states`."""
    reason: str
    """For readers of the table and of the diagram."""
    when: Guard | None = None
    """Tried behind all rows; without it the aside decides whatever is left."""


@attrs.frozen(eq=False)
class Defer:
    """These commands wait in these states and are tried again after the next change of state."""

    states: Enum | tuple[Enum, ...]
    commands: type[Command] | tuple[type[Command], ...]
    """Each of them in each of `states`."""
    reason: str
    """For readers of the table and of the diagram."""
    when: Guard | None = None
    """Tried behind all rows; without it the aside decides whatever is left."""


Aside: TypeAlias = Refuse | Ignore | Defer


class OnRestart(StrEnum):
    """What a restart of the process does to a timer."""

    KEEP = "keep"
    """The deadline stands; if it has passed, the timer fires at once."""
    REARM = "rearm"
    """The full time again, counted from the restart."""
    DROP = "drop"
    """The timer is gone."""


@attrs.frozen(eq=False)
class After(Generic[S, D]):
    """A timer that lives as long as its state: started on entry, ended on leaving."""

    state: S | tuple[S, ...]
    """One state, or several with a timer of their own each."""
    command: type[Command]
    """Made without arguments when the time has come."""
    seconds: float | Callable[[D], float] | None = None
    """Counted from the command that entered the state; a callable reads it from the data."""
    due: Callable[[D], float] | None = None
    """UTC seconds read from the data, instead of `seconds`."""
    name: str = ""
    """Unique in its state; by default the command's name."""
    on_restart: OnRestart = OnRestart.KEEP
    """What becomes of it when the process ends and comes back."""


@attrs.frozen(eq=False)
class EndOnCrash:
    """A crash ends the machine in `target`; `then` tells its parties."""

    target: Enum
    """A final state, if the table has any."""
    then: Reaction
    """The command that it gets is a `Crash`."""


@attrs.frozen(eq=False)
class RebuildOnCrash:
    """A crash drops what is in memory and rebuilds it from the journal, `limit` times; then it ends."""

    limit: int
    """1 or more."""
    end: EndOnCrash
    """What the crash behind the last rebuilding does."""


@attrs.frozen(eq=False)
class Entry:
    """One line of a cell, compiled: an arrow (`row`) or a decision without one (`aside`)."""

    when: Guard | None
    row: "Row[Any, Any, Any] | None" = None
    aside: Aside | None = None


Cells: TypeAlias = dict[Enum, dict[type[Command], tuple[Entry, ...]]]


@attrs.frozen(kw_only=True, eq=False, slots=False)
class Table(Generic[S, D]):
    """A whole diagram.

    Entries of one (state, command) cell are tried top to bottom, `rows` before `asides`; the first whose
    guard holds decides. Every cell of states times commands has an entry without a guard, so every pair
    is decided.

    Raises:
        TableError: a cell is undecided or has an entry behind an unguarded one, a final state is left,
            a state belongs to another enumeration, or two timers of a state share a name. All faults
            are listed.
    """

    name: str
    """As it is called in diagrams and faults."""
    initial: S
    """A member of the enumeration that is all the states there are."""
    final: frozenset[S]
    """Those that are never left; may be empty, for a machine that does not end."""
    rows: tuple[Row[S, D, Any], ...]
    """What changes something; in the order in which they are tried."""
    asides: tuple[Aside, ...] = ()
    """What changes nothing, and why: the rest of the cells."""
    timers: tuple[After[S, D], ...] = ()
    """Each belongs to its state."""
    start: Callable[[str], D]
    """The data of a machine that has not been heard of yet, by its key."""
    evolve: Callable[[D, Event], D]
    """The only thing that changes data; pure."""
    crash: EndOnCrash | RebuildOnCrash | None = None
    """What a raising rule or performer does to the machine; without it, it stops until the next start."""
    waits: dict[S, str] = attrs.field(factory=dict)
    """Why a state without a timer may wait for ever, by state."""

    def __attrs_post_init__(self) -> None:
        faults = [*_faults(self)]
        if faults:
            undecided = any(" is undecided" in fault for fault in faults)
            advice = "; decide each by a Row, a Refuse, an Ignore or a Defer" if undecided else ""
            raise TableError(f"table {self.name}: {'; '.join(faults)}{advice}")

    @cached_property
    def states(self) -> tuple[S, ...]:
        """All states in the order of their enumeration."""
        return tuple(type(self.initial))

    @cached_property
    def commands(self) -> tuple[type[Command], ...]:
        """The alphabet, in order of first mention."""
        seen: dict[type[Command], None] = {}
        for row in self.arrows:
            seen.setdefault(row.on)
        for aside in self.asides:
            for command in many(aside.commands):
                seen.setdefault(command)
        for timer in self.timers:
            seen.setdefault(timer.command)
        return tuple(seen)

    @cached_property
    def arrows(self) -> tuple[Row[S, D, Any], ...]:
        """The rows with one source each, crash rows last."""
        arrows = [
            attrs.evolve(row, source=source, target=source if row.target is None else row.target)
            for row in self.rows
            for source in many(row.source)
        ]
        if self.crash is not None:
            end = end_of(self.crash)
            arrows += [
                Row(state, Crash, end.target, end.then)  # type: ignore[arg-type]
                for state in self.states
                if state not in self.final
            ]
        return tuple(arrows)

    @cached_property
    def ports(self) -> tuple[str, ...]:
        """Ports that its reactions ask, as far as their code tells."""
        return tuple(dict.fromkeys(port for row in self.rows for port in ports(row.then)))

    @cached_property
    def cells(self) -> Cells:
        """Entries by state and command type, in the order in which they are tried."""
        cells: dict[Enum, dict[type[Command], list[Entry]]] = {state: {} for state in self.states}
        for row in self.arrows:
            cells[source_of(row)].setdefault(row.on, []).append(Entry(row.when, row=row))
        for aside in self.asides:
            for state in many(aside.states):
                for command in many(aside.commands):
                    cells[state].setdefault(command, []).append(Entry(aside.when, aside=aside))
        if self.crash is not None:
            dead = Entry(None, aside=Ignore((), (), "it has ended already"))
            for state in self.final:
                cells[state].setdefault(Crash, []).append(dead)
        return {state: {on: tuple(entries) for on, entries in cell.items()} for state, cell in cells.items()}

    @cached_property
    def timers_of(self) -> dict[S, tuple[After[S, D], ...]]:
        """The timers that each state owns."""
        return {
            state: tuple(timer for timer in self.timers if state in many(timer.state))
            for state in self.states
        }


def end_of(crash: EndOnCrash | RebuildOnCrash) -> EndOnCrash:
    """How a machine ends when nothing else helps after a crash."""
    return crash.end if isinstance(crash, RebuildOnCrash) else crash


def source_of(row: Row[Any, Any, Any]) -> Enum:
    """The one source of a row of `Table.arrows`."""
    assert not isinstance(row.source, tuple)
    source: Enum = row.source
    return source


def target_of(row: Row[Any, Any, Any]) -> Enum:
    """Where a row of `Table.arrows` leads."""
    assert row.target is not None
    target: Enum = row.target
    return target


def timer_name(timer: After[Any, Any]) -> str:
    """The name under which `timer` is armed."""
    return timer.name or timer.command.__name__


def name_of(rule: Callable[..., Any]) -> str:
    """What a guard or a reaction is called in texts and diagrams."""
    return getattr(rule, "__name__", type(rule).__name__)


def many(one_or_more: Any) -> tuple[Any, ...]:
    """One state or command, or several, as a tuple."""
    return one_or_more if isinstance(one_or_more, tuple) else (one_or_more,)


def _faults(table: Table[Any, Any]) -> Iterable[str]:
    strangers = [*_strangers(table)]
    if strangers:
        yield from strangers
        return
    for row in table.arrows:
        where = f"{source_of(row).name} on {row.on.__name__}"
        if row.source in table.final:
            yield f"{where}: the state is final and cannot be left"
        if row.again and row.source is not row.target:
            yield f"{where}: `again` is for a row that stays in its state"
        if row.then is say_nothing and row.source is not row.target:
            yield f"{where}: a change of state must say an event"
    yield from _cell_faults(table)
    commands_of: dict[str, set[type[Command]]] = {}
    for timer in table.timers:
        commands_of.setdefault(timer_name(timer), set()).add(timer.command)
    for name, commands in commands_of.items():
        if len(commands) > 1:
            # A firing is known by the timer's name alone, whatever the state is by then.
            yield f"the timer {name} sends {' and '.join(sorted(one.__name__ for one in commands))}"
    for state, timers in table.timers_of.items():
        names = [timer_name(timer) for timer in timers]
        twice = dict.fromkeys(name for name in names if names.count(name) > 1)
        yield from (f"{state.name}: two timers are called {name}" for name in twice)
        for timer in timers:
            if (timer.seconds is None) == (timer.due is None):
                yield f"{state.name}: timer {timer_name(timer)} needs either `seconds` or `due`"
            if state in table.final:
                yield f"{state.name} is final and cannot own the timer {timer_name(timer)}"


def _strangers(table: Table[Any, Any]) -> Iterable[str]:
    states = type(table.initial)
    named: list[tuple[str, Any]] = [("rows", row.source) for row in table.rows]
    named += [("rows", row.target) for row in table.rows if row.target is not None]
    named += [("asides", aside.states) for aside in table.asides]
    named += [("timers", timer.state) for timer in table.timers]
    named += [("final", state) for state in table.final]
    named += [("waits", state) for state in table.waits]
    if table.crash is not None:
        named += [("crash", end_of(table.crash).target)]
    for place, some in named:
        for state in many(some):
            if not isinstance(state, states):
                yield f"{place}: {state!r} is not a {states.__name__}"


def _cell_faults(table: Table[Any, Any]) -> Iterable[str]:
    for state in table.states:
        for command in table.commands:
            entries = table.cells[state].get(command, ())
            where = f"({state.name}, {command.__name__})"
            open_ends = [entry for entry in entries if entry.when is None]
            if not open_ends:
                yield f"{where} is undecided" + (" when no guard holds" if entries else "")
            elif entries[-1] is not open_ends[0]:
                yield f"{where} has an entry behind an unguarded one, which can never decide"
