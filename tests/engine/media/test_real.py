"""Real peers through real hosts: aiortc on a loop in a thread of its own, asked for by trio."""

import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar, cast

import anyio.to_thread
import pytest
import trio
import trio.testing
from anyio.from_thread import BlockingPortal, start_blocking_portal

from engine.media import protocol as p
from engine.media.host import HostSettings, WorkersHost
from engine.media.process import WorkerProcess, open_process_host
from engine.media.thread import open_thread_host
from tests.engine.media import rigs
from tests.engine.media.rigs import CALM, figure, held, wait_event
from tests.engine.media.router.clients import Trial, until
from tests.engine.media.router.test_aiortc import Browser, publish, view

pytestmark = pytest.mark.slow
T = TypeVar("T")
FRAMES = 10
REAL = HostSettings(limits=CALM)


class Far:
    """Where the peers run; what they ask goes to a host of trio's."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal

    async def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        return await trio.to_thread.run_sync(self._portal.call, function, *args)

    async def publish(self, host: WorkersHost) -> Browser:
        return await self.run(publish, asker(host))

    async def view(self, host: WorkersHost, peer_id: str) -> Browser:
        return await self.run(view, asker(host), peer_id)

    async def wait_frames(self, browser: Browser) -> None:
        """Until the peer has decoded sound and pictures."""
        await self.run(until, lambda: min(browser.frames.values()) >= FRAMES)


class _Asker:
    """Asks a host of trio's from asyncio."""

    def __init__(self, host: WorkersHost) -> None:
        self._host = host
        self._token = trio.lowlevel.current_trio_token()

    async def ask(self, request: p.MediaRequest) -> p.MediaAnswer:
        return await anyio.to_thread.run_sync(self._ask, request)

    def _ask(self, request: p.MediaRequest) -> p.MediaAnswer:
        return trio.from_thread.run(self._host.request, request, trio_token=self._token)


def asker(host: WorkersHost) -> Trial:
    # Peers use nothing of a trial but its `ask`.
    return cast(Trial, _Asker(host))


@pytest.fixture
def far() -> Iterator[Far]:
    with start_blocking_portal("asyncio") as portal:
        yield Far(portal)


@pytest.mark.parametrize("opener", [open_process_host, open_thread_host])
async def test_a_viewer_decodes_what_a_publisher_sends(opener: Any, far: Far) -> None:
    with trio.fail_after(60):
        async with opener(REAL) as host, host.events() as reader:
            publisher = await far.publish(host)
            await wait_event(reader, p.SourceStarted)
            viewer = await far.view(host, "bob")
            await wait_event(reader, p.PeerConnected)
            await far.wait_frames(viewer)
            await far.run(viewer.close)
            closed = await wait_event(reader, p.PeerClosed)
            assert closed == p.PeerClosed(peer_id="bob", reason=p.CloseReason.REMOTE)
            await far.run(publisher.close)
            await wait_event(reader, p.PeerClosed)
            assert await figure(host, "peers_count") == 0


async def test_after_a_worker_has_died_peers_come_back_to_a_fresh_one(far: Far) -> None:
    with trio.fail_after(60):
        async with open_process_host(REAL) as host, host.events() as reader:
            lost = [await far.publish(host), await far.view(host, "bob")]
            await far.wait_frames(lost[1])
            running = host.running[0]
            assert isinstance(running, WorkerProcess)
            os.kill(running.pid, signal.SIGKILL)
            await wait_event(reader, p.WorkerGone)
            again = [await far.publish(host), await far.view(host, "bob")]
            await far.wait_frames(again[1])
            for each in lost + again:
                await far.run(each.close)


async def test_leaving_with_100_peers_leaves_nothing() -> None:
    descriptors, _, processes = held()
    async with open_process_host(REAL) as host:
        await host.request(rigs.publish())
        async with trio.open_nursery() as nursery:
            for number in range(99):
                nursery.start_soon(host.request, rigs.view(f"viewer-{number}"))
        assert await figure(host, "peers_count") == 100
    assert held()[0] == descriptors
    assert held()[2] == processes


async def test_200_cancelled_requests_leave_the_router_as_it_was() -> None:
    async with open_process_host(REAL) as host:
        await host.request(rigs.publish())
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(host.request, rigs.view(f"viewer-{number}"))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert await figure(host, "requests_count") == 0
        # A request that was done before it heard of the cancellation is done; the id can be closed.
        for number in range(200):
            await host.request(p.ClosePeer(peer_id=f"viewer-{number}"))
        assert await figure(host, "peers_count") == 1


def two_free_ports() -> int:
    """The first of two in a row; somebody else may still be faster than the workers."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as first, socket.socket(type=socket.SOCK_DGRAM) as second:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


async def test_workers_have_ports_of_their_own() -> None:
    port = two_free_ports()
    listening = [{"host": "127.0.0.1", "port": port}]
    settings = HostSettings(workers=2, limits=CALM, config={"listening": listening})
    async with open_process_host(settings) as host:
        ports = set()
        for number in range(2):
            answer = await host.request(rigs.publish(f"peer-{number}", f"stream-{number}"))
            assert isinstance(answer, p.Answered)
            ports.add(answer.candidates[0].candidate.split(" ")[5])
    assert ports == {str(port), str(port + 1)}
