"""Where a seat hears its conference's events: the WebSocket of our server, or the documented long poll."""

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, Protocol, TypeAlias

import attrs
import trio

from engine.codec.text import parse
from engine.codec.wire import WireCodec
from engine.errors import RemoteProtocolError, TransportBrokenError, TransportError
from engine.nurseries import open_block_nursery
from engine.transport.link import Link
from engine.transport.websocket import UpgradeRefusedError
from machines.conference import wire
from machines.conference import wire_listening as listening
from machines.conference.client.calls import Calls
from machines.conference.client.errors import ConferenceRefusedError
from machines.conference.client.picture import Picture
from machines.conference.client.tokens import Tokens
from machines.conference.wire_events import EVENTS, ConferenceEvent, read_event

OpenLink: TypeAlias = Callable[[str], AbstractAsyncContextManager[Link]]
"""Opens a WebSocket to the events, with this access token."""

UNAUTHORIZED = frozenset({401, 403})
NO_SOCKET = frozenset({400, 404, 405, 410, 426, 501})
"""What a host answers that has no WebSocket at this path."""

NOT_FOUND = 404
TOKEN_EXPIRED_CODE = 1008

SENT_MAX = 256
"""Ids of sent events that are remembered, so that none is heard twice."""

QUICK_SECONDS = 1.0
"""A poll that is answered by nothing sooner than this did not wait, and the next one does."""


@attrs.frozen(kw_only=True)
class SentEvent(ConferenceEvent):
    """An event of a type that the source does not name, such as one that a service sent."""

    content: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """All of it."""


@attrs.frozen(kw_only=True)
class Resumed(ConferenceEvent):
    """Ours, and of no host: events were missed, and this is what the conference is like now."""

    type: Literal["Resumed"] = "Resumed"
    picture: Picture


class Ear(Protocol):
    """Who hears the events."""

    @property
    def conference_id(self) -> str: ...
    @property
    def endpoint_id(self) -> str: ...

    @property
    def since(self) -> int:
        """The version that comes next."""

    async def wait_inside(self) -> None:
        """Until it is in step with the host, and wants to hear what comes."""

    def hear(self, event: ConferenceEvent) -> None:
        """An event came."""

    def doubt(self) -> None:
        """The host may know less, or nothing, of the conference."""

    def fault(self, error: RemoteProtocolError) -> None:
        """What came cannot be read."""


class Source(Protocol):
    """Where events come from."""

    async def run(self) -> None:
        """Tell the ear what comes, for ever; or until the host turns out to have no such source."""

    def follow_anew(self) -> None:
        """The ear is at another version than the one that would come."""


class Poll:
    """The documented long poll: `/events?v=`. It has no sent events."""

    def __init__(
        self, ear: Ear, calls: Calls, poll_seconds: float, delays: Callable[[], Iterator[float]]
    ) -> None:
        self._ear = ear
        self._calls = calls
        self._poll_seconds = poll_seconds
        self._delays = delays

    def follow_anew(self) -> None:
        """Each poll asks from where the ear is."""

    async def run(self) -> None:
        """See Source."""
        delays = self._delays()
        while True:
            await self._ear.wait_inside()
            began = trio.current_time()
            heard = await self._hear()
            if heard or trio.current_time() - began >= QUICK_SECONDS:
                delays = self._delays()
            if not heard:
                await trio.sleep(next(delays))

    async def _hear(self) -> bool:
        """Whether there was something to hear."""
        ear = self._ear
        try:
            values = await self._calls.events(ear.conference_id, ear.since, self._poll_seconds)
            events = [read(self._calls.codec, value, f"$[{at}]") for at, value in enumerate(values)]
        except RemoteProtocolError as error:
            ear.fault(error)
            return False
        except ConferenceRefusedError as error:
            if error.status == NOT_FOUND:
                ear.doubt()
            return False
        except TransportError:
            return False
        for event in events:
            ear.hear(event)
        return bool(events)


