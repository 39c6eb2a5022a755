"""The doorbell as an API: one HTTP endpoint for the button, one WebSocket for those inside."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import msgspec

from engine import (
    Address,
    Api,
    Endpoint,
    Entry,
    ErrorCode,
    Found,
    Host,
    Message,
    MessageType,
    Send,
    Service,
    SocketRoute,
)
from engine.errors import RemoteProtocolError
from engine.machine.step import Outcome
from engine.runtime.followers import Follower
from engine.transport.application import Request, Response, SocketApp
from engine.transport.sockets import Socket
from engine.vocabulary import Command

from . import vocabulary as v
from .table import KINDS

WORDS = (
    *(v.RingDoor, v.OpenDoor, v.ExpireRing),
    *(v.DoorRang, v.DoorOpened, v.RingExpired),
    *(v.RingTaken, v.DoorNotice, v.Door),
)


@attrs.frozen(kw_only=True)
class Visit:
    """Body of a ring."""

    visitor: str


@attrs.frozen(kw_only=True)
class Follow:
    """A message of a socket: whose door it is."""

    door: str
    since: int = 0
    """The last version that the socket has heard of."""


@attrs.frozen(kw_only=True)
class Notice:
    """What a socket hears."""

    version: int
    name: str
    who: str


@attrs.frozen(kw_only=True)
class DoorbellSettings:
    """Section `[doorbell]` of the configuration."""

    title: str = "the house"
    """What the front page would be called."""


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/doors/{door}/ring",
        summary="Ring at a door",
        body=Visit,
        results={200: v.RingTaken, 400: None, 409: None, 503: None},
    ),
)


class DoorbellService(Service):
    """The served doorbell."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        """Accept a socket; its first message says which door."""
        return _Watcher(self.host)

    async def respond(self, request: Request, found: Found) -> Response:
        """`POST /doors/{door}/ring`."""
        try:
            visit = self.host.codec.decode(request.body, Visit)
        except RemoteProtocolError as fault:
            return _answer(400, {"error": str(fault)})
        command = v.RingDoor(door=found.parameters["door"], visitor=visit.visitor)
        answer = await self.host.runtime.ask(_door_of(command), command)
        if answer.error is not None:
            return _answer(503, {"error": "try again"})
        if answer.outcome is Outcome.REFUSED:
            return _answer(409, {"error": answer.reason})
        return Response(200, self.host.codec.encode(answer.message))


class _Watcher:
    """One socket of somebody inside."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._follower: Follower | None = None

    def on_message(self, socket: Socket, text: str) -> None:
        try:
            follow = self._host.codec.decode(text, Follow)
        except RemoteProtocolError:
            socket.close(1008)
            return
        stream = self._host.runtime.family.stream_of(Address(v.DOOR, follow.door))

        def deliver(version: int, at: float, send: Send) -> None:
            assert isinstance(send.message, v.DoorNotice)
            notice = Notice(version=version, name=send.message.name, who=send.message.who)
            socket.send(self._host.codec.encode(notice).decode())

        self._leave()
        self._follower = self._host.runtime.followers.follow(stream, follow.since, deliver)

    def on_close(self, socket: Socket, code: int) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._follower is not None:
            self._host.runtime.followers.leave(self._follower)


def _answer(status: int, value: Mapping[str, str]) -> Response:
    return Response(status, msgspec.json.encode(value))


@asynccontextmanager
async def open_service(host: Host) -> AsyncIterator[DoorbellService]:
    """The service; tasks of its own would go into `host.nursery`."""
    yield DoorbellService(host)


def _door_of(command: Command) -> Address:
    assert isinstance(command, v.RingDoor)
    return Address(v.DOOR, command.door)


def _call_of(answer: Message | None) -> Address:
    assert isinstance(answer, v.RingTaken)
    return Address(v.DOOR, answer.door)


RING = Entry(command=v.RingDoor, to=_door_of, call=_call_of)
"""For embedding: `engine.start(RING, RingDoor(door="front", visitor="eve"))`."""

API = Api(
    name="doorbell",
    title="Doorbell",
    kinds=KINDS,
    words=WORDS,
    endpoints=ENDPOINTS,
    sockets=(
        SocketRoute(
            path="/doors",
            summary="Hear a door",
            messages=(
                MessageType(name="follow", summary="Say which door", to_server=True, data=Follow),
                MessageType(name="notice", summary="Something happened", to_server=False, data=Notice),
            ),
        ),
    ),
    errors=(ErrorCode(reason="rings_already", code=409, message="it rings already"),),
    settings=DoorbellSettings,
    open=open_service,
)
