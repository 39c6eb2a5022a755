"""What a browser test plays on: a media host, the signalling, pages, and every event of the host."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import attrs
import trio

from engine.media import protocol as p
from engine.media.frames import Limits
from engine.media.host import HostSettings, WorkersHost
from engine.media.open import open_media
from engine.transport.server import serve
from tests.browser.browser import Browser, Page, Session
from tests.browser.signalling import Signalling

EVENT_SECONDS = 15.0
"""Only a broken router takes so long."""
CALM = Limits(lag_max_milliseconds=60_000, cpu_max_fraction=100)
"""A busy machine must not make a test fail."""
E = TypeVar("E", bound=p.MediaEvent)


class Stage:
    """One test's worth of it."""

    def __init__(self, host: WorkersHost, signalling: Signalling, session: Session, url: str) -> None:
        self.host, self.signalling = host, signalling
        self._session, self._url = session, url
        self.events: list[p.MediaEvent] = []
        self._changed = trio.Event()

    async def page(self, name: str = "page", session: Session | None = None) -> Page:
        """A fresh one, with its signalling open; in another browser when one is named."""
        return await (session or self._session).open(name, self._url)

    def take(self, events: tuple[p.MediaEvent, ...]) -> None:
        """Keep what has happened."""
        self.events += events
        self._changed.set()
        self._changed = trio.Event()

    async def event(self, kind: type[E], peer_id: str | None = None, /, **fields: Any) -> E:
        """The first event of a class (and of a peer, and with these fields), now or when it comes."""
        fields = fields if peer_id is None else {**fields, "peer_id": peer_id}
        with trio.move_on_after(EVENT_SECONDS):
            while not (found := self._of(kind, fields)):
                await self._changed.wait()
            return found[0]
        raise AssertionError(f"no {kind.__name__} with {fields} in {self.events}")

    def _of(self, kind: type[E], fields: Mapping[str, Any]) -> list[E]:
        found = [one for one in self.events if isinstance(one, kind)]
        return [one for one in found if all(getattr(one, name) == value for name, value in fields.items())]

    async def statistics(self, peer_id: str) -> dict[str, float]:
        """What the router says of a peer."""
        answer = await self.host.request(p.GetStatistics(peer_id=peer_id))
        assert isinstance(answer, p.Statistics)
        return dict(answer.values)


@asynccontextmanager
async def open_stage(
    browser: Browser, *, workers: int = 1, viewers_per_worker: int = 300, **config: Any
) -> AsyncIterator[Stage]:
    """A host with worker processes whose routers have `config`; nothing may fail behind the scenes.

    With `loss` and `seed` it is the one in lossy.py.
    """
    settings = HostSettings(config=config, limits=CALM, viewers_per_worker=viewers_per_worker)
    if "loss" in config:
        settings = attrs.evolve(settings, router="tests.browser.lossy:open_router")
    async with (
        browser.use() as session,
        open_media("process", workers=workers, settings=settings) as host,
        host.events() as reader,
        trio.open_nursery() as nursery,
    ):
        assert isinstance(host, WorkersHost)
        signalling = Signalling(host, nursery)
        [url] = await nursery.start(serve, signalling, "127.0.0.1:0")
        stage = Stage(host, signalling, session, url)
        nursery.start_soon(_keep, reader, stage)
        yield stage
        faults = [one for one in stage.events if isinstance(one, p.MediaFault | p.EventsLost)]
        assert not faults, stage.events
        nursery.cancel_scope.cancel()


async def _keep(reader: trio.MemoryReceiveChannel[p.Batch], stage: Stage) -> None:
    async for _, events in reader:
        stage.take(events)
