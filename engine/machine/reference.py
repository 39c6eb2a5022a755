"""The `transitions` library: a second opinion on each step, and machines handed over both ways."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from functools import lru_cache
from itertools import chain, count
from typing import Any, TypeAlias

import attrs
from transitions import EventData, Machine, State, Transition

from engine.errors import TableError
from engine.machine.step import UNKNOWN_COMMAND, Chosen, Snapshot, Step, carry_out
from engine.machine.table import (
    Aside,
    Guard,
    Ignore,
    Reaction,
    Refuse,
    Row,
    Said,
    Table,
    name_of,
    say_nothing,
    source_of,
    target_of,
)
from engine.vocabulary import Command, Effect, Event

AnyRow: TypeAlias = Row[Any, Any, Any]
AnyTable: TypeAlias = Table[Any, Any]

NOT_ALLOWED = "not_allowed"
"""Why an adopted machine refuses a trigger that its state has no transition for."""
NO_CONDITION = "no_condition_held"
"""Why it refuses a trigger whose conditions all fail; the library returns False and says nothing."""

_TABLES_KEPT = 64


def reference_step(table: AnyTable, now: Snapshot, command: Command) -> Step:
    """The step of `step.py`, but with `transitions` choosing the row."""
    return carry_out(table, now, command, choose_by_library(table, now, command), by=choose_by_library)


def choose_by_library(table: AnyTable, now: Snapshot, command: Command) -> Chosen:
    """The entry that decides `command`: the row that the library fires, or else the first aside that holds.

    What a guard raises comes out, whatever it is: neither MachineError nor anything else is caught here.
    """
    row = _fired(table, now, command)
    return row if row is not None else _aside(table, now, command)


@attrs.define
class _Cursor:
    """Stands in for a model during one step."""

    state: Enum
    data: Any
    fired: AnyRow | None = None


@lru_cache(maxsize=_TABLES_KEPT)
def _library_of(table: AnyTable) -> tuple[Machine, Mapping[type[Command], str]]:
    triggers = _triggers(table.commands)
    machine = Machine(
        model=None,
        states=type(table.initial),
        initial=table.initial.name,
        auto_transitions=False,  # otherwise every state gets a `to_X` jump
        send_event=True,
        transitions=[
            {
                "trigger": triggers[row.on],
                # Names, since a state whose value is "*" or "=" would be a wildcard.
                "source": source_of(row).name,
                "dest": target_of(row).name,
                "conditions": [] if row.when is None else [_condition(row.when)],
                "before": [_mark(row)],
            }
            for row in table.arrows
        ],
    )
    return machine, triggers


def _fired(table: AnyTable, now: Snapshot, command: Command) -> AnyRow | None:
    machine, triggers = _library_of(table)
    event = machine.events.get(triggers.get(type(command), ""))
    # Asked beforehand: the library would raise MachineError, which a guard might have raised as well.
    if event is None or now.state.name not in event.transitions:
        return None
    cursor = _Cursor(now.state, now.data)
    event.trigger(cursor, command)
    return cursor.fired


def _aside(table: AnyTable, now: Snapshot, command: Command) -> Aside:
    for entry in table.cells[now.state].get(type(command), ()):
        if entry.aside is not None and (entry.when is None or entry.when(now.data, command)):
            return entry.aside
    return Refuse((), (), UNKNOWN_COMMAND)


def _condition(when: Guard) -> Callable[[EventData], bool]:
    def check(event: EventData) -> bool:
        # The library compares with True, which a guard that returns a list would never equal.
        return bool(when(_model(event).data, _command(event)))

    return _named_as(check, when)


def _mark(row: AnyRow) -> Callable[[EventData], None]:
    def mark(event: EventData) -> None:
        _model(event).fired = row

    return mark


def _model(event: EventData) -> Any:
    return event.model


def _command(event: EventData) -> Any:
    (command,) = event.args
    return command


def _named_as(function: Callable[..., Any], like: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name_of(like)
    return function


def _triggers(commands: Iterable[type[Command]]) -> dict[type[Command], str]:
    """A name for each command: its own, with a number behind where two share it."""
    names: dict[type[Command], str] = {}
    for command in commands:
        names[command] = _free(command.__name__, names.values())
    return names


def _free(name: str, taken: Collection[str]) -> str:
    numbered = (f"{name}_{number}" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)


@attrs.define(eq=False, slots=False)
class Model:
    """The model of a machine that was handed out: one call in memory, without timers and without a journal.

    The library adds a method per trigger, which takes the command, and `is_X` per state.
    """

    data: Any
    said: list[Event | Effect] = attrs.field(factory=list)
    """Everything said so far, oldest first."""


def to_transitions(
    table: AnyTable, key: str = "", *, made_by: Callable[..., Machine] = Machine, **options: Any
) -> Machine:
    """A machine of the library that does what the rows of `table` do, for tools that people have already.

    `machine.model` is a `Model`; its triggers are called like the commands and take one. A row that stays
    in its state is an internal transition, unless it enters it `again`. Refused, ignored and deferred
    commands raise the library's MachineError, or return False when a guard failed; timers do not run.
    `made_by` is another class of the library, such as GraphMachine, and takes `options`.
    """
    triggers = _triggers(table.commands)
    return made_by(
        model=Model(table.start(key)),
        name=table.name,
        states=[State(state, final=state in table.final) for state in table.states],
        initial=table.initial.name,
        auto_transitions=False,
        send_event=True,
        transitions=[
            {
                "trigger": triggers[row.on],
                "source": source_of(row).name,
                "dest": None if row.target is row.source and not row.again else target_of(row).name,
                "conditions": [] if row.when is None else [_condition(row.when)],
                "before": [] if row.then is say_nothing else [_perform(table, row)],
            }
            for row in table.arrows
        ],
        **options,
    )


def _perform(table: AnyTable, row: AnyRow) -> Callable[[EventData], None]:
    def perform(event: EventData) -> None:
        model = _model(event)
        said = row.then(model.data, _command(event))
        data = model.data
        for word in said:
            if isinstance(word, Event):
                data = table.evolve(data, word)
        model.data = data
        model.said.extend(said)

    return _named_as(perform, row.then)


@attrs.frozen
class Trigger(Command):
    """A call of a trigger of an adopted machine, with its arguments."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Moved(Event):
    """An adopted machine went from `source` to `dest`; its own word for what happened is the trigger."""

    trigger: str
    source: str
    dest: str


