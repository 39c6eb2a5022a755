"""Runs the demonstration: a publisher and its viewers, the death of the worker, and their return."""

import math
import os
import signal
import time

import trio
from rich.console import Console

from engine.board import INTERRUPTED, Board, UnmetError, watch_signals
from engine.errors import EngineError
from engine.media import protocol as p
from engine.media.demo.cast import Ledger, Peers, open_peers
from engine.media.demo.figures import Figures, percentiles
from engine.media.frames import Limits
from engine.media.host import HostSettings, WorkersHost
from engine.media.open import open_media
from engine.media.process import WorkerProcess

TITLE = "switchhook demo media"
VIEWERS = 20
PROCESSES = 2
"""That the viewers share."""
FLOW_SECONDS = 5.0
"""Of figures before the crash; half of it after."""
FIGURES_SECONDS = 1.0
SECONDS_MAX = 60.0
"""For all of it; a machine that needs longer is too busy to show anything."""
START_SECONDS = 20.0
"""For a worker that starts anew while twenty peers wait for it."""
LOSS_MAX = 0.01
STREAM = "bars"
CALM = HostSettings(limits=Limits(lag_max_milliseconds=60_000, cpu_max_fraction=100))
"""Publisher and viewers use the worker's cores too, and admission would take that for overload."""


def run(*, plain: bool, viewers: int = VIEWERS, flow_seconds: float = FLOW_SECONDS) -> int:
    """Show it; 0 only if every expectation held."""
    console = Console(highlight=False)
    status = 1
    try:
        status = trio.run(_run, console, plain or not console.is_terminal, viewers, flow_seconds)
    except* SystemExit:
        # Whoever read our output has gone; rich ends the program by it.
        pass
    return status


async def _run(console: Console, plain: bool, viewers: int, flow_seconds: float) -> int:
    status = 1
    async with trio.open_nursery() as nursery:
        interrupted = await nursery.start(watch_signals, nursery.cancel_scope)
        board = Board(console, TITLE, plain=plain)
        with trio.move_on_after(SECONDS_MAX), board.shown():
            try:
                await _play(board, viewers, flow_seconds)
            except EngineError as error:
                # Mostly the board says it already.
                if not board.failed:
                    board.fail("a media worker starts", str(error))
        if not interrupted.is_set():
            status = board.sum_up()
        nursery.cancel_scope.cancel()
    return INTERRUPTED if interrupted.is_set() else status


async def _play(board: Board, viewers: int, flow_seconds: float) -> None:
    ledger = Ledger()
    async with (
        open_peers(shares(viewers, PROCESSES), ledger) as everybody,
        open_media("process", workers=1, settings=CALM) as host,
        host.events() as events,
    ):
        assert isinstance(host, WorkersHost)
        stage = Stage(board, host, events, everybody, ledger)
        with board.expects("a worker starts, and processes with a publisher and with viewers"):
            await stage.wait_ready()
        with board.expects(f"{viewers} viewers connect; each gets sound and pictures") as expected:
            began = time.monotonic_ns()
            expected.text += f", the last after {seconds_between(began, await stage.connect()):.2f} s"
        with board.expects(f"all of it arrives; at most {LOSS_MAX:.0%} is lost"):
            await stage.flow(flow_seconds)
        with board.expects("the worker is killed by SIGKILL, and WorkerGone names all its peers") as expected:
            killed = time.monotonic_ns()
            expected.text += f", after {await stage.kill():.3f} s"
        with board.expects("everybody offers again to a fresh worker; media flows to each") as expected:
            expected.text += (
                f", to the last {seconds_between(killed, await stage.connect()):.2f} s after the kill"
            )
        with board.expects(f"all of it arrives again; at most {LOSS_MAX:.0%} is lost"):
            await stage.flow(flow_seconds / 2)


