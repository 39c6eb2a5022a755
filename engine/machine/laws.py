"""Laws that every table keeps, as functions to run on your own: the formal transition tests.

assert not breaches(TABLE, SAMPLES, random.Random(7).choice)
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import attrs

from engine.errors import TableError
from engine.machine.compiled import compile_table
from engine.machine.reference import reference_step
from engine.machine.step import CommandDeferred, Outcome, Snapshot, initial_snapshot, step
from engine.machine.table import Table, timer_name
from engine.vocabulary import Command, Stamp

AnyTable: TypeAlias = Table[Any, Any]
Choose: TypeAlias = Callable[[Sequence[Any]], Any]
"""Takes one of a sequence, for example the `choice` of a seeded generator."""
Samples: TypeAlias = Mapping[type[Command], Sequence[Command]]
"""Commands of each type; what can be made without arguments may be left out."""
Law: TypeAlias = Callable[[AnyTable, Snapshot, Command], str]
"""Why the step of this command from this snapshot breaks the law; empty when it does not."""

STEPS = 1_000
ROUND = 25
"""Commands that one machine gets before the walk begins another."""

_SECONDS = (0.0, 0.5, 1.0, 30.0, 3_600.0)
_AFTER_THE_END = (False, False, True)
"""Whether to begin another machine."""
_TABLES_KEPT = 64


@attrs.frozen
class Breach:
    """The first step of a walk that breaks a law."""

    table: str
    law: str
    now: Snapshot
    command: Command
    reason: str

    def __str__(self) -> str:
        return f"{self.table} is not {self.law}: {self.command} in {self.now.state.name} {self.reason}"


def breaches(table: AnyTable, samples: Samples, choose: Choose, steps: int = STEPS) -> tuple[Breach, ...]:
    """The first breach of each law on one random walk, which ends where a step raises.

    Raises:
        TableError: a command of the table has no sample and cannot be made without arguments.
    """
    found: dict[str, Breach] = {}
    for now, command in walk(table, samples, choose, steps):
        for name, law in LAWS.items():
            reason = "" if name in found else law(table, now, command)
            if reason:
                found[name] = Breach(table.name, name, now, command, reason)
            if "total" in found:
                return tuple(found.values())
    return tuple(found.values())


def walk(
    table: AnyTable, samples: Samples, choose: Choose, steps: int = STEPS
) -> Iterator[tuple[Snapshot, Command]]:
    """(snapshot, command) of machines that get random commands by the book, one machine after another.

    Every other command is one that the state has a row for: commands drawn evenly seldom get anywhere. A
    machine gets a few commands in its final state. Stamps are put on here; time never runs backwards.
    """
    pool = _pool(table, samples)
    every = [*pool.values()]
    heard = {
        state: [pool[on] for on, entries in cell.items() if any(entry.row for entry in entries)] or every
        for state, cell in table.cells.items()
    }
    at, now, left = 0.0, initial_snapshot(table, "0"), ROUND
    for number in range(steps):
        if not left or (now.state in table.final and choose(_AFTER_THE_END)):
            now, left = initial_snapshot(table, str(number)), ROUND
        left -= 1
        at += choose(_SECONDS)
        stamp = Stamp(at=at, id=str(number), entropy=f"{number:064x}")
        command = attrs.evolve(choose(choose(choose((every, heard[now.state])))), stamp=stamp)
        yield now, command
        now = step(table, now, command).after


def total(table: AnyTable, now: Snapshot, command: Command) -> str:
    """No step raises."""
    try:
        step(table, now, command)
    # Whatever a rule may raise, breaking this law is what it means.
    except Exception as error:
        return f"raises {type(error).__name__}: {error}"
    return ""


def pure(table: AnyTable, now: Snapshot, command: Command) -> str:
    """A step done twice is the same, and leaves as it was what it is given."""
    before = copy.deepcopy((now, command))
    once, twice = step(table, now, command), step(table, now, command)
    if (now, command) != before:
        return f"changes what it is given into {now}, {command}"
    return "" if once == twice else f"gives {once}, and again {twice}"


def unmoved(table: AnyTable, now: Snapshot, command: Command) -> str:
    """A refused or ignored command changes nothing and says nothing."""
    done = step(table, now, command)
    quiet = done.after == now and not done.events and not done.effects
    return "" if quiet or done.outcome not in (Outcome.REFUSED, Outcome.IGNORED) else f"gives {done}"


def final(table: AnyTable, now: Snapshot, command: Command) -> str:
    """A final state changes no more."""
    if now.state not in table.final:
        return ""
    done = step(table, now, command)
    return "" if done.after == now else f"gives {done}"


def agreed(table: AnyTable, now: Snapshot, command: Command) -> str:
    """The compiled step and the library's are the step by the book."""
    book = step(table, now, command)
    fast, library = _compiled(table)(now, command), reference_step(table, now, command)
    if fast != book:
        return f"gives {book} by the book, and compiled {fast}"
    return "" if library == book else f"gives {book} by the book, and by the library {library}"


def replayed(table: AnyTable, now: Snapshot, command: Command) -> str:
    """The step's events alone, evolved, give its data."""
    done = step(table, now, command)
    data = now.data
    for event in done.events:
        data = data if isinstance(event, CommandDeferred) else table.evolve(data, event)
    return "" if data == done.after.data else f"gives {done.after.data}, and replayed {data}"


def timed(table: AnyTable, now: Snapshot, command: Command) -> str:
    """After a step, the timers that run are those of the state, armed when it was entered."""
    after = step(table, now, command).after
    owned = [timer_name(timer) for timer in table.timers_of[after.state]] if after.entries else []
    running = [timer.name for timer in after.timers]
    if running != owned:
        return f"leaves the timers {running} in {after.state.name}, which owns {owned}"
    late = [timer.name for timer in after.timers if timer.armed != after.entries]
    return f"leaves the timers {late} of an earlier state" if late else ""


LAWS: dict[str, Law] = {
    "total": total,
    "pure": pure,
    "unmoved": unmoved,
    "final": final,
    "agreed": agreed,
    "replayed": replayed,
    "timed": timed,
}
"""Every law by its name; `total` first, since nothing else can be said of a step that raises."""

_compiled = lru_cache(maxsize=_TABLES_KEPT)(compile_table)


def _pool(table: AnyTable, samples: Samples) -> dict[type[Command], Sequence[Command]]:
    missing = [one.__name__ for one in table.commands if not samples.get(one) and not _is_bare(one)]
    if missing:
        raise TableError(f"table {table.name}: no sample of {', '.join(missing)}")
    return {one: samples.get(one) or (one(),) for one in table.commands}


def _is_bare(command: type[Command]) -> bool:
    return all(one.default is not attrs.NOTHING for one in attrs.fields(command) if one.init)
