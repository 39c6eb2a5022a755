"""Lives of streams and views through service, machines, performers and a media host with scripted faults."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.media import protocol as p
from engine.media.fake import Delay, Lose, Refuse
from machines.conference.rules.addresses import conference_address
from tests.machines.conference.studio import Studio, studio


async def settle(seconds: float = 0.5) -> None:
    """Let what is under way come to rest; the clock is virtual."""
    await trio.sleep(seconds)


async def publish_and_view(stage: Studio) -> None:
    await stage.enter("ann", "bob")
    status, published = await stage.publish("ann")
    assert (status, published["streamId"]) == (200, "s1")
    status, viewed = await stage.view("bob")
    assert (status, viewed["viewerId"]) == (200, "v1")
    await settle()
    assert (await stage.stream_state(), await stage.view_state()) == ("LIVE", "LIVE")


async def test_a_stream_is_published_viewed_and_unpublished(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await publish_and_view(stage)
        assert len(stage.media.peer_ids) == 2
        unpublished = {**stage.of("ann"), "streamId": "s1"}
        assert await stage.post("ann", "conferences/unpublishStream", **unpublished) == (204, None)
        await settle()
        assert stage.media.peer_ids == ()
        assert (await stage.stream_state(), await stage.view_state()) == ("ABSENT", "ABSENT")
        assert await stage.events() == [
            (None, "ConferenceCreatedEvent"),
            (0, "ConferenceJoinedEvent"),
            (1, "ConferenceJoinedEvent"),
            (2, "ConferenceStreamPublishedEvent"),
            (3, "ConferenceStreamUnpublishedEvent"),
        ]


async def test_nobody_is_told_of_a_stream_before_its_offer_is_answered(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        stage.media.script(Delay(3.0), request=p.Publish)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.publish, "ann")
            await settle(2.0)
            assert (await stage.view("bob"))[0] == 404
            assert [one[1] for one in await stage.events(2)] == ["ConferenceStreamPublishedEvent"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (p.BadOfferError("there is no media section"), 400),
        (p.NoCommonCodecError("no common codec"), 400),
        (p.HostBusyError("overloaded"), 503),
    ],
)
async def test_an_offer_that_is_refused_leaves_nothing(
    autojump_clock: MockClock, error: Any, status: int
) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        stage.media.script(Refuse(error), request=p.Publish)
        assert (await stage.publish("ann"))[0] == status
        await settle()
        assert await stage.stream_state() == "ABSENT"
        assert (await stage.conference()).data.streams == {}
        assert len(await stage.events()) == 3
        assert (await stage.publish("ann"))[0] == 200


async def test_a_host_that_never_answers_is_waited_for_until_its_deadline(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        stage.media.script(Lose(), request=p.Publish)
        assert (await stage.publish("ann"))[0] == 503
        await settle()
        assert await stage.stream_state() == "ABSENT"


async def test_a_client_that_goes_away_leaves_no_peer(autojump_clock: MockClock) -> None:
    async with studio(connect_seconds=None) as stage:
        await stage.enter("ann", "bob")
        stage.media.script(Delay(2.0), request=p.Publish)
        with trio.move_on_after(1.0):
            await stage.publish("ann")
        assert len(stage.service.peers.desk) == 0
        await settle(60.0)
        assert stage.media.peer_ids == ()
        assert await stage.stream_state() == "ABSENT"


@pytest.mark.parametrize("end", ["leave", "end", "unregister"])
async def test_whatever_ends_the_publishers_stay_closes_every_peer_within_a_second(
    autojump_clock: MockClock, end: str
) -> None:
    async with studio() as stage:
        await publish_and_view(stage)
        if end == "unregister":
            await stage.post("ann", "users/endpoints/unregister", userEndpointId="ann-1")
        else:
            await stage.post("ann", f"conferences/{end}", **stage.of("ann"))
        await settle(1.0)
        assert stage.media.peer_ids == ()
        assert len(stage.service.peers) == 0


async def test_an_endpoint_without_keepalives_is_sick_then_gone_with_what_it_published(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        registered = {"keepAliveSeconds": 5, "userEndpointId": "ann-1"}
        assert (await stage.post("ann", "users/endpoints", **registered))[0] == 200
        await stage.publish("ann")
        await settle(6.9)
        assert await stage.seat_state("ann") == "HEALTHY"
        await settle(0.2)
        assert await stage.seat_state("ann") == "SICK"
        _, told = await stage.get("bob", "conferences/c1")
        assert [one["state"] for one in told["participants"]] == ["SICK", "HEALTHY"]
        await settle(8.0)
        assert await stage.endpoint_state("ann") == "UNREGISTERED"
        assert [one[1] for one in await stage.events(3)] == [
            "ConferenceStreamUnpublishedEvent",
            "ConferenceLeftEvent",
        ]
        assert stage.media.peer_ids == ()


async def test_after_a_workers_death_publisher_and_viewer_come_back(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await publish_and_view(stage)
        stage.media.kill_worker(down_seconds=0.9)
        await settle(0.1)
        assert (await stage.stream_state(), await stage.view_state()) == ("RECONNECTING", "RECONNECTING")
        assert (await stage.view("bob"))[0] == 404
        began = trio.current_time()
        assert (await stage.publish("ann"))[0] == 200
        assert (await stage.view("bob"))[0] == 200
        assert trio.current_time() - began < 2.0
        await settle()
        assert (await stage.stream_state(), await stage.view_state()) == ("LIVE", "LIVE")
        assert [one[1] for one in await stage.events(3)] == [
            "ConferenceStreamUnpublishedEvent",
            "ConferenceStreamPublishedEvent",
        ]


async def test_a_lost_stream_that_nobody_publishes_again_is_unpublished(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await publish_and_view(stage)
        stage.media.kill_worker()
        await settle(29.9)
        assert await stage.stream_state() == "RECONNECTING"
        await settle(0.3)
        assert await stage.stream_state() == "ABSENT"
        assert [one[1] for one in await stage.events(3)] == ["ConferenceStreamUnpublishedEvent"]


async def test_a_viewer_that_asks_again_under_its_id_gets_a_new_peer_and_loses_the_old(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await publish_and_view(stage)
        before = set(stage.media.peer_ids)
        assert (await stage.view("bob"))[0] == 200
        await settle()
        assert len(set(stage.media.peer_ids) - before) == 1
        assert len(stage.media.peer_ids) == 2
        assert await stage.view_state() == "LIVE"


async def test_a_publisher_who_closes_his_peer_has_unpublished(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await publish_and_view(stage)
        stage.media.close_peer(stage.media.peer_ids[0], p.CloseReason.REMOTE)
        await settle()
        assert (await stage.stream_state(), await stage.view_state()) == ("ABSENT", "ABSENT")
        assert [one[1] for one in await stage.events(3)] == ["ConferenceStreamUnpublishedEvent"]


async def test_a_publisher_may_be_silent_for_a_minute(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await publish_and_view(stage)
        stage.media.stall(stage.media.peer_ids[0])
        await settle(50.0)
        assert await stage.stream_state() == "STALLED"
        stage.media.resume(stage.media.peer_ids[0])
        await settle()
        assert await stage.stream_state() == "LIVE"
        stage.media.stall(stage.media.peer_ids[0])
        await settle(61.0)
        assert await stage.stream_state() == "RECONNECTING"


async def test_a_peer_that_does_not_connect_is_given_up(autojump_clock: MockClock) -> None:
    async with studio(connect_seconds=None) as stage:
        await stage.enter("ann")
        assert (await stage.publish("ann"))[0] == 200
        await settle(14.9)
        assert await stage.stream_state() == "CONNECTING"
        await settle(0.3)
        assert await stage.stream_state() == "ABSENT"
        assert stage.media.peer_ids == ()


async def test_candidates_wait_for_the_answer_and_then_go_to_the_peer(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.enter("ann", "bob")
        stage.media.script(Delay(1.0), request=p.Publish)
        candidates = [{"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0"}]
        body = {**stage.of("ann"), "streamId": "s1", "iceCandidates": candidates}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.publish, "ann")
            await settle(0.2)
            path = "conferences/addPublishStreamIceCandidates"
            assert await stage.post("ann", path, **body) == (204, None)
            assert stage.asked(p.AddCandidates) == []
        assert await stage.post("ann", path, **body) == (204, None)
        assert len(stage.asked(p.AddCandidates)) == 2
        assert (await stage.post("bob", path, **body))[0] == 400


async def test_events_that_the_host_lost_cost_no_peer_that_lives(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await publish_and_view(stage)
        stage.media.emit(p.EventsLost(count=3))
        await settle()
        assert (await stage.stream_state(), await stage.view_state()) == ("LIVE", "LIVE")


async def test_leaving_the_engine_closes_its_peers(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await publish_and_view(stage)
        media = stage.media
        assert len(media.peer_ids) == 2
    assert media.peer_ids == ()


async def test_viewers_who_have_gone_are_not_kept(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await publish_and_view(stage)
        stream = stage.engine.runtime.family.stream_of(conference_address("c1"))
        before = len((await stage.engine.runtime.read(stream)).members)
        for number in range(20):
            viewer = f"w{number}"
            assert (await stage.view("bob", viewer=viewer))[0] == 200
            stopped = {**stage.of("bob"), "streamId": "s1", "viewerId": viewer}
            assert (await stage.post("bob", "conferences/stopViewStream", **stopped))[0] == 204
        await settle()
        assert len((await stage.engine.runtime.read(stream)).members) == before
