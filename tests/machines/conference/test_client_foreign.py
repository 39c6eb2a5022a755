"""The client against a host that knows only what is documented, and not all of that."""

import attrs
import pytest
import trio

from engine.errors import LocalProtocolError, RemoteProtocolError, TransportBrokenError, TransportTimeoutError
from engine.media import protocol as p
from engine.media.fake import Refuse
from engine.transport.application import Response
from machines.conference.client.client import (
    ConferenceOverError,
    ConferenceRefusedError,
    FeedFailedError,
    FeedState,
    Resumed,
    SessionState,
    StreamType,
    TokenRefusedError,
)
from machines.conference.wire_events import ConferenceLeftEvent
from tests.machines.conference.foreignhost import foreign, refused, said
from tests.machines.conference.venue import PATTERN, QUICK, SINK, first_of, returns


async def test_a_host_without_a_socket_is_polled_and_everything_is_said() -> None:
    async with foreign() as host:
        host.show(2, "ann-1", streams=("s1",))
        async with host.client() as client, client.join("room", name="Ann") as seat:
            assert seat.picture.streams["s1"].type is StreamType.UNKNOWN
            host.tell("ConferenceJoinedEvent", 2, userEndpointId="eve-1", userId="eve")
            host.tell("NewKindOfEvent", 3, colour="red")
            events = seat.events()
            assert (await anext(events)).user_id == "eve"
            assert (await anext(events)).content == {  # type: ignore[attr-defined]  # a SentEvent
                "id": "e3",
                "type": "NewKindOfEvent",
                "conferenceVersion": 3,
                "extra": {},
                "colour": "red",
            }
            stream = await seat.publish(p.PatternSource(tone_hz=None), stream_id="mine")
            view = await seat.view("s1", SINK)
            assert view.viewer_id == "their id"
            assert (stream.state, view.state) == (FeedState.LIVE, FeedState.LIVE)
        assert host.polls[:2] == [2, 4]
        assert host.names()[:4] == ["token", "endpoints", "join", "simpleView"]
        assert {*host.names()[4:8]} == {
            "publishStream",
            "addPublishStreamIceCandidates",
            "viewStream",
            "addViewStreamIceCandidates",
        }
        assert {*host.names()[8:10]} == {"unpublishStream", "stopViewStream"}
        assert host.names()[10:] == ["leave", "unregister"]
        bodies = dict(host.asked)
        assert bodies["join"] == {
            "conferenceId": "room",
            "userEndpointId": "ann-1",
            "metadata": {"name": "Ann"},
        }
        assert bodies["publishStream"]["conferenceStreamType"] == "CAM"
        assert bodies["stopViewStream"]["viewerId"] == "their id"
        assert all(one["candidate"] for one in bodies["addViewStreamIceCandidates"]["iceCandidates"])


async def test_after_a_gap_the_view_is_read_and_polled_from_there() -> None:
    async with foreign() as host, host.client(events="poll") as client, client.join("room") as seat:
        host.show(7, "ann-1", streams=("s1",))
        host.tell("ConferenceJoinedEvent", 5)
        resumed = await first_of(seat, Resumed)
        assert (resumed.picture.version, [*resumed.picture.streams]) == (7, ["s1"])
        host.tell("ConferenceLeftEvent", 7, userEndpointId="bob-1", reason="bye")
        assert (await first_of(seat, ConferenceLeftEvent)).reason == "bye"
        assert seat.picture.streams == {}
        assert seat.picture.version == 8


async def test_a_token_that_is_refused_is_renewed_once() -> None:
    async with foreign() as host, host.client() as client:
        host.script("join", refused(401))
        async with client.join("room"):
            assert host.names().count("token") == 2
        host.script("join", refused(401), refused(401))
        with pytest.raises(ConferenceRefusedError, match="401: no, says the host"):
            async with client.join("room"):
                raise AssertionError("nobody is there")
        assert "Bearer t3" in host.tokens


async def test_a_token_is_refreshed_before_its_end_and_asked_for_anew_if_that_is_refused() -> None:
    short = said({"access_token": "short", "refresh_token": "r1", "expires_in": 0})
    async with foreign() as host:
        host.script("token", short, short, refused(400), said({"access_token": "long"}))
        async with host.client() as client:
            await client.create("room")
        forms = [body for name, body in host.asked if name == "token"]
        assert ["grant_type=refresh_token" in form for form in forms] == [False, True, True, False]
        assert "Bearer long" in host.tokens


