"""One WebSocket of `/rtc-api/events`: it follows conferences, and acknowledges what was sent to it."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio

from engine.app.api import Host
from engine.codec.wire import WireCodec
from engine.errors import CommandRefusedError, EngineError, RemoteProtocolError
from engine.runtime.supervisor import contained
from engine.transport.sockets import Socket
from machines.conference import vocabulary as v
from machines.conference import wire_listening as wire
from machines.conference.feeds import Entry, Feed, Subscription, place_of
from machines.conference.refusals import Refusal, described, refusal_of
from machines.conference.rules import roll
from machines.conference.rules.addresses import conference_address, delivery_address, stream_of

if TYPE_CHECKING:
    from machines.conference.service import ConferenceService

CONFERENCES_MAX = 1_000
"""Conferences that one socket may follow."""

PENDING_MAX = 64
"""Messages of one socket that wait for the journal; then none is read until one is done."""

PART = 64
"""Events that a socket is told at once when it catches up: a quarter of what it may leave unread."""

LOOK_SECONDS = 0.05
"""How often a socket that catches up is looked at while its client does not read."""

INTERNAL_ERROR = 1011
POLICY_VIOLATION = 1008


def first_follow(codec: WireCodec, query: Sequence[tuple[str, str]]) -> wire.Follow | None:
    """What the query of a socket asks to follow; None when it names no conference.

    Raises:
        RemoteProtocolError: it names one, and something in it is of another form.
    """
    if not any(name == "conferenceId" for name, _ in query):
        return None
    return codec.decode_pairs(query, wire.Follow)


@attrs.define(eq=False)
class _Followed:
    """One conference that the socket follows."""

    feed: Feed
    subscription: Subscription
    endpoint: str
    """Empty for all endpoints of the caller."""
    dropped: bool = False
    """It is followed no more, or from another version on."""


class Listener:
    """The receiver of one socket's messages."""

    def __init__(
        self, service: "ConferenceService", socket: Socket, caller: v.Caller, expires_at: float
    ) -> None:
        self.caller = caller
        self.expires_at = expires_at
        """When the token's time is over, in UTC seconds."""
        self._service = service
        self._host: Host = service.host
        self._socket = socket
        self._followed: dict[str, _Followed] = {}
        self._entering: dict[str, wire.Follow | None] = {}
        """What was asked last of conferences that are being looked up; None to follow it no more."""
        self._pending = 0
        self._closed = False

    # -- the server's side

    def on_message(self, _socket: Socket, text: str) -> None:
        """Take one message; what is wrong with it is told, and the socket stays open."""
        codec = self._host.codec
        try:
            match codec.decode(text, wire.Frame).type:
                case wire.FOLLOW:
                    self.follow(codec.decode(text, wire.Follow))
                case wire.UNFOLLOW:
                    self._unfollow(codec.decode(text, wire.Unfollow).conference_id)
                case wire.ACKNOWLEDGE:
                    self._later(self._acknowledge, codec.decode(text, wire.Acknowledge))
                case _:
                    # Types that we do not know are passed over, as clients do with ours.
                    return
        except RemoteProtocolError as fault:
            self._complain(refusal_of(fault))

    def on_close(self, _socket: Socket, _code: int) -> None:
        """The socket is gone."""
        self._closed = True
        for conference_id in [*self._followed]:
            self._drop(conference_id)
        self._service.left(self)

    def expire(self) -> None:
        """The token's time is over."""
        self._socket.close(POLICY_VIOLATION, "the token has expired")

    # -- following

    def follow(self, wanted: wire.Follow) -> None:
        """Begin to follow; who follows already begins anew, at another version."""
        conference_id = wanted.conference_id
        if conference_id in self._entering:
            self._entering[conference_id] = wanted
        elif conference_id not in self._followed and self._is_full():
            self._complain(Refusal("overloaded", "too many conferences for one socket"), conference_id)
        else:
            self._entering[conference_id] = wanted
            self._later(self._follow, conference_id)

    def _is_full(self) -> bool:
        return len(self._followed.keys() | self._entering.keys()) >= CONFERENCES_MAX

    async def _follow(self, conference_id: str) -> None:
        feed = None
        try:
            feed = await self._enter(conference_id)
        finally:
            wanted = self._entering.pop(conference_id)
        if feed is None:
            return
        if wanted is None or self._closed:
            self._service.feeds.leave(feed)
            return
        self._drop(conference_id)
        self._begin(feed, wanted)

    async def _enter(self, conference_id: str) -> Feed | None:
        conference = await self._service.conference_for(self.caller, conference_id)
        if conference is None:
            self._complain(Refusal("conference_not_found"), conference_id)
            return None
        return await self._service.feeds.enter(conference_id)

    def _begin(self, feed: Feed, wanted: wire.Follow) -> None:
        subscription = Subscription(self._tell, self._carry(wanted.conference_id), self._lose)
        followed = _Followed(feed, subscription, wanted.user_endpoint_id or "")
        self._followed[wanted.conference_id] = followed
        following = wire.Following(conference_id=wanted.conference_id, version=feed.version)
        self._socket.send(self._host.codec.encode(following).decode())
        feed.subscribe(subscription)
        self._host.nursery.start_soon(self._run, partial(self._catch_up, followed, place_of(wanted.since)))

    async def _catch_up(self, followed: _Followed, place: int) -> None:
        """Tell what there is no faster than it is read; what comes is told from then on."""
        while not followed.dropped:
            part = followed.feed.part(place, PART)
            for entry in part:
                self._tell(entry)
            place += len(part)
            if len(part) < PART:
                # No await since the look: nothing comes between.
                followed.subscription.place = place
                return
            await self._wait_read()

    async def _wait_read(self) -> None:
        """Until the client has taken what was sent; one that never does is closed by the server's pings."""
        await trio.lowlevel.checkpoint()
        while self._socket.statistics().outbox_messages and not self._closed:  # noqa: ASYNC110 - it sets no event
            await trio.sleep(LOOK_SECONDS)

    def _unfollow(self, conference_id: str) -> None:
        if conference_id in self._entering:
            self._entering[conference_id] = None
        self._drop(conference_id)

    def _drop(self, conference_id: str) -> None:
        followed = self._followed.pop(conference_id, None)
        if followed is not None:
            followed.dropped = True
            followed.feed.unsubscribe(followed.subscription)
            self._service.feeds.leave(followed.feed)

    def _lose(self) -> None:
        """The journal cannot be heard: the client comes again, and asks from where it was."""
        self._socket.close(INTERNAL_ERROR)

    def _tell(self, entry: Entry) -> None:
        self._socket.send(entry.frame)

    def _carry(self, conference_id: str) -> Callable[[Entry, tuple[str, ...]], None]:
        def carry(entry: Entry, endpoints: tuple[str, ...]) -> None:
            if self._own(conference_id, endpoints):
                self._socket.send(entry.frame)

        return carry

    def _own(self, conference_id: str, endpoints: tuple[str, ...]) -> list[str]:
        """Which of the endpoints this socket listens for."""
        followed = self._followed.get(conference_id)
        state = self._host.runtime.dispatcher.peek(stream_of(conference_id))
        if followed is None or state is None:
            return []
        conference: v.Conference = state.members[conference_address(conference_id)].data
        wanted = (followed.endpoint,) if followed.endpoint else endpoints
        return [one for one in endpoints if one in wanted and roll.is_own(conference, self.caller, one)]

    # -- acknowledging

    async def _acknowledge(self, wanted: wire.Acknowledge) -> None:
        conference = await self._service.conference_for(self.caller, wanted.conference_id)
        address = delivery_address(wanted.conference_id, wanted.event_id)
        endpoints = () if conference is None else tuple(conference.participants)
        for endpoint in self._own(wanted.conference_id, endpoints):
            try:
                await self._service.ask(address, v.Acknowledge(user_endpoint_id=endpoint))
            except CommandRefusedError as error:
                self._complain(refusal_of(error), wanted.conference_id)

    # -- answering

    def _complain(self, refusal: Refusal, conference_id: str | None = None) -> None:
        problem = wire.Problem(
            error=refusal.reason, error_description=described(refusal), conference_id=conference_id
        )
        self._socket.send(self._host.codec.encode(problem).decode())

    def _later(self, task: Callable[[Any], Awaitable[None]], wanted: object) -> None:
        """Do what has to wait for the journal; while much does, the client waits too."""
        self._pending += 1
        if self._pending == PENDING_MAX:
            self._socket.pause()
        self._host.nursery.start_soon(self._run_pending, partial(task, wanted))

    async def _run_pending(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await self._run(task)
        finally:
            self._pending -= 1
            if self._pending == PENDING_MAX - 1:
                self._socket.resume()

    async def _run(self, task: Callable[[], Awaitable[None]]) -> None:
        """A failure costs this socket alone."""
        with contained("listener_failed", lambda _: self._socket.close(INTERNAL_ERROR)):
            try:
                await task()
            except EngineError as error:
                self._complain(refusal_of(error))
