"""Pushes as signed webhooks, posted to a server on this machine."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from engine.app.configuration import ConfigurationFaultsError, faults_of
from engine.app.push import Pushes, PushNotice
from engine.app.users import User
from engine.app.webhook import Reach, Webhook, open_webhook, read_webhook
from engine.effects import Push
from engine.errors import PushRefusedError, TransportBrokenError, TransportError, TransportTimeoutError
from engine.runtime.performers import Asked
from engine.transport.application import Pending, Request, Response, SocketApp
from engine.transport.http import HttpClient
from engine.transport.server import serve
from engine.transport.sockets import Socket
from engine.vocabulary import Address, Message

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
NOTICE = PushNotice(type="pushKnock", user="bob", data={"doorId": "d1", "ö": None}, key="door:d1:3:0")


class Receiver:
    """The operator's service: answers with these statuses, then with 204; 0 is never."""

    def __init__(self, *statuses: int) -> None:
        self.requests: list[Request] = []
        self.statuses = list(statuses)
        self.url = ""
        self._changed = trio.Event()

    def respond(self, request: Request) -> Response | Pending:
        self.requests.append(request)
        self._changed.set()
        self._changed = trio.Event()
        status = self.statuses.pop(0) if self.statuses else 204
        headers = (("location", self.url),) if 300 <= status < 400 else ()
        return Response(status, headers=headers) if status else self._never

    async def _never(self) -> Response:
        await trio.sleep_forever()
        raise AssertionError

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        return Response(404)

    async def got(self, count: int) -> None:
        """Wait for so many requests."""
        while len(self.requests) < count:
            await self._changed.wait()

    @property
    def bodies(self) -> list[dict[str, object]]:
        return [json.loads(request.body) for request in self.requests]


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[Receiver]:
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(serve, receiver, "127.0.0.1:0")
        receiver.url = f"{address}/hooks/push?tenant=a"
        yield receiver
        nursery.cancel_scope.cancel()


def is_signed(request: Request, key: bytes) -> bool:
    """What a receiver checks, written from the text of the standard."""
    sent = request.headers
    content = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return sent["webhook-signature"] == f"v1,{expected}"


def settings_of(receiver: Receiver, **more: str) -> dict[str, str]:
    return {"url": receiver.url, "secret": SECRET, **more}


async def test_a_notice_is_posted_as_json_and_signed() -> None:
    async with listening(Receiver()) as receiver:
        async with open_webhook(read_webhook(settings_of(receiver)), clock=lambda: 1700000000.9) as webhook:
            await webhook.push(NOTICE)
        (request,) = receiver.requests
    assert (request.method, request.path, request.query) == ("POST", "/hooks/push", (("tenant", "a"),))
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == NOTICE.key
    assert request.headers["webhook-timestamp"] == "1700000000"
    assert receiver.bodies == [
        {"type": "pushKnock", "key": "door:d1:3:0", "user": "bob", "data": {"doorId": "d1", "ö": None}}
    ]
    assert is_signed(request, KEY)
    assert not is_signed(request, KEY[::-1])


async def test_the_signature_is_that_of_the_standard() -> None:
    # Computed by OpenSSL: printf '%s' 'k.1.{...}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:...
    async with listening(Receiver()) as receiver:
        async with open_webhook(read_webhook(settings_of(receiver)), clock=lambda: 1.0) as webhook:
            await webhook.push(PushNotice(type="t", user="u", data={}, key="k"))
        (request,) = receiver.requests
    assert request.body == b'{"type":"t","key":"k","user":"u","data":{}}'
    assert request.headers["webhook-signature"] == "v1,UP5P5h94Sy3KRtZ4cyLAlqo2Y51HCinNssbwljjeRUc="


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (500, TransportBrokenError),
        (503, TransportBrokenError),
        (429, TransportBrokenError),
        (408, TransportBrokenError),
        (400, PushRefusedError),
        (404, PushRefusedError),
        (302, PushRefusedError),
    ],
)
async def test_other_answers_than_2xx_are_failures_that_name_no_url(status: int, error: type) -> None:
    async with listening(Receiver(status)) as receiver:
        async with open_webhook(read_webhook(settings_of(receiver)), clock=lambda: 1.0) as webhook:
            with pytest.raises(error) as caught:
                await webhook.push(NOTICE)
        assert str(caught.value) == f"the webhook answered {status}"
        assert len(receiver.requests) == 1


