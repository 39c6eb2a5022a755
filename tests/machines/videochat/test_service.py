"""The videochat handshake over real sockets."""

import json
from collections import Counter
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from engine.errors import TransportBrokenError
from engine.journal.memory import MemoryJournal
from engine.runtime.runtime import AT_ONCE_MAX
from engine.runtime.world import World
from engine.transport.websocket import connect
from machines.videochat import vocabulary as v
from machines.videochat.entries import REQUEST
from machines.videochat.settings import VideochatSettings
from machines.videochat.vocabulary import Glare
from tests.machines.videochat.wiretap import Phone, exchange, find_service

pytestmark = pytest.mark.slow


async def talk(ann: Phone, bob: Phone) -> str:
    """Ann calls, Bob accepts, both connect; the videochat's id."""
    request = await ann.request(bob.user)
    await bob.hear("videochatRequested")
    seat = await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
    await bob.hear("videochatAccepted")
    await ann.hear("directVideochatRequestAccepted")
    videochat = str(seat["data"]["videochatId"])
    await ann.ask("onConnection", {"videochatId": videochat})
    await bob.ask("onConnection", {"videochatId": videochat})
    await ann.hear("identityConnected")
    return videochat


async def test_a_call_is_requested_accepted_and_told_with_the_fields_of_the_source() -> None:
    async with exchange() as server, server.phone("ann") as ann, server.phone("bob") as bob:
        request = await ann.request("bob")
        rung = await bob.hear("videochatRequested")
        assert rung["data"]["videochatRequestId"] == request
        assert rung["data"]["user"] == {
            "id": "ann",
            "firstName": "Ann",
            "lastName": "",
            "privacyMode": 0,
            "avatar": "",
            "companyName": "",
            "companyTitle": "",
        }
        assert (rung["data"]["participants"], rung["data"]["counter"]) == ([], 0)
        answer = await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
        accepted = await ann.hear("directVideochatRequestAccepted")
        told = await bob.hear("videochatAccepted")
        assert told["data"] == {"videochatRequestId": request}
        mine, hers = answer["data"], accepted["data"]
        assert (
            set(mine)
            == set(hers)
            == {
                "videochatId",
                "videochatMode",
                "videochatEngine",
                "videochatAppId",
                "videochatUrl",
                "room",
                "identity",
                "uid",
                "token",
                "sharedSecret",
                "user",
                "permissions",
            }
        )
        for name in ("videochatId", "room", "sharedSecret", "videochatMode", "videochatEngine"):
            assert mine[name] == hers[name]
        assert mine["token"] != hers["token"]
        assert (mine["identity"], mine["user"]["id"]) == ("bob", "ann")
        assert (hers["identity"], hers["user"]["id"]) == ("ann", "bob")
        assert hers["permissions"]["isOwner"] is True
        assert mine["permissions"]["isParticipant"] is True
        assert answer["error"] == {"status": False, "code": 0, "message": ""}


async def test_only_the_asking_device_gets_the_token_and_all_devices_stop_ringing() -> None:
    async with (
        exchange() as server,
        server.phone("ann", "laptop") as laptop,
        server.phone("ann", "phone") as idle,
        server.phone("bob", "b1") as one,
        server.phone("bob", "b2") as two,
    ):
        request = await laptop.request("bob")
        for phone in (one, two):
            await phone.hear("videochatRequested")
        await two.ask("acceptVideochatRequest", {"videochatRequestId": request})
        for phone in (one, two):
            await phone.hear("videochatAccepted")
        await laptop.hear("directVideochatRequestAccepted")
        late = await one.ask("acceptVideochatRequest", {"videochatRequestId": request})
        assert late["error"]["code"] == 10013
        assert late["data"] == {}
        for phone in (idle, one, two, laptop):
            await phone.hears_nothing()


