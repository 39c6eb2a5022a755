"""The process of the load: publishers send on time, viewers report, and what comes is counted."""

import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

import attrs

from engine.media.router.dtls import Identity
from tests.bench.media.drain import Drain, kernel_drops
from tests.bench.media.peers import Peer, Probe, Publisher, Viewer, loopback
from tests.bench.report import Figure

PULSE_SECONDS = 0.002
"""Packets that wait long make the kernel send from cold memory, and the sender pays for it."""
CHECK_EVERY = 5
"""A viewer reports once a second, and proves once in five that it is there (RFC 7675)."""
SETTLE_SECONDS = 0.5
PROBES = 10
"""Viewers whose packets are timed, evenly spread over those who were opened together."""
PRIORITY = 5


@attrs.frozen(kw_only=True)
class Open:
    """Make peers; their offers are sent back, then answers are awaited."""

    publishers: bool
    count: int
    kinds: tuple[str, ...]
    first: int = 0
    """The turn of the first of them; the others follow."""
    of: int = 1
    """How many there will be, of whom PROBES are timed."""
    host: str = ""
    """Where they are; on addresses of the loopback when empty."""


@attrs.frozen
class Reply:
    """The other side's word to one of the peers."""

    number: int
    sdp: str


@attrs.frozen
class Begin:
    """Count from now on, for those who are there; answered when it has begun."""

    process: int
    """Whose CPU is measured."""


@attrs.frozen
class End:
    """Stop streaming, and report."""


@attrs.frozen
class Halt:
    """Send nothing from now on, or go on."""

    halted: bool


@attrs.frozen
class Leave:
    """Everybody says goodbye and closes; answered when they have."""


@attrs.frozen(kw_only=True)
class Report:
    """What has come of it."""

    seconds: float
    cpu_seconds: float
    sent: int
    received: int
    lost: int
    """Of what every viewer should have got."""
    lost_at_load: int
    """Of these, those that this process was too slow for."""
    asked_again: int
    latencies: tuple[float, ...]
    """p50 and p99, in seconds; from a publisher's send to a viewer's socket."""
    load_fraction: float
    """Of a core, for this process."""
    late_seconds: float
    """The worst lateness of this process."""

    @property
    def cpu_fraction(self) -> float:
        return self.cpu_seconds / self.seconds

    @property
    def cpu_per_packet(self) -> float:
        return self.cpu_seconds / max(1, self.received)


def lost(one: Report) -> Figure:
    """What viewers did not get; the load cannot lose a packet without telling."""
    note = f"of {one.received + one.lost:,} in {one.seconds:.1f} s; {one.lost_at_load} by the load itself"
    return Figure("  lost", one.lost, "packets", ask="<= 0 packets", note=note)


