"""The conference API: requests a second and parked polls without media, and a first frame in a browser."""

import json
import os
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.bench.report import Figure
from tests.browser.browser import Browser, launched, missing
from tests.browser.venue import open_venue
from tests.chaos.kill import Server
from tests.engine.media.rigs import OFFER, VIEW_OFFER

USERS = 1_000
ROOM = 25
"""Users of one conference."""

IN_FLIGHT = 32
POLLS = 1_000
ROUNDS = 5
VIEWERS = 12
"""Pages that view, one after another."""

TICKS = os.sysconf("SC_CLK_TCK")

_CONFIGURATION = """
[media]
driver = "fake"
[server]
connections_max = 5000
[conference]
poll_seconds = 60.0
[conference.clients.bench]
secret = "a secret for the benchmark"
organization = "acme"
role = "SERVICE"
"""


@attrs.define(eq=False)
class Connection:
    """One HTTP connection that is kept open; httpx would cost more than the server that is measured."""

    stream: trio.SocketStream
    rest: bytes = b""

    async def ask(self, method: str, path: str, token: str, body: Any = None) -> tuple[int, bytes]:
        """(status, body) of one request."""
        text = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\n"
        head += f"Authorization: Bearer {token}\r\n" if token else ""
        head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        await self.stream.send_all(head.encode() + text)
        return await self._answer()

    async def _answer(self) -> tuple[int, bytes]:
        while b"\r\n\r\n" not in self.rest:
            await self._read()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        size = next(
            (int(line[16:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")),
            0,
        )
        while len(self.rest) < size:
            await self._read()
        body, self.rest = self.rest[:size], self.rest[size:]
        return int(head[9:12]), body

    async def _read(self) -> None:
        data = await self.stream.receive_some()
        assert data, "the server closed a connection"
        self.rest += bytes(data)


@attrs.define(eq=False)
class Load:
    """A server, and the connections of everybody who asks it."""

    server: Server
    connections: list[Connection] = attrs.field(factory=list)
    token: str = ""

    async def connect(self, count: int) -> None:
        while len(self.connections) < count:
            stream = await trio.open_tcp_stream("127.0.0.1", self.server.port)
            self.connections.append(Connection(stream))

    async def sign_in(self) -> None:
        path = "/security/oauth/token?grant_type=client_credentials&client_id=bench"
        path += "&client_secret=a%20secret%20for%20the%20benchmark"
        status, body = await self.connections[0].ask("POST", path, "")
        assert status == 200, body
        self.token = json.loads(body)["access_token"]

    async def post(self, connection: Connection, path: str, **body: Any) -> Any:
        status, answer = await connection.ask("POST", f"/rtc-api/{path}", self.token, body)
        assert status in (200, 204), (path, status, answer)
        return answer

    async def all(self, count: int, one: Callable[[Connection, int], Awaitable[Any]]) -> tuple[float, float]:
        """(a second, server's CPU microseconds each) of `count` requests, IN_FLIGHT at a time."""
        numbers = iter(range(count))
        cpu, began = self.cpu_seconds(), trio.current_time()

        async def work(connection: Connection) -> None:
            for number in numbers:
                await one(connection, number)

        async with trio.open_nursery() as nursery:
            for connection in self.connections[:IN_FLIGHT]:
                nursery.start_soon(work, connection)
        took = trio.current_time() - began
        return count / took, 1e6 * (self.cpu_seconds() - cpu) / count

    def cpu_seconds(self) -> float:
        assert self.server.process is not None
        fields = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def figures() -> Iterator[Figure]:
    """Join, publish and view; the long polls; the first frame in Chromium, where there is one."""
    with tempfile.TemporaryDirectory() as folder:
        yield from trio.run(_measure, Path(folder))
    lack = missing()
    if lack is not None:
        yield Figure("viewStream to first frame", float("nan"), "ms", note=f"not measured: there is {lack}")
        return
    with launched() as browser:
        yield from trio.run(_first_frames, browser)


async def _measure(folder: Path) -> list[Figure]:
    server = Server(folder)
    server.config.write_text(_CONFIGURATION)
    await server.start()
    load = Load(server)
    await load.connect(IN_FLIGHT)
    await load.sign_in()
    try:
        return [*await _requests(load), *await _polls(load)]
    finally:
        await server.stop()


async def _requests(load: Load) -> list[Figure]:
    async def healthz(connection: Connection, _number: int) -> None:
        await connection.ask("GET", "/healthz", load.token)

    async def register(connection: Connection, number: int) -> None:
        await load.post(connection, "users/endpoints", keepAliveSeconds=3600, userEndpointId=f"e{number}")

    async def keep(connection: Connection, number: int) -> None:
        await load.post(connection, "users/endpoints/keepalive", userEndpointId=f"e{number % USERS}")

    async def create(connection: Connection, number: int) -> None:
        await load.post(connection, "conferences/create", conferenceId=f"c{number}")

    async def join(connection: Connection, number: int) -> None:
        await load.post(connection, "conferences/join", **_place(number), metadata={"name": f"user {number}"})

    async def publish(connection: Connection, number: int) -> None:
        stream = {"streamId": f"s{number}", "conferenceStreamType": "CAM", "sdpOffer": OFFER}
        await load.post(connection, "conferences/publishStream", **_place(number), **stream)

    async def view(connection: Connection, number: int) -> None:
        neighbour = number - number % ROOM + (number + 1) % ROOM
        stream = {"streamId": f"s{neighbour}", "viewerId": f"v{number}", "sdpOffer": VIEW_OFFER}
        await load.post(connection, "conferences/viewStream", **_place(number), **stream)

    floor, floor_cpu = await load.all(4 * USERS, healthz)
    said = [Figure("GET /healthz", floor, "/s", note=f"the server's floor: {floor_cpu:.0f} us CPU each")]
    endpoints = (("register", register, USERS), ("keepalive", keep, 4 * USERS))
    steps = (*endpoints, ("create", create, USERS // ROOM), ("join", join, USERS))
    for name, one, count in (*steps, ("publish", publish, USERS), ("view", view, USERS)):
        rate, cpu = await load.all(count, one)
        note = f"{cpu:,.0f} us of the server's CPU each; the ratio is to /healthz"
        said.append(Figure(f"{name}, {IN_FLIGHT} in flight", rate, "/s", ratio=rate / floor, note=note))
    return said


def _place(number: int) -> dict[str, str]:
    return {"conferenceId": f"c{number // ROOM}", "userEndpointId": f"e{number}"}


async def _polls(load: Load) -> list[Figure]:
    await load.connect(POLLS + 1)
    speaker, *pollers = load.connections
    _, body = await speaker.ask("GET", "/rtc-api/conferences/c0", load.token)
    version = json.loads(body)["version"]
    cpu = load.cpu_seconds()
    took = [await _round(load, speaker, pollers, version + number) for number in range(ROUNDS)]
    spent = 1e6 * (load.cpu_seconds() - cpu) / (ROUNDS * POLLS)
    return [
        Figure(
            f"{POLLS:,} parked polls, one event to the last answer",
            1000 * statistics.median(took),
            "ms",
            note=f"median of {ROUNDS}; {spent:.0f} us of the server's CPU a poll, parking included",
        )
    ]


async def _round(load: Load, speaker: Connection, pollers: list[Connection], version: int) -> float:
    path = f"/rtc-api/conferences/c0/events?v={version}"

    async def poll(connection: Connection) -> None:
        status, body = await connection.ask("GET", path, load.token)
        assert (status, len(json.loads(body))) == (200, 1), body

    async with trio.open_nursery() as nursery:
        for connection in pollers[:POLLS]:
            nursery.start_soon(poll, connection)
        # All are parked when the server has been idle for a moment.
        await trio.sleep(2.0)
        began = trio.current_time()
        await load.post(
            speaker, "conferences/updateMetadata", **_place(0), operation="SET", key="ON_HOLD", value="yes"
        )
    return trio.current_time() - began


async def _first_frames(browser: Browser) -> list[Figure]:
    """One publishes; viewers come one after another, each with a page of his own."""
    frames = []
    async with open_venue(browser) as venue:
        await venue.publisher("ann")
        for _ in range(VIEWERS):
            bob = await venue.person("bob")
            frames.append(float((await bob.until_it_plays())["firstFrame"]))
            await bob.page.shut()
    return [
        Figure(
            "viewStream to first frame, median",
            statistics.median(frames),
            "ms",
            ask="<= 2000 ms",
            note=f"{browser.version}, {VIEWERS} viewers one after another, worst {max(frames):.0f} ms",
        )
    ]
