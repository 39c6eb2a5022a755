"""`switchhook check`: the static checks of tables."""

import sys
from collections.abc import Sequence

from engine.app.lookup import kinds_named
from engine.machine.check import check_table


def run(machines: Sequence[str]) -> int:
    """Print a line a table, of all installed APIs when none is named; 1 when a check fails.

    Raises:
        ConfigurationError: there is no such machine or module.
        TableError: a module of yours has a table that cannot be made.
    """
    faults = 0
    for kind in [kind for name in machines or [""] for kind in kinds_named(name)]:
        found = check_table(kind.table)
        faults += len(found)
        table = kind.table
        sys.stdout.write(
            f"{'FAULT' if found else 'ok   '} {kind.name}: {len(table.states)} states, "
            f"{len(table.commands)} commands, {len(table.arrows)} rows, {len(table.timers)} timers\n"
        )
        for fault in found:
            sys.stdout.write(f"      {fault.where}: {fault.reason} ({fault.rule})\n")
    sys.stdout.write(f"{faults} faults\n")
    return 1 if faults else 0
