"""What peers cost when they connect, and while they are there."""

import statistics
from collections.abc import Iterator, Sequence

import attrs
import trio

from engine.media import protocol as p
from tests.bench.media.crowd import Report, lost
from tests.bench.media.peers import AUDIO, AV
from tests.bench.media.stage import Options, Stage, open_stage
from tests.bench.report import Figure

CONNECTS = 200
AT_ONCE = 100
RUNNING = 50
"""Viewers whose streams must not suffer meanwhile."""
MEMORY_VIEWERS = 300


@attrs.frozen
class Rush:
    """Many connects at once beside running streams."""

    seconds: Sequence[float]
    lag_p99_milliseconds: float
    lag_worst_milliseconds: float
    report: Report


def connect(options: Options) -> Iterator[Figure]:
    """CPU of a connect, then a hundred at once."""
    yield Figure(
        "connect a viewer", 1e3 * trio.run(_connect, options), "ms CPU", ask="<= 2 ms CPU", note="AV"
    )
    rush = trio.run(_rush, options)
    cuts = statistics.quantiles(rush.seconds, n=100)
    note = f"{AT_ONCE} at once beside {RUNNING} AV viewers; all connected"
    yield Figure("connects at once, p50", 1e3 * cuts[49], "ms", note=note)
    yield Figure("connects at once, p99", 1e3 * cuts[98], "ms", ask="<= 250 ms", note=note)
    note = f"every 2 ms, meanwhile; worst {rush.lag_worst_milliseconds:.1f} ms"
    yield Figure("  loop lag, p99", rush.lag_p99_milliseconds, "ms", ask="<= 15 ms", note=note)
    yield lost(rush.report)


async def _connect(options: Options) -> float:
    async with open_stage(options) as stage:
        await stage.publish()
        await stage.view(10)
        stage.load.halt(halted=True)
        before = stage.cpu_seconds()
        await stage.view(CONNECTS)
        return (stage.cpu_seconds() - before) / CONNECTS


async def _rush(options: Options) -> Rush:
    async with open_stage(options, probes=True) as stage:
        await stage.publish()
        await stage.view(RUNNING)
        await stage.held()
        return await _rushed(stage)


async def _rushed(stage: Stage) -> Rush:
    await stage.load.begin(stage.worker)
    seconds = await stage.view(AT_ONCE, batch=AT_ONCE)
    report = await stage.load.end()
    held = await stage.held()
    p99, worst = held["loop_lag_p99_milliseconds"], held["loop_lag_worst_milliseconds"]
    return Rush(seconds, p99, worst, report)


def memory(options: Options) -> Iterator[Figure]:
    """Growth of the worker while they are connected and stream."""
    for name, kinds in (("AV", AV), ("audio", AUDIO)):
        grown = trio.run(_memory, options, kinds) / 1e3
        asked = "<= 125 kB" if kinds == AV else ""
        note = f"anonymous, after a trim, {MEMORY_VIEWERS} viewers"
        yield Figure(f"memory of an {name} viewer", grown, "kB", ask=asked, note=note)


async def _memory(options: Options, kinds: tuple[str, ...]) -> float:
    async with open_stage(options) as stage:
        await stage.publish(1, kinds)
        # The first one brings in what all of them share.
        await stage.view(1, kinds)
        before = (await stage.held())["anonymous_bytes"]
        await stage.view(MEMORY_VIEWERS, kinds)
        await stage.run(1.0)
        after = await stage.held()
        assert after["viewers_count"] == MEMORY_VIEWERS + 1
        await stage.host.request(p.GetStatistics(peer_id="publisher-0"))
        return (after["anonymous_bytes"] - before) / MEMORY_VIEWERS
