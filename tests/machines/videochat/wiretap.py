"""A videochat client that only knows frames: what a foreign client would send and see."""

import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from engine.app.configuration import Configuration
from engine.app.engine import Engine, open_engine
from engine.app.push import PushPort
from engine.app.users import MemoryUsers, User
from engine.journal.port import Journal
from engine.runtime.world import World
from engine.transport.websocket import WebSocketLink, connect
from machines.videochat.api import API
from machines.videochat.service import VideochatService
from machines.videochat.settings import VideochatSettings

ANSWER_SECONDS = 5.0


@attrs.define(eq=False)
class Phone:
    """One device on one socket."""

    link: WebSocketLink
    user: str
    info: dict[str, Any] = attrs.field(factory=dict)
    heard: list[dict[str, Any]] = attrs.field(factory=list)
    """Events that were not waited for yet, in order."""
    count: int = 0

    async def send(self, kind: str, data: Any = None, event_id: str | None = None) -> str:
        """Send a frame; its `event.id`."""
        self.count += 1
        event_id = f"e{self.count}" if event_id is None else event_id
        frame = {"type": kind, "data": data or {}, "event": {"id": event_id, "date": 1}}
        await self.link.send(json.dumps(frame))
        return event_id

    async def ask(self, kind: str, data: Any = None, event_id: str | None = None) -> dict[str, Any]:
        """Send a request and wait for its answer; events in between are kept."""
        event_id = await self.send(f"videochat:{kind}", data, event_id)
        while True:
            frame = await self.receive()
            if frame["type"] == f"videochat:{kind}" and frame["event"]["id"] == event_id:
                return frame
            self.heard.append(frame)

    async def receive(self) -> dict[str, Any]:
        """The next frame of the socket."""
        with trio.fail_after(ANSWER_SECONDS):
            frame: dict[str, Any] = json.loads(await self.link.receive())
            return frame

    async def hear(self, name: str) -> dict[str, Any]:
        """The next event of this name; others before it are an error."""
        frame = self.heard.pop(0) if self.heard else await self.receive()
        assert frame["type"] == name or frame["type"] == f"videochat:{name}", frame
        return frame

    async def hears_nothing(self) -> None:
        """Nothing more is on its way: an answer to a question comes without anything before it."""
        assert not self.heard
        frame = await self.ask("userGoesToBackgroundMode", {"videochatId": "none"})
        assert frame["event"]["id"]
        assert not self.heard, self.heard

    async def request(self, target: str) -> str:
        """Ring somebody; the request's id."""
        answer = await self.ask("requestDirectVideochat", {"targetUser": target})
        assert not answer["error"]["status"], answer
        return str(answer["data"]["videochatRequestId"])


@attrs.define(eq=False)
class Exchange:
    """A server with its users."""

    url: str
    engine: Engine
    tokens: dict[str, str]

    @asynccontextmanager
    async def phone(
        self, user: str, device: str = "d1", since: int | None = None, **more: Any
    ) -> AsyncIterator[Phone]:
        """A device that has authenticated."""
        async with connect(self.url) as link:
            phone = Phone(link, user)
            data = {"token": self.tokens[user], "device": device, **more}
            if since is not None:
                data["since"] = since
            await phone.send("authenticate", data)
            phone.info = (await phone.hear("user_info"))["data"]
            yield phone


@asynccontextmanager
async def exchange(
    journal: str | Journal = "memory:",
    settings: VideochatSettings | None = None,
    users: MemoryUsers | None = None,
    push: PushPort | None = None,
    world: World | None = None,
) -> AsyncIterator[Exchange]:
    """A served engine with ann, bob and eve."""
    users = users or MemoryUsers()
    tokens = {}
    for name in ("ann", "bob", "eve", "joe"):
        await users.set(await users.get(name) or User(id=name, first_name=name.capitalize()))
        tokens[name] = await users.add_token(name)
    await users.set(User(id="dan", first_name="Dan", do_not_disturb=True))
    tokens["dan"] = await users.add_token("dan")
    configuration = Configuration(settings={"videochat": settings or VideochatSettings()})
    async with (
        open_engine(
            journal, apis=[API], configuration=configuration, users=users, push=push, world=world
        ) as engine,
        trio.open_nursery() as nursery,
    ):
        (address,) = await nursery.start(engine.serve, "127.0.0.1:0")
        yield Exchange(address.replace("http", "ws") + "/videochat", engine, tokens)
        nursery.cancel_scope.cancel()


def find_service(server: Exchange) -> VideochatService:
    """The running service, by the door that tests have."""
    found = [one for one in gc.get_objects() if isinstance(one, VideochatService)]
    return next(one for one in found if one.runtime is server.engine.runtime)
