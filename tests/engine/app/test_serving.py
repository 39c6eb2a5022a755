"""The application behind the port, over real connections."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from openapi_spec_validator import OpenAPIV31SpecValidator

from engine.app.discovery import installed_apis
from engine.app.engine import Engine, open_engine
from engine.app.openapi import openapi_document, own_version
from engine.errors import TransportBrokenError
from engine.journal.memory import MemoryJournal
from engine.transport.http import HttpAnswer, HttpClient
from engine.transport.websocket import connect
from engine.vocabulary import Address
from machines import videochat
from machines.videochat.vocabulary import LINE
from tests.engine.app.parlour import PARLOUR
from tests.engine.runtime import doorbell as d

pytestmark = pytest.mark.slow


@attrs.frozen
class Served:
    """A served engine, and a client of it."""

    engine: Engine
    address: str
    client: HttpClient

    async def ask(self, method: str, path: str, body: Any = None) -> HttpAnswer:
        """One request."""
        return await self.client.request(method, self.address + path, json=body)


@asynccontextmanager
async def served(journal: Any = "memory:") -> AsyncIterator[Served]:
    apis = [*installed_apis(), PARLOUR]
    async with (
        open_engine(journal, apis=apis) as engine,
        HttpClient() as client,
        trio.open_nursery() as nursery,
    ):
        (address,) = await nursery.start(engine.serve, "127.0.0.1:0")
        yield Served(engine, address, client)
        nursery.cancel_scope.cancel()


def told(answer: HttpAnswer) -> Any:
    return json.loads(answer.body)


async def test_the_server_says_that_it_is_up_and_ready() -> None:
    async with served() as server:
        up = await server.ask("GET", "/healthz")
        assert (up.status, told(up)) == (200, {"status": "up"})
        ready = await server.ask("GET", "/readyz")
        assert ready.status == 200
        assert told(ready) == {"ready": True, "journal_writable": True, "recovered": True}


async def test_a_journal_that_takes_nothing_is_not_ready() -> None:
    class Full(MemoryJournal):
        async def writable(self) -> bool:
            return False

    async with Full() as journal, served(journal) as server:
        answer = await server.ask("GET", "/readyz")
        assert answer.status == 503
        assert told(answer)["journal_writable"] is False


async def test_a_journal_that_does_not_answer_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(MemoryJournal):
        async def writable(self) -> bool:
            await trio.sleep_forever()
            raise AssertionError("never woken")

    monkeypatch.setattr("engine.app.serving.READY_SECONDS", 0.05)
    async with Stuck() as journal, served(journal) as server:
        assert (await server.ask("GET", "/readyz")).status == 503


async def test_a_server_that_has_not_recovered_is_not_ready() -> None:
    async with served() as server:
        server.engine.runtime.recovered = False
        answer = await server.ask("GET", "/readyz")
        assert (answer.status, told(answer)["recovered"]) == (503, False)


@pytest.mark.parametrize("path", ["/nothing", "/", "/bells/", "/bells/front/more", "/bell", "/healthz/"])
async def test_a_path_that_is_not_there_is_404(path: str) -> None:
    async with served() as server:
        answer = await server.ask("GET", path)
        assert (answer.status, told(answer)["error"]) == (404, "not_found")


async def test_a_path_of_sockets_asks_for_an_upgrade() -> None:
    async with served() as server:
        for path in ("/videochat", "/parlour"):
            answer = await server.ask("GET", path)
            assert (answer.status, told(answer)["error"]) == (426, "upgrade_required")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/healthz", "GET, HEAD"),
        ("DELETE", "/readyz", "GET, HEAD"),
        ("PUT", "/metrics", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("POST", "/bells", "GET, HEAD"),
        ("GET", "/bells/front", "DELETE, POST"),
        ("HEAD", "/bells/front", "DELETE, POST"),
    ],
)
async def test_a_method_that_a_path_has_not_is_405(method: str, path: str, allowed: str) -> None:
    async with served() as server:
        answer = await server.ask(method, path)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)
        if method != "HEAD":
            assert told(answer)["error"] == "method_not_allowed"


async def test_head_is_get_without_a_body() -> None:
    async with served() as server:
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/bells"):
            answer = await server.ask("HEAD", path)
            assert (answer.status, answer.body) == (200, b"")
            assert int(answer.headers["content-length"]) > 0


async def test_endpoints_are_answered_by_their_service_at_once_or_later() -> None:
    async with served() as server:
        assert told(await server.ask("GET", "/bells")) == {"bells": 1}
        answer = await server.ask("POST", "/bells/front", {"seconds": 5})
        assert (answer.status, told(answer)) == (201, {"outcome": "moved"})
        assert (await server.engine.call(d.BELL, "front").snapshot()).state is d.S.RINGING


async def test_a_socket_goes_to_the_service_of_its_path_or_is_refused() -> None:
    async with served() as server:
        url = server.address.replace("http", "ws")
        for path, status in (("/parlour", "403"), ("/nothing", "404"), ("/healthz", "404")):
            with pytest.raises(TransportBrokenError, match=status):
                await connect(url + path).__aenter__()
        async with connect(f"{url}/videochat"):
            pass


async def test_metrics_count_and_name_nobody() -> None:
    async with served() as server:
        await server.engine.call(d.BELL, "secret-bell").send(d.Press())
        command = videochat.RequestCall(initiator="secret-ann", opponent="secret-bob", device="secret-device")
        await server.engine.runtime.ask(Address(LINE, "secret-bob"), command)
        answer = await server.ask("GET", "/metrics")
        text = answer.body.decode()
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        count = 'switchhook_commands_total{command="Press",kind="test.bell",outcome="moved"} 1.0'
        assert count in text
        assert "switchhook_parlour_visitors 3.0" in text
        assert "switchhook_videochat_sockets 0.0" in text
        assert "\nswitchhook_timers " in text
        assert "secret" not in text


async def test_the_served_document_is_the_one_of_the_tables() -> None:
    async with served() as server:
        answer = await server.ask("GET", "/openapi.json")
        assert told(answer) == json.loads(json.dumps(openapi_document([*installed_apis(), PARLOUR])))


def test_the_document_is_valid_and_names_every_endpoint() -> None:
    apis = [*installed_apis(), PARLOUR]
    document = openapi_document(apis)
    OpenAPIV31SpecValidator(document).validate()
    for api in apis:
        for endpoint in api.endpoints:
            operation = document["paths"][endpoint.path][endpoint.method.lower()]
            assert set(operation["responses"]) == {str(status) for status in endpoint.results or {200: None}}
        for route in api.sockets:
            messages = document["paths"][route.path]["get"]["x-messages"]
            assert set(messages) == {message.name for message in route.messages}
    assert {"/healthz", "/readyz", "/metrics", "/openapi.json"} < set(document["paths"])


def test_an_endpoint_tells_its_parameters_and_its_body() -> None:
    operation = openapi_document([PARLOUR])["paths"]["/bells/{bell}"]["post"]
    assert [one["name"] for one in operation["parameters"]] == ["bell"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert operation["responses"]["201"]["content"]["application/json"]["schema"] == body
    assert "content" not in operation["responses"]["404"]


def test_the_document_names_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError, version

    assert openapi_document([])["info"]["version"] == own_version() == version("switchhook")

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("engine.app.openapi.version", missing)
    assert own_version() == "0"
