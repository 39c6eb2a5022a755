"""A figure, and the table in which figures are printed."""

from collections.abc import Iterable

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text


@attrs.frozen
class Figure:
    """One measured number. The ratio is what counts: machines differ, and this one by the hour."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    """Against what was measured beside it in the same run; `note` says against what."""
    ask: str = ""
    """What is asked, such as `>= 0.85` or `<= 15 us`."""
    note: str = ""


def print_figures(title: str, figures: Iterable[Figure], console: Console | None = None) -> None:
    """Print each figure as soon as it is there, then all of them as a table."""
    console = console or Console()
    table = Table(title=title, title_justify="left")
    for heading in ("figure", "value", "unit", "ratio", "ask", "note"):
        table.add_column(heading, justify="right" if heading in ("value", "ratio") else "left")
    with console.status(title) as status:
        for figure in figures:
            status.update(f"{title}: {figure.name}")
            # Texts and not markup: a note may hold brackets.
            table.add_row(*(Text(cell) for cell in _cells(figure)))
    console.print(table)


def _cells(figure: Figure) -> tuple[str, ...]:
    ratio = "" if figure.ratio is None else _short(figure.ratio)
    return figure.name, _short(figure.value), figure.unit, ratio, figure.ask, figure.note


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
