"""A conference service in a virtual world: no socket, a fake media host, and a clock that jumps."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import attrs
import trio

from engine.app.configuration import Configuration
from engine.app.engine import Engine, open_engine
from engine.app.origins import Origins
from engine.app.serving import EngineApplication
from engine.journal.port import Journal
from engine.machine.step import Snapshot
from engine.media import protocol as p
from engine.media.fake import FakeHost, open_fake_host
from engine.media.protocol import MediaHost
from engine.runtime.world import World
from engine.transport.application import Request, Response
from engine.vocabulary import Address
from machines.conference.api import API
from machines.conference.oauth.service import Caller, OauthSettings, Role
from machines.conference.rules.addresses import (
    conference_address,
    endpoint_address,
    seat_address,
    stream_address,
    view_address,
)
from machines.conference.service import ConferenceService
from machines.conference.settings import ConferenceSettings
from tests.engine.media import rigs

NOON = 1_763_700_000.0
KEY = "a signing key of more than 32 bytes"
OFFER, VIEW_OFFER = rigs.OFFER, rigs.VIEW_OFFER
ROLES = {"hall": Role.SERVICE, "desk": Role.AGENT}
"""Users that are more than users."""


@attrs.define(eq=False)
class Studio:
    """A running service, and its callers by their names."""

    engine: Engine
    media: FakeHost
    service: ConferenceService
    application: EngineApplication
    stopping: trio.Event

    async def ask(
        self,
        user: str,
        method: str,
        path: str,
        body: Any = None,
        query: tuple[tuple[str, str], ...] = (),
        organization: str = "acme",
    ) -> Response:
        """One request, through the routing that the server uses."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.raw(method, path, self.token(user, organization), query, text)

    def token(self, user: str, organization: str = "acme") -> dict[str, str]:
        """The headers of somebody's request."""
        caller = Caller(user=user, organization=organization, role=ROLES.get(user, Role.USER))
        token = self.service.oauth.tokens.issue(caller, "client").access
        return {"authorization": f"Bearer {token}", "content-type": "application/json"}

    async def raw(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        query: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> Response:
        """A request as it came in."""
        request = Request(
            method=method,
            path=path,
            raw_path=path,
            query=query,
            headers=dict(headers),
            body=body,
            peer="192.0.2.1",
            secure=False,
        )
        response = self.application.respond(request)
        return response if isinstance(response, Response) else await response()

    async def post(self, user: str, path: str, *, organization: str = "acme", **body: Any) -> Any:
        """(status, body) of a POST; None for no body."""
        answer = await self.ask(user, "POST", f"/rtc-api/{path}", body, organization=organization)
        return answer.status, json.loads(answer.body) if answer.body else None

    async def get(self, user: str, path: str, *, organization: str = "acme", **query: Any) -> Any:
        """(status, body) of a GET."""
        pairs = tuple((name, str(value)) for name, value in query.items())
        answer = await self.ask(user, "GET", f"/rtc-api/{path}", None, pairs, organization)
        return answer.status, json.loads(answer.body)

    # -- what tests begin with

    async def enter(self, *users: str, conference: str = "c1", keep_alive_seconds: int = 3600) -> None:
        """Register an endpoint called `<user>-1` for each; the first creates the conference, all join it."""
        for user in users:
            registered = {"keepAliveSeconds": keep_alive_seconds, "userEndpointId": f"{user}-1"}
            assert await self.post(user, "users/endpoints", **registered) == (200, f"{user}-1")
        status, _ = await self.get(users[0], f"conferences/{conference}")
        if status != 200:
            status, _ = await self.post(users[0], "conferences/create", conferenceId=conference)
            assert status == 200
        for user in users:
            status, told = await self.post(user, "conferences/join", **self.of(user, conference))
            assert status == 200, told

    def of(self, user: str, conference: str = "c1") -> dict[str, str]:
        """What most bodies begin with."""
        return {"conferenceId": conference, "userEndpointId": f"{user}-1"}

    async def publish(self, user: str, stream: str = "s1", **more: Any) -> Any:
        """Publish with an offer that is answered."""
        body = {"conferenceStreamType": "CAM", "sdpOffer": OFFER, "streamId": stream, **more}
        return await self.post(user, "conferences/publishStream", **(self.of(user) | body))

    async def view(self, user: str, stream: str = "s1", viewer: str = "v1", **more: Any) -> Any:
        """View with an offer that is answered."""
        body = {"streamId": stream, "viewerId": viewer, "sdpOffer": VIEW_OFFER, **more}
        return await self.post(user, "conferences/viewStream", **(self.of(user) | body))

    # -- what tests look at

    async def stream_state(self, stream: str = "s1") -> str:
        """Of the stream's machine."""
        return await self._state(stream_address("c1", stream))

    async def view_state(self, stream: str = "s1", viewer: str = "v1") -> str:
        """Of the view's machine."""
        return await self._state(view_address("c1", stream, viewer))

    async def seat_state(self, user: str) -> str:
        """Of the participant's machine."""
        return await self._state(seat_address("c1", f"{user}-1"))

    async def endpoint_state(self, user: str) -> str:
        """Of the endpoint's machine."""
        return await self._state(endpoint_address(f"{user}-1"))

    async def conference(self) -> Snapshot:
        """The conference's machine."""
        return await self.engine.runtime.snapshot(conference_address("c1"))

    async def events(self, since: int | None = None) -> list[tuple[int | None, str]]:
        """(version, type) of what clients are told, as a poll reads it."""
        query = {} if since is None else {"v": since}
        _, told = await self.get("ann", "conferences/c1/events", **query)
        return [(one["conferenceVersion"], one["type"]) for one in told]

    def asked(self, kind: type[p.MediaRequest]) -> list[p.MediaRequest]:
        """What the media host was asked of one kind."""
        return [one for one in self.media.asked if isinstance(one, kind)]

    async def _state(self, address: Address) -> str:
        return (await self.engine.runtime.snapshot(address)).state.name


@asynccontextmanager
async def studio(
    settings: ConferenceSettings | None = None,
    journal: str | Journal = "memory:",
    *,
    connect_seconds: float | None = 0.05,
    media: MediaHost | None = None,
) -> AsyncIterator[Studio]:
    """A service with a virtual clock: the test has to use `autojump_clock`, unless its `media` is real."""
    settings = settings or ConferenceSettings()
    settings = attrs.evolve(settings, oauth=OauthSettings(signing_key=KEY))
    configuration = Configuration(settings={"conference": settings})
    world = World(clock=lambda: NOON + trio.current_time())
    async with (
        open_fake_host(connect_seconds=connect_seconds) as fake,
        open_engine(
            journal, apis=[API], configuration=configuration, media=media or fake, world=world
        ) as engine,
        trio.open_nursery() as nursery,
    ):
        stopping = trio.Event()
        host = engine._host(API, nursery, stopping)
        async with API.open(host) as service:
            assert isinstance(service, ConferenceService)
            application = EngineApplication(
                engine.runtime, [API], {"conference": service}, {}, Origins(()), engine.media
            )
            yield Studio(engine, fake, service, application, stopping)
            nursery.cancel_scope.cancel()
