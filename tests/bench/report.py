"""A figure, and the table in which figures are printed."""

import re
from collections.abc import Iterable

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

_ASK = re.compile(r"(<=|>=) ([\d,.]+) ?(.*)")
_PRINTED_COLUMNS = 160
"""Where there is no terminal whose width counts."""


@attrs.frozen
class Figure:
    """One measured number. The ratio is what counts: machines differ, and this one by the hour."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    """Against what was measured beside it in the same run; `note` says against what."""
    ask: str = ""
    """What is asked, such as `>= 0.85` of the ratio, or `<= 15 us` of the value, for it has a unit."""
    note: str = ""

    @property
    def held(self) -> bool | None:
        """Whether it is what is asked; None when nothing is."""
        found = _ASK.fullmatch(self.ask)
        if found is None:
            return None
        of_ratio = self.ratio is not None and not found[3]
        measured, asked = self.ratio if of_ratio else self.value, float(found[2].replace(",", ""))
        assert measured is not None, "looked at just before"
        return measured <= asked if found[1] == "<=" else measured >= asked


def print_figures(title: str, figures: Iterable[Figure], console: Console | None = None) -> None:
    """Print each figure as soon as it is there, then all of them as a table."""
    console = console or Console()
    if not console.is_terminal:
        console.width = _PRINTED_COLUMNS
    table = Table(title=title, title_justify="left")
    for heading in ("figure", "value", "unit", "ratio", "ask", "held", "note"):
        table.add_column(heading, justify="right" if heading in ("value", "ratio") else "left")
    with console.status(title) as status:
        for figure in figures:
            status.update(f"{title}: {figure.name}")
            # Texts and not markup: a note may hold brackets.
            table.add_row(*(Text(cell) for cell in _cells(figure)))
    console.print(table)


def _cells(figure: Figure) -> tuple[str, ...]:
    ratio = "" if figure.ratio is None else _short(figure.ratio)
    held = {True: "yes", False: "NO", None: ""}[figure.held]
    return figure.name, _short(figure.value), figure.unit, ratio, figure.ask, held, figure.note


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