class Socket:
    """The WebSocket of our server, dialled again whenever it is lost."""

    def __init__(
        self, ear: Ear, open_link: OpenLink, tokens: Tokens, delays: Callable[[], Iterator[float]]
    ) -> None:
        self._ear = ear
        self._open_link = open_link
        self._tokens = tokens
        self._delays = delays
        self._codec = WireCodec(wire.LIMITS)
        self._next: Iterator[float] = delays()
        self._outbox: deque[str] = deque()
        self._posted = trio.Event()
        self._sent: OrderedDict[str, None] = OrderedDict()

    def follow_anew(self) -> None:
        """See Source."""
        ear = self._ear
        self._post(
            listening.FOLLOW,
            listening.Follow(
                conference_id=ear.conference_id, since=ear.since, user_endpoint_id=ear.endpoint_id
            ),
        )

    async def run(self) -> None:
        """See Source: it returns when the host has no WebSocket."""
        while True:
            await self._ear.wait_inside()
            try:
                async with self._linked() as link:
                    await self._talk(link)
            except UpgradeRefusedError as error:
                if error.status in NO_SOCKET:
                    return
            except (TransportError, ConferenceRefusedError):
                # Whatever it was, the next link may do better; the seat itself says when it is enough.
                pass
            except RemoteProtocolError as error:
                self._ear.fault(error)
            await trio.sleep(next(self._next))

    @asynccontextmanager
    async def _linked(self) -> AsyncIterator[Link]:
        access_token = (await self._tokens.grant()).access_token
        try:
            async with self._open_link(access_token) as link:
                yield link
        except UpgradeRefusedError as error:
            if error.status in UNAUTHORIZED:
                self._tokens.forget(access_token)
            raise
        except TransportBrokenError as error:
            if error.code == TOKEN_EXPIRED_CODE:
                self._tokens.forget(access_token)
            raise

    async def _talk(self, link: Link) -> None:
        self._outbox.clear()
        self.follow_anew()
        async with open_block_nursery() as nursery:
            nursery.start_soon(self._write, link)
            while True:
                self._take(await link.receive())

    async def _write(self, link: Link) -> None:
        while True:
            while self._outbox:
                try:
                    await link.send(self._outbox.popleft())
                except TransportError:
                    # Reading tells how it ended, after what came before the end.
                    return
            self._posted = trio.Event()
            await self._posted.wait()

    def _post(self, kind: str, message: object) -> None:
        value = {"type": kind, **self._codec.to_value(message)}
        self._outbox.append(self._codec.encode(value).decode())
        self._posted.set()

    # -- what comes in

    def _take(self, text: str) -> None:
        value = parse(text, self._codec.limits)
        match self._codec.decode_value(value, listening.Frame).type:
            case listening.FOLLOWING:
                self._next = self._delays()
                following = self._codec.decode_value(value, listening.Following)
                if following.version < self._ear.since:
                    self._ear.doubt()
            case listening.ERROR:
                self._take_problem(self._codec.decode_value(value, listening.Problem))
            case _:
                self._take_event(read(self._codec, value))

    def _take_problem(self, problem: listening.Problem) -> None:
        match problem.error:
            case "delivery_not_found":
                # It was sent without a wish to hear that it arrived.
                return
            case "conference_not_found":
                self._ear.doubt()
            case _:
                raise TransportBrokenError(f"the host does not follow: {problem.error}")

    def _take_event(self, event: ConferenceEvent) -> None:
        if isinstance(event, SentEvent) and event.id:
            acknowledged = listening.Acknowledge(conference_id=event.conference_id, event_id=event.id)
            self._post(listening.ACKNOWLEDGE, acknowledged)
            if event.id in self._sent:
                return
            self._sent[event.id] = None
            if len(self._sent) > SENT_MAX:
                self._sent.popitem(last=False)
        self._ear.hear(event)


def read(codec: WireCodec, value: Any, path: str = "$") -> ConferenceEvent:
    """An event that a host told; one of a type that the source does not name is whole in `content`.

    Raises:
        RemoteProtocolError: it is not an event; `path` is where it stood.
    """
    event = read_event(codec, value, path)
    if event.type in EVENTS:
        return event
    common = attrs.asdict(event, recurse=False)
    return SentEvent(**common, content=value)
