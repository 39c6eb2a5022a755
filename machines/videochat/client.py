"""A client of the videochat handshake: requests, events, and a link that comes back by itself.

Speaks to our server and to any host that frames the source's messages as `wire.py` does.
"""

import contextlib
import random
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

import trio

from engine.errors import EngineError, TransportClosedError
from engine.transport.limits import Limits
from engine.transport.websocket import connect
from machines.videochat import wire
from machines.videochat.driver import ClientSettings, Identity, LinkDriver, OpenLink, WhenFull
from machines.videochat.heard import (
    Accepted,
    AuthenticationError,
    Declined,
    DirectAccepted,
    Failed,
    Heard,
    Notice,
    Other,
    Requested,
    TakenOverError,
    VideochatError,
)
from machines.videochat.link import LinkState

__all__ = [
    "Accepted",
    "AuthenticationError",
    "ClientSettings",
    "Declined",
    "DirectAccepted",
    "Events",
    "Failed",
    "Heard",
    "LinkState",
    "Notice",
    "Other",
    "Requested",
    "TakenOverError",
    "VideochatClient",
    "VideochatError",
    "WhenFull",
    "connect_videochat",
]

T = TypeVar("T")
DEFAULTS = ClientSettings()


class VideochatClient:
    """One device of one user. Open it with `connect_videochat`; any number of tasks may use it.

    A request that was cancelled, or had no answer in time, may have been done. Asked again with the
    `event_id` that it was given, it is done at most once and gets the answer that it would have had.

    Raises, from each request:
        VideochatError: the server says no.
        TransportTimeoutError: no answer in `request_seconds`.
        RemoteProtocolError: the answer is not as the source says.
        LocalProtocolError: a request with this `event_id` waits for its answer.
        EngineError: the client has ended; see `connect_videochat`.
    """

    def __init__(self, driver: LinkDriver, device: str) -> None:
        self.device = device
        self._driver = driver

    def __repr__(self) -> str:
        return f"<VideochatClient {self.device}: {self.state.value}>"

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._driver.state

    @property
    def dropped(self) -> int:
        """Events dropped by `WhenFull.DROP_OLDEST`."""
        return self._driver.dropped

    async def wait_for(self, *states: LinkState) -> LinkState:
        """Wait until the link is in one of `states`; at once when it is.

        Raises:
            EngineError: the client has ended in another state; see `connect_videochat`.
        """
        return await self._driver.wait_for(*states)

    def events(self) -> "Events":
        """What the server says, in order and once: `async for event in client.events()`.

        Each event goes to one taker. It ends when the client is closed, and raises what ended it otherwise.
        """
        return Events(self._driver)

    async def request(self, target: str, *, event_id: str = "") -> str:
        """Ring `target`: the videochatRequestId."""
        asked = wire.TargetUser(target_user=target)
        made = await self._ask("requestDirectVideochat", asked, wire.RequestId, event_id)
        return made.videochat_request_id

    async def invite(self, target: str, videochat_id: str, *, event_id: str = "") -> str:
        """Ring `target` into a running videochat: the videochatRequestId."""
        asked = wire.InviteTarget(target_user=target, videochat_id=videochat_id)
        made = await self._ask("invite", asked, wire.RequestId, event_id)
        return made.videochat_request_id

    async def accept(self, request_id: str, *, event_id: str = "") -> wire.SeatData:
        """Answer the ring: the seat, with its media token."""
        asked = wire.RequestId(videochat_request_id=request_id)
        return await self._ask("acceptVideochatRequest", asked, wire.SeatData, event_id)

    async def decline(self, request_id: str, *, event_id: str = "") -> None:
        """Refuse the ring, or take the own one back."""
        asked = wire.RequestId(videochat_request_id=request_id)
        await self._ask("declineVideochatRequest", asked, wire.Nothing, event_id)

    async def merge(self, videochat_id: str, request_id: str, *, event_id: str = "") -> None:
        """Take the caller of an incoming direct request into the running videochat."""
        asked = wire.MergeTarget(videochat_id=videochat_id, videochat_request_id=request_id)
        await self._ask("mergeToVideochat", asked, wire.Nothing, event_id)

    async def get_token(self, videochat_id: str, *, event_id: str = "") -> wire.SeatData:
        """A new media token for the own seat; each connect takes one."""
        return await self._ask("getToken", _id(videochat_id), wire.SeatData, event_id)

    async def connect(self, videochat_id: str, *, event_id: str = "") -> None:
        """Report that the media is connected."""
        await self._ask("onConnection", _id(videochat_id), wire.Nothing, event_id)

    async def leave(self, videochat_id: str, *, event_id: str = "") -> None:
        """Report that the videochat was left."""
        await self._ask("onDisconnection", _id(videochat_id), wire.Nothing, event_id)

    async def hide(self, videochat_id: str, *, event_id: str = "") -> None:
        """Report that the app goes to the background; the seat stays."""
        await self._ask("userGoesToBackgroundMode", _id(videochat_id), wire.Nothing, event_id)

    async def show(self, videochat_id: str, *, event_id: str = "") -> None:
        """Report that the app is back."""
        await self._ask("userReturnsFromBackgroundMode", _id(videochat_id), wire.Nothing, event_id)

    async def _ask(self, name: str, asked: object, answer: type[T], event_id: str) -> T:
        frame = await self._driver.ask(f"{wire.PREFIX}{name}", asked, event_id)
        if frame.error.status:
            raise VideochatError(frame.error.code, frame.error.message)
        return self._driver.reader.codec.decode_value(frame.data, answer, "$.data")


