"""A served conference API with clients of this project, and media that are fakes on both sides."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import trio

from engine.app.configuration import Configuration
from engine.app.engine import Engine, open_engine
from engine.journal.port import Journal
from engine.media import protocol as p
from engine.media.fake import FakeHost, open_fake_host
from machines.conference.api import API
from machines.conference.client.client import (
    ClientSettings,
    ConferenceClient,
    ConferenceEvent,
    FeedState,
    PublishedStream,
    Seat,
    ViewedStream,
    open_conference_client,
)
from machines.conference.oauth.service import ClientSettings as Registered
from machines.conference.oauth.service import OauthSettings, Role
from machines.conference.settings import ConferenceSettings

KEY = "a signing key of more than 32 bytes"
ROLES = {"ann": Role.USER, "bob": Role.USER, "eve": Role.USER, "hall": Role.SERVICE}
QUICK = ClientSettings(
    request_seconds=5.0,
    first_delay_seconds=0.02,
    longest_delay_seconds=0.2,
    give_up_seconds=10.0,
    leave_seconds=2.0,
)
PATTERN = p.PatternSource()
SINK = p.FileSink("call.webm")


def secret_of(user: str) -> str:
    """Of the client that has the user's name."""
    return f"{user} has a secret of its own"


@attrs.define(eq=False)
class Venue:
    """A server, and the media of its clients."""

    url: str
    engine: Engine
    server_media: FakeHost
    media: FakeHost
    """The clients'."""

    def client(self, user: str, **options: Any) -> AbstractAsyncContextManager[ConferenceClient]:
        """A client of this server."""
        given = {"settings": QUICK, "media": self.media, "endpoint_id": f"{user}-1", **options}
        return open_conference_client(self.url, client_id=user, client_secret=secret_of(user), **given)

    @asynccontextmanager
    async def seat(self, user: str, room: str = "room", **options: Any) -> AsyncIterator[Seat]:
        """A client inside a conference, which is made if nobody has made it."""
        async with self.client(user, **options) as client:
            if room not in [one.id for one in await client.active()]:
                await client.create(room)
            async with client.join(room, name=user.capitalize()) as seat:
                yield seat


@asynccontextmanager
async def served(
    journal: str | Journal = "memory:",
    listen: str = "127.0.0.1:0",
    **settings: Any,
) -> AsyncIterator[Venue]:
    """A server on a free port, or the one that is wanted."""
    clients = {
        name: Registered(secret=secret_of(name), organization="acme", role=role)
        for name, role in ROLES.items()
    }
    section = ConferenceSettings(
        **{"clients": clients, "oauth": OauthSettings(signing_key=KEY), "poll_seconds": 1.0, **settings}
    )
    configuration = Configuration(settings={"conference": section})
    async with (
        open_fake_host() as server_media,
        open_fake_host() as media,
        open_engine(journal, apis=[API], configuration=configuration, media=server_media) as engine,
        trio.open_nursery() as nursery,
    ):
        stop = trio.Event()
        (url,) = await nursery.start(partial(engine.serve, listen, stop=stop))
        yield Venue(url, engine, server_media, media)
        nursery.cancel_scope.cancel()


async def hear(seat: Seat, count: int) -> list[tuple[int | None, str]]:
    """(version, type) of the next events."""
    events = seat.events()
    return [(one.conference_version, one.type) for one in [await anext(events) for _ in range(count)]]


async def first_of(seat: Seat, kind: type[ConferenceEvent]) -> Any:
    """The first event of this kind; those before it are dropped."""
    while not isinstance(event := await anext(seat.events()), kind):
        pass
    return event


async def returns(feed: PublishedStream | ViewedStream) -> None:
    """Until it was lost and is live again."""
    with trio.fail_after(5.0):
        await feed.wait_for(*(state for state in FeedState if state is not FeedState.LIVE))
        await feed.wait_for(FeedState.LIVE)
