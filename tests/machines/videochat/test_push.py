"""Phones that sleep ring too: the videochat handshake over real sockets, with a push port."""

import json
from typing import Any

import pytest
import trio

from engine.app.configuration import faults_of
from engine.app.push import PushNotice
from engine.app.users import MemoryUsers, User
from engine.errors import ConfigurationError, PushRefusedError
from engine.journal.memory import MemoryJournal
from engine.transport.http import HttpClient
from engine.vocabulary import Address
from machines.videochat import vocabulary as v
from machines.videochat.settings import VideochatSettings
from tests.engine.app.test_webhook import KEY, SECRET, Receiver, is_signed, listening
from tests.machines.videochat.wiretap import ANSWER_SECONDS, Exchange, exchange

pytestmark = pytest.mark.slow


class Pager:
    """A push port that reaches bob, and keeps what it is told."""

    def __init__(self, *reached: str, fails: bool = False, hangs: bool = False, silent: bool = False) -> None:
        self.reached = reached or ("bob",)
        self.fails, self.hangs, self.silent = fails, hangs, silent
        self.notices: list[PushNotice] = []
        self._changed = trio.Event()

    async def reaches(self, user: User) -> bool:
        if self.silent:
            raise OSError("no database")
        return user.id in self.reached

    async def push(self, notice: PushNotice) -> None:
        self.notices.append(notice)
        self._changed.set()
        self._changed = trio.Event()
        if self.fails:
            raise PushRefusedError("no")
        if self.hangs:
            await trio.sleep_forever()

    async def pushed(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        """The first notices, once there are so many."""
        with trio.fail_after(ANSWER_SECONDS):
            while len(self.notices) < count:
                await self._changed.wait()
        return [(one.type, dict(one.data)) for one in self.notices[:count]]


async def state_of(server: Exchange, request: str) -> Any:
    return (await server.engine.runtime.snapshot(Address(v.RING, request))).state


async def test_a_phone_that_sleeps_is_pushed_wakes_hears_the_ring_and_accepts() -> None:
    pager = Pager()
    async with exchange(push=pager) as server, server.phone("ann") as ann:
        request = await ann.request("bob")
        ((kind, data),) = await pager.pushed(1)
        assert kind == "pushVideochatRequest"
        assert data["videochatRequestId"] == request
        assert data["user"]["firstName"] == "Ann"
        assert set(data) == {"videochatRequestId", "user", "expiresAt"}
        async with server.phone("bob") as bob:
            rung = await bob.hear("videochatRequested")
            assert rung["data"]["videochatRequestId"] == request
            # Without the push his coming and going would decide.
            assert await state_of(server, request) is v.RingState.RINGING
            seat = await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
            assert not seat["error"]["status"]
            told = await ann.hear("directVideochatRequestAccepted")
            secrets = (seat["data"]["token"], seat["data"]["sharedSecret"], told["data"]["token"])
        assert (await pager.pushed(2))[1] == (
            "pushVideochatAccepted",
            {"videochatRequestId": request, "reason": ""},
        )
    assert {one.user for one in pager.notices} == {"bob"}
    assert len({one.key for one in pager.notices}) == 2
    assert not any(secret in repr(one) for one in pager.notices for secret in secrets)


async def test_a_cancel_and_a_decline_are_pushed() -> None:
    pager = Pager()
    async with exchange(push=pager) as server, server.phone("ann") as ann:
        first = await ann.request("bob")
        await ann.ask("declineVideochatRequest", {"videochatRequestId": first})
        # Each push is on its own: what ended meanwhile may have overtaken the request.
        async with server.phone("bob") as bob:
            await bob.hear("videochatDeclined")
            second = await ann.request("bob")
            await bob.hear("videochatRequested")
            await bob.ask("declineVideochatRequest", {"videochatRequestId": second})
        with trio.fail_after(ANSWER_SECONDS):
            while len({one.type for one in pager.notices}) < 3:
                await pager.pushed(len(pager.notices) + 1)
        ends = [(one.type, one.data["videochatRequestId"]) for one in pager.notices if "user" not in one.data]
    assert ends == [("pushVideochatCanceled", first), ("pushVideochatDeclined", second)]


async def test_a_phone_is_pushed_even_if_another_one_of_his_is_awake() -> None:
    pager = Pager()
    async with exchange(push=pager) as server, server.phone("ann") as ann, server.phone("bob", "b1") as bob:
        request = await ann.request("bob")
        await bob.hear("videochatRequested")
        await pager.pushed(1)
        await bob.link.aclose()
        await ann.hears_nothing()
        # The socket is gone, and the ring is not: the sleeping phone may still be picked up.
        with trio.fail_after(ANSWER_SECONDS):
            while "bob" in await connected(server):
                await trio.lowlevel.checkpoint()
        assert await state_of(server, request) is v.RingState.RINGING


async def connected(server: Exchange) -> str:
    """Whose socket is there, by what the server says of itself."""
    base = server.url.replace("ws", "http").removesuffix("/videochat")
    async with HttpClient() as client:
        text = (await client.request("GET", f"{base}/metrics")).body.decode()
    users = next(
        line for line in text.splitlines() if line.startswith("switchhook_videochat_users_connected")
    )
    return "ann bob" if users.endswith(" 2.0") else "ann"


async def test_who_is_not_reached_is_still_busy() -> None:
    async with exchange(push=Pager("eve")) as server, server.phone("ann") as ann:
        for target in ("bob", "joe"):
            answer = await ann.ask("requestDirectVideochat", {"targetUser": target})
            assert answer["error"]["code"] == 10011


async def test_a_port_that_cannot_say_reaches_nobody_and_ends_nothing() -> None:
    async with exchange(push=Pager(silent=True)) as server, server.phone("ann") as ann:
        answer = await ann.ask("requestDirectVideochat", {"targetUser": "bob"})
        assert answer["error"]["code"] == 10011
        await ann.hears_nothing()


async def test_a_push_that_fails_is_counted_and_the_call_goes_on() -> None:
    pager = Pager(fails=True)
    async with exchange(push=pager) as server, server.phone("ann") as ann:
        request = await ann.request("bob")
        await pager.pushed(1)
        async with server.phone("bob") as bob:
            await bob.hear("videochatRequested")
            await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
            await ann.hear("directVideochatRequestAccepted")
        await pager.pushed(2)
        base = server.url.replace("ws", "http").removesuffix("/videochat")
        async with HttpClient() as client:
            text = (await client.request("GET", f"{base}/metrics")).body.decode()
    line = 'switchhook_pushes_total{api="videochat",outcome="failed",type="pushVideochatRequest"} 1.0'
    assert line in text.splitlines()


async def test_who_is_invited_is_pushed() -> None:
    pager = Pager("eve")
    async with exchange(push=pager) as server, server.phone("ann") as ann, server.phone("bob") as bob:
        request = await ann.request("bob")
        await bob.hear("videochatRequested")
        seat = await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
        videochat = seat["data"]["videochatId"]
        for phone in (ann, bob):
            await phone.ask("onConnection", {"videochatId": videochat})
        answer = await bob.ask("invite", {"targetUser": "eve", "videochatId": videochat})
        ((kind, data),) = await pager.pushed(1)
        assert kind == "pushVideochatRequest"
        assert data["videochatRequestId"] == answer["data"]["videochatRequestId"]
        assert data["user"]["id"] == "bob"


async def test_what_was_asked_before_a_crash_is_asked_again_under_the_same_key() -> None:
    users = MemoryUsers()
    before, after = Pager(hangs=True), Pager()
    async with MemoryJournal() as journal:
        async with exchange(journal, users=users, push=before) as server, server.phone("ann") as ann:
            request = await ann.request("bob")
            await before.pushed(1)
        async with exchange(journal, users=users, push=after) as server, server.phone("ann") as ann:
            assert await after.pushed(1) == await before.pushed(1)
            assert after.notices[0].key == before.notices[0].key
            # He has no socket, as nobody has after a start; the push still counts.
            assert await state_of(server, request) in (v.RingState.RINGING, v.RingState.CALLER_AWAY)
            async with server.phone("bob") as bob:
                await bob.hear("videochatRequested")
                await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
                await ann.hear("directVideochatRequestAccepted")
            await after.pushed(2)
        third = Pager()
        async with exchange(journal, users=users, push=third):
            pass
        assert third.notices == []


async def test_the_configured_webhook_reaches_marked_users_and_is_tried_again() -> None:
    users = MemoryUsers()
    await users.set(User(id="bob", first_name="Bob", push=True))
    async with listening(Receiver(503)) as receiver:
        settings = VideochatSettings(push={"url": receiver.url, "secret": SECRET})
        async with exchange(settings=settings, users=users) as server, server.phone("ann") as ann:
            busy = await ann.ask("requestDirectVideochat", {"targetUser": "joe"})
            assert busy["error"]["code"] == 10011
            request = await ann.request("bob")
            with trio.fail_after(ANSWER_SECONDS):
                await receiver.got(2)
        first, again = receiver.requests
    assert first.body == again.body
    body = json.loads(first.body)
    assert (body["type"], body["user"]) == ("pushVideochatRequest", "bob")
    assert body["data"]["videochatRequestId"] == request
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == body["key"]
    assert is_signed(first, KEY)
    assert is_signed(again, KEY)


async def test_a_port_that_is_passed_goes_before_the_webhook() -> None:
    pager = Pager()
    settings = VideochatSettings(push={"url": "http://127.0.0.1:9/", "secret": SECRET})
    async with exchange(settings=settings, push=pager) as server, server.phone("ann") as ann:
        await ann.request("bob")
        await pager.pushed(1)


def test_faults_of_the_webhook_are_faults_of_the_section() -> None:
    with pytest.raises(ConfigurationError) as caught:
        VideochatSettings(push={"url": "nowhere", "secret": "short"})
    assert [fault.key for fault in faults_of(caught.value)] == ["push.url", "push.secret"]