async def test_a_server_that_does_not_answer_is_a_timeout() -> None:
    async with listening(Receiver(0)) as receiver, HttpClient(total_seconds=0.05) as client:
        webhook = Webhook(read_webhook(settings_of(receiver)), client, lambda: 1.0)
        with pytest.raises(TransportTimeoutError):
            await webhook.push(NOTICE)


async def test_a_server_that_is_not_there_is_a_failure() -> None:
    async with listening(Receiver()) as receiver:
        pass
    async with open_webhook(read_webhook(settings_of(receiver)), clock=lambda: 1.0) as webhook:
        with pytest.raises(TransportError):
            await webhook.push(NOTICE)


async def test_after_an_error_and_a_timeout_the_same_notice_comes_again_and_is_signed_anew() -> None:
    push = Push(type="pushKnock", to="bob", message=Message())
    asked = Asked(key="door:d1:3:0", member=Address("door", "d1"), request=push, tell=lambda _: None)
    clock = iter([1.0, 2.0, 3.0])
    async with listening(Receiver(503, 0, 200)) as receiver, HttpClient(total_seconds=0.05) as client:
        pushes = Pushes(
            Webhook(read_webhook(settings_of(receiver)), client, lambda: next(clock)), pauses=[0, 0, 0]
        )
        await pushes.perform(asked)
    assert pushes.counts == {("pushKnock", "sent"): 1}
    assert [one.headers["webhook-id"] for one in receiver.requests] == ["door:d1:3:0"] * 3
    assert [one.headers["webhook-timestamp"] for one in receiver.requests] == ["1", "2", "3"]
    assert len({one.body for one in receiver.requests}) == 1
    assert all(is_signed(one, KEY) for one in receiver.requests)


@pytest.mark.parametrize(
    ("users", "marked", "found"),
    [("", False, False), ("", True, True), ("marked", False, False), ("all", False, True)],
)
async def test_it_reaches_the_marked_users_or_all(users: str, marked: bool, found: bool) -> None:
    settings = read_webhook({"url": "http://x", "secret": SECRET} | ({"users": users} if users else {}))
    async with open_webhook(settings, clock=lambda: 1.0) as webhook:
        assert await webhook.reaches(User(id="ann", push=marked)) is found


def test_a_section_is_read() -> None:
    read = read_webhook({"url": "https://example.org/push", "secret": SECRET, "users": "all"})
    assert (read.url, read.secret, read.users) == ("https://example.org/push", KEY, Reach.ALL)


def test_settings_do_not_print_what_is_secret() -> None:
    read = read_webhook({"url": "https://example.org/?token=abc", "secret": SECRET})
    assert "abc" not in repr(read)
    assert str(KEY) not in repr(read)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ({}, ["url", "secret"]),
        ({"url": "example.org", "secret": SECRET}, ["url"]),
        ({"url": "ftp://example.org", "secret": SECRET}, ["url"]),
        ({"url": "https://", "secret": SECRET}, ["url"]),
        ({"url": "https://a", "secret": SECRET.removeprefix("whsec_")}, ["secret"]),
        ({"url": "https://a", "secret": "whsec_"}, ["secret"]),
        ({"url": "https://a", "secret": "whsec_not base64"}, ["secret"]),
        ({"url": "https://a", "secret": "whsec_ümlaut"}, ["secret"]),
        ({"url": "https://a", "secret": "whsec_" + base64.b64encode(bytes(23)).decode()}, ["secret"]),
        ({"url": "https://a", "secret": "whsec_" + base64.b64encode(bytes(65)).decode()}, ["secret"]),
        ({"url": "https://a", "secret": SECRET, "users": "some", "color": "red"}, ["color", "users"]),
    ],
)
def test_every_fault_of_a_section_is_named_by_its_key_and_quotes_no_value(
    values: dict[str, str], keys: list[str]
) -> None:
    with pytest.raises(ConfigurationFaultsError) as caught:
        read_webhook(values)
    faults = faults_of(caught.value)
    assert [fault.key for fault in faults] == keys
    assert not any(value in str(caught.value) for value in values.values() if len(value) > 8)


@pytest.mark.parametrize("size", [24, 64])
def test_secrets_of_the_shortest_and_the_longest_kind_are_taken(size: int) -> None:
    secret = "whsec_" + base64.b64encode(bytes(size)).decode()
    assert read_webhook({"url": "https://a", "secret": secret}).secret == bytes(size)
