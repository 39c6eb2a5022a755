"""The client against our server, over real sockets."""

import attrs
import pytest
import trio

from engine.errors import (
    ConfigurationError,
    OverloadedError,
    TransportBrokenError,
    TransportClosedError,
)
from engine.media import protocol as p
from machines.conference import vocabulary as v
from machines.conference.client.client import (
    ConferenceOverError,
    ConferenceRefusedError,
    FeedFailedError,
    FeedState,
    SentEvent,
    SessionState,
    StreamType,
    TokenRefusedError,
    WhenFull,
    open_conference_client,
)
from machines.conference.rules.addresses import delivery_address, stream_of
from machines.conference.wire import Qos
from machines.conference.wire_events import (
    ConferenceEndedEvent,
    ConferenceMetadataUpdatedEvent,
    ConferenceStreamPublishedEvent,
    ConferenceStreamUnpublishedEvent,
)
from tests.machines.conference.venue import PATTERN, QUICK, SINK, first_of, hear, returns, secret_of, served

BOTH = pytest.mark.parametrize("events", ["socket", "poll"])


@BOTH
async def test_one_publishes_another_views_and_both_hear_it(events: str) -> None:
    async with served() as venue:
        async with venue.seat("ann", events=events) as ann, venue.seat("bob", events=events) as bob:
            stream = await ann.publish(PATTERN, metadata={"primary": True})
            seen = await bob.wait_stream(user_id="ann")
            assert (seen.stream_id, seen.type) == (stream.stream_id, StreamType.MIC_AND_CAM)
            assert seen.metadata == {"primary": True}
            view = await bob.view(seen.stream_id, SINK)
            assert (stream.state, view.state) == (FeedState.LIVE, FeedState.LIVE)
            assert view.recordings == ("call.webm",)
            await view.stop()
            await stream.unpublish()
            assert await hear(bob, 2) == [
                (2, "ConferenceStreamPublishedEvent"),
                (3, "ConferenceStreamUnpublishedEvent"),
            ]
            assert await hear(ann, 2) == [(1, "ConferenceJoinedEvent"), (2, "ConferenceStreamPublishedEvent")]
        assert venue.media.peer_ids == ()
        assert venue.server_media.peer_ids == ()


@BOTH
async def test_leaving_ends_everything_that_was_begun(events: str) -> None:
    async with served() as venue, venue.seat("bob", events=events) as bob:
        async with venue.seat("ann", events=events) as ann:
            stream = await ann.publish(PATTERN)
            await bob.view(stream.stream_id, SINK)
        assert [kind for _, kind in await hear(bob, 4)] == [
            "ConferenceJoinedEvent",
            "ConferenceStreamPublishedEvent",
            "ConferenceStreamUnpublishedEvent",
            "ConferenceLeftEvent",
        ]
        assert [*bob.picture.endpoints] == ["bob-1"]
        assert bob.picture.streams == {}
        assert ann.state is SessionState.LEFT
        assert "ConferenceLeftEvent" not in [event.type async for event in ann.events()]
        with pytest.raises(TransportClosedError):
            await ann.publish(PATTERN)


async def test_an_endpoint_is_unregistered_with_its_client() -> None:
    async with served() as venue:
        async with venue.client("ann") as client:
            await client.create("room")
        async with venue.client("bob") as client, client.join("room"):
            # Another user may have the endpoint now.
            pass
        async with venue.client("bob", endpoint_id="ann-1") as client:
            assert client.endpoint_id == "ann-1"


async def test_the_host_may_be_asked_what_there_is() -> None:
    async with served() as venue, venue.client("ann") as client:
        made = await client.create(metadata={"topic": "tea"})
        (found,) = await client.active()
        assert (found.id, found.creator, found.empty) == (made.id, "ann", True)
        assert (await client.conference(made.id)).metadata["topic"].value == "tea"


async def test_metadata_of_all_kinds_are_changed_and_heard() -> None:
    async with served() as venue, venue.seat("ann") as ann, venue.seat("bob") as bob:
        stream = await ann.publish(PATTERN)
        await bob.set_metadata("ON_HOLD", "yes")
        event = await first_of(ann, ConferenceMetadataUpdatedEvent)
        assert (event.key, event.value, event.user_endpoint_id) == ("ON_HOLD", "yes", "bob-1")
        assert ann.picture.metadata == {"ON_HOLD": "yes"}
        await bob.remove_metadata("ON_HOLD")
        await ann.update_participant({"name": None})
        await stream.update({"portraitMode": True})
        await stream.limit(500_000)
        await bob.wait_for(lambda picture: picture if picture.version == 8 else None)
        assert bob.picture.metadata == {}
        assert bob.picture.streams[stream.stream_id].metadata == {"portraitMode": True}


