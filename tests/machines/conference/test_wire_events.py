"""Events of the conference API: common fields, types, times."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codec.wire import WireCodec
from engine.errors import RemoteProtocolError
from machines.conference import wire_events as e
from machines.conference.wire import LIMITS, StreamType
from tests.engine.codec.shapes import calm, json_values
from tests.machines.conference.samples import outcome

WIRE = WireCodec(LIMITS)

COMMON = {
    "id",
    "type",
    "timestamp",
    "conferenceId",
    "organizationId",
    "conferenceVersion",
    "userEndpointId",
    "userId",
}
KNOWN_TO_CLIENTS = {
    "ConferenceJoinedEvent": {"metadata"},
    "ConferenceLeftEvent": {"reason"},
    "ConferenceEndedEvent": {"reason"},
    "ConferenceStreamPublishedEvent": {"streamId", "streamType", "metadata"},
    "ConferenceStreamUnpublishedEvent": {"streamId", "streamType"},
    "ConferenceMetadataUpdatedEvent": {"key", "operation", "value"},
    "ConferenceStreamMetadataUpdatedEvent": {"streamId", "newMetadata"},
    "ConferenceNetworkIndicatorUpdatedEvent": {"averageNetworkQuality", "participantIndicatorMap"},
}


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1566656122.0, "2019-08-24T14:15:22.000Z"),
        (1566656122.0074, "2019-08-24T14:15:22.007Z"),
        (1566656122.9996, "2019-08-24T14:15:23.000Z"),
    ],
)
def test_times_have_milliseconds_also_when_they_are_none(at: float, text: str) -> None:
    assert e.instant(at) == text


@calm
@given(st.floats(0, 4e9))
def test_every_time_has_the_form_that_clients_want(at: float) -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e.instant(at))


@pytest.mark.parametrize("name", e.EVENTS)
def test_every_event_has_its_type_and_the_common_fields(name: str) -> None:
    value = WIRE.to_value(e.EVENTS[name]())
    assert value["type"] == name
    assert set(value) >= COMMON
    assert value["conferenceVersion"] is None


@pytest.mark.parametrize(("name", "fields"), KNOWN_TO_CLIENTS.items())
def test_what_clients_know_has_the_fields_that_they_read(name: str, fields: set[str]) -> None:
    assert set(WIRE.to_value(e.EVENTS[name]())) == COMMON | fields


@pytest.mark.parametrize("name", e.EVENTS)
def test_an_event_reads_back_as_it_was(name: str) -> None:
    event = e.EVENTS[name](id="e1", conference_id="standup", conference_version=3, user_id="ann")
    assert e.read_event(WIRE, WIRE.to_value(event)) == event


def test_a_stream_is_told_with_its_type() -> None:
    event = e.ConferenceStreamPublishedEvent(stream_id="s", stream_type=StreamType.SCREEN, metadata={"a": 1})
    value = WIRE.to_value(event)
    assert (value["streamId"], value["streamType"], value["metadata"]) == ("s", "SCREEN", {"a": 1})


def test_networks_are_told_by_endpoint() -> None:
    event = e.ConferenceNetworkIndicatorUpdatedEvent(
        average_network_quality=4, participant_indicator_map={"e1": e.NetworkIndicator(grade="BAD")}
    )
    assert WIRE.to_value(event)["participantIndicatorMap"] == {
        "e1": {"averageJitter": 0.0, "averageRtt": 0.0, "averageNetworkQuality": 0.0, "grade": "BAD"}
    }


def test_an_event_of_an_unknown_type_keeps_its_common_fields() -> None:
    event = e.read_event(WIRE, {"type": "ConferenceMovedEvent", "conferenceVersion": 4, "where": "away"})
    assert event == e.ConferenceEvent(type="ConferenceMovedEvent", conference_version=4)


def test_a_fault_of_an_event_says_where_it_stood() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        e.read_event(WIRE, {"type": "ConferenceStreamPublishedEvent", "streamId": 1}, "$[2]")
    assert caught.value.path == "$[2].streamId"


def test_metadata_of_an_event_does_not_print() -> None:
    assert "secret" not in repr(e.ConferenceMetadataUpdatedEvent(key="k", value="secret"))


near_events = st.fixed_dictionaries(
    {"type": st.sampled_from([*e.EVENTS, "ConferenceMovedEvent"])},
    optional=dict.fromkeys(["id", "streamId", "conferenceVersion", "participantIndicatorMap"], json_values),
)


@calm
@given(near_events | json_values)
def test_any_json_is_an_event_or_a_fault_of_the_other_side(value: Any) -> None:
    read = outcome(lambda: e.read_event(WIRE, value))
    assert isinstance(read, e.ConferenceEvent | RemoteProtocolError)
