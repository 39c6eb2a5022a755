"""A host of the documented API in the hands of a test: says what the test wants, and less than ours does."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio

from engine.media.fake import FakeHost, open_fake_host
from engine.transport.application import Pending, Request, Response, SocketApp
from engine.transport.server import serve
from engine.transport.sockets import Socket
from machines.conference.client.client import ConferenceClient, open_conference_client
from tests.machines.conference.venue import QUICK

Answer = Callable[[Any], Response]
"""What is answered to a body."""


def said(value: Any, status: int = 200) -> Response:
    """An answer with a body."""
    return Response(status, json.dumps(value).encode())


def refused(status: int, error: str = "no") -> Response:
    """A refusal in the form of the source."""
    return said({"error": error, "error_description": f"{error}, says the host"}, status)


@attrs.define(eq=False)
class ForeignHost:
    """Requests go by the last part of their path. What is not scripted is done, with a needless 200."""

    view: dict[str, Any] = attrs.field(factory=dict)
    """The simple view."""
    scripted: dict[str, list[Response | Answer]] = attrs.field(factory=dict)
    """Answers to the next requests, by the last part of their path."""
    asked: list[tuple[str, Any]] = attrs.field(factory=list)
    """(last part, body) of all requests but polls and keepalives."""
    polls: list[int] = attrs.field(factory=list)
    """From which version on events were asked for."""
    tokens: list[str] = attrs.field(factory=list)
    """With which token each request came."""
    url: str = ""
    media: FakeHost = attrs.field(init=False)
    _events: dict[int, list[dict[str, Any]]] = attrs.field(factory=dict)
    _changed: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self.show(2, "ann-1")

    def show(self, version: int, *endpoints: str, streams: tuple[str, ...] = ()) -> None:
        """Let the simple view be so; streams are all of bob's."""
        people = [{"id": f"user of {one}", "endpoints": [{"id": one, "streams": []}]} for one in endpoints]
        bobs = {
            "id": "bob-1",
            "streams": [{"id": one, "type": "HOLOGRAM", "codec": "new"} for one in streams],
        }
        people.append({"id": "bob", "endpoints": [bobs]})
        self.view = {"id": "room", "version": version, "mode": "MESH", "participants": people, "new": True}

    def script(self, name: str, *answers: Response | Answer) -> None:
        """Answer the next requests so."""
        self.scripted.setdefault(name, []).extend(answers)

    def tell(self, kind: str, version: int | None, **fields: Any) -> None:
        """Let an event be heard by those who ask from its version on, or from one before."""
        event = {"id": f"e{version}", "type": kind, "conferenceVersion": version, "extra": {}, **fields}
        self._events.setdefault(-1 if version is None else version, []).append(event)
        self._changed.set()
        self._changed = trio.Event()

    def names(self) -> list[str]:
        """What was asked, in order."""
        return [name for name, _ in self.asked]

    # -- Application

    def respond(self, request: Request) -> Pending:
        return partial(self._respond, request)

    async def _respond(self, request: Request) -> Response:
        name = request.path.rpartition("/")[2]
        body = json.loads(request.body) if request.body.startswith(b"{") else request.body.decode()
        if name != "token":
            self.tokens.append(request.headers.get("authorization", ""))
        if name not in ("events", "keepalive"):
            self.asked.append((name, body))
        if self.scripted.get(name):
            answer = self.scripted[name].pop(0)
            return answer if isinstance(answer, Response) else answer(body)
        return await self._answer(name, body, request)

    async def _answer(self, name: str, body: Any, request: Request) -> Response:
        match name:
            case "token":
                return said({"access_token": f"t{self.names().count('token')}", "token_type": "bearer"})
            case "endpoints":
                return said({"id": body["userEndpointId"], "new": 1})
            case "join" | "create":
                return said({"id": "room", "version": 1})
            case "simpleView":
                return said(self.view)
            case "publishStream":
                return said({"streamId": body["streamId"], "sdpAnswer": "v=0\r\n"})
            case "viewStream":
                return said({"viewerId": "their id", "sdpAnswer": "v=0\r\n"})
            case "events":
                return await self._poll(int(dict(request.query)["v"]))
            case _:
                return said({"done": True})

    async def _poll(self, since: int) -> Response:
        self.polls.append(since)
        with trio.move_on_after(0.3):
            while not (found := self._since(since)):
                await self._changed.wait()
            return said(found)
        return said([])

    def _since(self, since: int) -> list[dict[str, Any]]:
        return [one for version in sorted(self._events) if version >= since for one in self._events[version]]

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        return Response(404)

    # -- clients

    def client(self, **options: Any) -> AbstractAsyncContextManager[ConferenceClient]:
        """A client of this host."""
        given = {"settings": QUICK, "media": self.media, "endpoint_id": "ann-1", **options}
        return open_conference_client(self.url, client_id="ann", client_secret="hers", **given)


@asynccontextmanager
async def foreign() -> AsyncIterator[ForeignHost]:
    """A host on a free port."""
    host = ForeignHost()
    async with open_fake_host() as host.media, trio.open_nursery() as nursery:
        (host.url,) = await nursery.start(serve, host, "127.0.0.1:0")
        yield host
        nursery.cancel_scope.cancel()
