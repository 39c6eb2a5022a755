"""`sendEvent`: who is told, how often, and what is kept of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from engine.journal.fold import fold
from machines.conference import vocabulary as v
from machines.conference.rules.addresses import delivery_address, stream_of
from tests.machines.conference.sockets import Ear, listening
from tests.machines.conference.studio import Studio, studio

CARD = "4111-1111"
EVENT = {
    "type": "CardEnteredEvent",
    "timestamp": "2011-12-03T10:15:30Z",
    "id": "e1",
    "card": {"number": CARD},
}
MASK = "$.card.number"


async def send(stage: Studio, user: str = "hall", **more: Any) -> Any:
    body = {"conferenceId": "c1", "qos": "AT_LEAST_ONCE", "event": EVENT, "masks": [MASK], **more}
    return await stage.post(user, "conferences/sendEvent", **body)


@asynccontextmanager
async def heard() -> AsyncIterator[tuple[Studio, Ear, Ear]]:
    """Ann and Bob listen."""
    async with studio() as stage:
        await stage.enter("ann", "bob")
        ann, bob = listening(stage, "ann"), listening(stage, "bob")
        for ear in (ann, bob):
            await ear.say("follow", conferenceId="c1", since=2)
            assert [one["type"] for one in ear.take()] == ["following"]
        yield stage, ann, bob


@pytest.mark.parametrize("qos", ["BEST_EFFORT", "AT_LEAST_ONCE"])
async def test_everybody_inside_is_told_the_plain_words_without_a_version(
    autojump_clock: MockClock, qos: str
) -> None:
    async with heard() as (stage, ann, bob):
        assert await send(stage, qos=qos, event={**EVENT, "conferenceVersion": 7}) == (200, {"eventsSent": 2})
        told = {**EVENT, "conferenceId": "c1", "organizationId": "acme"}
        assert ann.take() == bob.take() == [told]
        assert (await stage.conference()).data.version == 2


async def test_nobody_inside_is_nobody_told(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.post("ann", "conferences/create", conferenceId="c1")
        assert await send(stage) == (200, {"eventsSent": 0})


async def test_polls_never_tell_a_sent_event(autojump_clock: MockClock) -> None:
    async with heard() as (stage, _, _):
        await send(stage)
        assert [kind for _, kind in await stage.events()][-1] == "ConferenceJoinedEvent"


async def test_best_effort_is_told_once(autojump_clock: MockClock) -> None:
    async with heard() as (stage, ann, _):
        await send(stage, qos="BEST_EFFORT")
        await trio.sleep(120.0)
        assert len(ann.take()) == 1


async def test_what_must_arrive_is_repeated_to_those_who_do_not_acknowledge(
    autojump_clock: MockClock,
) -> None:
    async with heard() as (stage, ann, bob):
        await send(stage)
        await ann.say("acknowledge", conferenceId="c1", eventId="e1")
        await trio.sleep(11.0)
        assert [len(ear.take()) for ear in (ann, bob)] == [1, 3]
        await bob.say("acknowledge", conferenceId="c1", eventId="e1")
        await trio.sleep(40.0)
        assert bob.take() == []
        delivery = await stage.engine.runtime.snapshot(delivery_address("c1", "e1"))
        assert delivery.state is v.DeliveryState.SETTLED


async def test_a_conference_with_many_sent_events_does_not_grow(autojump_clock: MockClock) -> None:
    async with heard() as (stage, ann, bob):
        runtime = stage.engine.runtime
        before = {*(await runtime.read(stream_of("c1"))).members}
        for number in range(20):
            await send(stage, event={**EVENT, "id": f"sent-{number}"})
            if number % 2:
                for ear in (ann, bob):
                    await ear.say("acknowledge", conferenceId="c1", eventId=f"sent-{number}")
        there = {*(await runtime.read(stream_of("c1"))).members}
        assert len(there) == len(before) + 20
        await trio.sleep(61.0)
        assert {*(await runtime.read(stream_of("c1"))).members} == before
        # And so it comes back from the journal.
        loaded = await runtime.journal.load(stream_of("c1"))
        assert {*fold(runtime.family, runtime.codec, stream_of("c1"), loaded).members} == before


async def test_who_has_left_hears_it_no_more_unless_he_comes_back_in_time(autojump_clock: MockClock) -> None:
    async with heard() as (stage, ann, bob):
        await send(stage)
        assert [len(ear.take()) for ear in (ann, bob)] == [1, 1]
        await stage.post("bob", "conferences/leave", **stage.of("bob"))
        bob.take()
        await trio.sleep(11.0)
        assert bob.take() == []
        await stage.post("bob", "conferences/join", **stage.of("bob"))
        assert [one["type"] for one in bob.take()] == ["ConferenceJoinedEvent"]
        await trio.sleep(5.0)
        assert [one["type"] for one in bob.take()] == [EVENT["type"]]
        await stage.post("ann", "conferences/end", **stage.of("ann"))
        assert [one["type"] for one in bob.take()] == ["ConferenceEndedEvent"]
        await trio.sleep(60.0)
        assert bob.take() == []


async def test_after_its_time_it_is_told_no_more(autojump_clock: MockClock) -> None:
    async with heard() as (stage, _, bob):
        await send(stage)
        await trio.sleep(61.0)
        told = bob.take()
        assert 12 <= len(told) <= 13
        assert {one["card"]["number"] for one in told} == {CARD}
        await trio.sleep(60.0)
        assert bob.take() == []


async def test_an_event_that_was_never_sent_cannot_be_acknowledged(autojump_clock: MockClock) -> None:
    async with heard() as (_, ann, _):
        await ann.say("acknowledge", conferenceId="c1", eventId="e9")
        (told,) = ann.take()
        assert (told["type"], told["error"]) == ("error", "delivery_not_found")


async def test_the_same_event_again_is_not_told_again(autojump_clock: MockClock) -> None:
    async with heard() as (stage, ann, _):
        await send(stage)
        await send(stage, event={**EVENT, "card": {"number": "4222-2222"}})
        assert [one["card"]["number"] for one in ann.take()] == [CARD]
        await trio.sleep(6.0)
        assert [one["card"]["number"] for one in ann.take()] == [CARD]


async def test_who_listens_for_one_endpoint_hears_what_is_for_that_one(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        mine, theirs = listening(stage, "ann"), listening(stage, "ann")
        await mine.say("follow", conferenceId="c1", since=2, userEndpointId="ann-1")
        await theirs.say("follow", conferenceId="c1", since=2, userEndpointId="bob-1")
        await send(stage)
        assert [len(ear.take()) for ear in (mine, theirs)] == [2, 1]


async def test_the_journal_has_the_masked_words_and_never_the_plain_ones(
    autojump_clock: MockClock,
) -> None:
    async with heard() as (stage, _, _):
        await send(stage)
        loaded = await stage.engine.runtime.journal.load(stream_of("c1"), 0, snapshot=False)
        stored = repr(loaded).encode() + b"".join(_bytes_of(loaded))
        assert CARD.encode() not in stored
        assert b"CardEnteredEvent" in stored
        delivery = (await stage.engine.runtime.snapshot(delivery_address("c1", "e1"))).data
        assert msgspec.json.decode(delivery.body)["card"] == {"number": "*" * len(CARD)}


@pytest.mark.parametrize("mask", ["$.type", "$.id", "$..*.number"])
async def test_masked_marks_do_not_break_the_repetition(autojump_clock: MockClock, mask: str) -> None:
    async with heard() as (stage, ann, _):
        assert (await send(stage, masks=[mask]))[0] == 200
        await trio.sleep(6.0)
        first, again = ann.take()
        assert first == again == {**EVENT, "conferenceId": "c1", "organizationId": "acme"}
        await ann.say("acknowledge", conferenceId="c1", eventId="e1")
        await trio.sleep(30.0)
        assert ann.take() == []


async def test_another_sender_of_the_same_id_changes_no_word(autojump_clock: MockClock) -> None:
    forged = {**EVENT, "card": {"number": "6666-6666"}}
    async with heard() as (stage, ann, _):
        await send(stage)
        body = {"conferenceId": "c1", "qos": "AT_LEAST_ONCE", "event": forged, "masks": [MASK]}
        answer = await stage.post("hall", "conferences/sendEvent", organization="umbrella", **body)
        assert answer[0] == 400
        assert (await stage.post("ann", "conferences/sendEvent", **body))[0] == 403
        await trio.sleep(6.0)
        assert [one["card"]["number"] for one in ann.take()] == [CARD, CARD]


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"event": {**EVENT, "type": "Event"}}, "$.event.type"),
        ({"event": {**EVENT, "timestamp": "yesterday"}}, "$.event.timestamp"),
        ({"event": {**EVENT, "id": "a/b"}}, "$.event.id"),
        ({"event": {**EVENT, "id": 7}}, "$.event.id"),
        ({"masks": ["$["]}, "$.masks[0]"),
        ({"masks": ["$.card"]}, "$.masks[0]"),
        ({"masks": ["x" * 300]}, "$.masks[0]"),
        ({"qos": "EXACTLY_ONCE"}, "$.qos"),
    ],
)
async def test_what_is_wrong_with_an_event_is_told_and_nothing_is_sent(
    autojump_clock: MockClock, more: dict[str, Any], where: str
) -> None:
    async with heard() as (stage, ann, _):
        status, told = await send(stage, **more)
        assert (status, told["error"]) == (400, "bad_request")
        assert where in told["error_description"]
        assert CARD not in told["error_description"]
        assert ann.take() == []


async def test_an_event_without_an_id_is_given_one(autojump_clock: MockClock) -> None:
    async with heard() as (stage, ann, _):
        await send(stage, event={name: value for name, value in EVENT.items() if name != "id"})
        (told,) = ann.take()
        assert len(told["id"]) == 32


def _bytes_of(value: object) -> list[bytes]:
    """Every octet string inside a plain value."""
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, list | tuple):
        return [one for item in value for one in _bytes_of(item)]
    names = getattr(value, "__struct_fields__", ()) or [
        one.name for one in getattr(value, "__attrs_attrs__", ())
    ]
    return [one for name in names for one in _bytes_of(getattr(value, name))]
