"""`python -m tests.bench [name ...]`: measure and print; all modules with `figures()` unless named."""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import tests.bench
from tests.bench.report import Figure, print_figures


def _measurers(names: Sequence[str]) -> Iterator[tuple[str, Callable[[], Iterable[Figure]]]]:
    for found in pkgutil.iter_modules(tests.bench.__path__):
        if found.name in ("__main__", "report") or (names and found.name not in names):
            continue
        module = importlib.import_module(f"tests.bench.{found.name}")
        if hasattr(module, "figures"):
            yield found.name, module.figures


def main(names: Sequence[str]) -> None:
    """Measure the named modules one after another."""
    known = {found.name for found in pkgutil.iter_modules(tests.bench.__path__)}
    unknown = set(names) - known
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}")
    for name, figures in _measurers(names):
        print_figures(name, figures())


if __name__ == "__main__":
    main(sys.argv[1:])