async def test_a_decline_stops_every_phone_on_both_sides() -> None:
    async with (
        exchange() as server,
        server.phone("ann") as ann,
        server.phone("bob", "b1") as one,
        server.phone("bob", "b2") as two,
    ):
        request = await ann.request("bob")
        for phone in (one, two):
            await phone.hear("videochatRequested")
        answer = await one.ask("declineVideochatRequest", {"videochatRequestId": request})
        assert not answer["error"]["status"]
        for phone in (ann, one, two):
            assert (await phone.hear("videochatDeclined"))["data"] == {"videochatRequestId": request}


async def test_a_cancel_is_not_echoed_to_the_phone_that_cancels() -> None:
    async with exchange() as server, server.phone("ann") as ann, server.phone("bob") as bob:
        request = await ann.request("bob")
        await bob.hear("videochatRequested")
        await ann.ask("declineVideochatRequest", {"videochatRequestId": request})
        await bob.hear("videochatDeclined")
        await ann.hears_nothing()


async def test_two_who_ring_each_other_are_connected() -> None:
    async with exchange() as server, server.phone("ann") as ann, server.phone("bob") as bob:
        first = await ann.request("bob")
        await bob.hear("videochatRequested")
        second = await bob.request("ann")
        assert first != second
        assert (await bob.hear("videochatAccepted"))["data"]["videochatRequestId"] == first
        hers = await ann.hear("directVideochatRequestAccepted")
        his = await bob.hear("directVideochatRequestAccepted")
        assert hers["data"]["room"] == his["data"]["room"]
        assert hers["data"]["token"] != his["data"]["token"]
        for request in (first, second):
            late = await ann.ask("declineVideochatRequest", {"videochatRequestId": request})
            assert late["error"]["status"]


async def test_glare_may_be_configured_to_be_busy() -> None:
    settings = VideochatSettings(glare=Glare.BUSY)
    async with exchange(settings=settings) as server, server.phone("ann") as ann, server.phone("bob") as bob:
        await ann.request("bob")
        await bob.hear("videochatRequested")
        busy = await bob.ask("requestDirectVideochat", {"targetUser": "ann"})
        assert busy["error"]["code"] == 10011


@pytest.mark.parametrize(
    ("target", "code"), [("nobody", 1021), ("joe", 10011), ("ann", 10011), ("dan", 10011)]
)
async def test_who_cannot_be_rung_is_told_by_the_codes_of_the_source(target: str, code: int) -> None:
    async with exchange() as server, server.phone("ann") as ann, server.phone("dan"):
        answer = await ann.ask("requestDirectVideochat", {"targetUser": target})
        assert answer["error"]["code"] == code
        assert answer["error"]["status"] is True


async def test_an_unanswered_call_ends_for_both(mock_clock: MockClock) -> None:
    settings, world = VideochatSettings(ring_seconds=5.0), World(clock=trio.current_time)
    async with (
        exchange(settings=settings, world=world) as server,
        server.phone("ann") as ann,
        server.phone("bob") as bob,
    ):
        await ann.request("bob")
        await bob.hear("videochatRequested")
        mock_clock.jump(4.9)
        for phone in (ann, bob):
            await phone.hears_nothing()
        mock_clock.jump(0.1)
        mock_clock.rate = 1.0  # Time goes on, so that who hears nothing fails and does not wait for ever.
        for phone in (bob, ann):
            await phone.hear("videochatDeclined")


async def test_a_third_one_is_invited_and_sees_who_is_inside() -> None:
    async with (
        exchange() as server,
        server.phone("ann") as ann,
        server.phone("bob") as bob,
        server.phone("eve") as eve,
    ):
        videochat = await talk(ann, bob)
        answer = await bob.ask("invite", {"targetUser": "eve", "videochatId": videochat})
        request = answer["data"]["videochatRequestId"]
        rung = await eve.hear("videochatRequested")
        assert [one["id"] for one in rung["data"]["participants"]] == ["ann", "bob"]
        assert rung["data"]["counter"] == 2
        seat = await eve.ask("acceptVideochatRequest", {"videochatRequestId": request})
        assert seat["data"]["videochatId"] == videochat
        await eve.hear("videochatAccepted")
        await eve.ask("onConnection", {"videochatId": videochat})
        for phone in (ann, bob):
            connected = await phone.hear("identityConnected")
            assert connected["data"]["participantCount"] == 3


