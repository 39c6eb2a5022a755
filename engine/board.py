"""The board of demonstrations: what is expected, what of it holds, and figures, as they come."""

import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import attrs
import trio
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engine.errors import EngineError

MARKS = {"waits": ("…", "yellow"), "held": ("✓", "green"), "failed": ("✗", "bold red")}

NOTES_MAX = 8
"""Notes that a live board shows; a plain one prints them all."""

INTERRUPTED = 130
"""Exit status of a demonstration that was ended by a signal."""


class UnmetError(EngineError):
    """An expectation does not hold."""


@attrs.define(eq=False)
class Expectation:
    """One line of the board."""

    text: str
    scene: str = ""
    """Empty in demonstrations of one scene."""
    state: str = "waits"
    seconds: float = 0.0
    """From the beginning of the board until it was decided."""
    why: str = ""

    @property
    def whole(self) -> str:
        """With its scene, and why it does not hold."""
        return ": ".join(part for part in (self.scene, self.text, self.why) if part)

    def line(self) -> str:
        """When it is decided."""
        return f"{self.state:<6} {self.seconds:6.2f} s  {self.whole}"


class Board:
    """Collects expectations. `plain` prints a line for each, and for figures; otherwise the table is live."""

    def __init__(self, console: Console, title: str, *, plain: bool) -> None:
        self.expectations: list[Expectation] = []
        self._console = console
        self._title = title
        self._plain = plain
        self._began = trio.current_time()
        self._figures: Sequence[tuple[str, str]] = ()
        self._notes: deque[str] = deque(maxlen=NOTES_MAX)
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
    def expects(self, text: str, *, scene: str = "") -> Iterator[Expectation]:
        """It holds when the block ends, and not when it raises an error of ours, which goes on."""
        expectation = Expectation(text, scene)
        self.expectations.append(expectation)
        self._refresh()
        try:
            yield expectation
        except EngineError as error:
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

    def note(self, text: str) -> None:
        """What happens, and was not asked for."""
        line = f"       {self._seconds():6.2f} s  {text}"
        self._notes.append(line)
        if self._plain:
            self._print(line)
        self._refresh()

    def show(self, figures: Sequence[tuple[str, str]]) -> None:
        """The figures of now: (name, value)."""
        self._figures = figures
        if self._plain:
            self._print("       " + ", ".join(f"{name} {value}" for name, value in figures))
        self._refresh()

    @property
    def failed(self) -> list[Expectation]:
        """Expectations that did not hold."""
        return [one for one in self.expectations if one.state != "held"]

    def sum_up(self) -> int:
        """Say how many hold and which do not; the exit status."""
        failed = self.failed
        held = len(self.expectations) - len(failed)
        self._console.print(f"{held} of {len(self.expectations)} expectations held")
        for one in failed:
            self._print(f"failed: {one.whole}")
        return 1 if failed else 0

    def _decide(self, expectation: Expectation, state: str, why: str) -> None:
        expectation.state, expectation.why = state, why
        expectation.seconds = self._seconds()
        if self._plain:
            self._print(expectation.line())
        self._refresh()

    def _seconds(self) -> float:
        return trio.current_time() - self._began

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> Group:
        columns = ("", "scene", "expected", "after")
        expected = Table(*columns, title=self._title, title_justify="left")
        scene = ""
        for one in self.expectations:
            mark, style = MARKS[one.state]
            text = f"{one.text}\n{one.why}" if one.why else one.text
            after = f"{one.seconds:.2f} s" if one.state != "waits" else ""
            named = "" if one.scene == scene else one.scene
            expected.add_row(Text(mark, style), Text(named), Text(text), after)
            scene = one.scene
        notes = (Text(line, "dim") for line in self._notes)
        if not self._figures:
            return Group(expected, *notes)
        figures = Table(show_header=False)
        for cell in self._figures:
            figures.add_row(*cell)
        return Group(expected, figures, *notes)


async def watch_signals(
    scope: trio.CancelScope, task_status: trio.TaskStatus[trio.Event] = trio.TASK_STATUS_IGNORED
) -> None:
    """Cancel `scope` at Ctrl-C and SIGTERM; the event that is handed out says that one came."""
    interrupted = trio.Event()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started(interrupted)
        async for _ in signals:
            interrupted.set()
            scope.cancel()
