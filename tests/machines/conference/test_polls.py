"""Reading events by `GET events?v=`: at once, after a wait, and never longer than there is a reason to."""

import json
import re
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.effects import Send
from machines.conference import vocabulary as v
from machines.conference.feeds import IDLE_SECONDS, PLAIN_MAX, SWEEP_SECONDS, Entry, Feed, Feeds, Subscription
from machines.conference.settings import ConferenceSettings
from tests.machines.conference.studio import Studio, studio

POLLERS = 1_000


async def poll(stage: Studio, version: int | None = None) -> Any:
    """(seconds waited, versions told)."""
    began = trio.current_time()
    query = {} if version is None else {"v": version}
    status, told = await stage.get("ann", "conferences/c1/events", **query)
    assert status == 200, told
    return trio.current_time() - began, [one["conferenceVersion"] for one in told]


async def hold(stage: Studio) -> None:
    body = {**stage.of("ann"), "operation": "SET", "key": "ON_HOLD", "value": "true"}
    assert (await stage.post("ann", "conferences/updateMetadata", **body))[0] == 204


@pytest.mark.parametrize(
    ("version", "told"), [(None, [None, 0, 1]), (0, [0, 1]), (1, [1]), (-5, [0, 1]), (-(2**63), [0, 1])]
)
async def test_what_has_happened_is_told_at_once(
    autojump_clock: MockClock, version: int | None, told: list[Any]
) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        assert await poll(stage, version) == (0.0, told)


