"""Where a conference takes place in browser tests: our server with its media, and people at its page."""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from engine.app.configuration import Configuration
from engine.app.engine import Engine, open_engine
from engine.media import protocol as p
from engine.media.host import HostSettings, WorkersHost
from engine.media.open import open_media
from engine.media.process import WorkerProcess
from engine.transport.http import HttpClient
from machines.conference.api import API
from machines.conference.oauth.service import TOKEN_PATH, ClientSettings, OauthSettings, Role
from machines.conference.pages import PATH
from machines.conference.settings import ConferenceSettings
from tests.browser.browser import Browser, Page, Session
from tests.browser.relay import Relay
from tests.browser.stage import CALM

SECRET = "a secret of the tests"
NAMES = ("ann", "bob", "eve")
HEALTHY_SECONDS = 15
LOST_SECONDS = 3.0
POLL_SECONDS = 0.1
WAIT_SECONDS = 15.0
CONFERENCE = "c1"


class Person:
    """Somebody at the page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def sign_in(self, client: str, *, user: str = "") -> None:
        """By client id and secret, for a user when one is named."""
        if user:
            await self.page.click("#sign-in summary")
            await self.page.fill("#sign-in [name=user]", user)
        await self.page.fill("#sign-in [name=client]", client)
        await self.page.fill("#sign-in [name=secret]", SECRET)
        await self.page.click("#sign-in [type=submit]")

    async def enter(self, *, keep_alive_seconds: int = HEALTHY_SECONDS) -> None:
        """Enter the conference of the test."""
        await self.page.fill("#enter [name=conference]", CONFERENCE)
        await self.page.click("#enter summary")
        await self.page.fill("#enter [name=keep-alive]", str(keep_alive_seconds))
        await self.page.click("#enter [type=submit]")
        await self.until(lambda state: state["stage"] == "inside" and state["way"] in ("socket", "poll"))

    async def state(self) -> dict[str, Any]:
        """What the page knows."""
        found: dict[str, Any] = await self.page.call("conference.state")
        return found

    async def events(self) -> list[dict[str, Any]]:
        """What the page was told, in its order."""
        found: list[dict[str, Any]] = await self.page.call("conference.events")
        return found

    async def types(self) -> list[str]:
        """The types of what the page was told."""
        return [one["type"] for one in await self.events()]

    async def until(
        self, holds: Callable[[dict[str, Any]], bool], *, seconds: float = WAIT_SECONDS
    ) -> dict[str, Any]:
        """The state of the page as soon as it is so."""
        return await self._until(self.state, holds, seconds)

    async def until_told(self, *wanted: str, seconds: float = WAIT_SECONDS) -> None:
        """Until the last events are of these types."""

        async def told() -> dict[str, Any]:
            return {"types": await self.types()}

        await self._until(told, lambda found: found["types"][-len(wanted) :] == [*wanted], seconds)

    async def until_it_plays(self, *, seconds: float = WAIT_SECONDS) -> Mapping[str, Any]:
        """Figures of the first stream that is viewed, when a second of it was seen and half of one heard."""

        def plays(stats: dict[str, Any]) -> bool:
            one = stats["viewed"][0] if stats["viewed"] else {}
            return (
                one.get("video.framesDecoded", 0) >= 20 and one.get("audio.totalSamplesReceived", 0) > 24_000
            )

        stats = await self._until(self.stats, plays, seconds)
        found: Mapping[str, Any] = stats["viewed"][0]
        return found

    async def stats(self) -> dict[str, Any]:
        """Figures of the page's connections."""
        found: dict[str, Any] = await self.page.call("conference.stats")
        return found

    async def _until(
        self, look: Callable[[], Any], holds: Callable[[dict[str, Any]], bool], seconds: float
    ) -> dict[str, Any]:
        found: dict[str, Any] = await look()
        with trio.move_on_after(seconds):
            while not holds(found):  # A page sets no event of ours.
                await trio.sleep(POLL_SECONDS)
                found = await look()
        assert holds(found), (found, await self.state())
        return found