async def test_a_conference_that_is_ended_ends_its_seats() -> None:
    async with served() as venue, venue.seat("ann") as ann, venue.seat("bob") as bob:
        stream = await bob.publish(PATTERN)
        await ann.end("enough")
        assert (await first_of(bob, ConferenceEndedEvent)).reason == "enough"
        with pytest.raises(StopAsyncIteration):
            await anext(bob.events())
        with pytest.raises(ConferenceOverError, match="enough"):
            await bob.publish(PATTERN)
        assert stream.state is FeedState.CLOSED
        with pytest.raises(ConferenceOverError):
            await bob.wait_stream()


async def test_a_conference_that_does_not_exist_cannot_be_joined() -> None:
    async with served() as venue, venue.client("ann") as client:
        with pytest.raises(ConferenceRefusedError, match="404: conference not found") as refused:
            async with client.join("nowhere"):
                raise AssertionError("nobody is there")
        assert (refused.value.status, refused.value.error) == (404, "conference_not_found")


async def test_a_wrong_secret_is_refused() -> None:
    async with served() as venue:
        with pytest.raises(TokenRefusedError) as refused:
            async with open_conference_client(
                venue.url, client_id="ann", client_secret="guessed", media=venue.media
            ):
                raise AssertionError("nobody is there")
        assert refused.value.status == 401


async def test_a_service_acts_for_a_user() -> None:
    async with (
        served() as venue,
        venue.seat("bob") as bob,
        venue.client("hall", user_id="carl", endpoint_id="") as client,
        client.join("room"),
    ):
        await bob.wait_for(lambda picture: "carl" in picture.endpoints.values() or None)
        assert client.endpoint_id in bob.picture.endpoints


async def test_a_sent_event_is_heard_once_and_acknowledged() -> None:
    event = {
        "type": "OrderPlacedEvent",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "order": {"number": 7},
    }
    async with served() as venue, venue.seat("ann") as ann, venue.client("hall") as hall:
        for qos in Qos:
            assert await hall.send_event("room", event, qos=qos) == 1
        for _ in Qos:
            heard = await first_of(ann, SentEvent)
            assert heard.content["order"] == {"number": 7}
            assert heard.conference_version is None
        # The last one had to be acknowledged, which its machine knows.
        with trio.fail_after(5.0):
            delivery = delivery_address("room", heard.id)
            while (await venue.engine.runtime.snapshot(delivery)).state is not v.DeliveryState.SETTLED:
                await venue.engine.runtime.wait_change(stream_of("room"))
        await ann.set_metadata("key", "value")
        await first_of(ann, ConferenceMetadataUpdatedEvent)


async def test_an_unknown_stream_cannot_be_viewed() -> None:
    async with served() as venue, venue.seat("ann") as ann:
        with pytest.raises(ConferenceRefusedError, match="stream not found"):
            await ann.view("nothing", SINK)
        assert venue.media.peer_ids == ()


async def test_a_bad_source_is_told_to_the_program() -> None:
    async with served() as venue, venue.seat("ann") as ann:
        with pytest.raises(p.BadSourceError):
            await ann.publish(p.PatternSource(width=-1))
        assert (await hear_nothing_but_metadata(ann)) == []


async def hear_nothing_but_metadata(ann: object) -> list[str]:
    """Types of events before one that is caused now."""
    types = []
    await ann.set_metadata("now", "1")  # type: ignore[attr-defined]  # a seat
    while (event := await anext(ann.events())).type != "ConferenceMetadataUpdatedEvent":  # type: ignore[attr-defined]  # as above
        types.append(event.type)
    return types


async def test_a_source_that_ends_is_finished_and_the_stream_stays() -> None:
    async with served() as venue, venue.seat("ann") as ann:
        stream = await ann.publish(p.PatternSource(seconds=0.05))
        await stream.wait_finished()
        assert stream.state is FeedState.LIVE
        await stream.unpublish()
        await stream.wait_finished()


async def test_a_stream_that_is_unpublished_first_does_not_finish() -> None:
    async with served() as venue, venue.seat("ann") as ann:
        stream = await ann.publish(PATTERN)
        await stream.unpublish()
        with pytest.raises(TransportClosedError):
            await stream.wait_finished()


async def test_a_failing_sink_ends_its_view_alone() -> None:
    async with served() as venue, venue.seat("ann") as ann, venue.seat("bob") as bob:
        stream = await ann.publish(PATTERN)
        view = await bob.view(stream.stream_id, SINK)
        peer_id = venue.media.peer_ids[-1]
        venue.media.emit(p.PeerFault(peer_id=peer_id, where="sink", error="OSError"))
        venue.media.close_peer(peer_id, p.CloseReason.FAULT)
        with pytest.raises(FeedFailedError, match="the sink of its peer failed"):
            await view.wait_for(FeedState.CLOSED)
        assert stream.state is FeedState.LIVE