@pytest.mark.parametrize("version", [1, 2, 2**63 - 1])
async def test_when_nothing_happens_the_answer_is_empty_after_the_configured_time(
    autojump_clock: MockClock, version: int
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        seconds, told = await poll(stage, version)
        assert (round(seconds, 3), told) == (10.0, [])


async def test_a_poll_may_be_told_not_to_wait(autojump_clock: MockClock) -> None:
    async with studio(ConferenceSettings(poll_seconds=0)) as stage:
        await stage.enter("ann")
        assert await poll(stage, 1) == (0.0, [])


@pytest.mark.parametrize("events_max", [1, 2, 3, 6, 7])
async def test_a_long_history_is_told_in_parts_each_with_the_way_to_the_next(
    autojump_clock: MockClock, events_max: int
) -> None:
    async with studio(ConferenceSettings(events_max=events_max)) as stage:
        await stage.enter("ann")
        for _ in range(5):
            await hold(stage)
        told: list[int | None] = []
        query: tuple[tuple[str, str], ...] = ()
        while True:
            path = "/rtc-api/conferences/c1/events"
            answer = await stage.ask("ann", "GET", path, None, query)
            part = [one["conferenceVersion"] for one in json.loads(answer.body)]
            assert len(part) <= events_max
            told += part
            (link,) = [value for name, value in answer.headers if name == "link"] or [""]
            if not link:
                break
            assert len(part) == events_max
            found = re.fullmatch(rf'<{path}\?v=([0-9]+)>; rel="next"', link)
            assert found is not None
            query = (("v", found[1]),)
        assert told == [None, 0, 1, 2, 3, 4, 5]


async def test_the_way_to_the_next_part_quotes_the_id(autojump_clock: MockClock) -> None:
    async with studio(ConferenceSettings(events_max=1)) as stage:
        await stage.enter("ann", conference="room é>")
        answer = await stage.ask("ann", "GET", "/rtc-api/conferences/room é>/events")
        assert answer.headers == (("link", '</rtc-api/conferences/room%20%C3%A9%3E/events?v=0>; rel="next"'),)


async def test_what_happens_while_somebody_waits_is_told_then(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                seconds, told = await poll(stage, 1)
                assert (round(seconds, 3), told) == (3.0, [1])

            nursery.start_soon(wait)
            await trio.sleep(3.0)
            await hold(stage)


async def test_who_waits_for_a_later_version_is_not_woken_by_an_earlier_one(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                seconds, told = await poll(stage, 2)
                assert (round(seconds, 3), told) == (5.0, [2])

            nursery.start_soon(wait)
            await trio.sleep(3.0)
            await hold(stage)
            await trio.sleep(2.0)
            await hold(stage)


async def test_the_end_is_told_to_all_who_wait_and_nobody_waits_behind_it(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        async with trio.open_nursery() as nursery:

            async def wait(told: list[int]) -> None:
                seconds, versions = await poll(stage, told[0] if told else 9)
                assert (round(seconds, 3), versions) == (1.0, told)

            nursery.start_soon(wait, [1])
            nursery.start_soon(wait, [])
            await trio.sleep(1.0)
            await stage.post("ann", "conferences/end", **stage.of("ann"))
        assert await poll(stage, 2) == (0.0, [])


async def test_who_goes_away_waits_no_longer(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        with trio.move_on_after(1.0):
            await poll(stage, 9)
        feed = await stage.service.feeds.enter("c1")
        assert feed.readers == 1
        stage.service.feeds.leave(feed)


async def test_a_thousand_who_wait_are_answered_by_one_event_and_cost_one_follower(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        answered: list[list[int]] = []
        token = stage.token("ann")

        async def wait() -> None:
            answer = await stage.raw("GET", "/rtc-api/conferences/c1/events", token, (("v", "1"),))
            answered.append([one["conferenceVersion"] for one in json.loads(answer.body)])

        async with trio.open_nursery() as nursery:
            for _ in range(POLLERS):
                nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            assert len(stage.engine.runtime.followers) == 1
            feed = await stage.service.feeds.enter("c1")
            assert feed.readers == POLLERS + 1
            await hold(stage)
        assert answered == [[1]] * POLLERS
        assert feed.readers == 1


async def test_the_server_that_stops_lets_go_of_all_who_wait(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                seconds, told = await poll(stage, 1)
                assert (round(seconds, 3), told) == (2.0, [])

            nursery.start_soon(wait)
            await trio.sleep(2.0)
            stage.stopping.set()
        # Those who come now are not kept either.
        assert await poll(stage, 1) == (0.0, [])
        await stage.post("ann", "conferences/create", conferenceId="c2")
        began = trio.current_time()
        await stage.get("ann", "conferences/c2/events", v=5)
        assert trio.current_time() == began


async def test_who_waits_is_no_longer_kept_than_somebody_reads(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        await poll(stage)
        assert stage.service.statistics()["feeds"] == 1
        await trio.sleep(IDLE_SECONDS - 1.0)
        assert stage.service.statistics()["feeds"] == 1
        await trio.sleep(SWEEP_SECONDS + 1.0)
        assert stage.service.statistics()["feeds"] == 0
        assert len(stage.engine.runtime.followers) == 0
        assert (await poll(stage))[1] == [None, 0]


@pytest.mark.parametrize("query", ["x", "1.5", "", str(2**63), "9" * 5000])
async def test_a_version_that_is_none_is_malformed(autojump_clock: MockClock, query: str) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        status, told = await stage.get("ann", "conferences/c1/events", v=query)
        assert (status, told["error"]) == (400, "bad_request")


# -- when the journal cannot be heard


async def test_a_feed_that_is_lost_lets_all_go_and_the_next_reader_begins_anew(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        feed = await stage.service.feeds.enter("c1")
        lost: list[str] = []
        subscription = Subscription(_ignore, _ignore, lambda: lost.append("told"))
        feed.subscribe(subscription)

        def fail(*_: object) -> None:
            raise ValueError("a reader that cannot read")

        feed.take = fail  # type: ignore[method-assign]
        follower = next(iter(stage.engine.runtime.followers._by_stream["conference.conference:c1"]))
        follower.deliver = fail
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poll, stage, 1)
            await wait_all_tasks_blocked()
            began = trio.current_time()
            await hold(stage)
        assert (lost, trio.current_time()) == (["told"], began)
        assert (await poll(stage, 1))[1] == [1]


async def test_a_feed_that_was_swept_cannot_take_its_successor_with_it(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        await poll(stage)
        (old,) = stage.engine.runtime.followers._by_stream["conference.conference:c1"]
        await trio.sleep(IDLE_SECONDS + SWEEP_SECONDS)
        await poll(stage)
        old.lost()
        assert stage.service.statistics()["feeds"] == 1


async def test_who_is_cancelled_while_a_feed_is_opened_leaves_it(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        with trio.CancelScope() as scope:
            scope.cancel()
            await stage.service.feeds.enter("c1")
        assert [opened.feed.readers for opened in stage.service.feeds._open.values()] == [0]


# -- the parts


def _ignore(*_: object) -> None:
    """Somebody who does not listen."""


def test_a_feed_prints_no_event() -> None:
    assert "secret" not in repr(Entry(1, '{"a":"secret"}'))


async def test_plain_words_are_bounded_in_number_and_time(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        feeds: Feeds = stage.service.feeds
        for number in range(PLAIN_MAX + 1):
            feeds.keep_plain(f"masked {number}", f"plain {number}", 60.0)
        assert len(feeds._plain) == PLAIN_MAX

        def told(number: int) -> str:
            return feeds._body_of(v.DeliveryNotice(event_id="e", body=f"masked {number}", endpoints=()))

        assert (told(0), told(1)) == ("masked 0", "plain 1")
        await trio.sleep(60.0 + 2 * SWEEP_SECONDS)
        assert told(1) == "masked 1"


def test_a_feed_passes_over_what_is_for_nobody() -> None:
    feed = Feed("c1", lambda notice: notice.body)
    feed.take(1, 0.0, Send(to="a", message=v.ConferenceTold(id="c1", version=0)))
    assert (feed.version, feed.since(None)) == (0, [])
