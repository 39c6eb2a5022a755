"""`switchhook` as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

SECONDS_MAX = 60.0
"""Far more than anything here takes; a process that hangs fails its test."""

_START = [sys.executable, "-c", "from engine.app.cli import main; main()"]
ROOT = Path(__file__).parents[3]


@attrs.frozen
class Ended:
    """What is left of a process."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Standard error, line by line."""
        return self.err.splitlines()

    @property
    def logs(self) -> list[dict[str, Any]]:
        """Standard error as the log that it should be."""
        return [json.loads(line) for line in self.lines]


def switchhook(*arguments: str, cwd: Path, **more: Any) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        [*_START, *arguments],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS_MAX,
        env=environment(),
        check=False,
        **more,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """This checkout, wherever the process runs."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}


@attrs.define(eq=False)
class Running:
    """A process that has not ended."""

    process: subprocess.Popen[str]

    def line(self) -> str:
        """The next line of standard output; empty when there is none to come."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> Ended:
        """Wait for the end."""
        out, err = self.process.communicate(timeout=SECONDS_MAX)
        return Ended(self.process.returncode, out, err)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        """Send a signal and wait for the end."""
        self.send(number)
        return self.end()


@contextmanager
def started(*arguments: str, cwd: Path) -> Iterator[Running]:
    """Run a command beside the test; killed if the test does not end it."""
    process = subprocess.Popen(
        [*_START, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=environment(),
    )
    # Whoever waits for a line that never comes would wait for ever.
    deadline = threading.Timer(SECONDS_MAX, process.kill)
    deadline.start()
    try:
        yield Running(process)
    finally:
        deadline.cancel()
        if process.poll() is None:
            process.kill()
            process.communicate()
