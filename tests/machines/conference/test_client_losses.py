"""The client through lost sockets, a restarted server and cancellation, against our server."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import attrs
import pytest
import trio

from engine.errors import TransportBrokenError
from engine.media.fake import FakeHost, open_fake_host
from engine.transport.link import Link
from engine.transport.websocket import UpgradeRefusedError, connect
from machines.conference.client.client import (
    ClientSettings,
    ConferenceClient,
    Resumed,
    Seat,
    open_conference_client,
)
from machines.conference.endpoints import EVENTS_PATH
from machines.conference.wire_events import ConferenceMetadataUpdatedEvent
from tests.machines.conference.venue import (
    PATTERN,
    QUICK,
    SINK,
    Venue,
    first_of,
    hear,
    returns,
    secret_of,
    served,
)


class Wire:
    """The WebSockets of a client, which a test may cut."""

    def __init__(self, url: str) -> None:
        self.url = url.replace("http", "ws") + EVENTS_PATH
        self.links: list[Link] = []
        self.refusals: list[Exception] = []
        """Of the next links."""
        self.said: list[str] = []
        """Frames that come before those of the server, on the next link."""

    @contextlib.asynccontextmanager
    async def open_link(self, access_token: str) -> AsyncIterator[Link]:
        """The client's `open_link`."""
        if self.refusals:
            raise self.refusals.pop(0)
        async with connect(self.url, headers=[("authorization", f"Bearer {access_token}")]) as link:
            self.links.append(link)
            yield _Tapped(link, self.said)

    async def cut(self) -> None:
        """End the present link."""
        await self.links[-1].aclose()


@attrs.define
class _Tapped:
    link: Link
    said: list[str]

    async def send(self, text: str) -> None:
        await self.link.send(text)

    async def receive(self) -> str:
        return self.said.pop(0) if self.said else await self.link.receive()

    async def aclose(self) -> None:
        await self.link.aclose()


async def test_a_lost_socket_is_dialled_again_and_nothing_is_missed() -> None:
    async with served() as venue, venue.seat("bob") as bob:
        wire = Wire(venue.url)
        async with venue.seat("ann", open_link=wire.open_link) as ann:
            await bob.set_metadata("key", "1")
            await first_of(ann, ConferenceMetadataUpdatedEvent)
            wire.refusals += [
                UpgradeRefusedError(401),
                UpgradeRefusedError(503),
                TransportBrokenError("gone", 1008),
                TransportBrokenError("gone"),
            ]
            await wire.cut()
            for value in "23":
                await bob.set_metadata("key", value)
            assert [(await first_of(ann, ConferenceMetadataUpdatedEvent)).value for _ in "23"] == ["2", "3"]
            assert len(wire.links) == 2


async def test_a_host_that_has_lost_the_socket_meanwhile_is_polled() -> None:
    async with served() as venue, venue.seat("bob") as bob:
        wire = Wire(venue.url)
        wire.refusals.append(UpgradeRefusedError(404))
        async with venue.seat("ann", open_link=wire.open_link) as ann:
            await bob.set_metadata("key", "1")
            assert (await first_of(ann, ConferenceMetadataUpdatedEvent)).value == "1"
            assert wire.links == []


@pytest.mark.parametrize(
    "said",
    [
        '{"type": "following", "conferenceId": "room", "version": 0}',
        '{"type": "error", "error": "conference_not_found", "error_description": ""}',
    ],
)
async def test_a_host_that_knows_less_is_read_again(said: str) -> None:
    async with served() as venue, venue.seat("bob") as bob:
        wire = Wire(venue.url)
        wire.said.append(said)
        async with venue.seat("ann", open_link=wire.open_link) as ann:
            assert (await first_of(ann, Resumed)).picture.version == 2
            await bob.set_metadata("key", "1")
            await first_of(ann, ConferenceMetadataUpdatedEvent)


async def test_a_host_that_does_not_follow_is_dialled_again() -> None:
    async with served() as venue, venue.seat("bob") as bob:
        wire = Wire(venue.url)
        wire.said.append('{"type": "error", "error": "overloaded", "error_description": ""}')
        async with venue.seat("ann", open_link=wire.open_link) as ann:
            await bob.set_metadata("key", "1")
            await first_of(ann, ConferenceMetadataUpdatedEvent)
            assert len(wire.links) == 2


async def test_a_socket_that_says_what_cannot_be_read_ends_the_seat() -> None:
    async with served() as venue:
        wire = Wire(venue.url)
        wire.said.append("what?")
        async with venue.seat("ann", open_link=wire.open_link) as ann:
            with pytest.raises(Exception, match="not JSON"):
                await first_of(ann, Resumed)


async def test_a_sent_event_that_comes_again_is_heard_once() -> None:
    async with served() as venue:
        wire = Wire(venue.url)
        wire.said += [
            f'{{"type": "OrderPlacedEvent", "id": "e{number}", "conferenceId": "room"}}'
            for number in (1, 1, *range(300), 2, 299)
        ]
        async with venue.seat("ann", open_link=wire.open_link, settings=LARGE) as ann:
            heard = [(await anext(ann.events())).id for _ in range(301)]
            # So long ago that it is forgotten.
            assert heard == ["e1", "e0", *(f"e{number}" for number in range(2, 300)), "e2"]