async def test_a_caller_is_merged_into_the_running_videochat() -> None:
    async with (
        exchange() as server,
        server.phone("ann") as ann,
        server.phone("bob") as bob,
        server.phone("eve") as eve,
    ):
        videochat = await talk(ann, bob)
        request = await eve.request("ann")
        await ann.hear("videochatRequested")
        answer = await ann.ask("mergeToVideochat", {"videochatId": videochat, "videochatRequestId": request})
        assert answer["data"] == {}
        assert not answer["error"]["status"]
        seat = await eve.hear("directVideochatRequestAccepted")
        assert seat["data"]["videochatId"] == videochat
        assert seat["data"]["permissions"]["isParticipant"]
        await ann.hear("videochatAccepted")
        await bob.hear("userInvitedToVideochat")


async def test_a_stranger_cannot_tell_a_ring_from_nothing() -> None:
    async with (
        exchange() as server,
        server.phone("ann") as ann,
        server.phone("bob") as bob,
        server.phone("eve") as eve,
    ):
        request = await ann.request("bob")
        await bob.hear("videochatRequested")
        for kind in ("acceptVideochatRequest", "declineVideochatRequest"):
            real = await eve.ask(kind, {"videochatRequestId": request})
            made_up = await eve.ask(kind, {"videochatRequestId": "made up"})
            assert real["error"] == made_up["error"]


async def test_a_request_sent_again_is_answered_and_not_done_again() -> None:
    async with exchange() as server, server.phone("ann") as ann, server.phone("bob") as bob:
        first = await ann.ask("requestDirectVideochat", {"targetUser": "bob"}, "same")
        again = await ann.ask("requestDirectVideochat", {"targetUser": "bob"}, "same")
        assert again == first
        other = await ann.ask("requestDirectVideochat", {"targetUser": "eve"}, "same")
        assert other["error"]["code"] == 10409
        request = first["data"]["videochatRequestId"]
        await bob.hear("videochatRequested")
        seat = await bob.ask("acceptVideochatRequest", {"videochatRequestId": request}, "yes")
        assert await bob.ask("acceptVideochatRequest", {"videochatRequestId": request}, "yes") == seat
        await ann.hear("directVideochatRequestAccepted")
        await ann.hears_nothing()


async def test_an_empty_event_id_is_not_checked() -> None:
    async with exchange() as server, server.phone("ann") as ann, server.phone("bob"):
        first = await ann.ask("requestDirectVideochat", {"targetUser": "bob"}, "")
        again = await ann.ask("requestDirectVideochat", {"targetUser": "bob"}, "")
        assert again["data"] == first["data"]


async def test_a_device_that_comes_back_hears_an_open_ring_again() -> None:
    async with exchange() as server, server.phone("ann") as ann:
        async with server.phone("bob", "b1") as bob:
            request = await ann.request("bob")
            await bob.hear("videochatRequested")
        async with server.phone("bob", "b1") as bob:
            assert (await bob.hear("videochatRequested"))["data"]["videochatRequestId"] == request
            await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
            await ann.hear("directVideochatRequestAccepted")


async def test_a_device_with_a_cursor_hears_each_event_once() -> None:
    async with exchange() as server, server.phone("ann") as ann:
        async with server.phone("bob", "b1", since=0) as bob:
            request = await ann.request("bob")
            since = int((await bob.hear("videochatRequested"))["event"]["id"])
        await ann.ask("declineVideochatRequest", {"videochatRequestId": request})
        async with server.phone("bob", "b1", since=since) as bob:
            declined = await bob.hear("videochatDeclined")
            assert int(declined["event"]["id"]) == since + 1
            await bob.hears_nothing()


async def test_an_ending_that_was_missed_is_told_on_return() -> None:
    async with exchange() as server, server.phone("ann") as ann, server.phone("bob", "b2"):
        async with server.phone("bob", "b1") as bob:
            request = await ann.request("bob")
            await bob.hear("videochatRequested")
        await ann.ask("declineVideochatRequest", {"videochatRequestId": request})
        async with server.phone("bob", "b1") as bob:
            assert (await bob.hear("videochatDeclined"))["data"]["videochatRequestId"] == request
            await bob.hears_nothing()