async def test_a_host_that_gives_no_token_says_why_if_it_can() -> None:
    async with foreign() as host:
        host.script("token", Response(502, b"<html>"))
        with pytest.raises(TokenRefusedError, match=r"^502$"):
            async with host.client():
                raise AssertionError("nobody is there")


async def test_a_host_that_is_busy_is_asked_again() -> None:
    async with foreign() as host, host.client() as client:
        host.script("join", refused(503), refused(429))
        host.script("simpleView", refused(500))
        async with client.join("room") as seat:
            assert seat.state is SessionState.INSIDE
        assert host.names().count("join") == 4


async def test_a_seat_that_does_not_come_inside_is_given_up() -> None:
    settings = attrs.evolve(QUICK, give_up_seconds=0.3)
    async with foreign() as host, host.client(settings=settings) as client:
        host.script("join", *[refused(503)] * 100)
        with pytest.raises(TransportTimeoutError, match=r"not inside for 0\.3 seconds; last: 503"):
            async with client.join("room"):
                raise AssertionError("nobody is there")


@pytest.mark.parametrize("answer", [Response(204), said({"version": "one"}), Response(200, b"what?")])
async def test_an_answer_that_cannot_be_read_is_a_fault_of_the_host(answer: Response) -> None:
    async with foreign() as host, host.client() as client:
        host.script("simpleView", answer)
        with pytest.raises(RemoteProtocolError):
            async with client.join("room"):
                raise AssertionError("nobody is there")


async def test_an_event_that_cannot_be_read_ends_the_seat() -> None:
    async with foreign() as host, host.client() as client, client.join("room") as seat:
        host.tell("ConferenceJoinedEvent", 2, userId=7)
        with pytest.raises(RemoteProtocolError, match=r"\$\[0\]\.userId"):
            await anext(seat.events())
        assert seat.state is SessionState.FAULTY


async def test_a_conference_that_is_gone_refuses_the_seat() -> None:
    async with foreign() as host, host.client() as client, client.join("room") as seat:
        host.script("events", *[refused(404)] * 9)
        host.script("simpleView", refused(404, "gone"))
        with pytest.raises(ConferenceRefusedError, match="gone"):
            await anext(seat.events())
        assert seat.state is SessionState.REFUSED


async def test_a_poll_that_fails_is_repeated() -> None:
    async with foreign() as host, host.client() as client, client.join("room") as seat:
        host.script("events", refused(500), said([]), refused(503))
        host.tell("ConferenceJoinedEvent", 2)
        assert (await anext(seat.events())).conference_version == 2


async def test_an_endpoint_that_the_host_has_dropped_registers_joins_and_publishes_again() -> None:
    settings = attrs.evolve(QUICK, keep_alive_seconds=1)
    async with (
        foreign() as host,
        host.client(settings=settings) as client,
        client.join("room") as seat,
    ):
        host.show(2, "ann-1", streams=("s1",))
        stream = await seat.publish(PATTERN, stream_id="mine")
        view = await seat.view("s1", SINK) if "s1" in seat.picture.streams else None
        assert view is None
        host.show(4)
        host.script("keepalive", refused(404))
        host.script("join", lambda _: host.show(5, "ann-1") or said({"id": "room"}))  # type: ignore[func-returns-value]  # first show
        await returns(stream)
        resumed = await first_of(seat, Resumed)
        assert resumed.picture.version == 5
        assert host.names().count("endpoints") == 3
        assert host.names().count("join") == 2
        assert host.names().count("publishStream") == 2


async def test_keepalives_that_fail_are_sent_again() -> None:
    settings = attrs.evolve(QUICK, keep_alive_seconds=1)
    async with foreign() as host:
        host.script("keepalive", refused(500), refused(403), Response(204))
        async with host.client(settings=settings):
            with trio.fail_after(5):
                while host.scripted["keepalive"]:  # noqa: ASYNC110 - the host does not say when
                    await trio.sleep(0.05)
        assert host.names().count("endpoints") == 1


