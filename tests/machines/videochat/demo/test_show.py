"""The whole demonstration: processes, a database, and the end that leaves nothing behind."""

import io
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
import trio
from rich.console import Console

from engine.board import Board, UnmetError
from machines.videochat import demo
from machines.videochat.demo import show
from machines.videochat.demo.cast import User
from machines.videochat.demo.lines import Lines


@pytest.fixture
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Directories of the demonstration are made in here."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.slow
def test_every_expectation_holds_and_every_call_is_drawn(
    own_temporary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = demo.run(plain=True)
    text = capsys.readouterr().out
    assert status == 0, text
    assert "26 of 26 expectations held" in text
    assert "0 differences" in text
    assert text.count("sequenceDiagram") == 8
    assert [*own_temporary.iterdir()] == []


class Reader(io.StringIO):
    """Standard output, of which somebody reads the first line and then does something."""

    def __init__(self, then: Callable[[], object], file: IO[bytes]) -> None:
        super().__init__()
        self._then = then
        self._file = file

    def write(self, text: str) -> int:
        """Take it."""
        first = not self.tell()
        size = super().write(text)
        if first:
            self._then()
        return size

    def fileno(self) -> int:
        """Some file."""
        return self._file.fileno()


@pytest.mark.slow
def test_a_signal_ends_it_with_the_status_of_an_interruption(
    own_temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryFile(dir=own_temporary) as file:
        reader = Reader(lambda: signal.raise_signal(signal.SIGTERM), file)
        monkeypatch.setattr(sys, "stdout", reader)
        assert demo.run(plain=True) == show.INTERRUPTED
    assert "begin" in reader.getvalue()
    assert names(own_temporary) == []


@pytest.mark.slow
def test_it_ends_when_nobody_reads_its_output(own_temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def go_away() -> None:
        raise BrokenPipeError

    with tempfile.TemporaryFile(dir=own_temporary) as file:
        monkeypatch.setattr(sys, "stdout", Reader(go_away, file))
        assert demo.run(plain=True) == 1
    assert not [one for one in commands() if str(own_temporary) in one]


@pytest.mark.slow
async def test_interrupted_it_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", "from engine.app.cli import main; main()", "demo", "videochat", "--plain"],
        stdout=subprocess.PIPE,
        env={"TMPDIR": str(tmp_path), "PATH": ""},
    )
    assert process.stdout is not None
    async for line in Lines(process.stdout):
        if "crash" in line:
            break
    (directory,) = names(tmp_path)
    process.send_signal(signal.SIGINT)
    rest = [line async for line in Lines(process.stdout)]
    assert await process.wait() == show.INTERRUPTED, rest
    assert names(tmp_path) == []
    assert not [one for one in commands() if directory in one]


def names(path: Path) -> list[str]:
    """What is in a directory."""
    return [one.name for one in path.iterdir()]


def commands() -> list[str]:
    """The command lines of all processes of this machine that may be read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace").replace("\0", " "))
        except OSError:
            continue
    return found


def test_what_failed_is_named_and_makes_the_status(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)

    async def play() -> int:
        board = Board(console, "demo", plain=True)
        with board.expects("it rings", scene="ring"):
            pass
        with pytest.raises(UnmetError), board.expects("it stops", scene="ring"):
            raise UnmetError("it goes on")
        return board.sum_up()

    assert trio.run(play) == 1
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[-2:] == [
        "1 of 2 expectations held",
        "failed: ring: it stops: it goes on",
    ]


def test_a_device_that_heard_something_else_is_found_out() -> None:
    bob = User("bob", ("phone",), Path("log"))
    bob.take('{"device": "phone", "heard": "Declined", "version": 3}')
    with pytest.raises(UnmetError, match="bob's phone heard"):
        show.compare_device(bob.devices["phone"], [])


@pytest.mark.slow
async def test_a_journal_that_cannot_be_replayed_is_found_out(tmp_path: Path) -> None:
    with pytest.raises(UnmetError, match="it ends with"):
        await show.replay_all(f"sqlite:///{tmp_path / 'none.db'}")


@pytest.mark.slow
def test_a_server_that_cannot_start_is_one_failed_expectation(
    own_temporary: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show, "CONFIG", "[videochat]\nring_seconds = 1\n")
    assert demo.run(plain=True) == 1
    text = capsys.readouterr().out
    assert "0 of 1 expectations held" in text
    assert "failed: begin: " in text
    (directory,) = own_temporary.iterdir()
    assert "ring_seconds" in (directory / "server.log").read_text()
