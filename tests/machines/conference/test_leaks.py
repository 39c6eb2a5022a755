"""Conferences with peers that really connect, one after another: nothing is left of any of them.

SWITCHHOOK_PROFILE=large holds two hundred.
"""

import ctypes
import gc
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from engine.app.configuration import Configuration
from engine.app.engine import Engine, open_engine
from engine.media import protocol as p
from engine.media.host import HostSettings
from engine.media.process import open_process_host
from engine.transport.limits import Limits
from machines.conference.api import API
from machines.conference.callers import Role
from machines.conference.oauth.service import ClientSettings
from machines.conference.rules.addresses import stream_address, view_address
from machines.conference.settings import ConferenceSettings
from tests.bench.conference import Connection
from tests.engine.media.rigs import CALM, held
from tests.engine.media.watched import NAME, anonymous_bytes

pytestmark = pytest.mark.slow
LARGE = os.environ.get("SWITCHHOOK_PROFILE") == "large"
CONFERENCES = 200 if LARGE else 12
WARM = 40 if LARGE else 6
"""Conferences after which everything that is made once has been made."""
GROWN_BYTES_MAX = 24 * 1024 if LARGE else 256 * 1024
"""A conference: pages of SQLite, ids and timers that are kept for a while fill up to their bounds."""
SETTLE_SECONDS = 10.0
ENDED_MAX = 5
"""Ended conferences that stay loaded: as many as ever will be, once it is warm."""
DEADLINE_SECONDS = 900.0 if LARGE else 120.0
SECRET = "a secret for the test of leaks"
PATTERN = p.PatternSource(width=64, height=48, frames_per_second=10, tone_hz=440)


@attrs.define(eq=False)
class Hall:
    """A served engine, a host of bots, and one connection to the engine."""

    engine: Engine
    media: p.MediaHost
    bots: p.MediaHost
    connection: Connection
    token: str

    async def post(self, path: str, **body: Any) -> Any:
        status, answer = await self.connection.ask("POST", f"/rtc-api/{path}", self.token, body)
        assert status in (200, 204), (path, status, answer)
        return json.loads(answer) if answer else None

    async def hold(self, number: int) -> None:
        """One conference from its creation to its end, with media that arrives."""
        place = {"conferenceId": f"c{number}", "userEndpointId": "e1"}
        await self.post("conferences/create", conferenceId=f"c{number}")
        await self.post("conferences/join", **place)
        await self._publish(place, f"p{number}")
        await self._view(place, f"v{number}")
        await self._wait_live(number)
        await self._wait_frames(f"v{number}")
        await self.post("conferences/end", **place)
        for bot in (f"p{number}", f"v{number}"):
            await self.bots.request(p.ClosePeer(peer_id=bot))

    async def _publish(self, place: dict[str, str], bot: str) -> None:
        offered = await self.bots.request(p.OpenFramePeer(peer_id=bot, send=PATTERN))
        assert isinstance(offered, p.Offered)
        told = await self.post(
            "conferences/publishStream",
            **place,
            streamId="s",
            conferenceStreamType="CAM",
            sdpOffer=offered.with_candidates(),
        )
        await self.bots.request(p.TakeAnswer(peer_id=bot, sdp_answer=told["sdpAnswer"]))

    async def _view(self, place: dict[str, str], bot: str) -> None:
        sink = p.CallableSink("tests.machines.conference.test_leaks:swallow")
        offered = await self.bots.request(p.OpenFramePeer(peer_id=bot, receive=sink))
        assert isinstance(offered, p.Offered)
        told = await self.post(
            "conferences/viewStream", **place, streamId="s", viewerId="v", sdpOffer=offered.with_candidates()
        )
        await self.bots.request(p.TakeAnswer(peer_id=bot, sdp_answer=told["sdpAnswer"]))

    async def _wait_live(self, number: int) -> None:
        for address in (stream_address(f"c{number}", "s"), view_address(f"c{number}", "s", "v")):
            while (await self.engine.runtime.snapshot(address)).state.name != "LIVE":
                await self.engine.runtime.wait_change(self.engine.runtime.family.stream_of(address))

    async def _wait_frames(self, bot: str) -> None:
        """Until a picture and sound have come through."""
        while True:
            told = await self.bots.request(p.GetStatistics(peer_id=bot))
            assert isinstance(told, p.Statistics)
            if told.values["video_received_frames"] and told.values["audio_received_samples"]:
                return
            await trio.sleep(0.02)

    async def held(self) -> dict[str, float]:
        """What the engine and its media worker hold, once the last peer is gone."""
        while True:
            told = await self.media.request(p.GetStatistics())
            assert isinstance(told, p.Statistics)
            if not told.values["peers_count"]:
                break
            await trio.sleep(0.02)
        gc.collect()
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
        descriptors, threads, processes = held()
        return {
            "descriptors": len(descriptors),
            "threads": len(threads),
            "processes": len(processes),
            "tasks": _tasks(),
            "worker descriptors": told.values["descriptors_count"],
            "worker threads": told.values["threads_count"],
            "worker tasks": told.values["loop_tasks_count"],
            "bytes": float(anonymous_bytes()),
            "worker bytes": told.values["anonymous_bytes"],
        }


