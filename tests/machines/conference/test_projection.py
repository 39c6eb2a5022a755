"""What clients see of a conference."""

from functools import partial
from typing import Any

import pytest

from engine.codec.wire import WireCodec
from machines.conference import projection
from machines.conference import vocabulary as v
from machines.conference.wire import LIMITS, Mode

WIRE = WireCodec(LIMITS)


Conference = partial(v.Conference, id="standup")
Participant = v.Participant
Entry = partial(v.MetadataEntry, user="ann", user_endpoint_id="a1", modified_at=1566656122.25)
Stream = partial(v.Stream, peer_id="p", type=v.StreamType.MIC, phase=v.Phase.PUBLISHED)

FULL = Conference(
    organization="acme",
    interaction_id="i-7",
    creator="ann",
    creator_endpoint="a1",
    version=7,
    metadata={"ON_HOLD": Entry(value="true")},
    participants={
        "a1": Participant(
            user_endpoint_id="a1", user="ann", metadata={"name": '"Ann"', "roles": '["agent"]'}
        ),
        "b1": Participant(user_endpoint_id="b1", user="bob"),
        "a2": Participant(user_endpoint_id="a2", user="ann", health=v.Health.SICK),
    },
    streams={
        "mic": Stream(
            stream_id="mic", user_endpoint_id="a1", metadata={"primary": "true"}, bitrate_bps=30000
        ),
        "cam": Stream(stream_id="cam", user_endpoint_id="a2", type=v.StreamType.CAM, phase=v.Phase.LOST),
        "screen": Stream(
            stream_id="screen", user_endpoint_id="a1", type=v.StreamType.SCREEN, phase=v.Phase.OFFERED
        ),
    },
)
ENTRY = {
    "value": "true",
    "userId": "ann",
    "userEndpointId": "a1",
    "lastModified": "2019-08-24T14:15:22.250Z",
}


def value_of(answer: object) -> Any:
    return WIRE.to_value(answer)


def test_the_aggregate_has_a_participant_for_each_user_endpoint() -> None:
    mic = {"id": "mic", "type": "MIC", "metadata": {"primary": True}, "videoBitrate": 30000}
    cam = {"id": "cam", "type": "CAM", "metadata": {}, "videoBitrate": None}
    assert value_of(projection.aggregate(FULL, empty=False)) == {
        "id": "standup",
        "mode": "ROUTER",
        "organizationId": "acme",
        "interactionId": "i-7",
        "creator": "ann",
        "creatorEndpoint": "a1",
        "participants": [
            {
                "id": "a1",
                "userId": "ann",
                "state": "HEALTHY",
                "streams": [mic],
                "metadata": {"name": "Ann", "roles": ["agent"]},
            },
            {"id": "b1", "userId": "bob", "state": "HEALTHY", "streams": [], "metadata": {}},
            {"id": "a2", "userId": "ann", "state": "SICK", "streams": [cam], "metadata": {}},
        ],
        "metadata": {"ON_HOLD": ENTRY},
        "version": 7,
        "empty": False,
    }


def test_the_simple_view_has_the_endpoints_of_a_user_together() -> None:
    mic = {"id": "mic", "type": "MIC", "metadata": {"primary": True}}
    cam: dict[str, Any] = {"id": "cam", "type": "CAM", "metadata": {}}
    assert value_of(projection.simple_view(FULL)) == {
        "id": "standup",
        "mode": "ROUTER",
        "metadata": {"ON_HOLD": ENTRY},
        "participants": [
            {
                "id": "ann",
                "endpoints": [
                    {
                        "id": "a1",
                        "state": "HEALTHY",
                        "streams": [mic],
                        "metadata": {"name": "Ann", "roles": ["agent"]},
                    },
                    {"id": "a2", "state": "SICK", "streams": [cam], "metadata": {}},
                ],
            },
            {"id": "bob", "endpoints": [{"id": "b1", "state": "HEALTHY", "streams": [], "metadata": {}}]},
        ],
        "version": 7,
    }


def test_what_a_conference_lacks_is_null() -> None:
    answer = projection.aggregate(Conference(), empty=True)
    lacking = (answer.organization_id, answer.interaction_id, answer.creator, answer.creator_endpoint)
    assert lacking == (None, None, None, None)
    assert (answer.participants, answer.metadata, answer.empty) == ((), {}, True)


def test_metadata_that_came_with_the_creation_may_have_no_endpoint() -> None:
    conference = Conference(metadata={"a": Entry(value="", user="", user_endpoint_id="")})
    entry = projection.simple_view(conference).metadata["a"]
    assert (entry.value, entry.user_id, entry.user_endpoint_id) == ("", None, None)


@pytest.mark.parametrize("mode", Mode)
def test_every_mode_is_shown_as_it_is(mode: Mode) -> None:
    conference = Conference(mode=mode)
    shown = {
        projection.aggregate(conference, empty=True).mode,
        Mode(projection.simple_view(conference).mode),
    }
    assert shown == {mode}


def test_a_stream_that_nobody_was_told_of_is_not_shown() -> None:
    assert "screen" not in repr(projection.aggregate(FULL, empty=False))
    assert "screen" not in repr(projection.simple_view(FULL))


def test_a_sent_event_has_no_version_and_says_where_it_belongs() -> None:
    event = {"type": "FormSubmittedEvent", "conferenceVersion": 3, "conferenceId": "other", "deep": (1,)}
    told = projection.sent_event(event, event_id="e1", conference_id="standup", organization="acme")
    assert told == {
        "type": "FormSubmittedEvent",
        "deep": (1,),
        "id": "e1",
        "conferenceId": "standup",
        "organizationId": "acme",
    }
    assert event["conferenceVersion"] == 3
