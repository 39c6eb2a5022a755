"""Frames read into events: what the source shows, and what is less or other than that."""

import json
from typing import Any

import pytest

from engine.codec.wire import WireCodec
from engine.errors import RemoteProtocolError
from machines.videochat import vocabulary as v
from machines.videochat.heard import (
    Accepted,
    Declined,
    DirectAccepted,
    Failed,
    Heard,
    Notice,
    Other,
    Reader,
    Requested,
)

READER = Reader(WireCodec())
ANN = v.UserCard(id="ann", first_name="Ann")
SEAT = {
    "videochatId": "c1",
    "videochatMode": "videochat",
    "videochatEngine": "livekit",
    "videochatAppId": "",
    "videochatUrl": "wss://media.example",
    "room": "r1",
    "identity": "bob",
    "uid": 7,
    "token": "a token that is secret",
    "sharedSecret": "a shared one",
    "user": {"id": "ann", "firstName": "Ann"},
    "permissions": {
        f"is{name}": name == "Participant"
        for name in (
            "Moderator",
            "Owner",
            "Panelist",
            "Presenter",
            "CoPresenter",
            "Promoted",
            "Participant",
            "Listener",
        )
    },
}


def read(kind: str, content: Any = None, **more: Any) -> Heard:
    """The event in a frame."""
    frame = {"type": f"videochat:{kind}", "data": content or {}, "event": {"id": "3", "date": 12}, **more}
    return READER.event(READER.frame(json.dumps(frame)))


def test_a_ring_shows_who_rings_and_who_is_there() -> None:
    content = {"videochatRequestId": "q1", "user": {"id": "ann", "firstName": "Ann"}, "counter": 2}
    heard = read("videochatRequested", content | {"participants": [{"id": "ann", "firstName": "Ann"}]})
    assert heard == Requested(version=3, date=12, request_id="q1", user=ANN, participants=(ANN,), counter=2)


def test_an_answered_call_brings_the_seat_and_hides_its_secrets() -> None:
    heard = read("directVideochatRequestAccepted", SEAT)
    assert isinstance(heard, DirectAccepted)
    assert heard.seat.permissions.is_participant
    assert heard.seat.token == "a token that is secret"
    assert "secret" not in repr(heard).replace("shared_secret", "")


@pytest.mark.parametrize(("kind", "cls"), [("videochatAccepted", Accepted), ("videochatDeclined", Declined)])
def test_an_end_names_its_request(kind: str, cls: type[Accepted | Declined]) -> None:
    assert read(kind, {"videochatRequestId": "q1"}) == cls(version=3, date=12, request_id="q1")


def test_a_notice_tells_about_a_videochat() -> None:
    heard = read(
        "identityConnected", {"videochatId": "c1", "room": "r1", "user": {"id": "ann", "firstName": "Ann"}}
    )
    assert heard == Notice(
        version=3,
        date=12,
        name="identityConnected",
        videochat_id="c1",
        room="r1",
        user=ANN,
        participant_count=0,
    )


def test_an_event_with_an_error_is_told_as_one() -> None:
    error = {"status": True, "code": 10502, "message": "no token"}
    heard = read("directVideochatRequestAccepted", error=error)
    assert heard == Failed(
        version=3, date=12, name="directVideochatRequestAccepted", code=10502, message="no token"
    )


def test_an_event_that_nobody_names_is_handed_on() -> None:
    heard = read("raiseHand", {"secret": "hands"})
    assert heard == Other(version=3, date=12, name="videochat:raiseHand", content={"secret": "hands"})
    assert "hands" not in repr(heard)


@pytest.mark.parametrize("event", [{}, {"id": "uuid-1"}, {"id": "-3"}, {"id": "²"}])
def test_a_host_that_counts_no_versions_is_understood(event: dict[str, Any]) -> None:
    assert read("videochatDeclined", {"videochatRequestId": "q1"}, event=event).version is None


def test_the_least_frame_is_a_type_and_data() -> None:
    frame = READER.frame('{"type":"videochat:videochatDeclined","data":{"videochatRequestId":"q1"}}')
    assert READER.event(frame) == Declined(version=None, request_id="q1")


def test_a_welcome_without_our_additions_is_one() -> None:
    welcome = READER.welcome(READER.frame('{"type":"user_info","data":{"user":{"id":"ann"}}}'))
    assert (welcome.user.id, welcome.since) == ("ann", None)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("nonsense", "$"),
        ("[]", "$"),
        ('{"data":{}}', "$.type"),
        ('{"type":"videochat:videochatDeclined","data":{}}', "$.data.videochatRequestId"),
        (
            '{"type":"videochat:videochatDeclined","data":{"videochatRequestId":5}}',
            "$.data.videochatRequestId",
        ),
    ],
)
def test_a_frame_that_is_not_as_the_source_says_names_the_place(text: str, path: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        READER.event(READER.frame(text))
    assert caught.value.path == path
