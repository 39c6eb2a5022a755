"""A worker on one core and its load on another, as trio sees them."""

import multiprocessing
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import attrs
import trio

from engine.media import protocol as p
from engine.media.host import HostSettings, WorkersHost
from engine.media.process import WorkerProcess, open_process_host
from tests.bench.media import crowd
from tests.bench.media.crowd import Begin, End, Halt, Leave, Open, Report
from tests.bench.media.peers import AV
from tests.engine.media import watched
from tests.engine.media.rigs import CALM

CORES = tuple(sorted(os.sched_getaffinity(0)))
WORKER_CORE, LOAD_CORE = CORES[0], CORES[-1]
"""The same one where there is no other."""
BATCH = 50
"""Peers connected at once unless it is that which is measured."""


@attrs.frozen(kw_only=True)
class Options:
    """How to measure."""

    seconds: float = 5.0
    """Of each stretch of streaming."""
    realtime: bool = False
    """Whether the worker and its load run before everything else on their cores."""


def pin(process: int, core: int, *, realtime: bool) -> None:
    """Keep a process on a core; zero is this one."""
    os.sched_setaffinity(process, {core})
    if realtime:
        os.sched_setscheduler(process, os.SCHED_FIFO, os.sched_param(crowd.PRIORITY))


class Load:
    """The crowd in its own process; `ask` connects its peers to whatever is measured."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    async def open(
        self, asked: Open, ask: Callable[[int, str], Any], *, at_once: bool = False
    ) -> Sequence[float]:
        """Connect peers; seconds of each, from the moment when their offers were there."""
        self._pipe.send(asked)
        offers = await self._receive()

        async def answer(number: int, offer: str) -> None:
            self._pipe.send(crowd.Reply(number, await ask(number, offer)))

        async with trio.open_nursery() as nursery:
            for number, offer in enumerate(offers):
                nursery.start_soon(answer, number, offer)
        seconds: Sequence[float] = await self._receive()
        return seconds

    async def begin(self, process: int) -> None:
        """Stream, count for those who are there, and measure the CPU of a process."""
        self._pipe.send(Begin(process))
        await self._receive()

    async def end(self) -> Report:
        """What has come of it."""
        self._pipe.send(End())
        report: Report = await self._receive()
        return report

    async def run(self, seconds: float, process: int) -> Report:
        """Both, and so long between them."""
        await self.begin(process)
        await trio.sleep(seconds)
        return await self.end()

    async def leave(self) -> None:
        """Every peer says goodbye."""
        self._pipe.send(Leave())
        await self._receive()

    def halt(self, *, halted: bool) -> None:
        """Stop streaming, or go on."""
        self._pipe.send(Halt(halted))

    async def _receive(self) -> Any:
        return await trio.to_thread.run_sync(self._pipe.recv, abandon_on_cancel=True)


@asynccontextmanager
async def open_load(options: Options) -> AsyncIterator[Load]:
    """The load on its core."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=crowd.run, args=(theirs, LOAD_CORE, options.realtime), daemon=True)
    process.start()
    # So that a load that dies is an end of file here, and not silence.
    theirs.close()
    try:
        yield Load(ours)
        ours.send(None)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(process.join, 20)
    finally:
        process.kill()
        process.join()


class Stage:
    """A host with one worker, and its load."""

    def __init__(self, host: WorkersHost, load: Load) -> None:
        self.host, self.load = host, load
        running = host.running[0]
        assert isinstance(running, WorkerProcess)
        self.worker = running.pid
        self.viewers: list[str] = []
        """Peers' ids, in the order in which they were asked for."""
        self._asked = 0

    def cpu_seconds(self) -> float:
        """Of the worker, so far."""
        return crowd.cpu_seconds(self.worker)

    async def publish(self, count: int = 1, kinds: tuple[str, ...] = AV) -> None:
        """Publishers of streams 0, 1 and so on."""
        for first in range(0, count, BATCH):
            asked = Open(publishers=True, count=min(BATCH, count - first), kinds=kinds, first=first)
            await self.load.open(asked, partial(self._publish, first))

    async def _publish(self, first: int, number: int, offer: str) -> str:
        name = str(first + number)
        return await self._ask(p.Publish(stream_id=name, peer_id=f"publisher-{name}", sdp_offer=offer))

    async def view(
        self, count: int, kinds: tuple[str, ...] = AV, *, streams: int = 1, batch: int = BATCH
    ) -> Sequence[float]:
        """Viewers, spread over the streams in turn; seconds that each took to connect."""
        seconds: list[float] = []
        for first in range(0, count, batch):
            size = min(batch, count - first)
            asked = Open(publishers=False, count=size, kinds=kinds, first=first, of=count)
            seconds += await self.load.open(asked, partial(self._view, first, streams))
        return seconds

    async def _view(self, first: int, streams: int, number: int, offer: str) -> str:
        self._asked += 1
        peer_id, stream = f"viewer-{self._asked}", str((first + number) % streams)
        self.viewers.append(peer_id)
        return await self._ask(p.View(stream_id=stream, peer_id=peer_id, sdp_offer=offer))

    async def _ask(self, request: p.Publish | p.View) -> str:
        answered = await self.host.request(request, seconds=30)
        assert isinstance(answered, p.Answered)
        return answered.with_candidates()

    async def run(self, seconds: float) -> Report:
        """Stream for so long."""
        return await self.load.run(seconds, self.worker)

    async def mute(self, viewer: str) -> None:
        """Send a viewer nothing more."""
        for kind in p.Kind:
            await self.host.request(p.Mute(peer_id=viewer, kind=kind, muted=True))

    async def held(self) -> dict[str, float]:
        """What the worker holds; asking costs it a full collection."""
        answer = await self.host.request(p.GetStatistics(), seconds=30)
        assert isinstance(answer, p.Statistics)
        return dict(answer.values)


@asynccontextmanager
async def open_stage(options: Options, **config: Any) -> AsyncIterator[Stage]:
    """A load, and a worker whose router has `config`; nobody is connected."""
    async with open_load(options) as load, open_worker(options, load, **config) as stage:
        yield stage


@asynccontextmanager
async def open_worker(options: Options, load: Load, **config: Any) -> AsyncIterator[Stage]:
    """A worker for a load that is there already."""
    settings = HostSettings(router=watched.NAME, config=config, limits=CALM)
    with _beside_load(options):
        async with open_process_host(settings) as host:
            stage = Stage(host, load)
            pin(stage.worker, WORKER_CORE, realtime=options.realtime)
            yield stage


@contextmanager
def _beside_load(options: Options) -> Iterator[None]:
    """Trio shares the core of the load, so that the worker has its own."""
    before = os.sched_getaffinity(0), os.sched_getscheduler(0), os.sched_getparam(0)
    pin(0, LOAD_CORE, realtime=options.realtime)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before[0])
        os.sched_setscheduler(0, before[1], before[2])
