"""A client of the conference API: joins, publishes, views and records, and hears what happens.

Speaks to our server and to any host that has the documented requests. Media are peers with frames of a media
host, so that a file or a callable is published, and what is viewed becomes a file.
"""

import contextlib
import random
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, TypeVar

import trio

from engine.errors import ConfigurationError, TransportClosedError
from engine.media import protocol as p
from engine.media.frame_parts import kinds_of
from engine.nurseries import open_block_nursery
from engine.transport.http import HttpClient
from engine.transport.limits import Limits
from engine.transport.link import Link
from engine.transport.websocket import backoff, connect
from machines.conference import endpoints, wire
from machines.conference import wire_answers as answers
from machines.conference.client.calls import Calls, path_of
from machines.conference.client.endpoint import UserEndpoint
from machines.conference.client.errors import (
    ConferenceOverError,
    ConferenceRefusedError,
    FeedFailedError,
    TokenRefusedError,
)
from machines.conference.client.events import OpenLink, Poll, Resumed, SentEvent, Socket, Source
from machines.conference.client.feed import FeedState
from machines.conference.client.feeds import Stand, StreamDriver, ViewDriver
from machines.conference.client.peers import ClientPeers
from machines.conference.client.picture import Picture, SeenStream
from machines.conference.client.seat import SeatDriver
from machines.conference.client.session import SessionState
from machines.conference.client.settings import ClientSettings, WhenFull
from machines.conference.client.streams import PublishedStream, ViewedStream
from machines.conference.client.tokens import BearerAuth, Credentials, Tokens
from machines.conference.oauth.service import TOKEN_PATH
from machines.conference.wire import Operation, StreamType
from machines.conference.wire_events import ConferenceEvent

__all__ = [
    "ClientSettings",
    "ConferenceClient",
    "ConferenceEvent",
    "ConferenceOverError",
    "ConferenceRefusedError",
    "FeedFailedError",
    "FeedState",
    "Picture",
    "PublishedStream",
    "Resumed",
    "Seat",
    "SeenStream",
    "SentEvent",
    "SessionState",
    "StreamType",
    "TokenRefusedError",
    "ViewedStream",
    "WhenFull",
    "open_conference_client",
]

T = TypeVar("T")
DEFAULTS = ClientSettings()


