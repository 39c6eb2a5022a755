"""Janus's videoroom under the same load, driven over its Unix socket; only where it is installed."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.bench.media.crowd import Open, lost
from tests.bench.media.floor import calibrate
from tests.bench.media.forwarding import AV_VIEWERS, MICRO, MILLI, Measured
from tests.bench.media.peers import AV
from tests.bench.media.stage import BATCH, CORES, WORKER_CORE, Load, Options, open_load, pin
from tests.bench.report import Figure

ROOM = 1
STARTS = 10
ANSWER_SECONDS = 10.0
_LIBRARIES = "/usr/lib/x86_64-linux-gnu/janus"
_CONFIGURATION = """
general: {{
    configs_folder = "{folder}"
    plugins_folder = "{libraries}/plugins"
    transports_folder = "{libraries}/transports"
    events_folder = "{libraries}/events"
    loggers_folder = "{libraries}/loggers"
    debug_level = 1
    session_timeout = 0
    event_loops = 1
}}
nat: {{ ice_lite = true, ice_enforce_list = "{host}" }}
plugins: {{ disable = "{plugins}" }}
transports: {{ disable = "{transports}" }}
"""
_TRANSPORT = 'general: {{ enabled = true, path = "{path}", type = "SOCK_SEQPACKET" }}\nadmin: {{ }}\n'


def janus(options: Options) -> Iterator[Figure]:
    """CPU per forwarded packet, with its one event loop on our worker's core."""
    if shutil.which("janus") is None or not Path(_LIBRARIES).is_dir():
        yield Figure("janus", 0, "", note="not installed: apt-get install janus")
        return
    measured = trio.run(_measure, options)
    one = measured.report
    note = f"of calibrate; {AV_VIEWERS} AV viewers, event_loops=1"
    yield Figure("janus", MICRO * one.cpu_per_packet, "us/packet", measured.per_packet, note=note)
    p50, p99 = (MILLI * each for each in one.latencies)
    note = f"{one.received / one.seconds:,.0f} packets/s; latency p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    yield Figure(
        "  janus", 100 * one.cpu_fraction, "% CPU", measured.scaled(100 * one.cpu_fraction), note=note
    )
    yield lost(one)


async def _measure(options: Options) -> Measured:
    async with open_load(options) as load, _running(options) as (process, room):
        await load.open(Open(publishers=True, count=1, kinds=AV, host=_host()), room.publish)
        for first in range(0, AV_VIEWERS, BATCH):
            size = min(BATCH, AV_VIEWERS - first)
            asked = Open(publishers=False, count=size, kinds=AV, first=first, of=AV_VIEWERS, host=_host())
            await load.open(asked, room.view)
        before = await _floor(load)
        report = await load.run(options.seconds, process)
        return Measured(report, (before + await _floor(load)) / 2)


async def _floor(load: Load) -> float:
    load.halt(halted=True)
    await trio.sleep(0.1)
    try:
        return calibrate(WORKER_CORE)
    finally:
        load.halt(halted=False)


@asynccontextmanager
async def _running(options: Options) -> AsyncIterator[tuple[int, "_Room"]]:
    with tempfile.TemporaryDirectory() as name:
        _configure(Path(name))
        process, sock = await _started(Path(name))
        _pin(process.pid, options)
        try:
            room = _Room(sock)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(room.listen)
                await room.open()
                yield process.pid, room
                nursery.cancel_scope.cancel()
        finally:
            process.kill()
            process.wait()


async def _started(folder: Path) -> tuple["subprocess.Popen[bytes]", trio.socket.SocketType]:
    """It races with itself at its start, and then ends at once."""
    for _ in range(STARTS):
        process = _start(folder)
        sock = trio.socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        while process.poll() is None:
            try:
                await sock.connect(str(folder / "api"))
            except OSError:
                await trio.sleep(0.1)
            else:
                return process, sock
        sock.close()
    raise RuntimeError("janus does not start")


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        ["janus", "-F", str(folder)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_unpinned,
    )