def from_transitions(
    machine: Machine,
    *,
    name: str,
    start: Callable[[str], Any] | None = None,
    evolve: Callable[[Any, Event], Any] | None = None,
    reactions: Mapping[str, Reaction] | None = None,
    final: Iterable[str] | None = None,
    jumps: bool = False,
    waits: Mapping[str, str] | None = None,
) -> AnyTable:
    """Adopt a flat machine of the library as a table.

    States become a StrEnum (its own, if they are the members of one), triggers become subclasses of
    `Trigger`, conditions become guards that see the data as their model. Every change of state says
    `Moved`, after it what `reactions` make of the machine's callbacks, by the callback's name and in the
    library's order; a reaction takes (data, command). What the machine does not decide is refused with
    `not_allowed`, or ignored where it says `ignore_invalid_triggers`.

    Args:
        start: Data of a new machine by its key; conditions given by name are looked up on it. None if absent.
        evolve: As in a table; by default data never changes.
        final: Names of final states; by default those that the machine calls final.
        jumps: Keep the `to_X` triggers, which the library adds unless told not to.
        waits: Why a state may wait for ever, by state name.

    Raises:
        TableError: the machine is nested, queued or asyncio's, has callbacks without a reaction, or the table
            that it makes has a fault. All are listed.
    """
    adoption = _Adoption(machine, name, reactions or {}, jumps, has_data=start is not None)
    adoption.refuse_what_no_table_can_do()
    assert machine.initial is not None
    ends = [state.name for state in machine.states.values() if state.final] if final is None else final
    return Table(
        name=name,
        initial=adoption.state(machine.initial),
        final=frozenset(adoption.state(end) for end in ends),
        rows=tuple(adoption.rows()),
        asides=tuple(adoption.asides()),
        start=start or _no_data,
        evolve=evolve or _as_it_was,
        waits={adoption.state(state): reason for state, reason in (waits or {}).items()},
    )


