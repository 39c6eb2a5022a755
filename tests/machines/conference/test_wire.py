"""Bodies and queries of the conference API: what is required, what is refused, and where."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codec.wire import WireCodec, schema_of
from engine.errors import RemoteProtocolError
from machines.conference import wire as w
from machines.conference import wire_answers as a
from tests.engine.codec.shapes import calm, json_values
from tests.machines.conference.samples import ANSWERS, CANDIDATE, REQUIRED, UUID, WHOLE, outcome

WIRE = WireCodec(w.LIMITS)

BODIES = [pytest.param(cls, id=cls.__name__) for cls in WHOLE]


def read(cls: type, **changes: Any) -> Any:
    """The sample of `cls` with other fields."""
    return WIRE.decode(json.dumps(WHOLE[cls] | changes), cls)


def faults(cls: type, **changes: Any) -> dict[str, str]:
    """Why the sample with other fields is refused, by path."""
    try:
        read(cls, **changes)
    except RemoteProtocolError as error:
        return dict(error.faults)
    return {}


# -- what may be left out


@pytest.mark.parametrize("cls", BODIES)
def test_a_whole_body_is_read_and_written_as_it_came(cls: type) -> None:
    assert WIRE.to_value(read(cls)) == _padded(cls)


def _padded(cls: type) -> dict[str, Any]:
    """The sample, its candidates with all of their fields."""
    whole = dict(WHOLE[cls])
    if "iceCandidates" in whole:
        empty = dict.fromkeys(CANDIDATE)
        whole["iceCandidates"] = [empty | one for one in whole["iceCandidates"]]
    return whole


@pytest.mark.parametrize("cls", BODIES)
def test_what_the_column_says_is_required_and_nothing_else(cls: type) -> None:
    assert set(schema_of(cls).get("required", ())) == REQUIRED[cls]
    assert set(schema_of(cls)["properties"]) == set(WHOLE[cls])
    for name in WHOLE[cls]:
        rest = {key: value for key, value in WHOLE[cls].items() if key != name}
        if name in REQUIRED[cls]:
            with pytest.raises(RemoteProtocolError) as caught:
                WIRE.decode_value(rest, cls)
            assert caught.value.faults == ((f"$.{name}", "is missing"),)
        else:
            assert WIRE.decode_value(rest, cls) == WIRE.decode_value({**rest, name: None}, cls)


@pytest.mark.parametrize("cls", BODIES)
def test_a_required_field_is_not_null(cls: type) -> None:
    for name in REQUIRED[cls]:
        assert f"$.{name}" in faults(cls, **{name: None})


@pytest.mark.parametrize("cls", BODIES)
def test_what_other_clients_add_is_ignored(cls: type) -> None:
    assert read(cls, creator="ann", unheard={"of": 1}) == read(cls)


@pytest.mark.parametrize("name", ["conferenceId", "creatorEndpoint", "interactionId"])
def test_an_optional_id_that_is_left_empty_is_not_there(name: str) -> None:
    empty = read(w.CreateConferenceWebCommand, **{name: ""})
    assert empty == read(w.CreateConferenceWebCommand, **{name: None})


# -- ids


@pytest.mark.parametrize("text", ["a", "x" * 128, "ann+1@example.org", UUID, "été", "a b", "日本"])
def test_an_id_is_any_short_text(text: str) -> None:
    assert read(w.JoinConferenceWebCommand, conferenceId=text).conference_id == text
    assert w.read_id(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("x" * 129, "is longer than 128 characters"),
        ("a/b", "has a slash or a control character"),
        ("a\x00", "has a slash or a control character"),
        ("a\n", "has a slash or a control character"),
        ("\x7f", "has a slash or a control character"),
        ("\x85", "has a slash or a control character"),
    ],
)
def test_an_id_that_cannot_be_a_key_is_refused(text: str, reason: str) -> None:
    assert faults(w.JoinConferenceWebCommand, conferenceId=text) == {"$.conferenceId": reason}
    with pytest.raises(RemoteProtocolError, match=reason):
        w.read_id(text)


@pytest.mark.parametrize("text", ["a/b", "a+", "#", "a\n"])
def test_an_endpoint_cannot_be_called_like_a_filter_of_topics(text: str) -> None:
    assert faults(w.CreateUserEndpoint, userEndpointId=text) == {
        "$.userEndpointId": "has a slash, a plus, a hash or a control character"
    }


# -- enumerations


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (w.CreateConferenceWebCommand, "mode"),
        (w.ConferencePublishStreamWebCommand, "conferenceStreamType"),
        (w.UpdateConferenceMetadataWebCommand, "operation"),
        (w.SendEventToConferenceWebCommand, "qos"),
    ],
)
def test_a_request_has_only_listed_values(cls: type, name: str) -> None:
    assert faults(cls, **{name: "SOMETHING"}) == {f"$.{name}": "is none of the values that are allowed here"}
    assert faults(cls, **{name: WHOLE[cls][name].lower()}) != {}


def test_unknown_is_listed_for_modes_and_streams_but_is_no_operation() -> None:
    assert read(w.CreateConferenceWebCommand, mode="UNKNOWN").mode is w.Mode.UNKNOWN
    publish = read(w.ConferencePublishStreamWebCommand, conferenceStreamType="UNKNOWN")
    assert publish.conference_stream_type is w.StreamType.UNKNOWN
    assert "$.operation" in faults(w.UpdateConferenceMetadataWebCommand, operation="UNKNOWN")


# -- sizes


def test_an_offer_has_its_limit() -> None:
    assert len(read(w.ConferenceViewStreamWebCommand, sdpOffer="x" * w.SDP_MAX).sdp_offer) == w.SDP_MAX
    assert "$" in faults(w.ConferenceViewStreamWebCommand, sdpOffer="x" * (w.SDP_MAX + 1))
    with pytest.raises(RemoteProtocolError) as caught:
        WIRE.decode_value(
            WHOLE[w.ConferenceViewStreamWebCommand] | {"sdpOffer": "x" * (w.SDP_MAX + 1)},
            w.ConferenceViewStreamWebCommand,
        )
    assert caught.value.faults == (("$.sdpOffer", "is longer than 200000 characters"),)


def test_candidates_have_their_limits() -> None:
    cls = w.ConferencePublishStreamIceCandidatesWebCommand
    assert len(read(cls, iceCandidates=[CANDIDATE] * w.CANDIDATES_MAX).ice_candidates) == w.CANDIDATES_MAX
    assert faults(cls, iceCandidates=[CANDIDATE] * (w.CANDIDATES_MAX + 1)) == {
        "$.iceCandidates": "has more than 100 items"
    }
    odd = {"candidate": "x" * 1025, "sdpMid": "x" * 65, "sdpMLineIndex": -1}
    assert faults(cls, iceCandidates=[CANDIDATE, odd]) == {
        "$.iceCandidates[1].candidate": "is longer than 1024 characters",
        "$.iceCandidates[1].sdpMid": "is longer than 64 characters",
        "$.iceCandidates[1].sdpMLineIndex": "is not between 0 and 2147483647",
    }


def test_metadata_is_any_json_within_limits() -> None:
    cls = w.JoinConferenceWebCommand
    seven: Any = 1
    for _ in range(7):
        seven = [seven]
    assert read(cls, metadata={"a": seven, "b": [None]}).metadata["b"] == (None,)
    assert faults(cls, metadata={"a": [seven]}) == {"$.metadata": "is nested deeper than 8 levels"}
    assert faults(cls, metadata={str(n): n for n in range(65)}) == {"$.metadata": "has more than 64 keys"}
    assert faults(cls, metadata={"a": "x" * 16384}) == {"$.metadata": "is longer than 16384 bytes"}
    assert faults(cls, metadata={"": 1}) == {"$.metadata[?]": "is empty"}


def test_metadata_of_a_conference_is_texts() -> None:
    cls = w.CreateConferenceWebCommand
    assert faults(cls, metadata={"limit": 8}) == {"$.metadata.limit": "wants a string, got an integer"}
    assert faults(cls, metadata={"a": "x" * 4097}) == {"$.metadata.a": "is longer than 4096 characters"}


def test_masks_have_their_limits() -> None:
    cls = w.SendEventToConferenceWebCommand
    assert faults(cls, masks=["$.a"] * 33) == {"$.masks": "has more than 32 items"}
    assert faults(cls, masks=["$.a", "", "x" * 257]) == {
        "$.masks[1]": "is empty",
        "$.masks[2]": "is longer than 256 characters",
    }


@pytest.mark.parametrize("bitrate", [0, -1, 2**31, 30000.5, "30000", True])
def test_a_bitrate_is_a_positive_integer_of_32_bits(bitrate: Any) -> None:
    cls = w.ConferenceUpdatePublishedStreamBitrateWebCommand
    assert [*faults(cls, videoBitrate=bitrate)] == ["$.videoBitrate"]


@pytest.mark.parametrize("seconds", [0, 3601])
def test_keepalives_come_within_an_hour(seconds: int) -> None:
    assert [*faults(w.CreateUserEndpoint, keepAliveSeconds=seconds)] == ["$.keepAliveSeconds"]


def test_every_fault_is_told_at_once() -> None:
    assert [*faults(w.ConferenceStopViewStreamWebCommand, conferenceId="", streamId=1, viewerId="/")] == [
        "$.conferenceId",
        "$.streamId",
        "$.viewerId",
    ]


# -- secrets


def test_secrets_do_not_print() -> None:
    printed = repr(read(w.ConferencePublishStreamWebCommand, sdpOffer="secret", metadata={"name": "secret"}))
    printed += repr(read(w.ConferenceViewStreamWebCommand, sdpOffer="secret"))
    printed += repr(read(w.SendEventToConferenceWebCommand, event={"pin": "secret"}, masks=["secret"]))
    printed += repr(read(w.UpdateConferenceMetadataWebCommand, value="secret"))
    printed += repr(w.IceCandidate(candidate="secret")) + repr(a.IceServer(credential="secret"))
    printed += repr(a.ConferencePublishResult(sdp_answer="secret"))
    printed += repr(a.ConferenceStreamViewResult(sdp_answer="secret"))
    assert "secret" not in printed
    assert "sdp_offer=<6 characters>" in printed


# -- the query of events


@pytest.mark.parametrize(
    ("query", "version"),
    [
        ((), None),
        ((("w", "1"),), None),
        ((("v", "0"),), 0),
        ((("x", ""), ("v", "17")), 17),
        ((("v", "-1"),), -1),
        ((("v", str(2**63 - 1)),), 2**63 - 1),
    ],
)
def test_the_query_of_events_may_have_a_version(
    query: tuple[tuple[str, str], ...], version: int | None
) -> None:
    assert w.read_events_query(query).v == version


@pytest.mark.parametrize("text", ["", "a", "1.0", "1_0", " 1", "١", "9" * 20, str(2**63), str(-(2**63) - 1)])
def test_a_version_is_an_integer_of_64_bits(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        w.read_events_query((("v", text),))
    assert caught.value.path == "query.v"


def test_two_versions_are_one_too_many() -> None:
    with pytest.raises(RemoteProtocolError, match="wants an integer or null, got an array"):
        w.read_events_query((("v", "1"), ("v", "2")))


# -- anything


CLASSES = st.sampled_from([*WHOLE, *ANSWERS])
near_bodies = st.sampled_from([*WHOLE.values()]).flatmap(
    lambda whole: st.fixed_dictionaries(
        {}, optional={name: st.just(value) | json_values for name, value in whole.items()}
    )
)


@calm
@given(near_bodies | json_values, CLASSES)
def test_any_json_is_a_message_or_a_fault_of_the_other_side(value: Any, cls: type) -> None:
    data = msgspec.json.encode(value)
    assert isinstance(outcome(lambda: WIRE.decode(data, cls)), cls | RemoteProtocolError)


@calm
@given(st.binary(max_size=200), CLASSES)
def test_any_bytes_are_a_message_or_a_fault_of_the_other_side(data: bytes, cls: type) -> None:
    assert isinstance(outcome(lambda: WIRE.decode(data, cls)), cls | RemoteProtocolError)


@calm
@given(st.text(max_size=30))
def test_any_query_is_read_or_a_fault_of_the_other_side(text: str) -> None:
    read = outcome(lambda: w.read_events_query((("v", text),)))
    assert isinstance(read, w.EventsQuery | RemoteProtocolError)
