"""One page a machine: diagram, states, commands, rows, asides with their reasons, timers."""

from collections.abc import Iterator
from typing import Any

from engine.app.reference.markdown import code, page, section, table
from engine.app.reference.source import fields_of, first_sentence
from engine.machine.diagram import mermaid
from engine.machine.family import Kind
from engine.machine.sayings import sayings
from engine.machine.table import (
    After,
    Crash,
    Row,
    Table,
    end_of,
    many,
    name_of,
    timer_name,
)
from engine.vocabulary import Command


def machine_page(kind: Kind) -> str:
    """The page of one kind."""
    rules = kind.table
    return page(
        f"Machine {kind.name}",
        first_sentence(type(rules.initial)),
        f"{_stream(kind)} It begins in {rules.initial.name}; {_ends(rules)}",
        f"```mermaid\n{mermaid(rules)}```",
        section("States", table(["state", "what ends the waiting"], _states(rules))),
        section("Timers", table(["timer", "runs in", "ends", "sends", "a restart"], _timers(rules))),
        section("Commands", table(["command", "fields", "meaning"], _commands(rules))),
        section(
            "Rows",
            "Rows of one state and command are tried top to bottom; the first whose guard holds decides.",
            table(["in", "on", "when", "goes to", "reaction", "names"], _rows(rules)),
        ),
        section(
            "Asides",
            "What a state does not act on. Refused: the sender is told the reason. Ignored: nobody is told.",
            table(["in", "on", "when", "what", "reason"], _asides(rules)),
        ),
        section("A rule that raises", _crash(rules)),
    )


def _stream(kind: Kind) -> str:
    stream = kind.stream("KEY")
    if stream == f"{kind.name}:KEY":
        return f"Each has a stream of its own in the journal, `{stream}`."
    return (
        f"It is journaled in a stream of another kind, `{stream.partition(':')[0]}`, and shares its version."
    )


def _ends(rules: Table[Any, Any]) -> str:
    if not rules.final:
        return "it never ends."
    return "it ends in " + ", ".join(state.name for state in rules.states if state in rules.final) + "."


def _states(rules: Table[Any, Any]) -> Iterator[list[str]]:
    for state in rules.states:
        timers = ", ".join(timer_name(timer) for timer in rules.timers_of[state])
        reason = f"timer {timers}" if timers else rules.waits.get(state, "")
        yield [code(state.name), "final" if state in rules.final else reason]


def _timers(rules: Table[Any, Any]) -> Iterator[list[str]]:
    for timer in rules.timers:
        states = _names(rules, timer.state)
        name, command = code(timer_name(timer)), code(timer.command.__name__)
        yield [name, states, _due(timer), command, timer.on_restart.value]


def _due(timer: After[Any, Any]) -> str:
    if timer.due is not None:
        return f"at `{name_of(timer.due)}` of the data"
    if callable(timer.seconds):
        return f"after `{name_of(timer.seconds)}` seconds of the data"
    return f"after {timer.seconds:g} s"


def _commands(rules: Table[Any, Any]) -> Iterator[list[str]]:
    for command in rules.commands:
        names = ", ".join(code(field.name) for field in fields_of(command))
        yield [code(command.__name__), names, first_sentence(command)]


def _rows(rules: Table[Any, Any]) -> Iterator[list[str]]:
    for row in rules.rows:
        if row.on is not Crash:
            yield _row(rules, row)


def _row(rules: Table[Any, Any], row: Row[Any, Any, Any]) -> list[str]:
    states = _names(rules, row.source)
    target = "stays" if row.target is None else row.target.name + (" (anew)" if row.again else "")
    said = ", ".join(word.__name__ for word in sayings(row.then))
    return [states, code(row.on.__name__), _guard(row.when), target, code(name_of(row.then)), said]


def _asides(rules: Table[Any, Any]) -> Iterator[list[str]]:
    verbs = {"Refuse": "refused", "Ignore": "ignored", "Defer": "deferred"}
    for aside in rules.asides:
        states = _names(rules, aside.states)
        commands: tuple[type[Command], ...] = many(aside.commands)
        names = ", ".join(code(command.__name__) for command in commands)
        yield [states, names, _guard(aside.when), verbs[type(aside).__name__], str(aside.reason)]


def _names(rules: Table[Any, Any], some: Any) -> str:
    """In the order of the enumeration: a table may take its states from a set."""
    wanted = many(some)
    return ", ".join(state.name for state in rules.states if state in wanted)


def _guard(when: Any) -> str:
    return "" if when is None else code(name_of(when))


def _crash(rules: Table[Any, Any]) -> str:
    if rules.crash is None:
        return "The machine has no rule for it: its commands are answered with an error from then on."
    end = end_of(rules.crash)
    return f"The machine goes to {end.target.name} by `{name_of(end.then)}`, journaled like any other change."
