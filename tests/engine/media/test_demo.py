"""The demonstration of media: small and whole, interrupted, and its parts."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from engine.app.commands import demo as command
from engine.board import INTERRUPTED, Board, UnmetError
from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.demo import show
from engine.media.demo.cast import Ledger, Peers, open_peers
from engine.media.demo.figures import Figures, percentiles
from engine.media.demo.peers import Tally
from engine.media.demo.show import Stage, shares
from engine.media.host import HostSettings, WorkersHost

DEMO = "import sys; from engine.app.cli import main; sys.argv[1:] = ['demo', 'media', '--plain']; main()"
FIGURES = Figures(
    viewers=20,
    packets=990,
    packets_per_second=99.0,
    lost=10,
    latency_ms=(1.0, 2.0, 3.0),
    cpu_fraction=0.1,
)


def children() -> set[str]:
    """Processes of this one that live, from whatever thread they were started."""
    found: set[str] = set()
    for each in Path("/proc/self/task").iterdir():
        found.update((each / "children").read_text().split())
    return found


def console(*, terminal: bool) -> Console:
    """A console that writes into memory."""
    return Console(file=io.StringIO(), force_terminal=terminal, highlight=False, width=120, height=50)


def written(one: Console) -> str:
    """What the console wrote."""
    assert isinstance(one.file, io.StringIO)
    return one.file.getvalue()


# -- whole


@pytest.mark.slow
def test_viewers_come_back_after_the_worker_was_killed(capsys: pytest.CaptureFixture[str]) -> None:
    before = children()
    status = show.run(plain=True, viewers=2, flow_seconds=1.0)
    text = capsys.readouterr().out
    assert status == 0, text
    assert "6 of 6 expectations held" in text
    assert children() == before


@pytest.mark.slow
def test_an_interrupt_ends_it_and_leaves_nothing() -> None:
    running = subprocess.Popen(
        [sys.executable, "-c", DEMO], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("held")
        started = [
            int(one)
            for task in Path(f"/proc/{running.pid}/task").iterdir()
            for one in (task / "children").read_text().split()
        ]
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(30) == INTERRUPTED
    assert len(started) == 4
    assert [one for one in started if Path(f"/proc/{one}").exists()] == []


@pytest.mark.slow
def test_a_worker_that_cannot_start_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = children()
    monkeypatch.setattr(show, "CALM", HostSettings(router="nowhere:open_router"))
    assert show.run(plain=True, viewers=1) == 1
    assert "failed: a media worker starts: media worker 0 cannot start" in capsys.readouterr().out
    assert children() == before


@pytest.mark.slow
async def test_a_process_that_ends_too_early_is_told() -> None:
    with trio.fail_after(30):
        async with open_peers([1], Ledger()) as (_, viewers):
            await viewers.wait(lambda: viewers.ready)
            assert viewers.process is not None
            viewers.process.kill()
            with pytest.raises(MediaError, match="viewers 1 has ended with -9"):
                await viewers.wait(lambda: False)


@pytest.mark.slow
def test_the_demo_command_brings_no_media_library_along() -> None:
    code = "import sys, engine.app.commands.demo; sys.exit('aiortc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_demo_of_media_runs_only_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[bool] = []

    def media(*, plain: bool) -> int:
        shown.append(plain)
        return 7

    monkeypatch.setattr(command, "installed_apis", list)
    monkeypatch.setitem(command.PARTS, "media", media)
    assert command.run("", plain=True) == 0
    assert shown == []
    assert command.run("media", plain=True) == 7
    assert shown == [True]


# -- parts


def test_what_never_came_is_missing_also_where_numbers_wrap() -> None:
    tally = Tally()
    for sequence in (65_534, 65_535, 1, 0, 3):
        tally.take(sequence)
    assert (tally.count, tally.expected) == (5, 6)
    assert Tally().expected == 0


def report(*, packets: int, expected: int, heard: list[tuple[int, int]]) -> dict[str, object]:
    """Of a process with viewers."""
    return {"packets": packets, "expected": expected, "least": 1, "all_flow_at": 1, "heard": heard}


def test_latency_is_known_whoever_reports_first() -> None:
    ledger = Ledger()
    ledger.take("viewers", report(packets=2, expected=3, heard=[(11, 5_000_000), (12, 9_000_000)]))
    ledger.take("publisher", {"sent": [(11, 1_000_000)]})
    ledger.take("viewers", report(packets=3, expected=4, heard=[(11, 3_000_000), (13, 1)]))
    assert [*ledger.latencies_ms] == [4.0, 2.0]
    assert (ledger.packets, ledger.lost, ledger.least) == (3, 1, 1)
    ledger.begin()
    assert (ledger.packets, ledger.lost, ledger.least) == (0, 0, 0)


class Counting:
    """A host whose worker forwards, whenever it is looked at."""

    def __init__(self, ledger: Ledger, *, packets: int, lost: int) -> None:
        self._ledger, self._packets, self._lost = ledger, packets, lost
        self._looks = 0

    async def request(self, request: p.MediaRequest) -> p.MediaAnswer:
        assert request == p.GetStatistics()
        self._looks += 1
        packets, lost = self._packets * self._looks, self._lost * self._looks
        said = report(packets=packets, expected=packets + lost, heard=[])
        self._ledger.take("viewers", {**said, "least": packets})
        return p.Statistics(values={"worker_cpu_fraction": 0.1})


@pytest.mark.parametrize(
    ("packets", "lost", "why"),
    [(99, 1, None), (98, 2, "4 packets are lost"), (0, 0, "a viewer gets nothing any more")],
)
async def test_media_must_flow_and_may_lose_one_in_a_hundred(
    packets: int, lost: int, why: str | None, autojump_clock: MockClock
) -> None:
    ledger = Ledger()
    host = cast(WorkersHost, Counting(ledger, packets=packets, lost=lost))
    out = console(terminal=False)
    sender, events = trio.open_memory_channel[p.Batch](1)
    stage = Stage(Board(out, "demo", plain=True), host, events, [Peers("publisher", 0, ledger)], ledger)
    with sender, events:
        if why is None:
            await stage.flow(2.0)
        else:
            with pytest.raises(UnmetError, match=why):
                await stage.flow(2.0)
    assert f"packets/s {packets}" in written(out)


def test_only_recent_sound_is_remembered() -> None:
    ledger = Ledger()
    ledger.take("publisher", {"sent": [(crc, 0) for crc in range(2001)]})
    ledger.take("viewers", report(packets=2, expected=2, heard=[(0, 1_000_000), (1, 2_000_000)]))
    assert [*ledger.latencies_ms] == [2.0]


@pytest.mark.parametrize(
    ("viewers", "expected"), [(20, [10, 10]), (3, [2, 1]), (2, [1, 1]), (1, [1])], ids=str
)
def test_viewers_are_shared_out(viewers: int, expected: list[int]) -> None:
    assert shares(viewers, 2) == expected


def test_percentiles_need_more_than_one_value() -> None:
    assert percentiles([1.0]) == (0.0, 0.0, 0.0)
    assert percentiles([float(one) for one in range(1, 100)]) == (50.0, 95.0, 99.0)


@pytest.mark.parametrize("terminal", [True, False])
async def test_the_board_says_what_holds_and_what_does_not(terminal: bool) -> None:
    out = console(terminal=terminal)
    board = Board(out, "demo", plain=not terminal)
    with board.shown():
        with board.expects("it flows"):
            board.show(FIGURES.cells())
        with pytest.raises(UnmetError), board.expects("it stops"):
            raise UnmetError("it goes on")
        with trio.CancelScope() as scope, board.expects("it ends"):
            scope.cancel()
            await trio.sleep_forever()
        board.fail("it starts", "it does not")
    assert board.sum_up() == 1
    text = written(out)
    assert "10 (1.00 %)" in text
    assert "0.50 %" in text
    assert "1 of 4 expectations held" in text
    assert "failed: it stops: it goes on" in text
    assert "failed: it ends: interrupted, or too late" in text
    assert "failed: it starts: it does not" in text