async def test_the_answer_waits_for_the_callers_phone_that_dropped() -> None:
    async with exchange() as server, server.phone("bob") as bob:
        async with server.phone("ann", "a1") as ann:
            request = await ann.request("bob")
        await bob.hear("videochatRequested")
        await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
        async with server.phone("ann", "a2") as other:
            await other.hears_nothing()
        async with server.phone("ann", "a1") as ann:
            seat = await ann.hear("directVideochatRequestAccepted")
            assert seat["data"]["token"]


async def test_the_newest_socket_of_a_device_wins() -> None:
    async with exchange() as server, server.phone("ann", "a1") as old, server.phone("ann", "a1") as new:
        await old.hear("invalidConnection")
        with pytest.raises(TransportBrokenError) as closed:
            await old.receive()
        assert closed.value.code == 4409
        await new.hears_nothing()


@pytest.mark.parametrize(
    "first",
    [
        "not json",
        json.dumps({"type": "videochat:requestDirectVideochat", "data": {"targetUser": "bob"}}),
        json.dumps({"type": "authenticate", "data": {"token": "wrong"}}),
        json.dumps({"type": "authenticate", "data": {"token": 5}}),
        json.dumps({"type": "authenticate"}),
        json.dumps([1, 2]),
    ],
)
async def test_who_does_not_authenticate_is_closed_without_a_word(first: str) -> None:
    async with exchange() as server, connect(server.url) as link:
        await link.send(first)
        with pytest.raises(TransportBrokenError) as closed:
            await link.receive()
        assert closed.value.code == 1008


async def test_who_says_nothing_is_closed_after_a_while() -> None:
    settings = VideochatSettings(authenticate_seconds=0.1)
    async with exchange(settings=settings) as server, connect(server.url) as link:
        with trio.fail_after(5), pytest.raises(TransportBrokenError) as closed:
            await link.receive()
        assert closed.value.code == 1008


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", 10400),
        ("[]", 10400),
        ('{"type": 5}', 10400),
        ('{"type": "videochat:fly", "event": {"id": "x"}}', 10404),
        ('{"type": "videochat:invite", "data": {}, "event": {"id": "x"}}', 10400),
        ('{"type": "videochat:invite", "data": {"targetUser": 5, "videochatId": null}}', 10400),
        ('{"type": "videochat:invite", "data": []}', 10400),
        ("[" * 200 + "]" * 200, 10400),
    ],
)
async def test_a_wrong_frame_gets_a_clear_error_and_the_socket_lives(text: str, code: int) -> None:
    async with exchange() as server, server.phone("ann") as ann:
        await ann.link.send(text)
        frame = await ann.receive()
        assert frame["error"]["code"] == code
        assert frame["error"]["message"]
        await ann.hears_nothing()


async def test_frames_sent_in_one_go_are_answered_in_their_order() -> None:
    async with exchange() as server, server.phone("ann") as ann, server.phone("bob"):
        ids = [await ann.send("videochat:requestDirectVideochat", {"targetUser": "bob"}) for _ in range(200)]
        frames = [await ann.receive() for _ in ids]
        assert [frame["event"]["id"] for frame in frames] == ids


async def test_a_token_that_cannot_be_made_ends_the_call_for_both() -> None:
    from engine.errors import MediaError

    class Broken:
        engine = "livekit"

        def issue(self, *_arguments: object, **_options: object) -> None:
            raise MediaError("no key")

    async with exchange() as server, server.phone("ann") as ann, server.phone("bob") as bob:
        request = await ann.request("bob")
        await bob.hear("videochatRequested")
        service = find_service(server)
        service.issuer = Broken()  # type: ignore[assignment]
        answer = await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
        assert answer["error"]["code"] == 10502
        told = await ann.hear("directVideochatRequestAccepted")
        assert told["error"]["code"] == 10502
        assert told["data"] == {}


