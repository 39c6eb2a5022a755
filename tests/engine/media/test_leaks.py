"""Peers that really connect, and then leave nothing: no memory, task, thread, descriptor or process.

SWITCHHOOK_PROFILE=large makes ten cycles of a hundred connections, the ask of the media design.
"""

import os

import pytest
import trio

from engine.media import protocol as p
from engine.media.router.fanout import batching_is_possible
from tests.bench.media.stage import Options, Stage, open_load, open_stage, open_worker
from tests.engine.media.rigs import held

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not batching_is_possible(), reason="the load reads with recvmmsg of 64-bit Linux"),
]
LARGE = os.environ.get("SWITCHHOOK_PROFILE") == "large"
CYCLES = 10 if LARGE else 4
PUBLISHERS, VIEWERS = (10, 90) if LARGE else (2, 10)
CONNECTIONS = PUBLISHERS + VIEWERS
DEADLINE_SECONDS = 120.0
WARM = 3 if LARGE else 2
"""Cycles after which everything that is made once has been made."""
GROWN_BYTES_MAX = 1024 if LARGE else 32 * 1024
"""A connection; a few pages more or less weigh heavily on few connections."""
COUNTS = ("peers_count", "tasks_count", "addresses_count", "loop_tasks_count", "threads_count")


async def cycle(stage: Stage) -> None:
    """Everybody comes, sees, and goes: each third because it was asked for, the others by themselves."""
    async with stage.host.events() as reader:
        await stage.publish(PUBLISHERS)
        viewers = await stage.view(VIEWERS, streams=PUBLISHERS)
        assert len(viewers) == VIEWERS
        report = await stage.run(0.2)
        assert report.received > 0
        for peer_id in stage.viewers[::3]:
            await stage.host.request(p.ClosePeer(peer_id=peer_id))
        await stage.load.leave()
        closed = 0
        while closed < CONNECTIONS:
            _, events = await reader.receive()
            closed += sum(isinstance(each, p.PeerClosed) for each in events)
        stage.viewers.clear()


async def test_connections_leave_nothing_in_a_worker() -> None:
    with trio.fail_after(DEADLINE_SECONDS):
        memory = await watch_cycles()
    grown = (memory[-1] - memory[WARM - 1]) / (CONNECTIONS * (CYCLES - WARM))
    print(f"grown by {grown:,.0f} bytes a connection")
    assert grown <= GROWN_BYTES_MAX


async def watch_cycles() -> list[float]:
    """The worker's memory in bytes after each cycle; everything else is as before."""
    memory = []
    async with open_stage(Options()) as stage:
        before = await stage.held()
        for number in range(CYCLES):
            await cycle(stage)
            after = await stage.held()
            memory.append(after["anonymous_bytes"])
            print(f"cycle {number}: {memory[-1] / 1024:,.0f} kB, {after['objects_count']:,.0f} objects")
            assert {name: after[name] for name in COUNTS} == {name: before[name] for name in COUNTS}
            assert after["descriptors_count"] == before["descriptors_count"]
    return memory


async def test_a_host_that_leaves_connected_peers_leaves_nothing() -> None:
    with trio.fail_after(DEADLINE_SECONDS):
        await leave_connected_peers()


async def leave_connected_peers() -> None:
    async with open_load(Options()) as load:
        before = held()
        async with open_worker(Options(), load) as stage:
            await stage.publish(PUBLISHERS)
            await stage.view(VIEWERS, streams=PUBLISHERS)
            assert (await stage.held())["peers_count"] == CONNECTIONS
            began = trio.current_time()
        print(f"left {CONNECTIONS} connected peers in {trio.current_time() - began:.3f} s")
        descriptors, threads, processes = held()
    assert descriptors == before[0]
    assert processes == before[2]
    assert threads <= before[1]