class Stage:
    """The worker, the peers, and what is between them."""

    def __init__(
        self,
        board: Board,
        host: WorkersHost,
        events: trio.MemoryReceiveChannel[p.Batch],
        everybody: list[Peers],
        ledger: Ledger,
    ) -> None:
        self._board = board
        self._host = host
        self._events = events
        self._publisher, *self._audience = everybody
        self._ledger = ledger
        self._names: set[str] = set()

    async def wait_ready(self) -> None:
        """Until every process says so; the worker is ready already."""
        for each in (self._publisher, *self._audience):
            await each.wait(lambda each=each: each.ready)  # type: ignore[misc] # mypy cannot infer it

    async def connect(self) -> int:
        """Everybody offers and is answered; nanoseconds of the system's clock when the last track began."""
        self._ledger.begin()
        for each in (self._publisher, *self._audience):
            each.begin()
        self._names = set()
        # Offers are made while the worker, perhaps, still starts.
        for each in (self._publisher, *self._audience):
            await each.ask_offers()
        (offer,) = await self._publisher.offers()
        request = p.Publish(stream_id=STREAM, peer_id="publisher", sdp_offer=offer)
        await self._publisher.answer([await self._ask(request)])
        for each in self._audience:
            await self._view(each, await each.offers())
        for each in self._audience:
            await each.wait(lambda name=each.name: self._began_at(name) > 0)  # type: ignore[misc] # as above
        return max(self._began_at(each.name) for each in self._audience)

    async def flow(self, seconds: float) -> None:
        """Show figures for so long.

        Raises:
            UnmetError: too much was lost, or nothing came any more.
        """
        times = max(1, round(seconds / FIGURES_SECONDS))
        for _ in range(times):
            began, packets, least = trio.current_time(), self._ledger.packets, self._ledger.least
            await trio.sleep(seconds / times)
            figures = await self._figures(packets, trio.current_time() - began)
            self._board.show(figures.cells())
            if self._ledger.least <= least:
                raise UnmetError("a viewer gets nothing any more")
        if figures.loss_fraction > LOSS_MAX:
            raise UnmetError(f"{figures.lost} packets are lost")

    async def kill(self) -> float:
        """Kill the worker; the seconds until the host has told it.

        Raises:
            UnmetError: not all of its peers were named.
        """
        running = self._host.running[0]
        assert isinstance(running, WorkerProcess)
        began = trio.current_time()
        os.kill(running.pid, signal.SIGKILL)
        gone = await self._gone()
        if set(gone.peer_ids) != self._names:
            raise UnmetError(f"{len(gone.peer_ids)} of {len(self._names)} peers are named")
        return trio.current_time() - began

    async def _gone(self) -> p.WorkerGone:
        while True:
            _, events = await self._events.receive()
            for event in events:
                if isinstance(event, p.WorkerGone):
                    return event

    async def _view(self, each: Peers, offers: list[str]) -> None:
        answers = []
        for number, offer in enumerate(offers, 1):
            peer_id = f"{each.name}, {number}"
            answers.append(await self._ask(p.View(stream_id=STREAM, peer_id=peer_id, sdp_offer=offer)))
        await each.answer(answers)

    async def _ask(self, request: p.Publish | p.View) -> str:
        answered = await self._host.request(request, seconds=START_SECONDS)
        assert isinstance(answered, p.Answered)
        self._names.add(request.peer_id)
        return answered.with_candidates()

    def _began_at(self, name: str) -> int:
        received = self._ledger.received.get(name)
        return received.all_flow_at if received else 0

    async def _figures(self, before: int, seconds: float) -> Figures:
        said = await self._host.request(p.GetStatistics())
        assert isinstance(said, p.Statistics)
        return Figures(
            viewers=sum(each.count for each in self._audience),
            packets=self._ledger.packets,
            packets_per_second=(self._ledger.packets - before) / seconds,
            lost=self._ledger.lost,
            latency_ms=percentiles([*self._ledger.latencies_ms]),
            cpu_fraction=said.values["worker_cpu_fraction"],
        )


def shares(viewers: int, processes: int) -> list[int]:
    """How many viewers each process has; none has none."""
    each = math.ceil(viewers / processes)
    return [min(each, viewers - begin) for begin in range(0, viewers, each)]


def seconds_between(began: int, ended: int) -> float:
    """Of two times in nanoseconds."""
    return (ended - began) / 1e9
