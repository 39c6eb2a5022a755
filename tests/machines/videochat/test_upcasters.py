"""Records of older schemas are read as those of today."""

import msgspec

from engine.app.engine import codec_of, family_of
from machines.videochat import vocabulary as v
from machines.videochat.api import API


def test_an_acceptance_with_a_card_is_read_without_it() -> None:
    fields = {
        "stamp": {"at": 1.0, "id": "c1", "entropy": ""},
        "sender": "bob",
        "device": "d1",
        "room_limit": 9,
    }
    event = ("videochat.RingExpired", 1, {})
    cause = ("videochat.AcceptCall", 1, {**fields, "card": {"id": "bob"}})
    old = msgspec.msgpack.encode((v.RING, "r1", "ACCEPTED", 2, event, cause))
    record = codec_of([API], family_of([API])).decode(old)
    assert isinstance(record.cause, v.AcceptCall)
    assert (record.cause.sender, record.cause.room_limit) == ("bob", 9)