async def swallow(frames: AsyncIterator[Any]) -> None:
    """A sink of bots: take frames and keep none."""
    async for _ in frames:
        pass


def _counts(figures: dict[str, float]) -> dict[str, float]:
    """What may not grow by one."""
    return {name: value for name, value in figures.items() if "bytes" not in name}


def _tasks() -> int:
    """Trio's tasks, all of them."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    count, ahead = 0, [root]
    while ahead:
        task = ahead.pop()
        count += 1
        ahead += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return count


@asynccontextmanager
async def open_hall(folder: Path) -> AsyncIterator[Hall]:
    clients = {"test": ClientSettings(secret=SECRET, organization="acme", role=Role.SERVICE)}
    settings = ConferenceSettings(clients=clients)
    configuration = Configuration(settings={"conference": settings}, server=Limits())
    worker = HostSettings(router=NAME, limits=CALM)
    async with (
        open_process_host(worker) as media,
        open_process_host(HostSettings(limits=CALM)) as bots,
        open_engine(
            f"sqlite:///{folder}/calls.db", apis=[API], configuration=configuration, media=media
        ) as engine,
        trio.open_nursery() as nursery,
    ):
        (address,) = await nursery.start(engine.serve, "127.0.0.1:0")
        stream = await trio.open_tcp_stream("127.0.0.1", int(address.rpartition(":")[2]))
        async with stream:
            connection = Connection(stream)
            path = (
                f"/security/oauth/token?grant_type=client_credentials&client_id=test&client_secret={SECRET}"
            )
            _, body = await connection.ask("POST", path.replace(" ", "%20"), "")
            hall = Hall(engine, media, bots, connection, json.loads(body)["access_token"])
            await hall.post("users/endpoints", keepAliveSeconds=3600, userEndpointId="e1")
            yield hall
        nursery.cancel_scope.cancel()


async def test_conferences_leave_nothing(tmp_path: Path) -> None:
    with trio.fail_after(DEADLINE_SECONDS):
        async with open_hall(tmp_path) as hall:
            hall.engine.runtime.dispatcher._streams._ended_max = ENDED_MAX
            for number in range(WARM):
                await hall.hold(number)
            before = await hall.held()
            for number in range(WARM, CONFERENCES):
                await hall.hold(number)
            after = await hall.held()
    grown = {
        name: (after.pop(name) - before.pop(name)) / (CONFERENCES - WARM)
        for name in ("bytes", "worker bytes")
    }
    print(f"{CONFERENCES} conferences; bytes a conference: {grown}; held: {_counts(after)}")
    assert _counts(after) == _counts(before)
    assert grown["bytes"] <= GROWN_BYTES_MAX
    assert grown["worker bytes"] <= GROWN_BYTES_MAX