def _pin(process: int, options: Options) -> None:
    for thread in Path(f"/proc/{process}/task").iterdir():
        pin(int(thread.name), WORKER_CORE, realtime=options.realtime)


def _unpinned() -> None:
    """On one core it nearly always loses the race."""
    os.sched_setaffinity(0, set(CORES))


def _configure(folder: Path) -> None:
    others = {
        kind: ",".join(
            sorted(one.name for one in Path(_LIBRARIES, kind).glob("*.so") if keep not in one.name)
        )
        for kind, keep in (("plugins", "videoroom"), ("transports", "pfunix"))
    }
    text = _CONFIGURATION.format(folder=folder, libraries=_LIBRARIES, host=_host(), **others)
    (folder / "janus.jcfg").write_text(text)
    (folder / "janus.transport.pfunix.jcfg").write_text(_TRANSPORT.format(path=folder / "api"))
    (folder / "janus.plugin.videoroom.jcfg").write_text("general: { }\n")


def _host() -> str:
    """An address of this machine; Janus does not offer the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # A datagram socket that connects sends nothing.
        probe.connect(("198.51.100.1", 9))
        found: str = probe.getsockname()[0]
        return found


class _Room:
    """A session with one video room; a handle for each peer."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._sock = sock
        self._waiting: dict[str, tuple[bool, trio.Event, list[dict[str, Any]]]] = {}
        self._session = 0
        self._publisher = 0

    async def listen(self) -> None:
        while True:
            said = json.loads(await self._sock.recv(1 << 20))
            wanted = self._waiting.get(said.get("transaction", ""))
            # An acknowledgement comes before the event that is waited for.
            if wanted is not None and not (wanted[0] and said["janus"] == "ack"):
                wanted[2].append(said)
                wanted[1].set()

    async def _ask(self, kind: str, **more: Any) -> dict[str, Any]:
        number = str(len(self._waiting))
        event, said = trio.Event(), list[dict[str, Any]]()
        self._waiting[number] = kind == "message", event, said
        session = {"session_id": self._session} if self._session else {}
        text = json.dumps({"janus": kind, "transaction": number, **session, **more})
        await self._sock.send(text.encode())
        with trio.fail_after(ANSWER_SECONDS):
            await event.wait()
        answer = said[0]
        assert "error" not in {**answer, **answer.get("plugindata", {}).get("data", {})}, answer
        return answer

    async def _handle(self) -> int:
        attached = await self._ask("attach", plugin="janus.plugin.videoroom")
        handle: int = attached["data"]["id"]
        return handle

    async def open(self) -> None:
        """Make the session and the room."""
        self._session = (await self._ask("create"))["data"]["id"]
        room = {
            "request": "create",
            "room": ROOM,
            "publishers": 10,
            "videocodec": "vp8",
            "audiocodec": "opus",
        }
        await self._ask("message", handle_id=await self._handle(), body={**room, "bitrate": 6_000_000})

    async def publish(self, _: int, offer: str) -> str:
        """The answer to a publisher."""
        body = {
            "request": "joinandconfigure",
            "room": ROOM,
            "ptype": "publisher",
            "audio": True,
            "video": True,
        }
        said = await self._ask(
            "message",
            handle_id=await self._handle(),
            body=body,
            jsep={"type": "offer", "sdp": _as_client(offer)},
        )
        self._publisher = said["plugindata"]["data"]["id"]
        answer: str = said["jsep"]["sdp"]
        return answer

    async def view(self, _: int, offer: str) -> str:
        """Janus offers to viewers, so the viewer's offer is turned into an answer."""
        handle = await self._handle()
        streams = [{"feed": self._publisher}]
        body = {"request": "join", "ptype": "subscriber", "room": ROOM, "streams": streams}
        said = await self._ask("message", handle_id=handle, body=body)
        answer = {"type": "answer", "sdp": _as_client(offer)}
        await self._ask("message", handle_id=handle, body={"request": "start"}, jsep=answer)
        theirs: str = said["jsep"]["sdp"]
        return theirs


def _as_client(sdp: str) -> str:
    """The load's peers are DTLS clients."""
    return sdp.replace("a=setup:actpass", "a=setup:active")
