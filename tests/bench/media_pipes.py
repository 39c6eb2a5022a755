"""A pipe to a second worker: what a packet costs on either side, and how much later it is there."""

import asyncio
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import trio
from anyio.from_thread import start_blocking_portal

from engine.media import protocol as p
from engine.media.host import HostSettings
from engine.media.process import open_process_host
from engine.media.rights import packet_pair
from engine.media.router.fanout import PortableFanout
from engine.media.router.pipe import FarEnd, HomeEnd, PipeAround
from engine.media.router.rtp import HEADER
from engine.media.router.source import Source
from engine.media.router.tally import Tally
from tests.bench.report import Figure
from tests.engine.media.rigs import CALM
from tests.engine.media.router import clients
from tests.engine.media.router.clients import VP8_DELTA, VP8_KEY, Client
from tests.engine.media.router.test_source import VIDEO
from tests.engine.media.test_real import Far, asker

BODY_BYTES = 1165
BURST = 60
"""Packets that fit into a pipe, sent before it is read."""
ROUNDS = 300
SENT = 1200
"""In less than ten seconds: these viewers say nothing, and would be given up."""
PACE_SECONDS = 0.005
MICRO = 1e6


def figures() -> Iterator[Figure]:
    """CPU, system time included, then delays between two worker processes."""
    yield from asyncio.run(_costs())
    yield from trio.run(_delays)


async def _costs() -> list[Figure]:
    ours, theirs = packet_pair()
    around = PipeAround(clock=time.monotonic, fault=_fail, fanout=PortableFanout, tally=Tally())
    plain, carried = _source(), _source()
    home = HomeEnd(ours, {VIDEO.kind: VIDEO}, [carried], around)
    far = FarEnd(theirs, "s", around, lambda _: None)
    numbers = iter(range(1, 1 << 30))
    bare = packet_pair()
    seconds: dict[str, list[float]] = {"send": [], "recv": [], "plain": [], "home": [], "far": []}
    for _ in range(ROUNDS):
        packets = [
            HEADER.pack(0x80, 96, next(numbers) & 0xFFFF, 0, 1000) + bytes(BODY_BYTES) for _ in range(BURST)
        ]
        seconds["send"].append(_cpu(partial(_each, bare[0].send, packets)))
        seconds["recv"].append(_cpu(partial(_each, bare[1].recv, [2048] * BURST)))
        take = partial(_take, plain)
        seconds["plain"].append(_cpu(partial(_each, take, packets)))
        take = partial(_take, carried)
        seconds["home"].append(_cpu(partial(_each, take, packets)))
        seconds["far"].append(_cpu(far.pipe._readable))
    assert far.sources[0].reception.received == BURST * ROUNDS
    for one in (home, far, *bare):
        one.close()
    each = {name: MICRO * statistics.median(values) / BURST for name, values in seconds.items()}
    note = f"{12 + BODY_BYTES} bytes, no viewer, median of {ROUNDS} rounds"
    return [
        Figure("home: a pipe", each["home"] - each["plain"], "us/packet", None, "", note),
        Figure("far: read and take", each["far"], "us/packet", None, "", note),
        Figure("far: of that, the source's", each["plain"], "us/packet", None, "", "the same as at home"),
        Figure(
            "floor: send, recv",
            each["send"] + each["recv"],
            "us/packet",
            None,
            "",
            "bare sockets, both sides",
        ),
    ]


def _source() -> Source:
    return Source(VIDEO, None, PortableFanout(), lambda _: None, Tally())


def _take(source: Source, packet: bytes) -> None:
    source.take(packet, time.monotonic())


def _each(function: Callable[[Any], object], values: list[Any]) -> None:
    for one in values:
        function(one)


def _cpu(function: Callable[[], object]) -> float:
    before = time.process_time()
    function()
    return time.process_time() - before


def _fail(_: str, error: BaseException) -> None:
    raise error


async def _delays() -> list[Figure]:
    settings = HostSettings(workers=2, viewers_per_worker=1, limits=CALM)
    with start_blocking_portal("asyncio") as portal:
        far = Far(portal)
        async with open_process_host(settings) as host:
            asks = asker(host)
            publisher = await far.run(clients.publish, asks)
            viewers = [await far.run(clients.view, asks, name) for name in ("near", "away")]
            for name in ("near", "away"):
                while not await _is_connected(host.request, name):  # noqa: ASYNC110 # workers set no event
                    await trio.sleep(0.01)
            arrived = await far.run(_film, publisher, viewers)
            for one in (publisher, *viewers):
                await far.run(one.close)
    near, away = ({sent: at - sent for sent, at in one} for one in arrived)
    added = [away[sent] - near[sent] for sent in near.keys() & away.keys()]
    return [
        *_spread("delay, viewer at home", list(near.values())),
        *_spread("delay, viewer at far", list(away.values())),
        *_spread("of the same packet, added", added),
    ]


def _spread(name: str, seconds: list[float]) -> Iterator[Figure]:
    cuts, lost = statistics.quantiles(seconds, n=100), f"{SENT - len(seconds)} of {SENT} lost"
    yield Figure(f"{name}, p50", 1000 * cuts[49], "ms", None, "", lost)
    yield Figure(f"{name}, p99", 1000 * cuts[98], "ms", None, "", lost)


async def _is_connected(request: Callable[..., Any], peer_id: str) -> bool:
    answer = await request(p.GetStatistics(peer_id=peer_id))
    assert isinstance(answer, p.Statistics)
    return bool(answer.values["connected_count"])


async def _film(publisher: Client, viewers: list[Client]) -> list[list[tuple[float, float]]]:
    """For each viewer, when each packet was sent, as it says itself, and when it came."""
    for number in range(SENT):
        body = (VP8_KEY if number % 200 == 0 else VP8_DELTA).ljust(BODY_BYTES, b"x")
        publisher.send_rtp(number, 90 * number, body + struct.pack("!d", time.monotonic()))
        await asyncio.sleep(PACE_SECONDS)
    await asyncio.sleep(0.2)
    return [
        [
            (struct.unpack("!d", packet[-8:])[0], at)
            for packet, (at, _) in zip(one.rtp, one.arrived, strict=True)
        ]
        for one in viewers
    ]
