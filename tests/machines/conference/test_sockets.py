"""The events' WebSocket over real connections."""

import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio

from engine.app.configuration import Configuration
from engine.app.engine import Engine, open_engine
from engine.errors import TransportBrokenError
from engine.media.fake import open_fake_host
from engine.runtime.world import World
from engine.transport.http import HttpClient
from engine.transport.websocket import WebSocketLink, connect
from machines.conference import endpoints
from machines.conference.api import API
from machines.conference.oauth.service import ClientSettings, OauthSettings, Role
from machines.conference.settings import ConferenceSettings

pytestmark = pytest.mark.slow

SECRET = "a secret of sixteen or more"
KEY = "a signing key of more than 32 bytes"
EVENTS = 600
"""Of 4 KB each, and so more than a socket may leave unread."""


@attrs.define(eq=False)
class Hall:
    """A served conference with Ann in it."""

    address: str
    engine: Engine
    http: HttpClient
    token: str
    later: list[float]
    """How many seconds its clock is ahead."""

    @property
    def url(self) -> str:
        return self.address.replace("http", "ws") + endpoints.EVENTS_PATH

    async def post(self, path: str, **body: Any) -> int:
        answer = await self.http.request(
            "POST",
            f"{self.address}/rtc-api/{path}",
            json=body,
            headers={"authorization": f"Bearer {self.token}"},
        )
        return answer.status

    async def hold(self) -> None:
        body = {"operation": "SET", "key": "ON_HOLD", "value": "x" * 4_000}
        told = {"conferenceId": "c1", "userEndpointId": "ann-1", **body}
        assert await self.post("conferences/updateMetadata", **told) == 204


@asynccontextmanager
async def hall() -> AsyncIterator[Hall]:
    client = ClientSettings(secret=SECRET, organization="acme", role=Role.USER)
    of_api = ConferenceSettings(clients={"ann": client}, oauth=OauthSettings(signing_key=KEY))
    later = [0.0]
    world = World(clock=lambda: time.time() + later[0])
    configuration = Configuration(settings={"conference": of_api})
    async with (
        open_fake_host() as media,
        open_engine(apis=[API], configuration=configuration, media=media, world=world) as engine,
        HttpClient() as http,
        trio.open_nursery() as nursery,
    ):
        (address,) = await nursery.start(partial(engine.serve, "127.0.0.1:0"))
        form = {"grant_type": "client_credentials", "client_id": "ann", "client_secret": SECRET}
        answer = await http.request("POST", address + endpoints.TOKEN.path, form=form)
        the = Hall(address, engine, http, json.loads(answer.body)["access_token"], later)
        assert await the.post("users/endpoints", userEndpointId="ann-1", keepAliveSeconds=3600) == 200
        assert await the.post("conferences/create", conferenceId="c1") == 200
        assert await the.post("conferences/join", conferenceId="c1", userEndpointId="ann-1") == 200
        yield the
        nursery.cancel_scope.cancel()


async def read(link: WebSocketLink) -> Any:
    with trio.fail_after(10.0):
        return json.loads(await link.receive())


async def versions(link: WebSocketLink, last: int) -> list[int]:
    """Of everything up to this version."""
    seen: list[int] = []
    while not seen or seen[-1] != last:
        told = await read(link)
        seen += [told["conferenceVersion"]] if "conferenceVersion" in told else []
    return seen


async def test_a_token_opens_a_socket_from_the_query_and_from_the_header() -> None:
    async with hall() as the:
        async with connect(f"{the.url}?access_token={the.token}&conferenceId=c1&since=0") as link:
            assert (await read(link))["type"] == "following"
            assert (await read(link))["type"] == "ConferenceJoinedEvent"
        headers = (("authorization", f"Bearer {the.token}"),)
        async with connect(the.url, headers=headers) as link:
            await link.send('{"type":"follow","conferenceId":"c1","since":0}')
            assert (await read(link))["version"] == 1
        for query in ("", "?access_token=nonsense"):
            with pytest.raises(TransportBrokenError):
                async with connect(the.url + query):
                    pytest.fail("it was let in")


async def test_who_comes_back_misses_nothing_and_hears_nothing_twice() -> None:
    async with hall() as the:
        heard: list[int] = []
        for rounds in range(5):
            query = f"?access_token={the.token}&conferenceId=c1&since={len(heard)}"
            async with connect(the.url + query) as link, trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(the.hold)
                heard += await versions(link, 10 + 20 * rounds)
        assert heard == list(range(len(heard)))


async def test_a_socket_is_closed_when_its_token_expires() -> None:
    async with hall() as the, connect(f"{the.url}?access_token={the.token}") as link:
        the.later[0] = 3600.0
        with pytest.raises(TransportBrokenError) as closed:
            await read(link)
        assert closed.value.code == 1008


async def test_a_long_conference_reaches_who_reads_late_and_a_deaf_one_disturbs_nobody() -> None:
    async with hall() as the:
        for _ in range(EVENTS // 50):
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(the.hold)
        query = f"?access_token={the.token}&conferenceId=c1&since=0"
        async with connect(the.url + query) as late, deaf(the, query), connect(the.url + query) as prompt:
            assert await versions(prompt, EVENTS) == list(range(EVENTS + 1))
            await the.hold()
            assert await versions(prompt, EVENTS + 1) == [EVENTS + 1]
            assert await versions(late, EVENTS + 1) == list(range(EVENTS + 2))


@asynccontextmanager
async def deaf(the: Hall, query: str) -> AsyncIterator[None]:
    """A client that opens a socket, and reads nothing of it."""
    host, port = the.address.removeprefix("http://").split(":")
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect((host, int(port)))
        head = [
            f"GET {endpoints.EVENTS_PATH}{query} HTTP/1.1",
            f"Host: {host}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        plain.sendall("\r\n".join([*head, "", ""]).encode())
        yield


async def test_who_reads_nothing_of_what_comes_is_closed_for_it() -> None:
    async with hall() as the:
        query = f"?access_token={the.token}&conferenceId=c1&since=0"
        async with deaf(the, query), connect(the.url + query) as prompt:
            assert await versions(prompt, 0) == [0]
            sockets = partial(_gauge, the, "switchhook_conference_sockets")
            assert await sockets() == 2.0
            for number in range(1, 200):
                async with trio.open_nursery() as nursery:
                    for _ in range(50):
                        nursery.start_soon(the.hold)
                await versions(prompt, 50 * number)
                if await sockets() == 1.0:
                    break
            assert await sockets() == 1.0


async def _gauge(the: Hall, name: str) -> float:
    answer = await the.http.request("GET", f"{the.address}/metrics")
    lines = [line.split() for line in answer.body.decode().splitlines()]
    return next(float(line[1]) for line in lines if line[0] == name)