async def test_an_answer_is_kept_while_the_device_is_away() -> None:
    async with exchange() as server, server.phone("bob") as bob:
        async with server.phone("ann", "a1") as ann:
            first = await ann.ask("requestDirectVideochat", {"targetUser": "bob"}, "same")
        await bob.hear("videochatRequested")
        async with server.phone("ann", "a1") as ann:
            assert await ann.ask("requestDirectVideochat", {"targetUser": "bob"}, "same") == first
            other = await ann.ask("requestDirectVideochat", {"targetUser": "eve"}, "same")
            assert other["error"]["code"] == 10409
        await bob.hears_nothing()


# -- more of the requests


async def test_a_seat_is_hidden_shown_renewed_and_left() -> None:
    async with exchange() as server, server.phone("ann") as ann, server.phone("bob") as bob:
        videochat = await talk(ann, bob)
        for kind in ("userGoesToBackgroundMode", "userReturnsFromBackgroundMode"):
            answer = await ann.ask(kind, {"videochatId": videochat})
            assert (answer["data"], answer["error"]["status"]) == ({}, False)
        seat = await ann.ask("getToken", {"videochatId": videochat})
        assert seat["data"]["identity"] == "ann"
        assert seat["data"]["token"]
        left = await ann.ask("onDisconnection", {"videochatId": videochat})
        assert not left["error"]["status"]
        assert (await bob.hear("identityDisconnected"))["data"]["user"]["id"] == "ann"


async def test_tokens_come_from_the_media_engine_of_the_configuration() -> None:
    settings = VideochatSettings(engine={"engine": "agora", "app_id": "a" * 32, "certificate": "b" * 32})
    async with exchange(settings=settings) as server, server.phone("ann") as ann, server.phone("bob") as bob:
        request = await ann.request("bob")
        await bob.hear("videochatRequested")
        seat = (await bob.ask("acceptVideochatRequest", {"videochatRequestId": request}))["data"]
        assert (seat["videochatEngine"], seat["videochatAppId"]) == ("agora", "a" * 32)
        assert seat["token"].startswith("007")


async def test_after_a_restart_a_call_goes_on_for_whoever_comes_back(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    async with exchange(url) as server, server.phone("ann") as ann, server.phone("bob") as bob:
        videochat = await talk(ann, bob)
        ringing = (await ann.ask("invite", {"targetUser": "eve", "videochatId": videochat}))["error"]
        assert ringing["status"], "nobody rings at a phone that is not connected"
    async with exchange(url) as server, server.phone("ann") as ann, server.phone("bob") as bob:
        for phone in (ann, bob):
            seat = await phone.ask("getToken", {"videochatId": videochat})
            assert seat["data"].get("videochatId") == videochat, seat


async def test_after_a_restart_a_ring_rings_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/calls.db"
    async with exchange(url) as server, server.phone("ann") as ann, server.phone("bob") as bob:
        request = await ann.request("bob")
        await bob.hear("videochatRequested")
    async with exchange(url) as server, server.phone("bob") as bob, server.phone("ann") as ann:
        assert (await bob.hear("videochatRequested"))["data"]["videochatRequestId"] == request
        seat = await bob.ask("acceptVideochatRequest", {"videochatRequestId": request})
        assert not seat["error"]["status"]
        await ann.hear("directVideochatRequestAccepted")


async def test_after_a_restart_every_party_is_missed_however_many_there_are() -> None:
    rings = range(AT_ONCE_MAX // 2 + 1)
    async with MemoryJournal(queue_max=AT_ONCE_MAX) as journal:
        async with exchange(journal) as server:
            for one in rings:
                command = v.RequestCall(initiator=f"a{one}", opponent=f"b{one}", device="d1")
                await server.engine.start(REQUEST, command)
        async with exchange(journal):
            missed = Counter(timer.name.rpartition("/")[2] for timer in await journal.timers())
        assert (missed["caller"], missed["target"]) == (len(rings), len(rings))
