"""What forwarding costs the worker and how late it makes packets, by the number of viewers."""

from collections.abc import Iterator, Sequence

import attrs
import trio

from tests.bench.media.crowd import Report, lost
from tests.bench.media.floor import calibrate
from tests.bench.media.peers import AUDIO, AV
from tests.bench.media.stage import WORKER_CORE, Options, Stage, open_stage
from tests.bench.report import Figure

MICRO, MILLI = 1e6, 1e3
REFERENCE_SECONDS = 2.7e-6
"""`calibrate` on the machine whose figures became the asks."""
AV_VIEWERS = 300
LATENCIES = {10: (1, 2), 300: (3, 9), 500: (6, 16)}
"""Milliseconds asked, p50 and p99, by viewers."""
CPU_PERCENT = {300: 30, 500: 50}
AUDIO_VIEWERS, AUDIO_PERCENT = 1000, 45
PUBLISHERS, PUBLISHERS_PERCENT = 100, 45


@attrs.frozen
class Measured:
    """A stretch of streaming, and the floor just before and after it."""

    report: Report
    floor: float

    @property
    def per_packet(self) -> float:
        return self.report.cpu_per_packet / self.floor

    def scaled(self, value: float) -> float:
        """What `value` would be on the machine of the asks."""
        return value * REFERENCE_SECONDS / self.floor

    def percent(self, name: str, asked: float) -> Figure:
        """The worker's CPU."""
        value = 100 * self.report.cpu_fraction
        rate = self.report.received / self.report.seconds
        note = f"{rate:,.0f} packets/s; ratio: % if calibrate were 2.7 us"
        return Figure(name, value, "% CPU", self.scaled(value), f"<= {asked:g}", note)

    def latency(self, asked: tuple[float, float]) -> Sequence[Figure]:
        """From a publisher's send to the viewers' sockets."""
        late = f"load late by {MILLI * self.report.late_seconds:.0f} ms at worst"
        note = f"ratio: if calibrate were 2.7 us; {late}"
        values = [MILLI * one for one in self.report.latencies]
        return [
            Figure(f"  latency, {name}", value, "ms", self.scaled(value), f"<= {one:g}", note)
            for name, value, one in zip(("p50", "p99"), values, asked, strict=True)
        ]


async def measure(stage: Stage, seconds: float) -> Measured:
    """Stream; the floor is measured on the worker's core while it is quiet."""
    stage.load.halt(halted=True)
    await trio.sleep(0.1)
    before = calibrate(WORKER_CORE)
    report = await stage.run(seconds)
    stage.load.halt(halted=True)
    await trio.sleep(0.1)
    after = calibrate(WORKER_CORE)
    stage.load.halt(halted=False)
    return Measured(report, (before + after) / 2)


def forward(options: Options) -> Iterator[Figure]:
    """CPU per forwarded packet, everything that the worker does included."""
    for name, batched, asked in (("batched", True, 1.6), ("portable", False, 2.7)):
        measured = trio.run(_forward, options, batched)
        one = measured.report
        yield Figure("calibrate", MICRO * measured.floor, "us/packet", note="200 sockets, AES-128-GCM")
        note = f"of calibrate; {AV_VIEWERS} AV viewers that report at 1 Hz"
        value = MICRO * one.cpu_per_packet
        yield Figure(f"forward, {name}", value, "us/packet", measured.per_packet, f"<= {asked}", note)
        yield lost(measured.report)


async def _forward(options: Options, batched: bool) -> Measured:
    async with open_stage(options, batched=batched) as stage:
        await stage.publish()
        await stage.view(AV_VIEWERS)
        return await measure(stage, options.seconds)


def capacity(options: Options) -> Iterator[Figure]:
    """One worker with more and more viewers."""
    for count, measured in trio.run(_capacity, options):
        if count in CPU_PERCENT:
            yield measured.percent(f"{count} AV viewers", CPU_PERCENT[count])
        else:
            yield Figure(f"{count} AV viewers", 100 * measured.report.cpu_fraction, "% CPU")
        yield from measured.latency(LATENCIES[count])
        yield lost(measured.report)


async def _capacity(options: Options) -> Sequence[tuple[int, Measured]]:
    found = []
    for count in LATENCIES:
        async with open_stage(options) as stage:
            await stage.publish()
            await stage.view(count)
            found.append((count, await measure(stage, options.seconds)))
    return found


def audio(options: Options) -> Iterator[Figure]:
    """Voices only."""
    measured = trio.run(_audio, options)
    yield measured.percent(f"{AUDIO_VIEWERS} audio viewers", AUDIO_PERCENT)
    yield lost(measured.report)


async def _audio(options: Options) -> Measured:
    async with open_stage(options) as stage:
        await stage.publish(1, AUDIO)
        await stage.view(AUDIO_VIEWERS, AUDIO)
        return await measure(stage, options.seconds)


def ingress(options: Options) -> Iterator[Figure]:
    """Many streams of one viewer each."""
    measured = trio.run(_ingress, options)
    yield measured.percent(f"{PUBLISHERS} publishers, 1 viewer each", PUBLISHERS_PERCENT)
    yield lost(measured.report)


async def _ingress(options: Options) -> Measured:
    async with open_stage(options) as stage:
        await stage.publish(PUBLISHERS, AV)
        await stage.view(PUBLISHERS, AV, streams=PUBLISHERS)
        return await measure(stage, options.seconds)