async def test_a_failing_source_says_so() -> None:
    async with served() as venue, venue.seat("ann") as ann:
        stream = await ann.publish(PATTERN)
        venue.media.emit(p.PeerFault(peer_id=venue.media.peer_ids[0], where="source", error="OSError"))
        venue.media.close_peer(venue.media.peer_ids[0], p.CloseReason.FAULT)
        with pytest.raises(FeedFailedError, match="the source of its peer failed: OSError"):
            await stream.wait_finished()
        await first_of(ann, ConferenceStreamUnpublishedEvent)


async def test_a_lost_peer_is_published_again_and_viewed_again() -> None:
    async with served() as venue, venue.seat("ann") as ann, venue.seat("bob") as bob:
        stream = await ann.publish(PATTERN)
        view = await bob.view(stream.stream_id, SINK)
        first = venue.media.peer_ids[0]
        venue.media.close_peer(first, p.CloseReason.LOST)
        await returns(view)
        for kind in (ConferenceStreamUnpublishedEvent, ConferenceStreamPublishedEvent):
            assert (await first_of(ann, kind)).stream_id == stream.stream_id
        assert view.recordings == ("call.webm", "call-2.webm")
        assert stream.state is FeedState.LIVE
        assert len(venue.media.peer_ids) == 2


async def test_a_media_worker_that_dies_takes_nothing_for_good() -> None:
    async with served() as venue, venue.seat("ann") as ann, venue.seat("bob") as bob:
        stream = await ann.publish(PATTERN)
        view = await bob.view(stream.stream_id, SINK)
        venue.media.kill_worker()
        await returns(view)
        await stream.wait_for(FeedState.LIVE)


async def test_the_servers_media_may_die_as_well() -> None:
    async with served() as venue, venue.seat("ann") as ann, venue.seat("bob") as bob:
        stream = await ann.publish(PATTERN)
        view = await bob.view(stream.stream_id, SINK)
        venue.server_media.kill_worker()
        # Real peers would notice by themselves.
        venue.media.kill_worker()
        await returns(view)
        await stream.wait_for(FeedState.LIVE)
        assert len(venue.server_media.peer_ids) == 2


async def test_events_that_nobody_takes_are_dropped_and_counted() -> None:
    settings = {"settings": attrs.evolve(QUICK, events_max=2)}
    async with served() as venue, venue.seat("ann", **settings) as ann:
        for value in "1234":
            await ann.set_metadata("key", value)
        await ann.wait_for(lambda picture: picture.metadata.get("key") == "4" or None)
        assert ann.dropped == 2
        assert [version for version, _ in await hear(ann, 2)] == [3, 4]


async def test_events_that_nobody_takes_end_the_seat_where_that_is_wanted() -> None:
    settings = {"settings": attrs.evolve(QUICK, events_max=2, when_full=WhenFull.END)}
    async with served() as venue, venue.seat("ann", **settings) as ann:
        for value in "123":
            await ann.set_metadata("key", value)
        await ann.wait_state(SessionState.FAULTY)
        assert [version for version, _ in await hear(ann, 2)] == [1, 2]
        with pytest.raises(OverloadedError, match="2 events"):
            await anext(ann.events())


async def test_an_error_of_the_block_leaves_it_as_it_is() -> None:
    async with served() as venue:
        with pytest.raises(ZeroDivisionError):
            async with venue.seat("ann"):
                raise ZeroDivisionError
        async with venue.client("bob") as client:
            assert (await client.conference("room")).empty


async def test_a_url_that_is_none_is_a_configuration_error() -> None:
    async with served() as venue:
        with pytest.raises(ConfigurationError, match="base_url"):
            async with open_conference_client(
                "ftp://host", client_id="ann", client_secret="", media=venue.media
            ):
                raise AssertionError("nobody is there")


async def test_a_server_that_is_not_there_is_a_transport_error() -> None:
    async with served() as venue:
        with pytest.raises(TransportBrokenError):
            async with open_conference_client(
                "http://127.0.0.1:1", client_id="ann", client_secret="", media=venue.media
            ):
                raise AssertionError("nobody is there")


async def test_no_secret_prints() -> None:
    async with served() as venue, venue.client("ann") as client:
        await client.create("room")
        async with client.join("room") as seat:
            stream = await seat.publish(PATTERN)
            view = await seat.view(stream.stream_id, SINK)
            text = f"{client!r} {seat!r} {stream!r} {view!r}"
            assert secret_of("ann") not in text
            assert "inside" in text
            assert text.count("live") == 2
            await trio.lowlevel.checkpoint()
