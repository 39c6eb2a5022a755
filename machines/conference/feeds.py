"""The events of conferences as clients read them: kept while somebody reads, told to all who wait."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeAlias

import attrs
import trio

from engine.effects import Send
from engine.runtime.followers import Follower
from engine.runtime.runtime import Runtime
from engine.transport.sockets import Frame
from machines.conference import vocabulary as v
from machines.conference.events import Told, told
from machines.conference.rules.addresses import stream_of

IDLE_SECONDS = 60.0
"""How long the events of a conference that nobody reads are kept."""

SWEEP_SECONDS = 15.0

PLAIN_MAX = 10_000
"""Stored events whose unmasked words are kept; of older ones the masked words are told."""


@attrs.frozen(eq=False, slots=False)
class Entry:
    """One event, encoded once for any number of readers."""

    version: int | None
    """None for creation and for sent events."""
    text: str = attrs.field(repr=False)
    """JSON."""

    @cached_property
    def frame(self) -> Frame:
        """For WebSockets."""
        return Frame(self.text)


Subscriber: TypeAlias = Callable[[Entry], None]
"""Told each event in its order; must not block."""

Courier: TypeAlias = Callable[[Entry, tuple[str, ...]], None]
"""Told each sent event, with the endpoints that it is for."""

Lost: TypeAlias = Callable[[], None]
"""Told that nothing more will be told."""


@attrs.define(eq=False)
class Subscription:
    """One WebSocket's interest in one conference."""

    tell: Subscriber
    carry: Courier
    lost: Lost
    place: int | None = None
    """The first entry that it is told when it comes; None while it reads what there is already."""


def place_of(version: int | None) -> int:
    """Where the entries from a version on begin, creation for None: versions have no gaps."""
    return 0 if version is None else max(version, 0) + 1


class Feed:
    """One conference's events in the order of their versions, from its creation on."""

    def __init__(self, conference_id: str, body_of: Callable[[v.DeliveryNotice], str]) -> None:
        self.conference_id = conference_id
        self.ended = False
        self.readers = 0
        self.idle_since = 0.0
        self._body_of = body_of
        self._entries: list[Entry] = []
        self._organization = ""
        self._changed = trio.Event()
        self._subscriptions: dict[Subscription, None] = {}

    @property
    def version(self) -> int:
        """How many versioned events there were."""
        return max(len(self._entries) - 1, 0)

    def since(self, version: int | None) -> Sequence[Entry]:
        """What comes at `version` and later; everything, creation too, when it is None."""
        return self._entries[place_of(version) :]

    def part(self, place: int, count: int) -> Sequence[Entry]:
        """So many entries from a place on, or those that there are."""
        return self._entries[place : place + count]

    async def wait_since(self, version: int | None, seconds: float) -> Sequence[Entry]:
        """The same; if there is nothing and more may come, wait for it up to `seconds`."""
        with trio.move_on_after(seconds):
            while not (self.since(version) or self.ended):
                await self._changed.wait()
        return self.since(version)

    def subscribe(self, subscription: Subscription) -> None:
        """Carry sent events to it, and tell it what comes from its place on."""
        self._subscriptions[subscription] = None

    def unsubscribe(self, subscription: Subscription) -> None:
        """Tell it nothing more."""
        self._subscriptions.pop(subscription, None)

    def take(self, _version: int, at: float, send: Send) -> None:
        """What the journal announces."""
        match send.message:
            case v.EventNotice(event):
                self._add(told(self.conference_id, self._organization, event, at))
            case v.DeliveryNotice() as notice:
                self.carry(self._body_of(notice), notice.endpoints)

    def carry(self, text: str, endpoints: tuple[str, ...]) -> None:
        """Tell a sent event to the sockets of these endpoints."""
        entry = Entry(None, text)
        for subscription in [*self._subscriptions]:
            subscription.carry(entry, endpoints)

    def stop(self) -> None:
        """Let nobody wait: the server stops."""
        self.ended = True
        self._wake()

    def lose(self) -> None:
        """Nothing more will be heard: who waits gets what there is, who listens is told so."""
        self.stop()
        for subscription in [*self._subscriptions]:
            subscription.lost()

    def _add(self, event: Told) -> None:
        self._organization = event.organization
        entry, place = Entry(event.version, event.text), len(self._entries)
        self._entries.append(entry)
        self.ended = self.ended or event.is_last
        self._wake()
        for subscription in [*self._subscriptions]:
            if subscription.place is not None and subscription.place <= place:
                subscription.tell(entry)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@attrs.frozen(eq=False)
