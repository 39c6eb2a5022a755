"""Every endpoint of the conference API, each status that it documents, and the words of each refusal."""

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from engine.app.openapi import openapi_document
from engine.errors import (
    CallCrashedError,
    CodecError,
    ConflictError,
    MediaError,
    OverloadedError,
    UnavailableError,
    UnknownOutcomeError,
)
from engine.machine.step import Outcome
from engine.media import protocol as p
from engine.media.fake import Refuse
from engine.runtime.answers import Answer
from machines.conference import endpoints
from machines.conference.api import API
from machines.conference.readings import AT_ONCE
from machines.conference.reasons import Reason
from machines.conference.refusals import ERRORS, Refusal, body_of, described
from machines.conference.requests import RESPONDERS
from machines.conference.settings import ConferenceSettings
from machines.conference.wire_answers import IceServer
from tests.machines.conference.studio import OFFER, VIEW_OFFER, Studio, studio

SERVERS = (IceServer(urls=("turn:192.0.2.9",), username="u", credential="c"),)
CANDIDATE = {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
EVENT = {"type": "FormSubmittedEvent", "timestamp": "2011-12-03T10:15:30Z"}

BODIES: Mapping[str, Mapping[str, Any]] = {
    "create": {"conferenceId": "c1", "mode": "P2P"},
    "join": {},
    "leave": {"reason": "done"},
    "end": {"reason": "done"},
    "publishStream": {"conferenceStreamType": "CAM", "sdpOffer": OFFER, "streamId": "s2"},
    "unpublishStream": {"streamId": "s1"},
    "addPublishStreamIceCandidates": {"streamId": "s1", "iceCandidates": [CANDIDATE]},
    "viewStream": {"streamId": "s1", "sdpOffer": VIEW_OFFER, "viewerId": "v2"},
    "addViewStreamIceCandidates": {"streamId": "s1", "viewerId": "v1", "iceCandidates": [CANDIDATE]},
    "stopViewStream": {"streamId": "s1", "viewerId": "v1"},
    "updateMetadata": {"operation": "SET", "key": "ON_HOLD", "value": "true"},
    "updateParticipantMetadata": {"newMetadata": {"name": "Ann"}},
    "updateStreamMetadata": {"streamId": "s1", "newMetadata": {"portraitMode": True}},
    "updatePublishedStreamBitrate": {"streamId": "s1", "videoBitrate": 500_000},
    "interaction": {"interactionId": "i1"},
    "sendEvent": {"qos": "BEST_EFFORT", "event": EVENT},
}
"""What each command is asked with, beside conference and endpoint."""

NOBODY_ELSES = sorted(set(BODIES) - {"create"})

DOCUMENT_404 = ("join", "viewStream", "stopViewStream", "updatePublishedStreamBitrate")

MESSAGES = {error.reason: error.message for error in ERRORS}


async def act(stage: Studio, user: str, name: str, *, organization: str = "acme", **more: Any) -> Any:
    body = {**stage.of(user), **BODIES[name], **more}
    return await stage.post(user, f"conferences/{name}", organization=organization, **body)


async def on_air(stage: Studio) -> None:
    """Ann publishes s1, Bob views it as v1; Hall, a service, and Joe are somewhere else."""
    await stage.enter("ann", "bob")
    assert (await stage.publish("ann"))[0] == 200
    assert (await stage.view("bob"))[0] == 200


def refusal(reason: str, status: int, detail: str = "") -> Any:
    described = f"{MESSAGES[reason]}: {detail}" if detail else MESSAGES[reason]
    return status, {"error": reason, "error_description": described}


def test_every_endpoint_has_its_responder() -> None:
    assert {*endpoints.ENDPOINTS} - {endpoints.TOKEN} == RESPONDERS.keys()


def test_every_reason_of_the_rules_has_its_status() -> None:
    assert {str(one) for one in Reason} <= {str(one.reason) for one in ERRORS}


def test_a_reason_that_nobody_knows_is_an_internal_error() -> None:
    assert b'"internal"' in body_of(Refusal("strange"))
    assert described(Refusal("strange")) == MESSAGES["internal"]


# -- what succeeds


ALLOWED = [
    ("ann", "publishStream", 200, {"streamId": "s2", "sdpAnswer": ...}),
    ("ann", "addPublishStreamIceCandidates", 204, None),
    ("bob", "viewStream", 200, {"viewerId": "v2", "sdpAnswer": ...}),
    ("bob", "addViewStreamIceCandidates", 204, None),
    ("bob", "stopViewStream", 204, None),
    ("bob", "updateMetadata", 204, None),
    ("ann", "updateParticipantMetadata", 204, None),
    ("ann", "updateStreamMetadata", 204, None),
    ("ann", "updatePublishedStreamBitrate", 204, None),
    ("bob", "interaction", 204, None),
    ("hall", "interaction", 204, None),
    ("desk", "end", 204, None),
    ("hall", "sendEvent", 200, {"eventsSent": 2}),
    ("ann", "unpublishStream", 204, None),
    ("ann", "leave", 204, None),
    ("bob", "leave", 204, None),
    ("ann", "end", 204, None),
]


@pytest.mark.parametrize(("user", "name", "status", "told"), ALLOWED)
async def test_what_is_allowed_is_done(
    autojump_clock: MockClock, user: str, name: str, status: int, told: Any
) -> None:
    async with studio() as stage:
        await on_air(stage)
        answered, body = await act(stage, user, name)
        assert answered == status, body
        if told is None:
            assert body is None
        else:
            assert body == {key: body[key] if value is ... else value for key, value in told.items()}


async def test_create_and_join_tell_id_version_and_mode(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        created = await stage.post("ann", "conferences/create", conferenceId="c1", mode="P2P")
        assert created == (200, {"id": "c1", "version": 0, "mode": "ROUTER"})
        await stage.post("ann", "users/endpoints", keepAliveSeconds=60, userEndpointId="ann-1")
        assert await act(stage, "ann", "join") == (200, {"id": "c1", "version": 1, "mode": "ROUTER"})


async def test_ids_that_are_left_out_are_made(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        _, created = await stage.post("ann", "conferences/create")
        assert len(created["id"]) == 32
        _, made = await stage.post("ann", "users/endpoints", keepAliveSeconds=60)
        assert len(made) == 32
        await on_air(stage)
        _, published = await stage.publish("ann", "")
        _, viewed = await stage.view("bob", viewer="")
        assert len(published["streamId"]) == len(viewed["viewerId"]) == 32


async def test_a_conference_may_name_its_creators_endpoint_when_it_is_there(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        wanted = {"conferenceId": "c1", "creatorEndpoint": "ann-1"}
        assert await stage.post("ann", "conferences/create", **wanted) == refusal(
            "user_endpoint_not_found", 400
        )
        assert (await stage.get("ann", "conferences/c1"))[0] == 400
        await stage.post("ann", "users/endpoints", keepAliveSeconds=60, userEndpointId="ann-1")
        assert (await stage.post("bob", "conferences/create", **wanted))[0] == 400
        assert (await stage.post("ann", "conferences/create", **wanted))[0] == 200


# -- what is refused


REFUSED = [
    ("ann", "create", {}, "conference_exists", 400),
    ("ann", "join", {}, "already_joined", 422),
    ("bob", "join", {"userEndpointId": "ann-1"}, "user_endpoint_taken", 403),
    ("joe", "leave", {}, "not_joined", 400),
    ("bob", "leave", {"userEndpointId": "ann-1"}, "not_joined", 400),
    ("bob", "end", {}, "forbidden", 403),
    ("joe", "publishStream", {}, "not_joined", 400),
    ("ann", "publishStream", {"streamId": "s1"}, "stream_exists", 400),
    ("bob", "publishStream", {"streamId": "s1"}, "stream_exists", 400),
    ("bob", "publishStream", {"userEndpointId": "ann-1"}, "not_joined", 400),
    ("ann", "unpublishStream", {"streamId": "s9"}, "stream_not_found", 400),
    ("bob", "unpublishStream", {}, "stream_not_yours", 400),
    ("ann", "addPublishStreamIceCandidates", {"streamId": "s9"}, "stream_not_found", 400),
    ("bob", "addPublishStreamIceCandidates", {}, "forbidden", 400),
    ("joe", "viewStream", {}, "not_joined", 400),
    ("bob", "viewStream", {"streamId": "s9"}, "stream_not_found", 404),
    ("ann", "viewStream", {"viewerId": "v1"}, "viewer_taken", 400),
    ("bob", "addViewStreamIceCandidates", {"viewerId": "v9"}, "view_not_found", 400),
    ("ann", "addViewStreamIceCandidates", {}, "forbidden", 400),
    ("bob", "stopViewStream", {"viewerId": "v9"}, "view_not_found", 404),
    ("ann", "stopViewStream", {}, "view_not_found", 404),
    ("joe", "updateMetadata", {}, "not_joined", 400),
    ("joe", "updateParticipantMetadata", {}, "not_joined", 400),
    ("bob", "updateStreamMetadata", {}, "stream_not_yours", 403),
    ("ann", "updateStreamMetadata", {"streamId": "s9"}, "stream_not_found", 400),
    ("bob", "updatePublishedStreamBitrate", {}, "stream_not_yours", 403),
    ("ann", "updatePublishedStreamBitrate", {"streamId": "s9"}, "stream_not_found", 404),
    ("joe", "interaction", {}, "forbidden", 403),
    ("ann", "sendEvent", {}, "forbidden", 403),
    ("desk", "sendEvent", {}, "forbidden", 403),
]


async def test_what_is_not_allowed_is_refused_with_its_reason_and_changes_nothing(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await on_air(stage)
        before = (await stage.conference()).data
        for user, name, more, reason, status in REFUSED:
            assert await act(stage, user, name, **more) == refusal(reason, status), (user, name)
            assert (await stage.conference()).data == before, (user, name)


@pytest.mark.parametrize("name", NOBODY_ELSES)
async def test_a_conference_that_is_not_there_is_not_found(autojump_clock: MockClock, name: str) -> None:
    async with studio() as stage:
        user = "hall"
        await stage.post(user, "users/endpoints", keepAliveSeconds=60, userEndpointId="hall-1")
        status = (
            404 if name in ("join", "viewStream", "stopViewStream", "updatePublishedStreamBitrate") else 400
        )
        assert await act(stage, user, name) == refusal("conference_not_found", status)


async def test_what_has_ended_takes_nothing_more(autojump_clock: MockClock) -> None:
    gone = {
        "addPublishStreamIceCandidates": "stream_not_found",
        "addViewStreamIceCandidates": "view_not_found",
    }
    async with studio() as stage:
        await on_air(stage)
        await act(stage, "ann", "end")
        for name in NOBODY_ELSES:
            told = await act(stage, "hall", name)
            assert told == refusal(gone.get(name, "conference_ended"), 400), name


async def test_a_full_conference_takes_nobody_more(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        for user in ("ann", "bob"):
            await stage.post(user, "users/endpoints", keepAliveSeconds=60, userEndpointId=f"{user}-1")
        await stage.post("ann", "conferences/create", conferenceId="c1", metadata={"participant_limit": "1"})
        assert (await act(stage, "ann", "join"))[0] == 200
        assert await act(stage, "bob", "join") == refusal("conference_full", 403)


async def test_to_join_with_an_endpoint_that_is_not_there_is_malformed(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await stage.post("ann", "conferences/create", conferenceId="c1")
        told = await act(stage, "ann", "join")
        assert told == refusal("bad_request", 400, "$.userEndpointId: user endpoint not found")


async def test_a_second_interaction_is_refused_and_the_same_again_is_not(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await on_air(stage)
        assert (await act(stage, "ann", "interaction"))[0] == 204
        assert (await act(stage, "ann", "interaction"))[0] == 204
        told = await act(stage, "ann", "interaction", interactionId="i2")
        assert told == refusal("interaction_set", 400)


async def test_a_lost_stream_is_not_ready_to_be_viewed(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await on_air(stage)
        stage.media.kill_worker()
        await trio.sleep(0.1)
        assert await act(stage, "bob", "viewStream") == refusal("stream_not_ready", 404)


async def test_a_stream_whose_publisher_goes_while_it_is_offered_to_a_viewer_is_not_found(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await on_air(stage)
        stage.media.script(Refuse(p.UnknownStreamError("nobody publishes this stream")), request=p.View)
        assert await act(stage, "bob", "viewStream") == refusal("stream_not_found", 404)


async def test_bodies_of_another_form_are_malformed(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        for name in BODIES:
            for body in (b"", b"[]", b"{", b'{"conferenceId":7}', b"\xff", b'"c1"', b"null"):
                answer = await stage.ask("hall", "POST", f"/rtc-api/conferences/{name}", body)
                assert (answer.status, b'"error":"bad_request"' in answer.body) == (400, True), (name, body)


@pytest.mark.parametrize(
    ("offer", "said"), [(None, "$.sdpOffer: is missing"), ("", "$.sdpOffer: is missing")]
)
async def test_to_publish_takes_an_offer(autojump_clock: MockClock, offer: Any, said: str) -> None:
    async with studio() as stage:
        await on_air(stage)
        told = await act(stage, "ann", "publishStream", sdpOffer=offer)
        assert told == refusal("bad_request", 400, said)


@pytest.mark.parametrize(
    ("bitrate", "status"), [(29_999, 400), (30_000, 204), (8_000_000, 204), (8_000_001, 400)]
)
async def test_bitrates_have_bounds(autojump_clock: MockClock, bitrate: int, status: int) -> None:
    async with studio() as stage:
        await on_air(stage)
        answered, told = await act(stage, "ann", "updatePublishedStreamBitrate", videoBitrate=bitrate)
        published, _ = await stage.publish("ann", "s3", videoBitrate=bitrate)
        assert (answered, published) == (status, 200 if status == 204 else 400)
        if status == 400:
            assert (answered, told) == refusal("bad_request", 400, "$.videoBitrate: must be 30000 to 8000000")
        else:
            limits = stage.asked(p.LimitBitrate)
            assert [one.bitrate_max_bps for one in limits if isinstance(one, p.LimitBitrate)] == [bitrate]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MediaError("no candidate"), refusal("bad_request", 400, "no candidate")),
        (p.HostBusyError("overloaded"), refusal("media_unavailable", 503, "HostBusyError")),
        (p.WorkerGoneError("it has ended"), (204, None)),
    ],
)
async def test_candidates_that_the_media_host_does_not_take(
    autojump_clock: MockClock, error: Any, told: Any
) -> None:
    async with studio() as stage:
        await on_air(stage)
        stage.media.script(Refuse(error), request=p.AddCandidates)
        assert await act(stage, "ann", "addPublishStreamIceCandidates") == told


async def test_candidates_for_a_peer_that_is_gone_are_taken_for_nothing(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await on_air(stage)
        stage.media.kill_worker()
        await trio.sleep(0.1)
        assert await act(stage, "ann", "addPublishStreamIceCandidates") == (204, None)
        assert await act(stage, "bob", "addViewStreamIceCandidates") == (204, None)


# -- without a token, and of another organization


async def test_tokens_are_given_without_a_token(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        answer = await stage.raw("POST", endpoints.TOKEN.path)
        assert (answer.status, b'"invalid_client"' in answer.body) == (401, True)


async def test_no_endpoint_answers_without_a_token(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        for endpoint in endpoints.ENDPOINTS:
            if endpoint.public:
                continue
            path = endpoint.path.replace("{id}", "c1")
            plain = await stage.raw(endpoint.method, path)
            assert (plain.status, dict(plain.headers)["www-authenticate"]) == (
                401,
                'Bearer realm="conference"',
            )
            forged = await stage.raw(endpoint.method, path, {"authorization": "Bearer nonsense"})
            assert forged.status == 401
            assert b'"invalid_token"' in forged.body
            # The query of a request is logged on the way, so that no token is taken from it.
            assert (await stage.raw(endpoint.method, path, {}, (("access_token", "x"),))).status == 401


@pytest.mark.parametrize("user", ["ann", "hall"])
async def test_another_organizations_conference_is_as_if_it_were_not_there(
    autojump_clock: MockClock, user: str
) -> None:
    """The users have the same names, and hall is a service at home."""
    async with studio() as stage:
        await on_air(stage)
        before = (await stage.conference()).data
        for name in NOBODY_ELSES:
            theirs = await act(stage, user, name, organization="umbrella")
            absent = await act(stage, user, name, organization="umbrella", conferenceId="c9")
            assert theirs == absent, name
            assert theirs[0] in (400, 403, 404)
        assert (await stage.conference()).data == before


@pytest.mark.parametrize("path", ["c1", "c1/simpleView", "c1/events"])
async def test_another_organization_reads_nothing(autojump_clock: MockClock, path: str) -> None:
    async with studio() as stage:
        await on_air(stage)
        told = await stage.get("ann", f"conferences/{path}", organization="umbrella")
        assert told == await stage.get("ann", f"conferences/{path.replace('c1', 'c9')}")
        assert told == refusal("conference_not_found", 400)
        assert await stage.get("ann", "conferences/active", organization="umbrella") == (200, [])


# -- what is read


async def test_what_is_read_of_a_conference(autojump_clock: MockClock) -> None:
    async with studio(ConferenceSettings(ice_servers=SERVERS)) as stage:
        await on_air(stage)
        status, whole = await stage.get("bob", "conferences/c1")
        assert (status, whole["id"], whole["version"], whole["empty"]) == (200, "c1", 3, False)
        assert [one["id"] for one in whole["participants"]] == ["ann-1", "bob-1"]
        status, simple = await stage.get("bob", "conferences/c1/simpleView")
        assert (status, simple["version"]) == (200, 3)
        assert await stage.get("bob", "conferences/active") == (200, [whole])
        status, servers = await stage.get("bob", "iceServers")
        assert (status, servers["iceServers"][0]["urls"]) == (200, ["turn:192.0.2.9"])
        await act(stage, "ann", "end")
        assert await stage.get("bob", "conferences/active") == (200, [])
        assert (await stage.get("bob", "conferences/c1"))[0] == 200


@pytest.mark.parametrize("path", [f"{'x' * 129}", "a%2Fb".replace("%2F", "/\x00"), "\x07"])
async def test_an_id_that_can_be_none_is_malformed(autojump_clock: MockClock, path: str) -> None:
    async with studio() as stage:
        status, told = await stage.get("ann", f"conferences/{path}")
        assert status in (400, 404)
        assert set(told) == {"error", "error_description"}


# -- user endpoints


async def test_an_endpoint_is_told_as_a_bare_string_and_as_an_object(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        wanted = {"keepAliveSeconds": 5, "userEndpointId": "ann-1"}
        assert await stage.post("ann", "users/endpoints", **wanted) == (200, "ann-1")
        assert await stage.post("ann", "users/endpoints/register", **wanted) == (200, {"id": "ann-1"})


@pytest.mark.parametrize("name", ["keepalive", "unregister"])
async def test_an_endpoint_is_kept_and_taken_out_by_its_owner_alone(
    autojump_clock: MockClock, name: str
) -> None:
    async with studio() as stage:
        path, body = f"users/endpoints/{name}", {"userEndpointId": "ann-1"}
        assert await stage.post("ann", path, **body) == refusal("user_endpoint_not_found", 404)
        await stage.post("ann", "users/endpoints", keepAliveSeconds=5, **body)
        assert await stage.post("bob", path, **body) == refusal("user_endpoint_taken", 403)
        foreign = await stage.post("ann", path, organization="umbrella", **body)
        assert foreign == refusal("user_endpoint_taken", 403)
        assert await stage.post("ann", path, **body) == (204, None)


@pytest.mark.parametrize("path", ["users/endpoints", "users/endpoints/register"])
async def test_an_endpoint_of_somebody_else_cannot_be_registered(
    autojump_clock: MockClock, path: str
) -> None:
    async with studio() as stage:
        wanted = {"keepAliveSeconds": 5, "userEndpointId": "ann-1"}
        await stage.post("ann", path, **wanted)
        assert await stage.post("bob", path, **wanted) == refusal("user_endpoint_taken", 403)
        assert (await stage.post("ann", path, userEndpointId="a+b", keepAliveSeconds=5))[0] == 400
        assert (await stage.post("ann", path, keepAliveSeconds=0))[0] == 400


async def test_requests_cannot_pile_up_metadata(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        await on_air(stage)
        for name in ("updateParticipantMetadata", "updateStreamMetadata"):
            forty = [{f"{half}{number}": 1 for number in range(40)} for half in "ab"]
            assert (await act(stage, "ann", name, newMetadata=forty[0]))[0] == 204
            assert await act(stage, "ann", name, newMetadata=forty[1]) == refusal("metadata_full", 400)
            assert (await act(stage, "ann", name, newMetadata=dict.fromkeys(forty[0])))[0] == 204
            assert (await act(stage, "ann", name, newMetadata=forty[1]))[0] == 204


@pytest.mark.parametrize("word", sorted(endpoints.WORDS))
async def test_a_conference_is_not_called_as_a_word_of_a_path(autojump_clock: MockClock, word: str) -> None:
    async with studio() as stage:
        status, told = await stage.post("ann", "conferences/create", conferenceId=word)
        assert (status, told["error"]) == (400, "bad_request")
        assert "$.conferenceId" in told["error_description"]


async def test_other_words_may_be_ids(autojump_clock: MockClock) -> None:
    assert {"active", "create", "join", "interaction"} <= endpoints.WORDS
    async with studio() as stage:
        for word in ("events", "simpleView", "{id}", "Active"):
            assert (await stage.post("ann", "conferences/create", conferenceId=word))[0] == 200
            assert (await stage.get("ann", f"conferences/{word}"))[1]["id"] == word


async def test_others_get_their_turn_while_many_conferences_are_listed(autojump_clock: MockClock) -> None:
    async with studio() as stage:
        for number in range(10 * AT_ONCE):
            assert (await stage.post("ann", "conferences/create", conferenceId=f"c{number}"))[0] == 200
        listed, turns = [], 0
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                listed.append(await stage.get("ann", "conferences/active"))

            nursery.start_soon(ask)
            while not listed:
                await trio.lowlevel.checkpoint()
                turns += 1
        assert len(listed[0][1]) == 10 * AT_ONCE
        assert turns >= 10


# -- when the engine cannot


def test_what_may_come_from_every_endpoint_is_documented_at_every_endpoint() -> None:
    paths = openapi_document([API])["paths"]
    for endpoint in endpoints.ENDPOINTS:
        if not endpoint.public:
            responses = paths[endpoint.path][endpoint.method.lower()]["responses"]
            assert {"400", "401", "500", "503"} <= responses.keys(), endpoint.path


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (OverloadedError("too many wait"), 503, "overloaded"),
        (UnavailableError("the disk is full"), 503, "overloaded"),
        (ConflictError("conference.conference:c1", 1, 2), 503, "overloaded"),
        (UnknownOutcomeError("the disk went away"), 503, "overloaded"),
        (CallCrashedError("a rule has failed"), 500, "internal"),
        (CodecError("it has no form"), 500, "internal"),
    ],
)
async def test_a_failure_of_the_engine_says_whether_to_try_again(
    autojump_clock: MockClock, error: Any, status: int, reason: str
) -> None:
    async with studio() as stage:
        stage.service.runtime = attrs.make_class("Failing", ["error"])(error)  # type: ignore[assignment]

        async def ask(to: Any, command: Any) -> Answer:
            return Answer(Outcome.REFUSED, error=error)

        stage.service.runtime.ask = ask  # type: ignore[method-assign]
        detail = type(error).__name__ if status == 503 else ""
        assert await act(stage, "ann", "create") == refusal(reason, status, detail)