class Seat:
    """One endpoint inside one conference. Open it with `ConferenceClient.join`; any tasks may use it.

    Raises, from each method that asks the host:
        ConferenceRefusedError: the host says no.
        TransportError: it was not reached in time; it may have done what was asked.
        RemoteProtocolError: its answer is not as the source says.
    and once the seat is over:
        ConferenceOverError: the conference has ended.
        ConferenceRefusedError: the host does not let it in any more.
        TransportTimeoutError: it was not inside for `give_up_seconds`.
        RemoteProtocolError: the host sent what cannot be read.
        OverloadedError: the events were not taken; see `WhenFull`.
        TransportClosedError: the block was left.
    """

    def __init__(self, driver: SeatDriver) -> None:
        self._driver = driver
        self._stand = driver.stand

    def __repr__(self) -> str:
        return f"<Seat {self.endpoint_id} in {self.conference_id}: {self.state.value}>"

    @property
    def conference_id(self) -> str:
        """Which conference it is."""
        return self._driver.conference_id

    @property
    def endpoint_id(self) -> str:
        """Which endpoint it is."""
        return self._driver.endpoint_id

    @property
    def state(self) -> SessionState:
        """Where it stands."""
        return self._driver.state

    @property
    def picture(self) -> Picture:
        """Who is inside and what is published, as far as it was heard."""
        return self._driver.picture

    @property
    def dropped(self) -> int:
        """Events dropped by `WhenFull.DROP_OLDEST`."""
        return self._driver.dropped

    async def wait_state(self, *states: SessionState) -> SessionState:
        """Wait until it is in one of `states`; at once when it is."""
        await trio.lowlevel.checkpoint()
        while self.state not in states:
            self._driver.check()
            await self._driver.wait()
        return self.state

    async def wait_for(self, find: Callable[[Picture], T | None]) -> T:
        """Wait until `find` finds something in the picture."""
        await trio.lowlevel.checkpoint()
        while (found := find(self.picture)) is None:
            self._driver.check()
            await self._driver.wait()
        return found

    async def wait_stream(self, *, user_id: str = "", stream_id: str = "") -> SeenStream:
        """Wait until another endpoint has published a stream, and return it; of this user, or of this id."""

        def find(picture: Picture) -> SeenStream | None:
            for one in picture.streams.values():
                is_wanted = user_id in ("", one.user_id) and stream_id in ("", one.stream_id)
                if is_wanted and one.user_endpoint_id != self.endpoint_id:
                    return one
            return None

        return await self.wait_for(find)

    def events(self) -> "Events":
        """What happens, in order: `async for event in seat.events()`; each event goes to one taker.

        Versioned events come once and without a gap, one's own too; after a gap there is `Resumed` instead.
        It ends when the conference does or the seat is left, and raises what ended it otherwise.
        """
        return Events(self._driver)

    # -- media

    async def publish(
        self,
        source: p.FrameSource,
        *,
        stream_id: str = "",
        stream_type: StreamType | None = None,
        metadata: Mapping[str, Any] | None = None,
        bitrate_bps: int | None = None,
    ) -> PublishedStream:
        """Publish; it is live when this returns.

        Raises:
            MediaError: the source is bad, or no media worker takes it.
            FeedFailedError: it does not connect.
        """
        self._driver.check()
        kind = stream_type or type_of(source)
        driver = StreamDriver(self._stand, stream_id or uuid.uuid4().hex, source, kind, metadata, bitrate_bps)
        await self._open(driver)
        return PublishedStream(driver, self._stand)

    async def view(self, stream_id: str, sink: p.FrameSink, *, viewer_id: str = "") -> ViewedStream:
        """View a stream; it is live when this returns.

        Raises:
            MediaError: the sink is bad, or no media worker takes it.
            FeedFailedError: it does not connect, or was unpublished meanwhile.
        """
        self._driver.check()
        driver = ViewDriver(self._stand, stream_id, sink, viewer_id or str(uuid.uuid4()))
        await self._open(driver)
        return ViewedStream(driver)

    async def _open(self, driver: StreamDriver | ViewDriver) -> None:
        self._stand.feeds[driver] = None
        await driver.open()

    # -- metadata and the end

    async def set_metadata(self, key: str, value: str) -> None:
        """Set a value of the conference's metadata."""
        await self._change(key, Operation.SET, value)

    async def remove_metadata(self, key: str) -> None:
        """Remove a value of the conference's metadata."""
        await self._change(key, Operation.REMOVE, None)

    async def _change(self, key: str, operation: Operation, value: str | None) -> None:
        body = wire.UpdateConferenceMetadataWebCommand(
            **self._stand.who, key=key, operation=operation, value=value
        )
        await self._ask(endpoints.UPDATE_METADATA.path, body)

    async def update_participant(self, metadata: Mapping[str, Any]) -> None:
        """Merge into this endpoint's metadata; None takes a value away."""
        body = wire.UpdateConferenceParticipantMetadataWebCommand(**self._stand.who, new_metadata=metadata)
        await self._ask(endpoints.UPDATE_PARTICIPANT.path, body)

    async def end(self, reason: str = "") -> None:
        """End the conference for all."""
        await self._ask(endpoints.END.path, wire.EndConferenceWebCommand(**self._stand.who, reason=reason))

    async def _ask(self, path: str, body: object) -> None:
        self._driver.check()
        await self._stand.calls.do(path, body)