class _Open:
    """A feed that is read, or was a moment ago."""

    feed: Feed
    follower: Follower
    ready: trio.Event


class Feeds:
    """The feeds of all conferences that somebody reads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: dict[str, _Open] = {}
        self._plain: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """The words of stored events by their masked ones, and until when they are kept."""
        self._stopped = False

    def __len__(self) -> int:
        return len(self._open)

    async def enter(self, conference_id: str) -> Feed:
        """The feed of a conference, with everything that was said so far. Give it back with `leave`."""
        opened = self._open.get(conference_id) or self._begin(conference_id)
        opened.feed.readers += 1
        is_ready = False
        try:
            await opened.ready.wait()
            is_ready = True
        finally:
            if not is_ready:
                self.leave(opened.feed)
        return opened.feed

    def leave(self, feed: Feed) -> None:
        """One reader less."""
        feed.readers -= 1
        feed.idle_since = trio.current_time()

    def carry(self, conference_id: str, text: str, endpoints: tuple[str, ...]) -> None:
        """Tell a sent event to whoever listens now."""
        opened = self._open.get(conference_id)
        if opened is not None:
            opened.feed.carry(text, endpoints)

    def keep_plain(self, masked: str, plain: str, seconds: float) -> None:
        """Keep what a stored event says unmasked, for as long as it is told; a restart forgets it.

        By the masked words, which name id, conference and organization: a second event of the same id, of
        whomever, can put no words into the mouth of the first.
        """
        self._plain.setdefault(masked, (plain, trio.current_time() + seconds + SWEEP_SECONDS))
        if len(self._plain) > PLAIN_MAX:
            self._plain.popitem(last=False)

    def stop(self) -> None:
        """Let all who wait go, now and from now on."""
        self._stopped = True
        for opened in self._open.values():
            opened.feed.stop()

    async def sweep(self) -> None:
        """Forget what nobody reads, for ever."""
        while True:
            await trio.sleep(SWEEP_SECONDS)
            self._sweep(trio.current_time() - IDLE_SECONDS)

    def _sweep(self, before: float) -> None:
        for conference_id, opened in [*self._open.items()]:
            if not opened.feed.readers and opened.feed.idle_since <= before:
                self._runtime.followers.leave(opened.follower)
                del self._open[conference_id]
        now = trio.current_time()
        for masked in [masked for masked, (_, until) in self._plain.items() if until <= now]:
            del self._plain[masked]

    def _begin(self, conference_id: str) -> _Open:
        feed, ready = Feed(conference_id, self._body_of), trio.Event()

        def lost() -> None:
            # The next reader begins anew.
            if self._open.get(conference_id) is opened:
                del self._open[conference_id]
            feed.lose()
            ready.set()

        follower = self._runtime.followers.follow(stream_of(conference_id), 0, feed.take, lost, ready.set)
        # Nothing is told before the next await, so that `lost` knows it.
        opened = self._open[conference_id] = _Open(feed, follower, ready)
        if self._stopped:
            feed.stop()
        return opened

    def _body_of(self, notice: v.DeliveryNotice) -> str:
        """The event as it was sent; after a restart the masked one is all there is."""
        return self._plain.get(notice.body, (notice.body, 0.0))[0]
