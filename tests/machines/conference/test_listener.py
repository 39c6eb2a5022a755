"""The events' WebSocket, frame by frame, in virtual time."""

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.errors import JournalCorruptError, UnavailableError
from engine.machine.step import Outcome
from engine.runtime.dispatcher import Answer
from engine.transport.application import Response
from machines.conference import listener
from machines.conference.service import EXPIRY_SECONDS
from tests.machines.conference.sockets import Ear, StillSocket, knock, listening
from tests.machines.conference.studio import Studio, studio


async def hold(stage: Studio, times: int = 1) -> None:
    body = {**stage.of("ann"), "operation": "SET", "key": "ON_HOLD", "value": "true"}
    for _ in range(times):
        assert (await stage.post("ann", "conferences/updateMetadata", **body))[0] == 204


def versions(told: list[Any]) -> list[Any]:
    return [one["conferenceVersion"] for one in told if "conferenceVersion" in one]


def problems(ear: Ear) -> list[str]:
    return [one["error"] for one in ear.take() if one["type"] == "error"]


async def test_who_follows_is_told_what_was_and_then_what_comes(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        ear = listening(stage, "bob")
        await ear.say("follow", conferenceId="c1")
        await hold(stage)
        await wait_all_tasks_blocked()
        first, *events = ear.take()
        assert first == {"type": "following", "conferenceId": "c1", "version": 2}
        assert versions(events) == [None, 0, 1, 2]


@pytest.mark.parametrize(("since", "told"), [(0, [0, 1, 2]), (1, [1, 2]), (2, [2]), (3, []), (-1, [0, 1, 2])])
async def test_since_is_the_first_version_that_is_told(
    autojump_clock: MockClock, since: int, told: list[int]
) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        ear = listening(stage, "bob")
        await ear.say("follow", conferenceId="c1", since=since)
        await hold(stage)
        assert versions(ear.take()) == told
        if since == 3:
            await hold(stage)
            assert versions(ear.take()) == [3]


async def test_the_query_may_name_the_first_conference(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        ear = listening(stage, "ann", (("conferenceId", "c1"), ("since", "0"), ("other", "x")))
        await wait_all_tasks_blocked()
        assert versions(ear.take()) == [0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("since", "x"), ("since", "1.5"), ("since", "9" * 5000), ("conferenceId", "a/b"), ("conferenceId", "")],
)
async def test_a_query_that_cannot_be_understood_is_refused(
    autojump_clock: MockClock, name: str, value: str
) -> None:
    async with studio() as stage:
        pairs = {"conferenceId": "c1", name: value}
        _, answer = knock(stage, "ann", tuple(pairs.items()))
        assert isinstance(answer, Response)
        assert (answer.status, json.loads(answer.body)["error"]) == (400, "bad_request")
        assert stage.service.statistics()["sockets"] == 0


async def test_a_socket_needs_one_token(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        token = stage.token("ann")["authorization"].removeprefix("Bearer ")
        for headers, query in (({}, ()), (stage.token("ann"), (("access_token", token),))):
            answer = stage.service.open_socket(StillSocket(headers, query))  # type: ignore[arg-type]
            assert isinstance(answer, Response)
            assert answer.status == 401
        by_query = StillSocket({}, (("access_token", token),))
        assert not isinstance(stage.service.open_socket(by_query), Response)  # type: ignore[arg-type]


# -- other words


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '"follow"', "7", "{}", '{"type":7}', '{"type":null}', "[" * 5000),
        *('{"type":"follow"}', '{"type":"follow","conferenceId":7}', '{"type":"follow","conferenceId":""}'),
        *('{"type":"follow","conferenceId":"c1","since":"x"}', '{"type":"unfollow"}'),
        *('{"type":"follow","conferenceId":"a/b"}', '{"type":"acknowledge","conferenceId":"c1"}'),
        '{"type":"follow","conferenceId":"c1","since":%s}' % ("9" * 400),
    ],
)
async def test_a_frame_that_cannot_be_understood_is_told_and_the_socket_stays_open(
    autojump_clock: MockClock, text: str
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        ear = listening(stage, "ann")
        ear.say_nowait(text)
        await wait_all_tasks_blocked()
        assert problems(ear) == ["bad_request"]
        assert ear.socket.closed is None
        await ear.say("follow", conferenceId="c1")
        assert versions(ear.take()) == [None, 0]


async def test_a_type_that_is_not_known_is_passed_over(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        ear = listening(stage, "ann")
        await ear.say("dance", conferenceId="c1")
        assert ear.take() == []


async def test_a_conference_that_is_not_ones_own_is_as_if_it_were_not_there(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        ear = listening(stage, "ann", organization="umbrella")
        for name in ("c1", "c9"):
            await ear.say("follow", conferenceId=name)
            (told,) = ear.take()
            assert (told["error"], told["conferenceId"]) == ("conference_not_found", name)
        await ear.say("acknowledge", conferenceId="c1", eventId="e1")
        assert ear.take() == []


async def test_who_unfollows_is_told_no_more(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        ear = listening(stage, "ann")
        await ear.say("follow", conferenceId="c1")
        await ear.say("unfollow", conferenceId="c1")
        await ear.say("unfollow", conferenceId="c1")
        ear.take()
        await hold(stage)
        assert ear.take() == []


async def test_the_last_wish_counts_while_a_conference_is_looked_up(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        ear = listening(stage, "ann")
        follow = {"type": "follow", "conferenceId": "c1"}
        ear.say_nowait(json.dumps(follow))
        ear.say_nowait(json.dumps({**follow, "since": 1}))
        await wait_all_tasks_blocked()
        assert versions(ear.take()) == [1]
        ear.say_nowait(json.dumps({**follow, "since": 0}))
        ear.say_nowait(json.dumps({"type": "unfollow", "conferenceId": "c1"}))
        await wait_all_tasks_blocked()
        await hold(stage)
        assert ear.take() == []
        assert [one.feed.readers for one in stage.service.feeds._open.values()] == [0]


async def test_who_follows_again_begins_anew(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        ear = listening(stage, "ann")
        await ear.say("follow", conferenceId="c1")
        await ear.say("follow", conferenceId="c1", since=1)
        await hold(stage)
        assert versions(ear.take()) == [None, 0, 1, 1, 2]
        assert [one.feed.readers for one in stage.service.feeds._open.values()] == [1]


async def test_a_socket_follows_a_limited_number_of_conferences(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        ear = listening(stage, "ann")
        for number in range(listener.CONFERENCES_MAX + 1):
            ear.say_nowait(json.dumps({"type": "follow", "conferenceId": f"c{number}"}))
        told = ear.take()
        assert [one["error"] for one in told] == ["overloaded"]


# -- who cannot keep up


async def test_while_much_waits_for_the_journal_no_frame_is_read(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        ear = listening(stage, "ann")
        frame = json.dumps({"type": "acknowledge", "conferenceId": "c1", "eventId": "e1"})
        for _ in range(listener.PENDING_MAX):
            assert not ear.socket.paused
            ear.say_nowait(frame)
        assert ear.socket.paused
        await wait_all_tasks_blocked()
        assert not ear.socket.paused


async def test_who_catches_up_is_told_no_faster_than_he_reads(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        await hold(stage, 3 * listener.PART)
        ear = listening(stage, "ann")
        ear.socket.unread = 1
        await ear.say("follow", conferenceId="c1", since=0)
        await trio.sleep(5.0)
        told = ear.take()
        assert len(told) == 1 + listener.PART
        await hold(stage)
        ear.socket.unread = 0
        await trio.sleep(5.0)
        await hold(stage)
        assert versions(told + ear.take()) == list(range(3 * listener.PART + 3))


async def test_who_hangs_up_while_he_catches_up_leaves_nothing(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        await hold(stage, 2 * listener.PART)
        ear = listening(stage, "ann")
        ear.socket.unread = 1
        await ear.say("follow", conferenceId="c1")
        await trio.sleep(1.0)
        ear.hang_up()
        await trio.sleep(1.0)
        assert len(ear.take()) == 1 + listener.PART
        feed = await stage.service.feeds.enter("c1")
        assert feed.readers == 1
        assert stage.service.statistics()["sockets"] == 0


async def test_who_hangs_up_while_a_conference_is_looked_up_leaves_nothing(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        ear = listening(stage, "ann")
        ear.say_nowait('{"type":"follow","conferenceId":"c1"}')
        ear.hang_up()
        await wait_all_tasks_blocked()
        assert ear.take() == []
        assert [one.feed.readers for one in stage.service.feeds._open.values()] == [0]


# -- ends


async def test_a_socket_whose_token_has_expired_is_closed(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        early = listening(stage, "ann")
        await trio.sleep(600.0)
        late = listening(stage, "ann")
        await trio.sleep(3600.0 - 600.0 - 1.0)
        assert (early.socket.closed, late.socket.closed) == (None, None)
        await trio.sleep(2.0 + EXPIRY_SECONDS)
        assert (early.socket.closed, late.socket.closed) == (1008, None)
        await trio.sleep(600.0)
        assert late.socket.closed == 1008


async def test_a_socket_whose_feed_is_lost_is_closed_so_that_it_comes_again(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        ear = listening(stage, "ann")
        await ear.say("follow", conferenceId="c1")
        (opened,) = stage.service.feeds._open.values()
        opened.follower.lost()
        assert ear.socket.closed == 1011


async def test_a_failure_costs_one_socket_alone(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        broken, sound = listening(stage, "ann"), listening(stage, "ann")

        async def fail(*_: object) -> None:
            raise ValueError("a bug")

        broken.app._enter = fail  # type: ignore[assignment]
        await broken.say("follow", conferenceId="c1")
        await sound.say("follow", conferenceId="c1")
        assert (broken.socket.closed, sound.socket.closed) == (1011, None)
        assert versions(sound.take()) == [None, 0]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UnavailableError("the disk is full"), "overloaded"),
        (JournalCorruptError("conference.conference:c1", 1, "damaged"), "internal"),
    ],
)
async def test_what_cannot_be_read_is_told_and_the_socket_stays_open(
    autojump_clock: MockClock, error: Exception, told: str
) -> None:
    async with studio() as stage:
        ear = listening(stage, "ann")

        async def fail(*_: object) -> None:
            raise error

        ear.app._enter = fail  # type: ignore[assignment]
        await ear.say("follow", conferenceId="c1")
        assert problems(ear) == [told]
        assert ear.socket.closed is None


async def test_an_acknowledgement_that_cannot_be_journaled_is_told(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        ear = listening(stage, "ann")
        await ear.say("follow", conferenceId="c1", since=1)

        async def fail(*_: object) -> Answer:
            return Answer(Outcome.REFUSED, error=UnavailableError("the disk is full"))

        ear.take()
        stage.engine.runtime.ask = fail  # type: ignore[assignment,method-assign]
        await ear.say("acknowledge", conferenceId="c1", eventId="e1")
        assert problems(ear) == ["overloaded"]
        assert ear.socket.closed is None


async def test_gauges_count_and_name_nobody(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        await stage.publish("ann")
        ear = listening(stage, "ann")
        await ear.say("follow", conferenceId="c1")
        gauges = {"peers": 1, "negotiations": 0, "feeds": 1, "sockets": 1}
        assert stage.service.statistics() == gauges
        text = (await stage.raw("GET", "/metrics")).body.decode()
        for name, value in gauges.items():
            assert f"conference_{name} {value}.0" in text
        assert not any(word in text for word in ("ann", "c1", "s1", "acme"))
