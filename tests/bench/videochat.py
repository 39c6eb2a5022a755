"""The videochat handshake over real sockets: the server's CPU a call, and what an idle device costs."""

import base64
import contextlib
import json
import os
import resource
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import trio

from engine.app.users import SqliteUsers, User
from engine.transport.websocket import connect
from tests.bench.report import Figure
from tests.chaos.kill import Server
from tests.machines.videochat.wiretap import Phone

HANDSHAKES = 400
IDLE = 10_000
TICKS = os.sysconf("SC_CLK_TCK")


def figures() -> Iterator[Figure]:
    """CPU of a handshake; memory of an idle authenticated socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield from trio.run(_handshakes, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        yield from trio.run(_idle, Path(folder))


async def _handshakes(folder: Path) -> list[Figure]:
    server, tokens = await _started(folder, ["ann", "bob"])
    async with contextlib.AsyncExitStack() as stack:
        phones: dict[tuple[str, str], Phone] = {}
        for user in ("ann", "bob"):
            for device in ("d1", "d2"):
                link = await stack.enter_async_context(connect(server.url))
                phone = phones[user, device] = Phone(link, user)
                await phone.send("authenticate", {"token": tokens[user], "device": device})
                await phone.hear("user_info")
        await _call(phones)
        cpu, begun = _cpu_seconds(server), trio.current_time()
        for _ in range(HANDSHAKES):
            await _call(phones)
        spent, took = _cpu_seconds(server) - cpu, trio.current_time() - begun
    await server.stop()
    each = 1e6 * spent / HANDSHAKES
    return [
        Figure(
            "handshake over four sockets, server CPU",
            each,
            "us",
            note="request, ring on 2 devices, accept, 4 told, about 13 events journaled with fsync",
        ),
        Figure("handshakes one after another", HANDSHAKES / took, "/s", note="latency, one pair"),
    ]


async def _call(phones: dict[tuple[str, str], Phone]) -> None:
    ann, one, two = phones["ann", "d1"], phones["bob", "d1"], phones["bob", "d2"]
    request = await ann.request("bob")
    for phone in (one, two):
        await phone.hear("videochatRequested")
    await one.ask("acceptVideochatRequest", {"videochatRequestId": request})
    for phone in (one, two):
        await phone.hear("videochatAccepted")
    await ann.hear("directVideochatRequestAccepted")


async def _idle(folder: Path) -> list[Figure]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(IDLE, hard - 200)
    names = [f"u{number}" for number in range(count)]
    server, tokens = await _started(folder, names)
    before = _rss_bytes(server)
    cpu = _cpu_seconds(server)
    sockets = await trio.to_thread.run_sync(_open_all, server.port, [tokens[name] for name in names])
    after = _rss_bytes(server)
    joining = 1e6 * (_cpu_seconds(server) - cpu) / count
    cpu = _cpu_seconds(server)
    await trio.sleep(10)
    idle = (_cpu_seconds(server) - cpu) / 10
    for one in sockets:
        one.close()
    await server.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return [
        Figure("idle authenticated sockets", count, "", note="one user and one device each"),
        Figure(
            "memory of one", (after - before) / count / 1024, "KB", note="socket, session, line, follower"
        ),
        Figure("joining, server CPU each", joining, "us", note="upgrade, authenticate, read the line"),
        Figure("all of them idle, server CPU", 100 * idle, "% of a core"),
    ]


def _open_all(port: int, tokens: list[str]) -> list[socket.socket]:
    sockets = []
    for number, token in enumerate(tokens):
        one = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        one.sendall(
            f"GET /videochat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            + _masked(json.dumps({"type": "authenticate", "data": {"token": token, "device": f"d{number}"}}))
        )
        sockets.append(one)
        if number % 100 == 99:
            _wait_for_info(one)
    for one in sockets:
        _wait_for_info(one)
    return sockets


def _wait_for_info(one: socket.socket) -> None:
    one.settimeout(30)
    while b"user_info" not in one.recv(65536, socket.MSG_PEEK):
        pass


def _masked(text: str) -> bytes:
    payload = text.encode()
    size = struct.pack("!BBH", 0x81, 0x80 | 126, len(payload))
    return size + b"\0\0\0\0" + payload


async def _started(folder: Path, names: list[str]) -> tuple[Server, dict[str, str]]:
    users = SqliteUsers(folder / "calls.db")
    tokens = {}
    for name in names:
        await users.set(User(id=name))
        tokens[name] = await users.add_token(name)
    server = Server(folder)
    await server.start()
    return server, tokens


def _cpu_seconds(server: Server) -> float:
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss_bytes(server: Server) -> int:
    assert server.process is not None
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")
