"""The token endpoint over HTTP, with the client of this project and with curl's way to send a form."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from engine.app.tokens import TokenError
from engine.transport.application import Request, Response, SocketApp
from engine.transport.http import HttpAnswer, HttpClient
from engine.transport.server import serve
from engine.transport.sockets import Socket
from machines.conference.oauth.service import TOKEN_PATH, ClientSettings, unauthorized
from tests.machines.conference.tokenshop import SECRETS, Shop, told

pytestmark = pytest.mark.slow

GRANT = "grant_type=client_credentials"


class Desk:
    """The token endpoint, and one more path, which says who calls."""

    def __init__(self) -> None:
        odd = ClientSettings(secret="100 % é+:/?&=# of it", organization="acme")
        self.shop = Shop({**Shop().clients, "odd%20+id": odd})

    def respond(self, request: Request) -> Response:
        if request.path == TOKEN_PATH:
            return self.shop.oauth.respond_nowait(request)
        try:
            return Response(200, self.shop.oauth.caller_of(request).user.encode())
        except TokenError as error:
            return unauthorized(error)

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        return Response(404)


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(serve, Desk(), "127.0.0.1:0")
        yield address
        nursery.cancel_scope.cancel()


async def whose(client: HttpClient, address: str, answer: HttpAnswer) -> tuple[int, str]:
    """Who the server thinks has the token that it gave."""
    assert answer.status == 200, answer.body
    assert answer.headers["cache-control"] == "no-store"
    bearer = {"authorization": f"Bearer {told(Response(200, answer.body))['access_token']}"}
    second = await client.request("GET", f"{address}/whoami", headers=bearer)
    return second.status, second.body.decode()


async def test_a_form_gets_a_token_that_opens_the_other_endpoints() -> None:
    form = {"grant_type": "client_credentials", "client_id": "hall", "client_secret": SECRETS["hall"]}
    async with served() as address, HttpClient() as client:
        answer = await client.request("POST", address + TOKEN_PATH, form={**form, "user_id": "ann é+"})
        assert await whose(client, address, answer) == (200, "ann é+")


async def test_a_query_gets_a_token() -> None:
    query = httpx.QueryParams(client_id="desk", client_secret=SECRETS["desk"])
    async with served() as address, HttpClient() as client:
        answer = await client.request("POST", f"{address}{TOKEN_PATH}?{GRANT}&{query}")
        assert await whose(client, address, answer) == (200, "desk")


async def test_basic_gets_a_token() -> None:
    async with served() as address, HttpClient(auth=httpx.BasicAuth("kiosk", "kiosk+stands+alone")) as client:
        answer = await client.request("POST", f"{address}{TOKEN_PATH}?{GRANT}")
        assert answer.status == 200, answer.body


async def test_basic_gets_a_token_for_an_id_and_a_secret_with_every_odd_character() -> None:
    # By the letter of RFC 6749, section 2.3.1: both are encoded as in a form, then joined.
    auth = httpx.BasicAuth("odd%2520%2Bid", "100+%25+%C3%A9%2B%3A%2F%3F%26%3D%23+of+it")
    async with served() as address, HttpClient(auth=auth) as client:
        answer = await client.request("POST", f"{address}{TOKEN_PATH}?{GRANT}")
        assert told(Response(200, answer.body))["sub"] == "odd%20+id"


async def test_without_a_token_the_other_endpoints_are_closed() -> None:
    async with served() as address, HttpClient() as client:
        answer = await client.request("GET", f"{address}/whoami?access_token=x")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="conference"')


async def test_too_many_wrong_secrets_are_told_when_to_come_back() -> None:
    async with served() as address, HttpClient(auth=httpx.BasicAuth("desk", "wrong")) as client:
        answers = [await client.request("POST", f"{address}{TOKEN_PATH}?{GRANT}") for _ in range(11)]
    assert [answer.status for answer in answers] == [401] * 10 + [429]
    assert answers[0].headers["www-authenticate"].startswith("Basic ")
    assert answers[-1].headers["retry-after"] == "60"
