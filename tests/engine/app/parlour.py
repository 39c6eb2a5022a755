"""An API of tests: a bell to ring over HTTP, beside the doorbell's machines."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import msgspec

from engine.app.api import Api, Backstage, Bearer, Endpoint, Found, Host, MessageType, Page, SocketRoute
from engine.app.forms import FORM_TYPE, form_pairs
from engine.errors import ConfigurationError, RemoteProtocolError
from engine.runtime.entry import Entry
from engine.runtime.performers import Asked, Performer
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


@attrs.frozen(kw_only=True)
class Hearing:
    """Query of a chime."""

    times: int = 1
    soft: bool = False


@attrs.frozen(kw_only=True)
class Chimed:
    """What was heard."""

    chime: str
    hearing: Hearing


@attrs.frozen(kw_only=True)
class Credentials:
    """Form of the token endpoint."""

    client_id: str


@attrs.frozen(kw_only=True)
class Problem:
    """Body of an error."""

    error: str


ENDPOINTS = (
    Endpoint(method="GET", path="/bells", summary="All bells"),
    Endpoint(method="POST", path="/bells/{bell}", summary="Ring", body=Ring, results={201: Ring, 404: None}),
    Endpoint(method="DELETE", path="/bells/{bell}", summary="Take it away", results={204: None}),
    Endpoint(
        method="GET",
        path="/chimes/{chime}",
        summary="Hear a chime",
        query=Hearing,
        results={200: Chimed, 400: Problem},
    ),
    Endpoint(method="GET", path="/chimes/names", summary="Names", results={200: tuple[str, ...]}),
    Endpoint(
        method="POST",
        path="/parlour/token",
        summary="A token",
        body=Credentials,
        body_type=FORM_TYPE,
        results={200: str, 400: Problem},
        public=True,
    ),
)


class ParlourService:
    """Rings bells; says by which way it answered."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        """Refuse: nobody is there."""
        return Response(403, b'{"error":"nobody"}')

    def respond_nowait(self, request: Request, found: Found) -> Response | None:
        """Answer what needs no journal."""
        match found.endpoint.path:
            case "/bells":
                return Response(200, b'{"bells":1}')
            case "/chimes/names":
                return Response(200, b'["ding","dong"]')
            case "/chimes/{chime}":
                return self._chime(request, found.parameters["chime"])
            case "/parlour/token":
                return self._token(request)
        return None

    def _chime(self, request: Request, chime: str) -> Response:
        codec = self.host.codec
        try:
            hearing = codec.decode_pairs(request.query, Hearing)
        except RemoteProtocolError as fault:
            return Response(400, codec.encode(Problem(error=str(fault))))
        return Response(200, codec.encode(Chimed(chime=chime, hearing=hearing)))

    def _token(self, request: Request) -> Response:
        codec = self.host.codec
        try:
            form = codec.decode_pairs(form_pairs(request), Credentials, "form")
        except RemoteProtocolError as fault:
            return Response(400, codec.encode(Problem(error=str(fault))))
        return Response(200, codec.encode(f"token of {form.client_id}"))

    async def respond(self, request: Request, found: Found) -> Response:
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


@attrs.frozen
class ParlourCrew:
    """Takes what the bells ask, and does nothing."""

    performers: Mapping[str, Performer]


@asynccontextmanager
async def open_parlour_crew(_: Backstage) -> AsyncIterator[ParlourCrew]:
    """The crew."""

    async def tone(_asked: Asked) -> None:
        """Silence."""

    yield ParlourCrew({"tone": tone})


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
    endpoints=ENDPOINTS,
    pages={"/parlour.html": Page(package="tests.engine.app", file="parlour.html")},
    security=Bearer(token_path="/parlour/token", scopes={"hear": "Hear chimes"}),
    settings=ParlourSettings,
    crew=open_parlour_crew,
    open=open_parlour,
)


def told(message: Message | None) -> str:
    """The text of an answer."""
    assert isinstance(message, d.Told)
    return message.text