@attrs.define(eq=False)
class Venue:
    """A server, its media workers, and the way to it."""

    engine: Engine
    media: WorkersHost
    url: str
    session: Session
    relay: Relay
    _http: HttpClient

    async def person(
        self, name: str, *, session: Session | None = None, by_relay: bool = False, **entering: Any
    ) -> Person:
        """Somebody who has signed in and entered; in another browser when one is named."""
        url = self.relay.url if by_relay else self.url
        person = Person(await (session or self.session).open(name, url + PATH))
        await person.sign_in(name)
        await person.enter(**entering)
        return person

    async def publisher(self, name: str, **entering: Any) -> Person:
        """Somebody whose camera and microphone are on."""
        person = await self.person(name, **entering)
        await person.page.click("#camera")
        await person.until(lambda state: len(state["streams"]) == 1)
        return person

    async def stranger(self, name: str = "stranger") -> Person:
        """Somebody who has not signed in."""
        return Person(await self.session.open(name, self.url + PATH))

    async def token_of(self, client: str) -> str:
        """As a program asks for it."""
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": SECRET}
        answer = await self._http.request("POST", self.url + TOKEN_PATH, form=form)
        token: str = json.loads(answer.body)["access_token"]
        return token

    async def until_peers(self, wanted: int) -> None:
        """Until the media workers have so many connections."""
        with trio.fail_after(WAIT_SECONDS):
            while await self._figure("peers_count") != wanted:  # noqa: ASYNC110 # another process sets no event
                await trio.sleep(POLL_SECONDS)

    async def until_spare(self) -> None:
        """Until a media worker waits to take the place of one that dies."""
        with trio.fail_after(WAIT_SECONDS):
            while await self._figure("spares_count") == 0:  # noqa: ASYNC110 # another process sets no event
                await trio.sleep(POLL_SECONDS)

    async def _figure(self, name: str) -> int:
        answer = await self.media.request(p.GetStatistics())
        assert isinstance(answer, p.Statistics)
        return int(answer.values[name])

    async def post(self, client: str, path: str, **body: Any) -> tuple[int, Any]:
        """Status and body of a request without a page."""
        headers = {
            "authorization": f"Bearer {await self.token_of(client)}",
            "content-type": "application/json",
        }
        answer = await self._http.request("POST", f"{self.url}/rtc-api/{path}", headers=headers, json=body)
        return answer.status, json.loads(answer.body) if answer.body else None

    def kill_worker(self) -> None:
        """As a bug in it would."""
        worker = self.media.running[0]
        assert isinstance(worker, WorkerProcess)
        os.kill(worker.pid, signal.SIGKILL)

    async def health(self) -> dict[str, str]:
        """Health by user, as GET has it for a program of the organization."""
        bearer = {"authorization": f"Bearer {await self.token_of('service')}"}
        path = f"{self.url}/rtc-api/conferences/{CONFERENCE}"
        answer = await self._http.request("GET", path, headers=bearer)
        return {one["userId"]: one["state"] for one in json.loads(answer.body)["participants"]}

    async def until_health(self, wanted: Mapping[str, str]) -> None:
        """Until GET says so."""
        with trio.fail_after(WAIT_SECONDS):
            while await self.health() != wanted:  # noqa: ASYNC110 # it is asked for as clients do
                await trio.sleep(POLL_SECONDS)


@asynccontextmanager
async def open_venue(browser: Browser, **config: Any) -> AsyncIterator[Venue]:
    """A server with one media worker and a spare one, whose routers have `config`; on loopback."""
    settings = HostSettings(config={"lost_seconds": LOST_SECONDS, **config}, limits=CALM, spare=True)
    async with (
        browser.use() as session,
        open_media("process", workers=1, settings=settings) as media,
        open_engine(apis=[API], configuration=_configuration(), media=media) as engine,
        HttpClient() as http,
        trio.open_nursery() as nursery,
    ):
        assert isinstance(media, WorkersHost)
        [url] = await nursery.start(engine.serve, "127.0.0.1:0")
        relay = Relay(url)
        await nursery.start(relay.run)
        yield Venue(engine, media, url, session, relay, http)
        nursery.cancel_scope.cancel()


def _configuration() -> Configuration:
    clients = {name: ClientSettings(secret=SECRET, organization="acme") for name in NAMES}
    clients["service"] = ClientSettings(secret=SECRET, organization="acme", role=Role.SERVICE)
    oauth = OauthSettings(signing_key="a signing key of more than 32 bytes")
    return Configuration(settings={"conference": ConferenceSettings(clients=clients, oauth=oauth)})