class Events:
    """Iterates over what a client hears; see `VideochatClient.events`."""

    def __init__(self, driver: LinkDriver) -> None:
        self._driver = driver

    def __aiter__(self) -> "Events":
        return self

    async def __anext__(self) -> Heard:
        try:
            return await self._driver.events.receive()
        except trio.EndOfChannel:
            failure: EngineError = self._driver.failure()
        if isinstance(failure, TransportClosedError):
            raise StopAsyncIteration
        raise failure


@contextlib.asynccontextmanager
async def connect_videochat(
    url: str,
    *,
    token: str,
    device: str = "",
    since: int | None = None,
    settings: ClientSettings = DEFAULTS,
    limits: Limits | None = None,
    ssl_context: ssl.SSLContext | None = None,
    draw: Callable[[], float] = random.random,
    open_link: OpenLink | None = None,
) -> AsyncIterator[VideochatClient]:
    """Connect a device; it is connected, and again when it loses its server, until the block is left.

    `device` names it for ever: a second socket of the same device takes over. `since` is the version of the
    last event that an earlier program has heard. The block begins when the server has welcomed the device.
    `draw` gives numbers in [0, 1) for the delays; `open_link` replaces the WebSocket to `url`.

    Raises, here and from every method of the client once it has ended:
        ConfigurationError: the URL is wrong.
        AuthenticationError: the token is not good.
        TakenOverError: another socket of the device has taken over.
        RemoteProtocolError: the server sent what cannot be read.
        TransportTimeoutError: there was no server for `give_up_seconds`.
        OverloadedError: the events were not taken; see `WhenFull`.
        TransportClosedError: the block was left.
    """
    # The deadline of connecting is the machine's.
    websocket: OpenLink = partial(
        connect, url, limits=limits, connect_seconds=float("inf"), ssl_context=ssl_context
    )
    who = Identity(token=token, device=device or secrets.token_hex(8))
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        driver = LinkDriver(open_link or websocket, nursery, who, since, settings, draw)
        driver.open()
        try:
            await driver.wait_for(LinkState.READY)
            yield VideochatClient(driver, who.device)
        except Exception as error:
            # Raised again outside of the nursery, which would wrap it in a group.
            failure = error
        finally:
            driver.close()
    if failure is not None:
        raise failure


def _id(videochat_id: str) -> wire.VideochatId:
    return wire.VideochatId(videochat_id=videochat_id)