class Crowd:
    """All peers of the load."""

    def __init__(self) -> None:
        self._identity = Identity.generateCertificate()
        self._drain = Drain()
        self._publishers: list[Publisher] = []
        self._viewers: list[Viewer] = []
        self._probes: list[Probe] = []
        self._counted: Sequence[Viewer] = ()
        self._process = 0
        self._began = 0.0, 0.0, 0.0
        self._drops = 0
        self._halted = False
        self._reported = 0.0
        self._last = self._late = 0.0
        self._numbers = 0

    def start(self) -> None:
        self._last = time.monotonic()
        self._pulsing = asyncio.get_running_loop().call_later(PULSE_SECONDS, self._pulse)

    def _pulse(self) -> None:
        now = time.monotonic()
        self._pulsing = asyncio.get_running_loop().call_later(PULSE_SECONDS, self._pulse)
        passed, self._last = now - self._last, now
        self._late = max(self._late, passed - PULSE_SECONDS)
        for publisher in self._publishers:
            if not self._halted:
                publisher.send_due(now)
            publisher.read()
        self._report(passed)
        self._drain.sweep()
        for probe in self._probes:
            probe.read()

    def _report(self, passed: float) -> None:
        """Each viewer in its turn, so that all of them have reported in a second."""
        if not self._viewers:
            return
        before, self._reported = int(self._reported), self._reported + passed * len(self._viewers)
        for number in range(before, int(self._reported)):
            self._viewers[number % len(self._viewers)].report()
            if number % CHECK_EVERY == 0:
                self._viewers[number // CHECK_EVERY % len(self._viewers)].check()

    # -- commands

    async def open(self, asked: Open, pipe: Connection) -> None:
        """Offers out, answers in, and how many seconds each took."""
        loop = asyncio.get_running_loop()
        peers = [self._peer(asked, number) for number in range(asked.count)]
        began = time.monotonic()
        pipe.send([peer.offer() for peer in peers])
        connecting = []
        for _ in peers:
            reply = await loop.run_in_executor(None, pipe.recv)
            connecting.append(loop.create_task(self._connect(peers[reply.number], reply.sdp, began)))
        seconds = await asyncio.gather(*connecting)
        pipe.send(seconds)

    def _peer(self, asked: Open, number: int) -> Peer:
        kind: type[Peer] = Publisher
        if not asked.publishers:
            every = max(1, asked.of // PROBES)
            timed = (asked.first + number) % every == 0
            kind = Probe if timed else Viewer
        self._numbers += 1
        peer = kind(self._identity, asked.host or loopback(self._numbers), asked.kinds)
        peer.turn = asked.first + number
        return peer

    async def _connect(self, peer: Peer, sdp: str, began: float) -> float:
        await peer.connect(sdp)
        took = time.monotonic() - began
        if isinstance(peer, Publisher):
            peer.resume(time.monotonic())
            self._publishers.append(peer)
        else:
            assert isinstance(peer, Viewer)
            peer.prepare()
            if isinstance(peer, Probe):
                self._probes.append(peer)
            else:
                peer.counted = self._drain.add(peer.socket)
            self._viewers.append(peer)
        return took

    def halt(self, *, halted: bool) -> None:
        self._halted = halted
        for publisher in self._publishers:
            publisher.resume(time.monotonic())

    async def begin(self, asked: Begin) -> None:
        self.halt(halted=True)
        await asyncio.sleep(SETTLE_SECONDS)
        self._counted = tuple(self._viewers)
        self._drops = self._kernel_drops()
        self._forget()
        self._process = asked.process
        self._began = time.monotonic(), cpu_seconds(asked.process), time.process_time()
        self.halt(halted=False)

    async def end(self) -> Report:
        self._halted = True
        began, cpu, own = self._began
        seconds, cpu = time.monotonic() - began, cpu_seconds(self._process) - cpu
        own = time.process_time() - own
        await asyncio.sleep(SETTLE_SECONDS)
        report = self._result(seconds, cpu, own / seconds)
        self.halt(halted=False)
        return report

    def _kernel_drops(self) -> int:
        return kernel_drops({one.port for one in self._counted})

    def _forget(self) -> None:
        self._late = 0.0
        for publisher in self._publishers:
            publisher.sent = publisher.asked_again = 0
        for viewer in self._viewers:
            viewer.counted.packets = 0
        for probe in self._probes:
            probe.seconds.clear()

    def _result(self, seconds: float, cpu: float, own: float) -> Report:
        sent = {one.turn: one.sent for one in self._publishers}
        # Viewers are spread over the publishers in turn.
        due = [sent[one.turn % len(sent)] for one in self._counted]
        got = [one.counted.packets for one in self._counted]
        timed = [one for one in self._counted if isinstance(one, Probe)]
        return Report(
            seconds=seconds,
            cpu_seconds=cpu,
            sent=sum(sent.values()),
            received=sum(got),
            lost=sum(max(0, one - other) for one, other in zip(due, got, strict=True)),
            lost_at_load=self._kernel_drops() - self._drops,
            asked_again=sum(one.asked_again for one in self._publishers),
            latencies=_cuts([one for probe in timed for one in probe.seconds]),
            load_fraction=own,
            late_seconds=self._late,
        )

    async def leave(self) -> None:
        peers = (*self._viewers, *self._publishers)
        self._drain.close()
        self._viewers, self._publishers, self._probes, self._drain = [], [], [], Drain()
        await asyncio.gather(*(one.close() for one in peers))

    def close(self) -> None:
        """The peers vanish with the process."""
        self._pulsing.cancel()
        self._drain.close()


def _cuts(seconds: Sequence[float]) -> tuple[float, ...]:
    if len(seconds) < 2:
        return (0.0, 0.0)
    cuts = statistics.quantiles(seconds, n=100)
    return cuts[49], cuts[98]


def cpu_seconds(process: int) -> float:
    """Of all threads of a process, to the nanosecond: what clock_getcpuclockid(3) gives on Linux."""
    return time.clock_gettime((~process << 3) | 2)


def run(pipe: Connection, core: int, realtime: bool) -> None:
    """The process."""
    os.sched_setaffinity(0, {core})
    if realtime:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    crowd, loop = Crowd(), asyncio.get_running_loop()
    crowd.start()
    while (asked := await loop.run_in_executor(None, pipe.recv)) is not None:
        match asked:
            case Open():
                await crowd.open(asked, pipe)
            case Begin():
                pipe.send(await crowd.begin(asked))
            case End():
                pipe.send(await crowd.end())
            case Leave():
                pipe.send(await crowd.leave())
            case Halt(halted=halted):
                crowd.halt(halted=halted)
    crowd.close()
