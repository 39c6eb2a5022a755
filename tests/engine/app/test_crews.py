"""Performers that an API brings along, and the media host that they share with its service."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.app.api import Api, Backstage, Crew, Found, Host
from engine.app.configuration import Configuration
from engine.app.engine import open_engine
from engine.errors import LocalProtocolError
from engine.journal.memory import MemoryJournal
from engine.media import protocol as p
from engine.media.fake import open_fake_host
from engine.media.settings import MediaSettings
from engine.runtime.performers import Asked, Performer
from engine.transport.application import Request, Response
from engine.transport.http import HttpClient
from tests.engine.app.parlour import FRONT, PARLOUR, ParlourService, ParlourSettings
from tests.engine.media.rigs import publish
from tests.engine.runtime import doorbell as d

FAKE = Configuration(media=MediaSettings(driver="fake"))


class Tones:
    """Plays tones; the service looks at what was played."""

    def __init__(self, backstage: Backstage) -> None:
        self.backstage = backstage
        self.played: list[Any] = []
        self.said: list[str] = []

    @property
    def performers(self) -> Mapping[str, Performer]:
        return {"tone": self.play}

    async def play(self, asked: Asked) -> None:
        self.played.append(asked.request)
        self.backstage.tell(FRONT, d.Answer("the crew"))


class Stage:
    """Opens Tones and keeps them for the test to look at."""

    def __init__(self) -> None:
        self.tones: list[Tones] = []
        self.closed = 0

    @asynccontextmanager
    async def open(self, backstage: Backstage) -> AsyncIterator[Tones]:
        self.tones.append(Tones(backstage))
        yield self.tones[-1]
        self.closed += 1


def with_crew(crew: Callable[[Backstage], AbstractAsyncContextManager[Crew]], **changes: Any) -> Api:
    return attrs.evolve(PARLOUR, crew=crew, **changes)


def opened(journal: Any, api: Api, **more: Any) -> Any:
    return open_engine(journal, apis=[api], **{"configuration": FAKE, **more})


async def test_what_a_machine_asks_is_done_by_its_apis_crew_which_tells_machines_by_address() -> None:
    stage = Stage()
    async with opened("memory:", with_crew(stage.open)) as engine:
        await engine.call(d.BELL, "front").send(d.Press())
        await engine.call(d.BELL, "back").send(d.Wire("high"))
        answered = await engine.call(d.BELL, "front").wait_for(d.S.ANSWERED)
        assert answered.data.who == "the crew"
        assert stage.tones[0].played == [d.Tone("high")]
        assert stage.tones[0].backstage.runtime is engine.runtime
        assert stage.closed == 0
    assert stage.closed == 1


async def test_what_is_owed_from_before_a_crash_is_asked_of_the_new_crew_as_it_opens() -> None:
    async def stuck(asked: Asked) -> None:
        await trio.sleep_forever()

    stage = Stage()
    async with MemoryJournal() as journal:
        async with opened(journal, PARLOUR, performers={"tone": stuck}) as engine:
            await engine.call(d.BELL, "front").send(d.Press())
            await engine.call(d.BELL, "front").send(d.Wire("high"))
        async with opened(journal, with_crew(stage.open)) as engine:
            with trio.fail_after(5):
                await engine.call(d.BELL, "front").wait_for(d.S.ANSWERED)
    assert stage.tones[0].played == [d.Tone("high")]


async def test_performers_that_the_program_gives_are_taken_in_place_of_the_crews() -> None:
    asked: list[Asked] = []

    async def tone(one: Asked) -> None:
        asked.append(one)

    stage = Stage()
    async with opened("memory:", with_crew(stage.open), performers={"tone": tone}) as engine:
        await engine.call(d.BELL, "front").send(d.Wire("high"))
        await wait_all_tasks_blocked()
    assert (len(asked), stage.tones[0].played) == (1, [])


async def test_a_crew_has_its_settings_the_clock_and_tasks_that_end_with_the_engine() -> None:
    ended: list[str] = []

    async def hum(backstage: Backstage) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append("task")

    @asynccontextmanager
    async def open_crew(backstage: Backstage) -> AsyncIterator[Tones]:
        assert backstage.settings == ParlourSettings(broken=True)
        assert backstage.clock() > 0
        backstage.nursery.start_soon(hum, backstage)
        yield Tones(backstage)
        ended.append("crew")

    configuration = attrs.evolve(FAKE, settings={"parlour": ParlourSettings(broken=True)})
    async with opened("memory:", with_crew(open_crew), configuration=configuration):
        await wait_all_tasks_blocked()
        assert ended == []
    assert ended == ["crew", "task"]


async def test_a_crew_that_tells_before_the_runtime_is_there_is_told_so() -> None:
    @asynccontextmanager
    async def open_crew(backstage: Backstage) -> AsyncIterator[Tones]:
        backstage.tell(FRONT, d.Press())
        yield Tones(backstage)

    with pytest.raises(LocalProtocolError, match="after the crews"):
        async with opened("memory:", with_crew(open_crew)):
            pass


async def test_two_crews_for_one_port_are_refused() -> None:
    stage = Stage()
    other = attrs.evolve(PARLOUR, name="other", kinds=(), words=(), crew=stage.open)
    with pytest.raises(LocalProtocolError, match="the API other performs 'tone', and another API does too"):
        async with open_engine("memory:", apis=[with_crew(stage.open), other], configuration=FAKE):
            pass
    assert stage.closed == 0


@pytest.mark.slow
async def test_the_service_has_the_crew_and_both_have_the_media_host() -> None:
    hosts: list[Host] = []

    @asynccontextmanager
    async def open_service(host: Host) -> AsyncIterator[ParlourService]:
        hosts.append(host)
        yield ParlourService(host)

    stage = Stage()
    api = with_crew(stage.open, open=open_service)
    async with opened("memory:", api) as engine, trio.open_nursery() as nursery:
        await nursery.start(engine.serve, "127.0.0.1:0")
        assert hosts[0].crew is stage.tones[0]
        assert hosts[0].media is stage.tones[0].backstage.media is engine.media
        assert isinstance(await hosts[0].media.request(publish()), p.Answered)
        nursery.cancel_scope.cancel()


async def test_a_media_host_is_opened_when_it_is_needed_and_closed_with_the_engine() -> None:
    async with opened("memory:", PARLOUR) as engine:
        assert not engine.media.is_open
        await engine.warm_up_media()
        assert engine.media.is_open
    assert not engine.media.is_open


async def test_a_given_media_host_is_used_and_left_open() -> None:
    async with open_fake_host() as host:
        async with opened("memory:", PARLOUR, media=host) as engine:
            await engine.warm_up_media()
            assert engine.media is host
        assert isinstance(await host.request(publish()), p.Answered)


class _Polled(ParlourService):
    """Its requests wait for the end of the server; `said` hears how that goes."""

    def __init__(self, host: Host, said: trio.MemorySendChannel[str]) -> None:
        super().__init__(host)
        self.said = said

    async def respond(self, request: Request, found: Found) -> Response:
        self.said.send_nowait("parked")
        try:
            await self.host.stopping.wait()
        except trio.Cancelled:
            self.said.send_nowait("cancelled")
            raise
        return await super().respond(request, found)


@asynccontextmanager
async def polled(stop: trio.Event) -> AsyncIterator[tuple[str, trio.MemoryReceiveChannel[str]]]:
    """The address of a server of polls, and what they say."""
    sender, receiver = trio.open_memory_channel[str](10)

    @asynccontextmanager
    async def open_service(host: Host) -> AsyncIterator[ParlourService]:
        yield _Polled(host, sender)

    api = attrs.evolve(PARLOUR, open=open_service)
    with trio.fail_after(5):
        async with opened("memory:", api) as engine, trio.open_nursery() as nursery:
            (address,) = await nursery.start(partial(engine.serve, "127.0.0.1:0", stop=stop))
            yield address, receiver
            stop.set()


@pytest.mark.slow
async def test_a_request_is_cancelled_when_its_client_goes_away() -> None:
    async with polled(trio.Event()) as (address, said):
        host, _, port = address.removeprefix("http://").partition(":")
        client = await trio.open_tcp_stream(host, int(port))
        await client.send_all(b"POST /bells/back HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
        assert await said.receive() == "parked"
        await client.aclose()
        assert await said.receive() == "cancelled"


@pytest.mark.slow
async def test_a_parked_poll_answers_at_once_when_the_server_stops() -> None:
    stop = trio.Event()
    async with polled(stop) as (address, said), HttpClient() as client, trio.open_nursery() as nursery:
        statuses: list[int] = []

        async def ask() -> None:
            statuses.append((await client.request("POST", f"{address}/bells/front", json={})).status)

        nursery.start_soon(ask)
        assert await said.receive() == "parked"
        stop.set()
    assert statuses == [201]