class Events:
    """Iterates over what a seat hears; see `Seat.events`."""

    def __init__(self, driver: SeatDriver) -> None:
        self._driver = driver

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> ConferenceEvent:
        try:
            return await self._driver.events.receive()
        except trio.EndOfChannel:
            failure = self._driver.failure()
        if isinstance(failure, TransportClosedError | ConferenceOverError):
            raise StopAsyncIteration
        raise failure


class ConferenceClient:
    """A user endpoint at a host. Open it with `open_conference_client`; any number of tasks may use it.

    Raises, from each request:
        ConferenceRefusedError: the host says no.
        TransportError: it was not reached in time; it may have done what was asked.
        RemoteProtocolError: its answer is not as the source says.
    """

    def __init__(
        self,
        endpoint: UserEndpoint,
        peers: ClientPeers,
        settings: ClientSettings,
        delays: Callable[[], Iterator[float]],
        sources: Callable[[SeatDriver], tuple[Source, ...]],
    ) -> None:
        self._endpoint = endpoint
        self._calls = endpoint.calls
        self._peers = peers
        self._settings = settings
        self._delays = delays
        self._sources = sources

    def __repr__(self) -> str:
        return f"<ConferenceClient {self.endpoint_id}>"

    @property
    def endpoint_id(self) -> str:
        """The id of this client's user endpoint."""
        return self._endpoint.id

    async def create(
        self, conference_id: str = "", *, metadata: Mapping[str, str] | None = None
    ) -> answers.ConferenceSummary:
        """Create a conference; without an id the host makes one."""
        body = wire.CreateConferenceWebCommand(
            conference_id=conference_id or None,
            mode=wire.Mode.ROUTER,
            creator_endpoint=self.endpoint_id,
            metadata=metadata,
        )
        return await self._calls.ask(endpoints.CREATE.path, body, answers.ConferenceSummary)

    async def active(self) -> tuple[answers.Conference, ...]:
        """Conferences that have not ended."""
        return await self._calls.read(endpoints.ACTIVE.path, tuple[answers.Conference, ...])

    async def conference(self, conference_id: str) -> answers.Conference:
        """A conference, also one that has ended."""
        return await self._calls.read(path_of(endpoints.CONFERENCE.path, conference_id), answers.Conference)

    async def send_event(
        self,
        conference_id: str,
        event: Mapping[str, Any],
        *,
        qos: wire.Qos = wire.Qos.BEST_EFFORT,
        masks: tuple[str, ...] = (),
    ) -> int:
        """Send an event to all who have joined, as a service may: the number of endpoints addressed."""
        body = wire.SendEventToConferenceWebCommand(
            conference_id=conference_id, qos=qos, event=event, masks=masks or None
        )
        said = await self._calls.ask(endpoints.SEND_EVENT.path, body, answers.SendEventResponse)
        return said.events_sent

    @contextlib.asynccontextmanager
    async def join(
        self, conference_id: str, *, name: str = "", metadata: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Seat]:
        """Join a conference; the endpoint is inside, and again when the host loses it, in the block.

        `name` goes into the participant's metadata. Leaving the block ends what was published and viewed,
        then the seat; cancelled, it does so in `hurried_seconds`.

        Raises: what `Seat` raises once it is over; LocalProtocolError: metadata have no form in JSON.
        """
        joined = {**({"name": name} if name else {}), **(metadata or {})}
        # What has no form in JSON is the caller's fault, and not that of a task which joins again and again.
        self._calls.codec.encode(joined)
        async with open_block_nursery() as nursery:
            stand = Stand(
                conference_id=conference_id,
                endpoint_id=self.endpoint_id,
                calls=self._calls,
                peers=self._peers,
                nursery=nursery,
                settings=self._settings,
                delays=self._delays,
            )
            driver = SeatDriver(stand, joined or None, self._endpoint.register)
            self._endpoint.seats[driver] = None
            try:
                await driver.open(*self._sources(driver))
                yield Seat(driver)
            finally:
                await driver.leave()
                del self._endpoint.seats[driver]
            nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def open_conference_client(
    base_url: str,
    *,
    client_id: str,
    client_secret: str,
    media: p.MediaHost,
    user_id: str = "",
    endpoint_id: str = "",
    events: Literal["socket", "poll"] = "socket",
    settings: ClientSettings = DEFAULTS,
    limits: Limits | None = None,
    ssl_context: ssl.SSLContext | None = None,
    draw: Callable[[], float] = random.random,
    open_link: OpenLink | None = None,
) -> AsyncIterator[ConferenceClient]:
    """Register a user endpoint at a host, and keep it alive until the block is left.

    `base_url` is what stands before `/rtc-api` and `/security`. `user_id` is the user to act for, where the
    host lets this client choose. `endpoint_id` names the endpoint, if the host lets it. Events come by
    `socket`, which only our server has (of others they are polled, once they have refused it), or by `poll`.
    `draw` gives numbers in [0, 1) for the delays; `open_link` replaces the WebSocket.

    Raises:
        ConfigurationError: the URL is wrong.
        TokenRefusedError: the host gives no token.
        ConferenceRefusedError: the host does not register the endpoint.
        TransportError: the host was not reached.
        RemoteProtocolError: its answer is not as the source says.
    """
    credentials = Credentials(client_id=client_id, client_secret=client_secret, user_id=user_id)
    delays = partial(
        backoff,
        draw,
        first_seconds=settings.first_delay_seconds,
        ceiling_seconds=settings.longest_delay_seconds,
    )
    async with contextlib.AsyncExitStack() as stack:
        # Of its own, so that a renewal never waits behind the requests that wait for it.
        shop = await stack.enter_async_context(
            HttpClient(connections_max=1, total_seconds=settings.request_seconds, ssl_context=ssl_context)
        )
        tokens = Tokens(shop, base_url.rstrip("/") + TOKEN_PATH, credentials)
        http = await stack.enter_async_context(
            HttpClient(
                connections_max=settings.connections_max,
                total_seconds=settings.request_seconds,
                ssl_context=ssl_context,
                auth=BearerAuth(tokens),
            )
        )
        calls = Calls(http, base_url)
        link = open_link or _socket_opener(base_url, limits, ssl_context)

        def sources(seat: SeatDriver) -> tuple[Source, ...]:
            poll = Poll(seat, calls, settings.poll_seconds, delays)
            return (poll,) if events == "poll" else (Socket(seat, link, tokens, delays), poll)

        nursery = await stack.enter_async_context(open_block_nursery())
        peers = ClientPeers(media)
        await nursery.start(peers.listen)
        endpoint = UserEndpoint(calls, endpoint_id or str(uuid.uuid4()), settings)
        try:
            await endpoint.register()
            nursery.start_soon(endpoint.keep_alive)
            yield ConferenceClient(endpoint, peers, settings, delays, sources)
        finally:
            await endpoint.unregister()
        nursery.cancel_scope.cancel()


def _socket_opener(base_url: str, limits: Limits | None, ssl_context: ssl.SSLContext | None) -> OpenLink:
    scheme, _, rest = base_url.rstrip("/").partition("://")
    if scheme not in ("http", "https"):
        raise ConfigurationError("base_url", "must be http://HOST or https://HOST")
    url = f"{'wss' if scheme == 'https' else 'ws'}://{rest}{endpoints.EVENTS_PATH}"

    @contextlib.asynccontextmanager
    async def open_link(access_token: str) -> AsyncIterator[Link]:
        headers = [("authorization", f"Bearer {access_token}")]
        async with connect(url, limits=limits, ssl_context=ssl_context, headers=headers) as link:
            yield link

    return open_link


def type_of(source: p.FrameSource) -> StreamType:
    """What a source is called in the conference: its kinds, as if they came from microphone and camera."""
    kinds = kinds_of(source)
    if p.Kind.VIDEO not in kinds:
        return StreamType.MIC
    return StreamType.MIC_AND_CAM if p.Kind.AUDIO in kinds else StreamType.CAM
