"""The served conference API: who calls is found out, his request is handled, and his sockets are kept."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import trio

from engine.app.api import Endpoint, Found, Host
from engine.app.bearer import bearer_of
from engine.app.peers import Peers
from engine.app.tokens import TokenError
from engine.codec.wire import WireCodec
from engine.errors import EngineError, RemoteProtocolError
from engine.transport.application import Request, Response, SocketApp
from engine.transport.sockets import Socket
from engine.vocabulary import Address, Command, Message
from machines.conference import endpoints, wire
from machines.conference import vocabulary as v
from machines.conference.feeds import Feeds
from machines.conference.listener import Listener, first_follow
from machines.conference.oauth.service import Oauth, unauthorized
from machines.conference.refusals import body_of, refusal_of, refused
from machines.conference.rules.addresses import conference_address
from machines.conference.settings import ConferenceSettings

NO_CONTENT = Response(204)

EXPIRY_SECONDS = 5.0
"""How much longer than its token a socket may live."""


class ConferenceService:
    """All requests and sockets of the conference API. Soft state, save what the machines hold."""

    def __init__(self, host: Host, responders: Mapping[Endpoint, "Responder"]) -> None:
        self.host = host
        self.settings: ConferenceSettings = host.settings
        self.runtime = host.runtime
        self.peers: Peers = host.crew
        self.feeds = Feeds(host.runtime)
        self.oauth = Oauth(self.settings.oauth, self.settings.clients, clock=host.clock)
        self.codec = WireCodec(wire.LIMITS)
        self._responders = responders
        self._listeners: set[Listener] = set()

    # -- the server's side

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        """Accept a WebSocket that shows a token; its query may name the first conference."""
        try:
            token = bearer_of(socket.headers, socket.query, "access_token")
            expires_at, caller = self.oauth.tokens.read_access_until(token)
            first = first_follow(self.codec, socket.query)
        except TokenError as error:
            return unauthorized(error)
        except RemoteProtocolError as fault:
            return Response(400, body_of(refusal_of(fault)))
        listener = Listener(self, socket, caller, expires_at)
        self._listeners.add(listener)
        if first is not None:
            listener.follow(first)
        return listener

    def left(self, listener: Listener) -> None:
        """A socket has closed."""
        self._listeners.discard(listener)

    def respond_nowait(self, request: Request, found: Found) -> Response | None:
        """Tokens need no waiting; everything else is read or decided first."""
        return self.oauth.respond_nowait(request) if found.endpoint is endpoints.TOKEN else None

    async def respond(self, request: Request, found: Found) -> Response:
        """Answer a request at one of the endpoints."""
        try:
            caller = self.oauth.caller_of(request)
        except TokenError as error:
            return unauthorized(error)
        try:
            return await self._responders[found.endpoint](Call(self, caller, found, request))
        except EngineError as error:
            return refused(refusal_of(error), found.endpoint)

    def statistics(self) -> Mapping[str, float]:
        """Gauges for `/metrics`."""
        return {
            "peers": len(self.peers),
            "negotiations": len(self.peers.desk),
            "feeds": len(self.feeds),
            "sockets": len(self._listeners),
        }

    async def let_go_when_stopping(self) -> None:
        """Who waits for events gets an answer when the server stops."""
        await self.host.stopping.wait()
        self.feeds.stop()

    async def close_expired(self) -> None:
        """Close the sockets whose tokens have expired, for ever; a task for each would cost more."""
        while True:
            await trio.sleep(EXPIRY_SECONDS)
            now = self.host.clock()
            for listener in [*self._listeners]:
                if listener.expires_at <= now:
                    listener.expire()

    # -- what responders and listeners need

    async def ask(self, to: Address, command: Command) -> Message | None:
        """Command a machine and wait for the journal.

        Raises:
            CommandRefusedError: a rule says no.
            EngineError: it could not be decided or journaled.
        """
        return (await self.runtime.ask(to, command)).result()

    async def conference_for(self, caller: v.Caller, conference_id: str) -> v.Conference | None:
        """The conference, unless it is another organization's or nobody's."""
        snapshot = await self.runtime.snapshot(conference_address(conference_id))
        conference: v.Conference = snapshot.data
        if snapshot.state is v.ConferenceState.NEW or conference.organization != caller.organization:
            return None
        return conference


class Call:
    """One request of somebody who is known."""

    def __init__(self, service: ConferenceService, caller: v.Caller, found: Found, request: Request) -> None:
        self.service = service
        self.settings = service.settings
        self.caller = caller
        self.found = found
        self.request = request

    def body(self) -> Any:
        """The body, in the shape that the endpoint documents.

        Raises:
            RemoteProtocolError: it is not of that shape.
        """
        shape = self.found.endpoint.body
        assert shape is not None, "asked of an endpoint that takes a body"
        return self.service.codec.decode(self.request.body, shape)

    def answer(self, body: object) -> Response:
        """200 with a body."""
        return Response(200, self.service.codec.encode(body))


Responder: TypeAlias = Callable[[Call], Awaitable[Response]]
