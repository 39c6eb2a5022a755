"""The board of the demonstration: figures as they come, and what was expected and held."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engine.errors import MediaError

TITLE = "switchhook demo media"
MARKS = {"waits": ("…", "yellow"), "held": ("✓", "green"), "failed": ("✗", "bold red")}


class UnmetError(MediaError):
    """An expectation does not hold."""


@attrs.frozen(kw_only=True)
class Figures:
    """Of one moment."""

    viewers: int
    packets: int
    packets_per_second: float
    lost: int
    latency_ms: tuple[float, float, float]
    """Percentiles 50, 95 and 99; from the encoder of the publisher to the viewer's count of the packet."""
    cpu_fraction: float
    """The worker's, of one core."""

    @property
    def loss_fraction(self) -> float:
        """Of what viewers should have."""
        return self.lost / max(1, self.packets + self.lost)

    def cells(self) -> list[tuple[str, str]]:
        """(name, value) as they are shown."""
        shares = " / ".join(f"{one:.1f}" for one in self.latency_ms)
        return [
            ("viewers", f"{self.viewers}"),
            ("packets", f"{self.packets}"),
            ("packets/s", f"{self.packets_per_second:.0f}"),
            ("lost", f"{self.lost} ({100 * self.loss_fraction:.2f} %)"),
            ("latency p50 / p95 / p99", f"{shares} ms"),
            ("worker CPU", f"{100 * self.cpu_fraction:.1f} %"),
            ("per viewer", f"{100 * self.cpu_fraction / max(1, self.viewers):.2f} %"),
        ]


@attrs.define
class Expectation:
    """One line of the board."""

    text: str
    state: str = "waits"
    seconds: float = 0.0
    why: str = ""

    def line(self) -> str:
        """When it is decided."""
        return f"{self.state:<6} {self.seconds:6.2f} s  {self.text}" + (f": {self.why}" if self.why else "")


class Board:
    """Collects expectations. `plain` prints a line for each, and for figures; otherwise the table is live."""

    def __init__(self, console: Console, *, plain: bool) -> None:
        self.expectations: list[Expectation] = []
        self._console = console
        self._plain = plain
        self._began = trio.current_time()
        self._figures: Figures | None = None
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the board while the block runs."""
        if self._plain:
            yield
            return
        with Live(self._drawn(), console=self._console, auto_refresh=False) as self._live:
            yield
            self._refresh()
        self._live = None

    @contextmanager
    def expects(self, text: str) -> Iterator[Expectation]:
        """It holds when the block ends, and not when it raises an error of ours or is cancelled."""
        expectation = Expectation(text)
        self.expectations.append(expectation)
        self._refresh()
        try:
            yield expectation
        except MediaError as error:
            self._decide(expectation, "failed", str(error))
            raise
        except trio.Cancelled:
            self._decide(expectation, "failed", "interrupted, or too late")
            raise
        self._decide(expectation, "held", "")

    def fail(self, text: str, why: str) -> None:
        """What was taken for granted does not hold."""
        self.expectations.append(expectation := Expectation(text))
        self._decide(expectation, "failed", why)

    def show(self, figures: Figures) -> None:
        """The figures of now."""
        self._figures = figures
        if self._plain:
            self._print("       " + ", ".join(f"{name} {value}" for name, value in figures.cells()))
        self._refresh()

    @property
    def failed(self) -> list[Expectation]:
        """Expectations that did not hold."""
        return [one for one in self.expectations if one.state != "held"]

    def _decide(self, expectation: Expectation, state: str, why: str) -> None:
        expectation.state, expectation.why = state, why
        expectation.seconds = trio.current_time() - self._began
        if self._plain:
            self._print(expectation.line())
        self._refresh()

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> Group:
        expected = Table("", "expected", "after", title=TITLE, title_justify="left")
        for one in self.expectations:
            mark, style = MARKS[one.state]
            text = f"{one.text}\n{one.why}" if one.why else one.text
            after = f"{one.seconds:.2f} s" if one.state != "waits" else ""
            expected.add_row(Text(mark, style), Text(text), after)
        if self._figures is None:
            return Group(expected)
        figures = Table(show_header=False)
        for cell in self._figures.cells():
            figures.add_row(*cell)
        return Group(expected, figures)


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """50, 95 and 99; zeros when there are too few to say."""
    if len(values) < 2:
        return 0.0, 0.0, 0.0
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[94], cuts[98]
