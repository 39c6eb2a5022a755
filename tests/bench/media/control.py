"""What passes between trio and a worker, how each holds up the other, and how real peers end."""

import os
import time
from collections.abc import Iterator

import attrs
import trio
import trio.testing

from engine.media import protocol as p
from engine.media.host import HostSettings
from engine.media.process import open_process_host
from tests.bench import media_hosts
from tests.bench.media.crowd import Report
from tests.bench.media.stage import CORES, Options, open_load, open_stage, open_worker
from tests.bench.report import Figure
from tests.engine.media import rigs, watched
from tests.engine.media.rigs import CALM, held

STALL_SECONDS, STALL_EVERY_SECONDS = 0.020, 0.067
STALL_VIEWERS = 100
BLOCKS = 3
TIMER_SECONDS = 0.002
CANCELLED = 200
PEERS = 100


def bridge(options: Options) -> Iterator[Figure]:
    """Requests and events, without media."""
    os.sched_setaffinity(0, set(CORES))
    yield from trio.run(media_hosts.requests, "process", open_process_host)
    yield from trio.run(media_hosts.events, "process", open_process_host)


def stall(options: Options) -> Iterator[Figure]:
    """Trio stands still while media goes on, and the other way round."""
    quiet, stalled = trio.run(_stalled_trio, options)
    grown = 1e3 * (stalled.latencies[1] - quiet.latencies[1])
    how = "busy" if _stalls_busily() else "asleep, for there is no third core,"
    without = f"{1e3 * quiet.latencies[1]:.2f} ms without"
    note = f"trio {how} 20 ms every 67 ms, {STALL_VIEWERS} viewers; {without}"
    yield Figure("media p99 grows by", grown, "ms", ask="<= 3 ms", note=note)
    quiet_worst, blocked_worst = (1e3 * one for one in trio.run(_blocked_worker, options))
    note = f"loop of the worker blocked for 500 ms, {BLOCKS} times; {quiet_worst:.1f} ms at worst without"
    yield Figure("trio timers late by", blocked_worst - quiet_worst, "ms", ask="<= 5 ms", note=note)


def _stalls_busily() -> bool:
    return len(CORES) > 2


async def _stalled_trio(options: Options) -> tuple[Report, Report]:
    async with open_stage(options) as stage:
        await stage.publish()
        await stage.view(STALL_VIEWERS)
        quiet = await stage.run(options.seconds)
        await stage.load.begin(stage.worker)
        await _stall_for(options.seconds)
        return quiet, await stage.load.end()


async def _stall_for(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _stall_once()
        await trio.sleep(STALL_EVERY_SECONDS - STALL_SECONDS)


def _stall_once() -> None:
    if not _stalls_busily():
        # Trio is as deaf as when it computes, but the load keeps its core.
        time.sleep(STALL_SECONDS)
        return
    until = time.monotonic() + STALL_SECONDS
    while time.monotonic() < until:
        pass


async def _blocked_worker(options: Options) -> tuple[float, float]:
    """The worst lateness of a timer, without blocks and with them."""
    worst = {False: 0.0, True: 0.0}
    async with open_stage(options) as stage:
        await stage.publish()
        await stage.view(10)
        for blocked in (False, True) * BLOCKS:
            if blocked:
                os.kill(stage.worker, watched.BLOCK_SIGNAL)
            worst[blocked] = max(worst[blocked], await _worst_lateness(watched.BLOCK_SECONDS))
            # It is alive, and does what it could not do meanwhile.
            await stage.host.request(p.GetStatistics(peer_id="publisher-0"))
    return worst[False], worst[True]


async def _worst_lateness(seconds: float) -> float:
    worst, until = 0.0, time.monotonic() + seconds
    while (asked := time.monotonic()) < until:
        await trio.sleep(TIMER_SECONDS)
        worst = max(worst, time.monotonic() - asked - TIMER_SECONDS)
    return worst


@attrs.frozen
class Left:
    """How a host with connected peers was left."""

    seconds: float
    connected: int
    processes: int
    descriptors: int


def ends(options: Options) -> Iterator[Figure]:
    """Cancelling and leaving with the router that forwards, not with a stand-in."""
    seconds, peers = trio.run(_cancelled)
    note = f"real router; peers left behind besides the publisher: {peers:.0f}"
    yield Figure(f"{CANCELLED} requests cancelled at once", seconds, "s", ask="<= 0.5 s", note=note)
    left = trio.run(_left, options)
    note = f"{left.connected} connected; left: {left.processes} processes, {left.descriptors} descriptors"
    yield Figure(f"leaving with {PEERS} peers", left.seconds, "s", ask="<= 1 s", note=note)


async def _cancelled() -> tuple[float, float]:
    async with open_process_host(HostSettings(limits=CALM)) as host:
        await host.request(rigs.publish())
        async with trio.open_nursery() as nursery:
            for number in range(CANCELLED):
                nursery.start_soon(host.request, rigs.view(f"viewer-{number}"))
            await trio.testing.wait_all_tasks_blocked()
            began = time.perf_counter()
            nursery.cancel_scope.cancel()
        seconds = time.perf_counter() - began
        # One that was done before it heard has a peer, which its owner closes.
        for number in range(CANCELLED):
            await host.request(p.ClosePeer(peer_id=f"viewer-{number}"))
        return seconds, await rigs.figure(host, "peers_count") - 1


async def _left(options: Options) -> Left:
    async with open_load(options) as load:
        before = held()
        async with open_worker(options, load) as stage:
            await stage.publish()
            await stage.view(PEERS - 1)
            connected = int((await stage.held())["peers_count"])
            began = time.perf_counter()
        seconds = time.perf_counter() - began
        return Left(
            seconds=seconds,
            connected=connected,
            processes=len(held()[2] - before[2]),
            descriptors=len(held()[0] - before[0]),
        )