def sketched(machine: object, name: str) -> AnyTable | None:
    """A machine of the library as a table to draw and to check; None for anything else.

    It is not for running: its conditions have no data, and its callbacks say nothing.

    Raises:
        TableError: as `from_transitions`.
    """
    if not isinstance(machine, Machine):
        return None
    callbacks = _Adoption(machine, name, {}, jumps=False, has_data=True).callbacks()
    reactions = dict.fromkeys(callbacks, say_nothing)
    return from_transitions(machine, name=name, start=_no_data, reactions=reactions)


def _no_data(_key: str) -> None:
    return None


def _as_it_was(data: Any, _event: Event) -> Any:
    return data


class _Adoption:
    """One machine on its way into a table."""

    def __init__(
        self, machine: Machine, name: str, reactions: Mapping[str, Reaction], jumps: bool, *, has_data: bool
    ) -> None:
        self.machine = machine
        self.name = name
        self.reactions = reactions
        self.has_data = has_data
        self.triggers = [one for one in machine.events if jumps or not self._is_jump(one)]
        self.states = self._states()
        self.commands = self._commands()

    def _is_jump(self, trigger: str) -> bool:
        attribute = self.machine.model_attribute
        prefix = "to_" if attribute == "state" else f"to_{attribute}_"
        return bool(self.machine.auto_transitions) and any(
            trigger == prefix + state for state in self.machine.states
        )

    def _states(self) -> dict[str, Any]:
        kept = {type(state.value) for state in self.machine.states.values()}
        if len(kept) == 1:
            (kind,) = kept
            if issubclass(kind, StrEnum) and len(kind) == len(self.machine.states):
                return {member.name: member for member in kind}
        members = self._unique("states", self.machine.states, _constant)
        made = StrEnum("State", [(member, state) for state, member in members.items()])  # type: ignore[misc]  # functional form
        return {state: made[member] for state, member in members.items()}

    def _commands(self) -> dict[str, type[Trigger]]:
        return {
            trigger: attrs.make_class(
                called, [], bases=(Trigger,), frozen=True, class_body={"trigger": trigger}
            )
            for trigger, called in self._unique("triggers", self.triggers, _pascal).items()
        }

    def _unique(self, what: str, names: Iterable[str], make: Callable[[str], str]) -> dict[str, str]:
        made = {name: make(name) for name in names}
        by_made: dict[str, str] = {}
        for name, other in made.items():
            if not other.isidentifier() or other in by_made:
                raise TableError(
                    f"{self.name}: {what}: {name!r} would be called {other!r}, which is "
                    + (f"the name of {by_made[other]!r} too" if other in by_made else "no name")
                )
            by_made[other] = name
        return made

    def state(self, name: str) -> Any:
        """The member for the machine's state `name`."""
        if name not in self.states:
            raise TableError(f"{self.name}: no state is called {name!r}")
        return self.states[name]

    def refuse_what_no_table_can_do(self) -> None:
        """Raise one TableError that lists all there is."""
        faults = [*self._kind_faults(), *self._callback_faults()]
        if faults:
            raise TableError(f"{self.name}: " + "; ".join(faults))

    def _kind_faults(self) -> Iterator[str]:
        modules = {base.__module__ for base in type(self.machine).__mro__}
        if "transitions.extensions.nesting" in modules:
            yield "a hierarchical machine cannot be adopted: flatten it first"
        if "transitions.extensions.asyncio" in modules:
            yield "an asyncio machine cannot be adopted: its callbacks await"
        if self.machine.has_queue:
            yield "a queued machine cannot be adopted: its triggers wait for each other"
        if self.machine.initial is None:
            yield "a machine without an initial state cannot be adopted"
        for kind in ("prepare_event", "finalize_event", "on_exception"):
            if getattr(self.machine, kind):
                yield f"{kind} cannot be adopted: it runs even when nothing happens"

    def _callback_faults(self) -> Iterator[str]:
        missing: dict[str, None] = {}
        for _, one in self._transitions():
            if one.prepare:
                yield f"{one.source}: `prepare` cannot be adopted: it runs even when nothing happens"
            missing.update((callback, None) for callback in self._callbacks(one))
            if not self.has_data and any(isinstance(condition.func, str) for condition in one.conditions):
                yield f"{one.source}: a condition given by name needs `start`, the data to look it up on"
        for callback in missing:
            if callback not in self.reactions:
                yield f"the callback {callback} needs an entry in `reactions`"

    def _transitions(self) -> Iterator[tuple[str, Transition]]:
        for trigger in self.triggers:
            for of_source in self.machine.events[trigger].transitions.values():
                yield from ((trigger, one) for one in of_source)

    def callbacks(self) -> set[str]:
        """Names of all that the library calls."""
        return {called for _, one in self._transitions() for called in self._callbacks(one)}

    def _callbacks(self, one: Transition) -> list[str]:
        """Names of what the library calls for a transition, in its order."""
        machine = self.machine
        calls = [*machine.before_state_change, *one.before]
        if one.dest is not None:
            dest = machine.states[one.dest]
            calls += [*machine.states[one.source].on_exit, *dest.on_enter]
            calls += machine.on_final if dest.final else []
        return [_callback_name(call) for call in (*calls, *one.after, *machine.after_state_change)]

    def rows(self) -> Iterator[AnyRow]:
        """The transitions, in the order in which the library tries them."""
        for trigger, one in self._transitions():
            source = self.states[one.source]
            yield Row(
                source,
                self.commands[trigger],
                source if one.dest is None else self.states[one.dest],
                self._reaction(trigger, one),
                when=_guard(self.machine, trigger, one) if one.conditions else None,
                again=one.dest == one.source,
            )

    def _reaction(self, trigger: str, one: Transition) -> Reaction:
        calls = self._callbacks(one)
        parts = [self.reactions[call] for call in calls]
        if one.dest is None and not parts:
            return say_nothing
        moved = () if one.dest is None else (Moved(trigger, one.source, one.dest),)

        def react(data: Any, command: Any) -> Said:
            said = [word for part in parts for word in part(data, command)]
            events = [word for word in said if isinstance(word, Event)]
            return (*moved, *events, *(word for word in said if not isinstance(word, Event)))

        react.__name__ = react.__qualname__ = "_and_".join(calls) or "move"
        return react

    def asides(self) -> Iterator[Aside]:
        """What becomes of the cells that the rows leave open."""
        for name, state in self.machine.states.items():
            for trigger in self.triggers:
                ways = self.machine.events[trigger].transitions
                yield from self._open_cell(name, trigger, state, ways.get(name, ()))

    def _open_cell(
        self, name: str, trigger: str, state: State, ways: Iterable[Transition]
    ) -> Iterator[Aside]:
        cell = self.states[name], self.commands[trigger]
        ignores = state.ignore_invalid_triggers
        if ignores is None:
            ignores = self.machine.ignore_invalid_triggers
        guarded = [bool(one.conditions) for one in ways]
        if not guarded:
            yield (Ignore(*cell, "the adopted machine ignores it") if ignores else Refuse(*cell, NOT_ALLOWED))
        elif all(guarded):
            yield Refuse(*cell, NO_CONDITION)


def _guard(machine: Machine, trigger: str, one: Transition) -> Guard:
    """All conditions of a transition as one guard, which sees the data as its model."""

    def guard(data: Any, command: Any) -> bool:
        event = EventData(
            machine.states[one.source], machine.events[trigger], machine, data, command.args, command.kwargs
        )
        event.transition = one
        return all(condition.check(event) for condition in one.conditions)

    parts = [("" if part.target else "not_") + _callback_name(part.func) for part in one.conditions]
    guard.__name__ = guard.__qualname__ = "_and_".join(parts)
    return guard


def _callback_name(callback: Any) -> str:
    return callback if isinstance(callback, str) else name_of(callback)


def _constant(name: str) -> str:
    return re.sub(r"\W+", "_", name).upper()


def _pascal(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[\W_]+", name))
