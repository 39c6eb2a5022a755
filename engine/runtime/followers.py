"""Followers: whoever hears what a stream announces, in the order of its versions, nothing missed or twice."""

from collections.abc import Callable
from typing import TypeAlias

import attrs
import structlog
import trio

from engine.codec.records import RecordCodec
from engine.effects import Send
from engine.errors import JournalError
from engine.journal.fold import episodes
from engine.journal.port import Journal
from engine.machine.family import Family, RuleError
from engine.runtime.dispatcher import Committed, Dispatcher
from engine.runtime.supervisor import contained

log = structlog.get_logger("switchhook.followers")

EPISODES_AT_ONCE = 100
"""Read for one follower before others get their turn: some milliseconds of a history that may be long."""

Deliver: TypeAlias = Callable[[int, float, Send], None]
"""(version, UTC seconds, message); must not block. What it raises ends the follower."""

Lost: TypeAlias = Callable[[], None]
"""Told once when the follower hears nothing any more, though it has not left."""


CaughtUp: TypeAlias = Callable[[], None]
"""Told once when everything that was announced before has been delivered."""


def _nothing() -> None:
    """Who does not care."""


@attrs.define(eq=False)
class Follower:
    """A cursor on one stream. While it is behind, a task reads the journal for it; then it is live."""

    stream: str
    cursor: int
    deliver: Deliver
    lost: Lost
    caught_up: CaughtUp
    live: bool = False
    closed: bool = False


class Followers:
    """All followers of this process, by stream."""

    def __init__(
        self,
        journal: Journal,
        codec: RecordCodec,
        family: Family,
        dispatcher: Dispatcher,
        nursery: trio.Nursery,
    ) -> None:
        self._journal = journal
        self._codec = codec
        self._family = family
        self._dispatcher = dispatcher
        self._nursery = nursery
        self._by_stream: dict[str, set[Follower]] = {}

    def __contains__(self, stream: str) -> bool:
        return stream in self._by_stream

    def __len__(self) -> int:
        return sum(len(followers) for followers in self._by_stream.values())

    def follow(
        self,
        stream: str,
        since: int,
        deliver: Deliver,
        lost: Lost = _nothing,
        caught_up: CaughtUp = _nothing,
    ) -> Follower:
        """Deliver everything announced behind version `since`, then what comes, until `leave`."""
        follower = Follower(stream, since, deliver, lost, caught_up)
        self._by_stream.setdefault(stream, set()).add(follower)
        state = self._dispatcher.peek(stream)
        if state is not None and state.version <= since:
            follower.live = True
            caught_up()
        else:
            self._nursery.start_soon(self._catch_up, follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Deliver nothing more; twice is as good as once."""
        follower.closed = True
        followers = self._by_stream.get(follower.stream)
        if followers is not None:
            followers.discard(follower)
            if not followers:
                del self._by_stream[follower.stream]

    def committed(self, committed: Committed) -> None:
        """Tell live followers what an append announced."""
        for stream, change in committed.changes.items():
            followers = self._by_stream.get(stream)
            if not followers or not change.records:
                continue
            sends = [
                (one.version, one.stamp.at, one.effect)
                for one in committed.performances
                if one.stream == stream and isinstance(one.effect, Send)
            ]
            for follower in [*followers]:
                if follower.live and follower.cursor == change.base:
                    follower.cursor = change.version
                    for version, at, send in sends:
                        self._tell(follower, version, at, send)

    def _tell(self, follower: Follower, version: int, at: float, send: Send) -> None:
        """One follower that raises is dropped; the others of the stream are told all the same."""
        if not follower.closed:
            with contained("follower_failed", lambda _: self._lose(follower), stream=follower.stream):
                follower.deliver(version, at, send)

    def _lose(self, follower: Follower) -> None:
        self.leave(follower)
        follower.lost()

    async def _catch_up(self, follower: Follower) -> None:
        try:
            while not follower.closed:
                state = await self._dispatcher.read(follower.stream)
                if state.version <= follower.cursor:
                    # No await between this look and the flag: no commit can slip in between.
                    follower.live = True
                    follower.caught_up()
                    return
                await self._read_on(follower)
        except (JournalError, RuleError) as error:
            log.error("catch_up_failed", stream=follower.stream, reason=str(error))
            self._lose(follower)

    async def _read_on(self, follower: Follower) -> None:
        loaded = await self._journal.load(follower.stream, follower.cursor, snapshot=False)
        for number, episode in enumerate(episodes(self._codec, follower.stream, loaded), 1):
            if number % EPISODES_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
                if follower.closed:
                    return
            for version, record in enumerate(episode.records, episode.version):
                for send in self._family.announced(record.member, record.event):
                    self._tell(follower, version, episode.at, send)
                follower.cursor = version
