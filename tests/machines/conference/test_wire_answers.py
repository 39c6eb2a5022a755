"""Answers of the conference API have the fields of the source."""

import pytest

from engine.codec.wire import WireCodec, schema_of
from machines.conference import wire_answers as a
from machines.conference.wire import LIMITS, Mode
from tests.machines.conference.samples import ANSWERS

WIRE = WireCodec(LIMITS)


@pytest.mark.parametrize("cls", ANSWERS)
def test_nothing_in_an_answer_is_required_but_the_id_of_an_endpoint(cls: type) -> None:
    assert schema_of(cls).get("required", []) == (["id"] if cls is a.RegisteredUserEndpoint else [])


def test_an_error_has_the_names_of_oauth() -> None:
    assert WIRE.encode(a.AnotherErrorResponse(error="e", error_description="d")) == (
        b'{"error":"e","error_description":"d"}'
    )


def test_the_aggregate_has_the_fields_of_the_source() -> None:
    conference = a.Conference(
        participants=(a.ConferenceParticipant(streams=(a.ConferenceStream(),)),), metadata={"a": a.Metadata()}
    )
    value = WIRE.to_value(conference)
    assert [*value] == [
        "id",
        "mode",
        "organizationId",
        "interactionId",
        "creator",
        "creatorEndpoint",
        "participants",
        "metadata",
        "version",
        "empty",
    ]
    assert [*value["participants"][0]] == ["id", "userId", "state", "streams", "metadata"]
    assert [*value["participants"][0]["streams"][0]] == ["id", "type", "metadata", "videoBitrate"]
    assert [*value["metadata"]["a"]] == ["value", "userId", "userEndpointId", "lastModified"]
    assert WIRE.decode_value(value, a.Conference) == conference


def test_the_simple_view_has_the_fields_of_the_source() -> None:
    stream = a.ConferenceSimpleViewParticipantEndpointStream()
    endpoint = a.ConferenceSimpleViewParticipantEndpoint(streams=(stream,))
    view = a.ConferenceSimpleView(participants=(a.ConferenceSimpleViewParticipant(endpoints=(endpoint,)),))
    value = WIRE.to_value(view)
    assert [*value] == ["id", "mode", "metadata", "participants", "version"]
    assert [*value["participants"][0]] == ["id", "endpoints"]
    assert [*value["participants"][0]["endpoints"][0]] == ["id", "state", "streams", "metadata"]
    assert [*value["participants"][0]["endpoints"][0]["streams"][0]] == ["id", "type", "metadata"]
    assert WIRE.decode_value(value, a.ConferenceSimpleView) == view


def test_ice_servers_are_as_browsers_want_them() -> None:
    server = a.IceServer(urls=("turn:192.0.2.1",), username="u", credential="c")
    assert WIRE.to_value(a.IceServers(ice_servers=(server,))) == {
        "iceServers": [{"urls": ["turn:192.0.2.1"], "username": "u", "credential": "c"}]
    }


def test_an_answer_of_another_server_may_have_values_that_are_not_listed() -> None:
    assert WIRE.decode('{"id":"a","version":0,"mode":"MESH"}', a.ConferenceSummary).mode is Mode.UNKNOWN
