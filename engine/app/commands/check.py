"""`switchhook check`: the static checks of every table."""

import sys

from engine.app.discovery import installed_apis
from engine.machine.check import check_table


def run() -> int:
    """Print a line a table; 1 when a check fails."""
    faults = 0
    for api in installed_apis():
        for kind in api.kinds:
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
