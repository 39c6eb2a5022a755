"""Media hosts without media: what requests and events cost between trio and a worker, and how workers end."""

import os
import signal
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeAlias

import trio
import trio.testing

from engine.media import protocol as p
from engine.media.host import HostSettings, WorkersHost
from engine.media.process import WorkerProcess, open_process_host
from engine.media.thread import open_thread_host
from tests.bench.report import Figure
from tests.engine.media.rigs import CALM, STAND_IN, publish, view

REQUESTS = 5_000
PARALLEL = 100
EVENTS = 9_000
"""In one turn of the worker's loop; just less than may wait."""
FLOODS = 20
DEATHS = 7
PEERS = 100
CANCELLED = 200

Opener: TypeAlias = Callable[[HostSettings], AbstractAsyncContextManager[WorkersHost]]
OPENERS: dict[str, Opener] = {"process": open_process_host, "thread": open_thread_host}


def figures() -> Iterator[Figure]:
    """Of each kind of host, then of processes that are killed."""
    for kind, opener in OPENERS.items():
        yield from trio.run(requests, kind, opener)
        yield from trio.run(events, kind, opener)
        yield from trio.run(_ends, kind, opener)
    yield from trio.run(_deaths)


def _settings(router: str = STAND_IN) -> HostSettings:
    return HostSettings(router=router, limits=CALM)


async def _timed(function: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await function()
    return time.perf_counter() - began


async def requests(kind: str, opener: Opener) -> list[Figure]:
    """One at a time, then many."""
    async with opener(_settings()) as host:
        await host.request(publish())
        ask = partial(host.request, p.AddCandidates(peer_id="ann", candidates=()))
        seconds = [await _timed(ask) for _ in range(REQUESTS)]
        rate = REQUESTS / await _timed(partial(_in_parallel, ask))
    cuts = statistics.quantiles(seconds, n=100)
    return [
        Figure(f"{kind}: request, p50", 1e6 * cuts[49], "us", ask="<= 200 us"),
        Figure(f"{kind}: request, p99", 1e6 * cuts[98], "us", ask="<= 500 us"),
        Figure(f"{kind}: requests, {PARALLEL} at a time", rate, "1/s"),
    ]


async def _in_parallel(ask: Callable[[], Awaitable[object]]) -> None:
    async def ask_some() -> None:
        for _ in range(REQUESTS // PARALLEL):
            await ask()

    async with trio.open_nursery() as nursery:
        for _ in range(PARALLEL):
            nursery.start_soon(ask_some)


async def events(kind: str, opener: Opener) -> list[Figure]:
    """From a worker that has them in one turn."""
    flood = p.LimitBitrate(peer_id="quiet", bitrate_max_bps=EVENTS)
    async with opener(_settings()) as host, host.events() as reader:
        await host.request(publish("quiet"))
        seconds = [await _timed(partial(_flood, host, reader, flood)) for _ in range(FLOODS)]
    return [Figure(f"{kind}: events", EVENTS / min(seconds), "1/s", ask=">= 100,000", note="best of 20")]


async def _flood(
    host: WorkersHost, reader: trio.MemoryReceiveChannel[p.Batch], flood: p.MediaRequest
) -> None:
    await host.request(flood)
    heard = 0
    while heard < EVENTS:
        heard += p.numbers_of((await reader.receive())[1])


async def _ends(kind: str, opener: Opener) -> list[Figure]:
    async with opener(_settings()) as host:
        await host.request(publish())
        for number in range(PEERS - 1):
            await host.request(view(f"ticking-{number}"))
        cancelled = await _cancel_many(host)
        began = time.perf_counter()
    left = time.perf_counter() - began
    return [
        Figure(f"{kind}: {CANCELLED} requests cancelled at once", cancelled, "s", ask="<= 0.5 s"),
        Figure(f"{kind}: leaving with {PEERS} peers", left, "s", ask="<= 1 s"),
    ]


async def _cancel_many(host: WorkersHost) -> float:
    """Seconds until the last one has been undone."""
    async with trio.open_nursery() as nursery:
        for number in range(CANCELLED):
            nursery.start_soon(host.request, view(f"slow-{number}"))
        await trio.testing.wait_all_tasks_blocked()
        began = time.perf_counter()
        nursery.cancel_scope.cancel()
    return time.perf_counter() - began


async def _deaths() -> list[Figure]:
    """With the real router, whose imports are most of a start."""
    told, back = [], []
    for _ in range(DEATHS):
        async with open_process_host(_settings(HostSettings().router)) as host, host.events() as reader:
            running = host.running[0]
            assert isinstance(running, WorkerProcess)
            began = time.perf_counter()
            os.kill(running.pid, signal.SIGKILL)
            await reader.receive()
            told.append(time.perf_counter() - began)
            await host.request(publish(), seconds=30)
            back.append(time.perf_counter() - began)
    return [
        Figure("process: a killed worker is reported", 1e3 * max(told), "ms", ask="<= 100 ms", note="worst"),
        Figure(
            "process: and a fresh one has a peer", statistics.median(back), "s", ask="<= 1 s", note="median"
        ),
    ]