async def test_a_host_that_still_holds_the_lost_stream_is_told_to_let_go() -> None:
    async with foreign() as host, host.client() as client, client.join("room") as seat:
        stream = await seat.publish(PATTERN, stream_id="mine")
        host.script("publishStream", refused(400, "exists"))
        host.media.close_peer(host.media.peer_ids[0], p.CloseReason.LOST)
        await returns(stream)
        names = [name for name in host.names() if name in ("publishStream", "unpublishStream")]
        assert names == ["publishStream", "publishStream", "unpublishStream", "publishStream"]


async def test_a_first_refusal_is_the_programs() -> None:
    async with foreign() as host, host.client() as client, client.join("room") as seat:
        host.script("publishStream", refused(400, "exists"))
        with pytest.raises(ConferenceRefusedError, match="exists"):
            await seat.publish(PATTERN)
        host.script("viewStream", said({"sdpAnswer": "no answer"}))
        with pytest.raises(p.BadAnswerError):
            await seat.view("s1", SINK)
        assert host.media.peer_ids == ()


async def test_a_peer_that_never_connects_is_the_programs() -> None:
    async with foreign() as host, host.client() as client, client.join("room") as seat:
        host.script("publishStream", lambda body: _close(host, body))
        with pytest.raises(FeedFailedError, match="its peer was closed"):
            await seat.publish(PATTERN)


def _close(host: object, body: object) -> Response:
    """The peer ends while the host answers."""
    media = host.media  # type: ignore[attr-defined]  # a ForeignHost
    media.close_peer(media.peer_ids[0], p.CloseReason.FAILED)
    return said({"sdpAnswer": "v=0\r\n"})


async def test_events_of_media_that_were_lost_are_asked_after() -> None:
    async with foreign() as host, host.client() as client, client.join("room") as seat:
        streams = [await seat.publish(PATTERN, stream_id=name) for name in ("gone", "mute", "there")]
        gone, mute, _ = host.media.peer_ids
        # Gone without a word, as if the word had been lost.
        del host.media._peers[gone]
        late = Refuse(p.MediaTimeoutError("late"))
        host.media.script(late, request=p.GetStatistics, peer_id=mute)
        host.media.emit(p.EventsLost(count=3))
        await returns(streams[0])
        assert [one.state for one in streams] == [FeedState.LIVE] * 3


async def test_a_host_that_goes_away_does_not_hold_up_the_leaving() -> None:
    async with foreign() as host:
        host.script("leave", refused(500))
        host.script("unregister", refused(500))
        async with host.client() as client, client.join("room"):
            pass
        assert host.names()[-2:] == ["leave", "unregister"]


async def test_a_host_that_hangs_up_is_a_transport_error_and_joining_goes_on_for_a_while() -> None:
    settings = attrs.evolve(QUICK, give_up_seconds=0.3)
    async with foreign() as host, host.client(settings=settings) as client:
        client._calls._base_url = "http://127.0.0.1:1"
        with pytest.raises(TransportBrokenError):
            await client.create("room")
        with pytest.raises(TransportTimeoutError, match="last: POST failed: ConnectError"):
            async with client.join("room"):
                raise AssertionError("nobody is there")
        client._calls._base_url = host.url


async def test_who_waits_for_a_state_that_cannot_come_is_told() -> None:
    async with foreign() as host, host.client() as client, client.join("room") as seat:
        host.tell("ConferenceEndedEvent", 2, reason="late")
        with pytest.raises(ConferenceOverError, match="late"):
            await seat.wait_state(SessionState.LEFT)
        assert await seat.wait_state(SessionState.ENDED) is SessionState.ENDED
        with pytest.raises(ConferenceOverError):
            await seat.wait_for(lambda picture: None)
    assert "leave" not in host.names()


async def test_what_has_no_form_in_json_is_the_programs_fault() -> None:
    async with foreign() as host, host.client() as client:
        with pytest.raises(LocalProtocolError):
            async with client.join("room", metadata={"weight": float("nan")}):
                raise AssertionError("nobody is there")
        async with client.join("room") as seat:
            with pytest.raises(LocalProtocolError):
                await seat.publish(PATTERN, metadata={"weight": float("nan")})
        assert "publishStream" not in host.names()
