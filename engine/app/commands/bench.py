"""`switchhook bench`: the benchmarks, where a source checkout is at hand."""

import importlib
import sys
from collections.abc import Sequence


def run(names: Sequence[str]) -> int:
    """Run `tests.bench`; 2 when it is not there."""
    try:
        bench = importlib.import_module("tests.bench.__main__")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("tests"):
            raise
        sys.stderr.write("switchhook: the benchmarks are in the source checkout; run it from there\n")
        return 2
    return int(bench.main([*names]) or 0)
