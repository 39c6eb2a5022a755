"""The board of the demonstration: what is expected, and what of it holds, as it happens."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engine.errors import EngineError

TITLE = "switchhook demo videochat"
MARKS = {"waits": ("…", "yellow"), "held": ("✓", "green"), "failed": ("✗", "bold red")}


class UnmetError(EngineError):
    """An expectation does not hold."""


@attrs.define
class Expectation:
    """One line of the board."""

    scene: str
    text: str
    began: float
    state: str = "waits"
    seconds: float = 0.0
    why: str = ""


class Board:
    """Collects expectations. `plain` prints a line for each that is decided; otherwise the table is live."""

    def __init__(self, console: Console, *, plain: bool) -> None:
        self.expectations: list[Expectation] = []
        self._console = console
        self._plain = plain
        self._began = trio.current_time()
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the board while the block runs."""
        if self._plain:
            yield
            return
        with Live(self._table(), console=self._console, auto_refresh=False) as self._live:
            yield
            self._refresh()
        self._live = None

    @contextmanager
    def expects(self, scene: str, text: str) -> Iterator[Expectation]:
        """It holds when the block ends, and not when the block raises an error of ours, which goes on."""
        expectation = Expectation(scene, text, trio.current_time())
        self.expectations.append(expectation)
        self._refresh()
        try:
            yield expectation
        except EngineError as error:
            self._decide(expectation, "failed", str(error))
            raise
        except trio.Cancelled:
            self._decide(expectation, "failed", "interrupted")
            raise
        self._decide(expectation, "held", "")

    @property
    def failed(self) -> list[Expectation]:
        """Expectations that did not hold."""
        return [one for one in self.expectations if one.state != "held"]

    def _decide(self, expectation: Expectation, state: str, why: str) -> None:
        expectation.state, expectation.why = state, why
        expectation.seconds = trio.current_time() - self._began
        if self._plain:
            self._print(line_of(expectation))
        self._refresh()

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        table = Table("", "scene", "expected", "after", title=TITLE, title_justify="left")
        scene = ""
        for one in self.expectations:
            mark, style = MARKS[one.state]
            text = f"{one.text}\n{one.why}" if one.why else one.text
            after = f"{one.seconds:.2f} s" if one.state != "waits" else ""
            table.add_row(Text(mark, style), Text("" if one.scene == scene else one.scene), Text(text), after)
            scene = one.scene
        return table


def line_of(expectation: Expectation) -> str:
    """A decided expectation as one line."""
    why = f": {expectation.why}" if expectation.why else ""
    return (
        f"{expectation.state:<6} {expectation.seconds:6.2f} s  {expectation.scene}: {expectation.text}{why}"
    )
