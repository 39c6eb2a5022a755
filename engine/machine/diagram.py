"""Tables drawn: Mermaid and Graphviz text with every row, guard, saying and timer."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import attrs

from engine.machine.escape import for_dot, for_mermaid
from engine.machine.sayings import UNREAD, are_read, sayings
from engine.machine.table import (
    After,
    Aside,
    Crash,
    Defer,
    Ignore,
    Reaction,
    RebuildOnCrash,
    Row,
    Table,
    end_of,
    many,
    name_of,
    timer_name,
)
from engine.vocabulary import Command

AnyRow: TypeAlias = Row[Any, Any, Any]
AnyTable: TypeAlias = Table[Any, Any]

# Mermaid takes these for syntax in any case, so that a state cannot have one as its id.
_KEYWORDS = frozenset(
    [
        "acctitle",
        "accdescr",
        "as",
        "choice",
        "class",
        "classdef",
        "click",
        "default",
        "direction",
        "end",
        "fork",
        "hide",
        "href",
        "join",
        "note",
        "root",
        "scale",
        "state",
        "style",
    ]
)


@attrs.frozen
class Edge:
    """One row as it is drawn."""

    source: Any
    target: Any
    label: str
    by_timer: bool


def edges(table: AnyTable) -> tuple[Edge, ...]:
    """One edge a row, in the order of the table; crashes are drawn as a note."""
    return tuple(
        Edge(row.source, row.target, _label(row, after), bool(after))
        for row in table.arrows
        if row.on is not Crash
        for after in ["; ".join(_when(one) for one in table.timers_of[row.source] if one.command is row.on)]
    )


def mermaid(table: AnyTable, *, asides: bool = False) -> str:
    """A `stateDiagram-v2`; with `asides`, a note per state tells what it refuses, ignores and defers."""
    ids = _ids(table)
    lines = ["stateDiagram-v2", *([] if are_read() else [f"    %% {UNREAD}"])]
    lines += [f'    state "{for_mermaid(state.name)}" as {ids[state]}' for state in table.states]
    for state in table.states:
        lines += [f"    {ids[state]} : {for_mermaid(text)}" for text in _timers(table, state)]
    lines.append(f"    [*] --> {ids[table.initial]}")
    for edge in edges(table):
        lines.append(f"    {ids[edge.source]} --> {ids[edge.target]} : {for_mermaid(edge.label)}")
    lines += [f"    {ids[state]} --> [*]" for state in table.states if state in table.final]
    for state, texts in _notes(table, asides):
        lines.append(f"    note right of {ids[state]}")
        lines += [f"        {for_mermaid(text)}" for text in texts]
        lines.append("    end note")
    return "\n".join(lines) + "\n"


def dot(table: AnyTable, *, asides: bool = False) -> str:
    """Graphviz text; edges of timers are dashed, final states have a double border."""
    ids = {state: for_dot(state.name) for state in table.states}
    lines = [f"digraph {for_dot(table.name)} {{", "    rankdir=LR;", "    node [shape=box, style=rounded];"]
    lines += [] if are_read() else [f"    // {UNREAD}"]
    for state in table.states:
        label = for_dot("\n".join((state.name, *_timers(table, state))))
        border = ", peripheries=2" if state in table.final else ""
        lines.append(f"    {ids[state]} [label={label}{border}];")
    # Its name has a blank, which no state's name is likely to have, and a dot in front.
    lines += ['    ". initial" [shape=point];', f'    ". initial" -> {ids[table.initial]};']
    for edge in edges(table):
        style = ", style=dashed" if edge.by_timer else ""
        lines.append(f"    {ids[edge.source]} -> {ids[edge.target]} [label={for_dot(edge.label)}{style}];")
    for number, (state, texts) in enumerate(_notes(table, asides)):
        note = for_dot(f". note {number}")
        lines.append(f'    {note} [shape=note, style="", label={for_dot(chr(10).join(texts))}];')
        lines.append(f"    {note} -> {ids[state]} [style=dotted, arrowhead=none];")
    return "\n".join((*lines, "}")) + "\n"


def _label(row: AnyRow, after: str) -> str:
    label = f"{after}: {row.on.__name__}" if after else row.on.__name__
    if row.when is not None:
        label += f" [{name_of(row.when)}]"
    if row.again:
        label += " (again)"
    return label + _says(row.then)


def _says(reaction: Reaction) -> str:
    words = ", ".join(word.__name__ for word in sayings(reaction))
    return f" / {words}" if words else ""


def _when(timer: After[Any, Any]) -> str:
    if timer.due is not None:
        return f"at {name_of(timer.due)}"
    return f"after {name_of(timer.seconds)}" if callable(timer.seconds) else f"after {timer.seconds:g} s"


def _timers(table: AnyTable, state: Any) -> Iterator[str]:
    for timer in table.timers_of[state]:
        called = timer_name(timer)
        fires = "" if called == timer.command.__name__ else f" {timer.command.__name__}"
        yield f"{called}{fires} {_when(timer)}, {timer.on_restart} on restart"


def _notes(table: AnyTable, asides: bool) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """(state, lines) of each note."""
    if table.crash is not None:
        end = end_of(table.crash)
        text = "Crash in any state not final: "
        if isinstance(table.crash, RebuildOnCrash):
            text += f"rebuilt up to {table.crash.limit} times, then "
        yield end.target, (f"{text}{end.target.name}{_says(end.then)}",)
    for state in table.states if asides else ():
        texts = tuple(_aside(one) for one in table.asides if state in many(one.states))
        if texts:
            yield state, texts


def _aside(aside: Aside) -> str:
    verb = "deferred" if isinstance(aside, Defer) else "ignored" if isinstance(aside, Ignore) else "refused"
    commands: Iterable[type[Command]] = many(aside.commands)
    guard = "" if aside.when is None else f" [{name_of(aside.when)}]"
    return f"{', '.join(command.__name__ for command in commands)}{guard} {verb}: {aside.reason}"


def _ids(table: AnyTable) -> dict[Any, str]:
    """The states' names, or numbers for all if one of them is no id to Mermaid."""
    names = [state.name for state in table.states]
    if all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in _KEYWORDS for name in names):
        return dict(zip(table.states, names, strict=True))
    return {state: f"s{number}" for number, state in enumerate(table.states)}
