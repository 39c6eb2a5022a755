"""`python -m tests.bench [name ...]`: measure and print; all modules with `figures()` unless named.

A module with SECTIONS can be measured in part: the names behind its own say which ones.
"""

import argparse
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import ModuleType

import tests.bench
from tests.bench.report import Figure, print_figures

_Figures = Callable[[], Iterable[Figure]]


def _modules() -> dict[str, ModuleType]:
    names = (found.name for found in pkgutil.iter_modules(tests.bench.__path__))
    modules = {name: importlib.import_module(f"tests.bench.{name}") for name in names if name != "__main__"}
    return {name: module for name, module in modules.items() if hasattr(module, "figures")}


def _chosen(names: Sequence[str], seconds: float | None, *, realtime: bool) -> Iterator[tuple[str, _Figures]]:
    modules = _modules()
    known = set(modules).union(*(getattr(one, "SECTIONS", ()) for one in modules.values()))
    if unknown := set(names) - known:
        raise SystemExit(
            f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}"
        )
    for name, module in modules.items():
        sections = [one for one in names if one in getattr(module, "SECTIONS", ())]
        if names and name not in names and not sections:
            continue
        if hasattr(module, "SECTIONS"):
            yield name, partial(module.figures, sections, seconds=seconds, realtime=realtime)
        else:
            yield name, module.figures


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the named modules one after another; those of the command line unless given."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, help="of each stretch, where there are such")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="run a worker and its load before everything else (SCHED_FIFO)",
    )
    given = parser.parse_args(arguments)
    for name, figures in _chosen(given.names, given.seconds, realtime=given.realtime):
        print_figures(name, figures())


if __name__ == "__main__":
    main()