LARGE = attrs.evolve(QUICK, events_max=1000)


@attrs.frozen(eq=False)
class Life:
    """One life of a server."""

    venue: Venue
    _stop: trio.Event
    _gone: trio.Event

    async def end(self) -> None:
        """Stop it, and wait until nothing is left."""
        self._stop.set()
        await self._gone.wait()


async def live(journal: str, listen: str, *, task_status: trio.TaskStatus[Life]) -> None:
    """A server that ends when it is told to."""
    stop, gone = trio.Event(), trio.Event()
    async with served(journal, listen) as venue:
        task_status.started(Life(venue, stop, gone))
        await stop.wait()
    gone.set()


def hers(
    venue: Venue, media: FakeHost, **changed: float
) -> contextlib.AbstractAsyncContextManager[ConferenceClient]:
    """Ann's client, whose media outlive the server."""
    settings = attrs.evolve(QUICK, **changed)
    return open_conference_client(
        venue.url, client_id="ann", client_secret=secret_of("ann"), media=media, settings=settings
    )


async def test_a_restarted_server_is_the_same_conference(tmp_path: Path) -> None:
    journal = f"sqlite:///{tmp_path / 'calls.db'}"
    async with open_fake_host() as media, trio.open_nursery() as nursery:
        first: Life = await nursery.start(live, journal, "127.0.0.1:0")
        async with hers(first.venue, media, keep_alive_seconds=1) as client:
            await client.create("room")
            async with client.join("room") as ann:
                stream = await ann.publish(PATTERN)
                await ann.set_metadata("key", "before")
                await first.end()
                listen = first.venue.url.removeprefix("http://")
                second: Life = await nursery.start(live, journal, listen)
                async with second.venue.seat("bob") as bob:
                    await ann.wait_for(lambda picture: "bob-1" in picture.endpoints or None)
                    # Real peers would notice by themselves that the server's are gone.
                    media.kill_worker()
                    await returns(stream)
                    seen = await bob.wait_stream(user_id="ann")
                    assert seen.stream_id == stream.stream_id
                    assert bob.picture.metadata == {"key": "before"}
        await second.end()


# -- cancellation

Doing = Callable[[Venue, Seat], Awaitable[object]]


async def join(venue: Venue, bob: Seat) -> None:
    async with venue.client("ann", settings=HURRIED) as client, client.join("room"):
        pass


async def publish(venue: Venue, bob: Seat) -> None:
    await bob.publish(PATTERN)


async def view(venue: Venue, bob: Seat) -> None:
    await bob.view("s1", SINK)


HURRIED: ClientSettings = attrs.evolve(QUICK, hurried_seconds=5.0)


@pytest.mark.slow
@pytest.mark.parametrize("doing", [join, publish, view])
async def test_cancelled_anywhere_nothing_is_left(doing: Doing) -> None:
    finished = 0
    async with served() as venue, venue.seat("bob", settings=HURRIED) as bob:
        await bob.publish(PATTERN, stream_id="s1")
        for turns in range(0, 240, 12):
            before = venue.media.peer_ids, venue.server_media.peer_ids
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel_after, turns, scope)
                    await doing(venue, bob)
                    finished += 1
                    scope.cancel()
            if scope.cancelled_caught and doing is join:
                # Whoever was let in has left.
                async with venue.client("eve") as eve:
                    assert [one.id for one in (await eve.conference("room")).participants] == ["bob-1"]
            elif not bob_has_more(bob):
                assert venue.media.peer_ids == before[0]
    assert venue.media.peer_ids == ()
    assert venue.server_media.peer_ids == ()


def bob_has_more(bob: Seat) -> bool:
    """Whether something was done before it was cancelled."""
    return len(bob._driver.stand.feeds) > 1


async def cancel_after(turns: int, scope: trio.CancelScope) -> None:
    """Cancel when every other task has had so many turns, and sockets a moment."""
    for _ in range(turns):
        await trio.sleep(0.0002)
    scope.cancel()


async def test_a_cancelled_program_says_goodbye_shortly() -> None:
    async with served() as venue, venue.seat("bob") as bob:
        with trio.CancelScope() as scope:
            async with venue.seat("ann", settings=HURRIED) as ann:
                await ann.publish(PATTERN)
                scope.cancel()
        assert [kind for _, kind in await hear(bob, 4)][-1] == "ConferenceLeftEvent"


async def test_a_server_that_is_gone_holds_a_program_only_so_long() -> None:
    async with open_fake_host() as media, trio.open_nursery() as nursery:
        server: Life = await nursery.start(live, "memory:", "127.0.0.1:0")
        with trio.fail_after(5):
            async with hers(server.venue, media, leave_seconds=0.2, hurried_seconds=0.2) as client:
                await client.create("room")
                async with client.join("room"):
                    await server.end()
