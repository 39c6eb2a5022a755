"""One stream on two worker processes: what its viewers get, what crosses, and every end of it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from aiortc.rtp import RtcpSenderInfo
from anyio.from_thread import start_blocking_portal

from engine.media import protocol as p
from engine.media.host import HostSettings, WorkersHost
from engine.media.process import WorkerProcess, open_process_host
from engine.media.router import rtcp
from engine.media.thread import open_thread_host
from tests.engine.media.rigs import CALM, events_until, figure, wait_event
from tests.engine.media.router import clients
from tests.engine.media.router.clients import VP8_KEY, Client, until
from tests.engine.media.router.test_router import PACKETS, send_film, send_layers, shown
from tests.engine.media.test_real import Far, asker

pytestmark = pytest.mark.slow
TWO = HostSettings(workers=2, viewers_per_worker=1, linger_seconds=0.05, limits=CALM)
AUDIO = 111


class Room:
    """A publisher, a viewer at home and one far away, each with a real connection."""

    def __init__(self, host: WorkersHost, far: Far, reader: trio.MemoryReceiveChannel[p.Batch]) -> None:
        self.host, self.reader, self._far = host, reader, far
        self.publisher: Client
        self.near: Client
        self.away: Client

    async def run(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return await self._far.run(function, *args)

    async def view(self, peer_id: str) -> Client:
        viewer: Client = await self.run(clients.view, asker(self.host), peer_id)
        while not (await self.figures(peer_id))["connected_count"]:  # noqa: ASYNC110 # see wait_figure
            await trio.sleep(0.005)
        return viewer

    async def fill(self, **more: Any) -> None:
        ask = asker(self.host)
        self.publisher = await self.run(lambda: clients.publish(ask, **more))
        self.near = await self.view("near")
        self.away = await self.view("away")

    async def figures(self, peer_id: str) -> dict[str, float]:
        answer = await self.host.request(p.GetStatistics(peer_id=peer_id))
        assert isinstance(answer, p.Statistics)
        return dict(answer.values)

    async def wait_figure(self, name: str, value: float) -> None:
        with trio.fail_after(10):
            while await figure(self.host, name) != value:  # noqa: ASYNC110 # workers set no event
                await trio.sleep(0.005)

    async def wait_closed(self, peer_id: str, reason: p.CloseReason) -> list[p.MediaEvent]:
        """What happens up to this end."""
        last = p.PeerClosed(peer_id=peer_id, reason=reason)
        return [event for _, event in await events_until(self.reader, last)]

    def kill(self, worker: int) -> None:
        running = self.host.running[worker]
        assert isinstance(running, WorkerProcess)
        os.kill(running.pid, signal.SIGKILL)

    async def send_and_see(self, *viewers: Client, first: int) -> None:
        """A film reaches these viewers whole."""

        async def main() -> None:
            before = [len(shown(one)) for one in viewers]
            numbers = await send_film(self.publisher, first)
            for one, count in zip(viewers, before, strict=True):
                await until(lambda one=one, count=count: shown(one)[count:] == numbers)

        await self.run(main)


@asynccontextmanager
async def open_room(
    far: Far, opener: Callable[..., Any] = open_process_host, **more: Any
) -> AsyncIterator[Room]:
    with trio.fail_after(60):
        async with opener(TWO) as host, host.events() as reader:
            room = Room(host, far, reader)
            await room.fill(**more)
            yield room
            await far.run(_vanish)
            faults = [one for one in await _rest(reader) if isinstance(one, p.MediaFault)]
            assert not faults


async def _vanish() -> None:
    for one in Client.alive:
        one.vanish()
    Client.alive.clear()


async def _rest(reader: trio.MemoryReceiveChannel[p.Batch]) -> list[p.MediaEvent]:
    events: list[p.MediaEvent] = []
    while reader.statistics().current_buffer_used:
        events += (await reader.receive())[1]
    return events


@pytest.fixture
def far() -> Iterator[Far]:
    with start_blocking_portal("asyncio") as portal:
        yield Far(portal)


@pytest.mark.parametrize("opener", [open_process_host, open_thread_host])
async def test_viewers_on_both_workers_get_every_packet(far: Far, opener: Callable[..., Any]) -> None:
    async with open_room(far, opener) as room:
        await room.send_and_see(room.near, room.away, first=1)
        figures = await room.figures("pub")
        assert (figures["homes_count"], figures["video_sinks_count"]) == (2, 2)
        assert await figure(room.host, "pipe_dropped_packets") == 0
        assert room.near.address != room.away.address


async def test_sound_and_the_sender_s_clock_cross(far: Far) -> None:
    async def main() -> None:
        for number in range(50):
            room.publisher.send_rtp(number, 960 * number, b"voice", payload_type=AUDIO, ssrc=2000)
        info = RtcpSenderInfo(ntp_timestamp=1 << 40, rtp_timestamp=2, packet_count=3, octet_count=4)
        room.publisher.send_rtcp(rtcp.sender_report(2000, info, "x"))
        for one in (room.near, room.away):
            await until(lambda one=one: len(one.media(AUDIO)) == 50)
            await until(lambda one=one: any(hasattr(each, "sender_info") for each in one.rtcp))

    async with open_room(far) as room:
        await room.run(main)


async def test_a_far_viewer_s_request_for_a_key_frame_reaches_the_publisher(far: Far) -> None:
    async def main() -> None:
        def asked() -> int:
            return sum(rtcp.asks_for_key_frame(one) for one in room.publisher.rtcp)

        before = asked()
        # Later than what the viewers' coming has brought about.
        await asyncio.sleep(0.4)
        ssrc = int.from_bytes(room.away.rtp[-1][8:12], "big")
        room.away.send_rtcp(rtcp.picture_loss(sender=1, media=ssrc))
        await until(lambda: asked() > before)

    async with open_room(far) as room:
        await room.send_and_see(room.near, room.away, first=1)
        await room.run(main)


async def test_a_far_viewer_moves_to_another_layer_when_the_publisher_makes_its_key_frame(far: Far) -> None:
    async def main(key: bool, at: int) -> None:
        await send_layers(room.publisher, range(at, at + 10), key=key)

    def names() -> set[bytes]:
        return {payload[-1:] for _, _, payload in room.away.media()}

    async with open_room(far, simulcast=True) as room:
        await room.run(main, True, 0)
        await room.run(until, lambda: names() == {b"l"})
        asked = (await room.figures("pub"))["video_h_key_frames_asked_count"]
        await room.host.request(p.SelectLayer(peer_id="away", layer="h"))
        with trio.fail_after(10):
            while (await room.figures("pub"))["video_h_key_frames_asked_count"] == asked:  # noqa: ASYNC110
                await trio.sleep(0.005)
        await room.run(main, True, 10)
        await room.run(until, lambda: names() == {b"l", b"h"})


async def test_what_the_home_has_missed_reaches_the_far_viewer_when_it_is_sent_again(far: Far) -> None:
    async def main() -> None:
        for number in (1, 2, 4):
            room.publisher.send_rtp(number, 0, VP8_KEY + bytes((0, 0, 0, number)))
        await until(lambda: any(rtcp.asked_again(one) == [3] for one in room.publisher.rtcp))
        again = (3).to_bytes(2, "big") + VP8_KEY + bytes((0, 0, 0, 3))
        room.publisher.send_rtp(1, 0, again, payload_type=97, ssrc=1001)
        for one in (room.near, room.away):
            await until(lambda one=one: sorted(shown(one)) == [1, 2, 3, 4])

    async with open_room(far) as room:
        await room.run(main)


async def test_what_a_far_viewer_misses_comes_from_its_own_worker(far: Far) -> None:
    async with open_room(far) as room:
        await room.send_and_see(room.near, room.away, first=1)
        lost = room.away.rtp[-1]

        async def main() -> None:
            ssrc, sequence = int.from_bytes(lost[8:12], "big"), int.from_bytes(lost[2:4], "big")
            room.away.send_rtcp(rtcp.negative_acknowledgement([sequence], sender=1, media=ssrc))
            await until(lambda: room.away.media(97))

        await room.run(main)
        assert (await room.figures("away"))["video_resent_packets"] == 1


async def test_a_muted_publisher_is_muted_for_the_far_viewer_too(far: Far) -> None:
    async with open_room(far) as room:
        await room.send_and_see(room.near, room.away, first=1)
        await room.host.request(p.Mute(peer_id="pub", kind=p.Kind.VIDEO, muted=True))
        seen = len(shown(room.away))
        await room.run(send_film, room.publisher, PACKETS + 1)
        await room.host.request(p.Mute(peer_id="pub", kind=p.Kind.VIDEO, muted=False))
        await room.send_and_see(room.near, room.away, first=2 * PACKETS + 1)
        assert shown(room.away)[seen] == 2 * PACKETS + 1


async def test_the_pipe_goes_with_its_last_viewer_and_the_next_one_is_at_home(far: Far) -> None:
    async with open_room(far) as room:
        await room.run(room.away.close)
        await room.wait_closed("away", p.CloseReason.REMOTE)
        await room.wait_figure("pipes_count", 0)
        await room.run(room.near.close)
        await room.wait_closed("near", p.CloseReason.REMOTE)
        again = await room.view("again")
        assert again.address == room.near.address
        assert (await room.figures("pub"))["homes_count"] == 1
        await room.send_and_see(again, first=1)


async def test_with_the_publisher_the_far_viewer_ends(far: Far) -> None:
    async with open_room(far) as room:
        await room.run(room.publisher.close)
        await room.wait_closed("away", p.CloseReason.SOURCE_ENDED)
        await room.run(lambda: until(room.away.goodbye.is_set))
        await room.wait_figure("pipes_count", 0)
        assert await figure(room.host, "peers_count") == 0


async def test_a_drained_host_tells_so_to_the_viewers_of_both_workers(far: Far) -> None:
    async with open_room(far) as room:
        await room.host.request(p.Drain(seconds=0.02))
        closed: dict[str, p.CloseReason] = {}
        while len(closed) < 3:
            _, events = await room.reader.receive()
            closed |= {one.peer_id: one.reason for one in events if isinstance(one, p.PeerClosed)}
        assert set(closed.values()) == {p.CloseReason.DRAINED}


async def test_when_the_home_dies_every_viewer_is_told_and_may_come_back(far: Far) -> None:
    async with open_room(far) as room:
        gone = p.CloseReason.WORKER_GONE
        room.kill(0)
        events = await room.wait_closed("away", gone)
        assert p.WorkerGone(worker=0, peer_ids=("pub", "near")) in events
        assert p.PeerClosed(peer_id="near", reason=gone) in events
        await room.fill()
        await room.send_and_see(room.near, room.away, first=1)


async def test_when_the_far_worker_dies_only_its_own_viewers_are_gone(far: Far) -> None:
    async with open_room(far) as room:
        room.kill(1)
        died = await wait_event(room.reader, p.WorkerGone)
        assert died == p.WorkerGone(worker=1, peer_ids=("away",))
        await room.wait_figure("pipes_count", 0)
        await room.send_and_see(room.near, first=1)
        # Until the fresh one is there, the home takes him.
        await room.wait_figure("workers_count", 2)
        again = await room.view("again")
        assert (await room.figures("pub"))["homes_count"] == 2
        await room.send_and_see(room.near, again, first=PACKETS + 1)


def descriptor_counts(host: WorkersHost) -> list[int]:
    pids = [running.pid for running in host.running.values() if isinstance(running, WorkerProcess)]
    return [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids]


async def test_50_cascades_leave_no_descriptor_in_either_worker(far: Far) -> None:
    async with open_room(far) as room:
        request = p.View(stream_id="s", peer_id="guest", sdp_offer=room.away.offer("recvonly"))
        await room.host.request(p.ClosePeer(peer_id="away"))
        await room.wait_figure("pipes_count", 0)
        before = descriptor_counts(room.host)
        for _ in range(50):
            await room.host.request(request)
            assert await figure(room.host, "cascades_count") == 1
            await room.host.request(p.ClosePeer(peer_id="guest"))
            await room.wait_figure("pipes_count", 0)
        assert descriptor_counts(room.host) == before
