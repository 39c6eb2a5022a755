"""The application behind the port, over real connections."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from openapi_spec_validator import OpenAPIV31SpecValidator

from engine.app.api import Bearer, Endpoint
from engine.app.discovery import installed_apis
from engine.app.engine import Engine, open_engine
from engine.app.openapi import openapi_document, own_version
from engine.errors import LocalProtocolError, TransportBrokenError
from engine.journal.memory import MemoryJournal
from engine.transport.http import HttpAnswer, HttpClient
from engine.transport.limits import Limits
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
async def served(journal: Any = "memory:", media: Any = None, **options: Any) -> AsyncIterator[Served]:
    apis = [*installed_apis(), PARLOUR]
    async with (
        open_engine(journal, apis=apis, media=media) as engine,
        HttpClient() as client,
        trio.open_nursery() as nursery,
    ):
        (address,) = await nursery.start(partial(engine.serve, "127.0.0.1:0", **options))
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


async def test_a_service_takes_paths_and_queries_apart_with_the_table_of_endpoints() -> None:
    async with served() as server:
        answer = await server.ask("GET", "/chimes/big%2Fben?times=3&soft=true")
        assert told(answer) == {"chime": "big/ben", "hearing": {"times": 3, "soft": True}}
        assert told(await server.ask("GET", "/chimes/names")) == ["ding", "dong"]
        wrong = await server.ask("GET", "/chimes/ben?times=often")
        assert (wrong.status, told(wrong)["error"]) == (400, "query.times: wants an integer, got a string")


async def test_a_form_is_read_like_a_query() -> None:
    async with served() as server:
        url = f"{server.address}/parlour/token"
        answer = await server.client.request("POST", url, form={"clientId": "ann"})
        assert (answer.status, told(answer)) == (200, "token of ann")
        missing = await server.client.request("POST", url, form={"clientID": "ann"})
        assert (missing.status, told(missing)["error"]) == (400, "form.clientId: is missing")
        wrong = await server.ask("POST", "/parlour/token", {})
        reason = "form: must be sent as application/x-www-form-urlencoded"
        assert (wrong.status, told(wrong)["error"]) == (400, reason)


@pytest.mark.parametrize("body", [b"clientId=%ff", b"clientId=\xff", b"&".join([b"a=b"] * 101)])
async def test_a_form_that_is_none_is_refused_without_quoting_it(body: bytes) -> None:
    async with served() as server:
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        url = f"{server.address}/parlour/token"
        answer = await server.client.request("POST", url, content=body, headers=headers)
        reason = "form: is not UTF-8, or has more than 100 fields"
        assert (answer.status, told(answer)["error"]) == (400, reason)


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
        assert "\nswitchhook_media_workers 0.0" in text
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
            results = {str(status) for status in endpoint.results or {200: None}}
            of_the_server = {"431"} if endpoint.body is None else {"413", "431"}
            assert set(operation["responses"]) == results | of_the_server
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


def test_a_query_is_told_by_its_fields() -> None:
    operation = openapi_document([PARLOUR])["paths"]["/chimes/{chime}"]["get"]
    assert operation["parameters"] == [
        {"name": "chime", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}},
        {"name": "times", "in": "query", "required": False, "schema": {"type": "integer"}},
        {"name": "soft", "in": "query", "required": False, "schema": {"type": "boolean"}},
    ]
    assert operation["responses"]["400"]["description"] == "Bad Request"


def test_a_query_cannot_be_null() -> None:
    @attrs.frozen(kw_only=True)
    class Page:
        size: int | None = None
        after: str | int | None = None

    endpoint = Endpoint(method="GET", path="/pages", summary="Pages", query=Page)
    document = openapi_document([attrs.evolve(PARLOUR, endpoints=(endpoint,))])
    size, after = document["paths"]["/pages"]["get"]["parameters"]
    assert size["schema"] == {"type": "integer"}
    assert after["schema"] == {"anyOf": [{"type": "string"}, {"type": "integer"}]}


def test_a_token_is_wanted_by_every_endpoint_that_is_not_public() -> None:
    document = openapi_document([PARLOUR])
    paths = document["paths"]
    either: list[Any] = [{"parlour.bearer": []}, {"parlour.oauth2": []}]
    assert paths["/bells"]["get"]["security"] == either
    assert paths["/parlour/token"]["post"]["security"] == []
    assert list(paths["/parlour/token"]["post"]["requestBody"]["content"]) == [
        "application/x-www-form-urlencoded"
    ]
    flow = document["components"]["securitySchemes"]["parlour.oauth2"]["flows"]["clientCredentials"]
    assert flow == {"tokenUrl": "/parlour/token", "scopes": {"hear": "Hear chimes"}}
    assert (
        "security" not in openapi_document([attrs.evolve(PARLOUR, security=None)])["paths"]["/bells"]["get"]
    )
    plain = openapi_document([attrs.evolve(PARLOUR, security=Bearer())])
    assert list(plain["components"]["securitySchemes"]) == ["parlour.bearer"]


def test_a_result_may_be_a_text_or_an_array() -> None:
    paths = openapi_document([PARLOUR])["paths"]
    shapes = {
        path: operation["responses"]["200"]["content"]["application/json"]["schema"]
        for path, operation in (
            ("/chimes/names", paths["/chimes/names"]["get"]),
            ("/parlour/token", paths["/parlour/token"]["post"]),
        )
    }
    assert shapes["/chimes/names"] == {"type": "array", "items": {"type": "string"}}
    assert shapes["/parlour/token"] == {"type": "string"}


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = openapi_document([*installed_apis(), PARLOUR])
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references
    assert references <= names
    assert "#/components/schemas/parlour.Hearing" in references


def test_two_classes_of_one_name_in_an_api_are_refused() -> None:
    other = attrs.make_class("Ring", {"tone": attrs.field(type=str)}, frozen=True)
    endpoint = Endpoint(method="PUT", path="/bells", summary="Another", body=other)
    with pytest.raises(LocalProtocolError, match="two classes of the API parlour are called Ring"):
        openapi_document([attrs.evolve(PARLOUR, endpoints=(*PARLOUR.endpoints, endpoint))])


def test_the_document_names_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError, version

    assert openapi_document([])["info"]["version"] == own_version() == version("switchhook")

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("engine.app.openapi.version", missing)
    assert own_version() == "0"


async def test_pages_are_served_with_get_and_head() -> None:
    async with served() as server:
        page = await server.ask("GET", "/parlour.html")
        assert (page.status, page.body) == (200, b"<!doctype html>\n<title>Parlour</title>\n")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        head = await server.ask("HEAD", "/parlour.html")
        assert (head.status, head.body) == (200, b"")
        assert (await server.ask("POST", "/parlour.html")).headers["allow"] == "GET, HEAD"


def asking(origin: str) -> dict[str, str]:
    return {"origin": origin, "access-control-request-method": "POST"}


async def test_pages_of_allowed_origins_may_ask_and_others_may_not() -> None:
    app, other = "https://app.example.org", "https://other.example.org"
    async with served(limits=Limits(allowed_origins=(app,))) as server:
        ask = server.client.request
        for path, methods in (("/bells/front", "DELETE, POST"), ("/healthz", "GET, HEAD")):
            may = await ask("OPTIONS", server.address + path, headers=asking(app))
            assert (may.status, may.headers["access-control-allow-methods"]) == (204, methods)
            assert may.headers["access-control-allow-origin"] == app
            may_not = await ask("OPTIONS", server.address + path, headers=asking(other))
            assert (may_not.status, "access-control-allow-origin" in may_not.headers) == (405, False)
        missing = await ask("OPTIONS", f"{server.address}/nothing", headers=asking(app))
        assert (missing.status, missing.headers["access-control-allow-origin"]) == (404, app)
        rung = await ask("POST", f"{server.address}/bells/front", json={}, headers={"origin": app})
        assert (rung.status, rung.headers["access-control-allow-origin"]) == (201, app)


async def test_without_origins_nobody_elsewhere_is_told_anything() -> None:
    async with served() as server:
        answer = await server.client.request(
            "OPTIONS", f"{server.address}/bells", headers=asking("https://app.example.org")
        )
        assert answer.status == 405
        assert not [name for name in answer.headers if name.startswith(("access-control", "vary"))]


async def test_a_socket_of_a_page_from_elsewhere_is_refused() -> None:
    async with served() as server:
        handshake = {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        elsewhere = {**handshake, "origin": "https://app.example.org"}
        answer = await server.client.request("GET", f"{server.address}/videochat", headers=elsewhere)
        assert (answer.status, told(answer)["error"]) == (403, "origin_not_allowed")
