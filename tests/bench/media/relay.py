"""aiortc's own way to forward: MediaRelay between RTCPeerConnections, which encodes for each viewer."""

import asyncio
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole, MediaRelay
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from av import VideoFrame

from tests.bench.media.crowd import cpu_seconds
from tests.bench.media.stage import LOAD_CORE, WORKER_CORE, Options
from tests.bench.report import Figure

VIEWERS = 2
WIDTH, HEIGHT = 1280, 720
SETTLE_SECONDS = 3.0
"""Until encoders have found their bitrate."""


def relay(options: Options) -> Iterator[Figure]:
    """CPU of the forwarding process for each viewer more, of 720p30 and voice."""
    spent = _measure(options)
    for count in range(1, VIEWERS + 1):
        note = f"{WIDTH}x{HEIGHT} VP8 and Opus; each is encoded anew for each viewer"
        yield Figure(f"aiortc's MediaRelay, viewers: {count}", 100 * spent[count], "% CPU", note=note)
    each = 100 * (spent[VIEWERS] - spent[0]) / VIEWERS
    yield Figure("  for each viewer", each, "% CPU", note="of one core, beside what `capacity` says of ours")


class _Picture(VideoStreamTrack):
    """A grey wall at 30 pictures a second, drawn once and noisy enough to cost an encoder something."""

    def __init__(self) -> None:
        super().__init__()
        self._frames = []
        for _ in range(4):
            frame = VideoFrame(width=WIDTH, height=HEIGHT)
            for plane in frame.planes:
                plane.update(bytes(128 + (byte & 15) for byte in os.urandom(plane.line_size)) * plane.height)
            self._frames.append(frame)
        self._number = 0

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = self._frames[self._number % len(self._frames)]
        self._number += 1
        frame.pts, frame.time_base = pts, time_base
        return frame


def _measure(options: Options) -> Sequence[float]:
    """The share of a core by viewers, from none on; peers are in a process beside the one that forwards."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server_end, client_end = context.Pipe()
    server = context.Process(target=_run, args=(_forward, server_end, WORKER_CORE), daemon=True)
    client = context.Process(target=_run, args=(_clients, client_end, LOAD_CORE, theirs), daemon=True)
    server.start()
    client.start()
    try:
        assert server.pid is not None
        return [_share(ours, server.pid, options.seconds) for _ in range(VIEWERS + 1)]
    finally:
        for one in (server, client):
            one.kill()
            one.join()


def _share(pipe: Connection, process: int, seconds: float) -> float:
    pipe.send("next")
    assert pipe.poll(30), "no peer has connected"
    pipe.recv()
    time.sleep(SETTLE_SECONDS)
    before = cpu_seconds(process)
    time.sleep(seconds)
    return (cpu_seconds(process) - before) / seconds


def _run(main: Any, pipe: Connection, core: int, *more: Any) -> None:
    os.sched_setaffinity(0, {core})
    # Decoders have threads that are not daemons.
    threading.Thread(target=asyncio.run, args=(main(pipe, *more),), daemon=True).start()
    threading.Event().wait()


async def _receive(pipe: Connection) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, pipe.recv)


def _connection() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def _forward(pipe: Connection) -> None:
    shared, tracks, connections = MediaRelay(), list[Any](), []
    while True:
        offer = RTCSessionDescription(await _receive(pipe), "offer")
        connection = _connection()
        connections.append(connection)
        if not tracks:
            connection.on("track", tracks.append)
        else:
            for track in tracks:
                connection.addTrack(shared.subscribe(track))
        await connection.setRemoteDescription(offer)
        await connection.setLocalDescription(await connection.createAnswer())
        pipe.send(connection.localDescription.sdp)


async def _clients(pipe: Connection, orders: Connection) -> None:
    """The first one publishes, the others view."""
    kept: list[Any] = []
    while await _receive(orders):
        connection, sink = _connection(), MediaBlackhole()
        kept += [connection, sink]
        connected = asyncio.Event()
        connection.on("track", sink.addTrack)
        connection.on("connectionstatechange", connected.set)
        for track in (AudioStreamTrack(), _Picture()):
            if len(kept) == 2:
                connection.addTrack(track)
            else:
                connection.addTransceiver(track.kind, direction="recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        pipe.send(connection.localDescription.sdp)
        answer = RTCSessionDescription(await _receive(pipe), "answer")
        await connection.setRemoteDescription(answer)
        while connection.connectionState != "connected":
            await connected.wait()
            connected.clear()
        await sink.start()
        orders.send("connected")
