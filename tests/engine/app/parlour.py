"""An API of tests: a bell to ring over HTTP, beside the doorbell's machines."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import msgspec

from engine.app.api import Api, Endpoint, Host, MessageType, SocketRoute
from engine.errors import ConfigurationError
from engine.runtime.entry import Entry
from engine.transport.application import Request, Response, SocketApp
from engine.transport.sockets import Socket
from engine.vocabulary import Address, Message
from tests.engine.runtime import doorbell as d

FAMILY, _ = d.doorbell()

FRONT = Address(d.BELL, "front")
PRESS = Entry(command=d.Press, to=lambda _: FRONT, call=lambda _: FRONT)
"""Ring at the front door."""


@attrs.frozen(kw_only=True)
class Ring:
    """Body of a request to ring."""

    seconds: float = 60.0


@attrs.frozen(kw_only=True)
class ParlourSettings:
    """Nothing to set but a failure."""

    broken: bool = False


class ParlourService:
    """Rings bells; says by which way it answered."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        """Refuse: nobody is there."""
        return Response(403, b'{"error":"nobody"}')

    def respond_nowait(self, request: Request) -> Response | None:
        """Answer what needs no journal."""
        return Response(200, b'{"bells":1}') if request.path == "/bells" else None

    async def respond(self, request: Request) -> Response:
        """Ring the bell of the path."""
        key = request.path.rsplit("/", 1)[1]
        answer = await self.host.runtime.ask(Address(d.BELL, key), d.Press())
        return Response(201, msgspec.json.encode({"outcome": answer.outcome}))

    def statistics(self) -> Mapping[str, float]:
        """One gauge."""
        return {"visitors": 3}


@asynccontextmanager
async def open_parlour(host: Host) -> AsyncIterator[ParlourService]:
    """The service."""
    if host.settings.broken:
        raise ConfigurationError("parlour", "is broken")
    yield ParlourService(host)


PARLOUR = Api(
    name="parlour",
    title="Parlour",
    kinds=tuple(FAMILY.kinds.values()),
    words=(
        *(d.Press, d.Answer, d.Expire, d.Explode, d.Wire, d.Count, d.Forbid, d.HangUp),
        *(d.Rang, d.Answered, d.Stopped, d.Wired, d.Counted, d.Told, d.Bell, d.Board),
    ),
    sockets=(
        SocketRoute(
            path="/parlour",
            summary="Hear the bells",
            messages=(
                MessageType(name="ring", summary="Ring", to_server=True, data=Ring, answer=Ring),
                MessageType(name="rang", summary="It rang", to_server=False),
            ),
        ),
    ),
    endpoints=(
        Endpoint(method="GET", path="/bells", summary="All bells"),
        Endpoint(
            method="POST", path="/bells/{bell}", summary="Ring", body=Ring, results={201: Ring, 404: None}
        ),
        Endpoint(method="DELETE", path="/bells/{bell}", summary="Take it away", results={204: None}),
    ),
    settings=ParlourSettings,
    open=open_parlour,
)


def told(message: Message | None) -> str:
    """The text of an answer."""
    assert isinstance(message, d.Told)
    return message.text
