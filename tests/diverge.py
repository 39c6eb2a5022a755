"""Random commands through the compiled stepper and through `transitions`: `python -m tests.diverge [N]`."""

import random
import sys

from engine.machine.compiled import compile_table
from engine.machine.laws import Samples, walk
from engine.machine.reference import reference_step
from engine.machine.table import Table
from tests.engine.machine.tables import EVERY


def divergences(table: Table, samples: Samples, seed: int, steps: int) -> list[str]:
    """Every step of a walk on which the two do not agree."""
    fast = compile_table(table)
    found = []
    for now, command in walk(table, samples, random.Random(seed).choice, steps):
        ours, theirs = fast(now, command), reference_step(table, now, command)
        if ours != theirs:
            found.append(f"{table.name}: {command} in {now.state.name}: {ours}, and by the library {theirs}")
    return found


def main(steps: int, seed: int = 1) -> int:
    """Print what diverges; 1 if anything does."""
    found = [
        text for table, samples in EVERY for text in divergences(table, samples, seed, steps // len(EVERY))
    ]
    print("\n".join((*found[:20], f"{len(found)} divergences in {steps} commands, seed {seed}")))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*(int(one) for one in sys.argv[1:] or ["200000"])))
