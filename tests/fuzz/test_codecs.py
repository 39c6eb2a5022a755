"""Any bytes are a message or RemoteProtocolError, a record or CodecError; never another exception."""

import os
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.codec.records import RecordCodec
from engine.codec.wire import WireCodec
from engine.errors import CodecError, RemoteProtocolError
from engine.machine.step import CommandDeferred
from tests.engine.codec.shapes import (
    Call,
    Everything,
    Node,
    Person,
    Rang,
    Ring,
    State,
    everythings,
    json_values,
)

EXAMPLES = int(os.environ.get("SWITCHHOOK_FUZZ_EXAMPLES", "1000"))
fuzz = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

WIRE = WireCodec()
RECORDS = RecordCodec([Rang, Ring, Call, CommandDeferred], states={"call": State})
CLASSES = st.sampled_from([Everything, Person, Node])

json_bytes = json_values.map(msgspec.json.encode) | everythings.map(WIRE.encode)


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes with a piece of them replaced by anything."""
    data = draw(whole)
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 8)))
    return data[:start] + draw(st.binary(max_size=8)) + data[end:]


def outcome(act: Callable[[], Any]) -> Any:
    """What `act` gives, or the error that it is allowed to raise."""
    try:
        return act()
    except (RemoteProtocolError, CodecError) as error:
        return error


tagged = st.tuples(
    st.sampled_from(["codec.Rang", "codec.Ring", "codec.Call", "engine.CommandDeferred", ""]),
    st.integers(0, 2),
    json_values,
)
record_bytes = st.tuples(
    st.just("call"), st.text(max_size=3), st.just("ENDED"), st.integers(), tagged, st.none() | tagged
)
member_bytes = st.tuples(
    st.just("call"),
    st.text(max_size=3),
    st.just("ENDED"),
    st.integers(0, 9),
    tagged,
    st.just([]),
    st.lists(tagged, max_size=2),
)
fold_bytes = st.tuples(st.just(1), st.lists(member_bytes, max_size=2), st.just([]))


def packed(shape: object) -> bytes:
    try:
        return msgspec.msgpack.encode(shape)
    except OverflowError:
        return b""


msgpack_bytes = (record_bytes | fold_bytes | json_values).map(packed)


@pytest.mark.slow
@fuzz
@given(st.binary(max_size=200) | json_bytes | damaged(json_bytes), CLASSES)
def test_any_bytes_are_a_message_or_a_fault_of_the_other_side(data: bytes, cls: type) -> None:
    assert isinstance(outcome(lambda: WIRE.decode(data, cls)), cls | RemoteProtocolError)


@pytest.mark.slow
@fuzz
@given(st.text(max_size=200), CLASSES)
def test_any_text_is_a_message_or_a_fault_of_the_other_side(text: str, cls: type) -> None:
    assert isinstance(outcome(lambda: WIRE.decode(text, cls)), cls | RemoteProtocolError)


@pytest.mark.slow
@fuzz
@given(st.binary(max_size=200) | msgpack_bytes | damaged(msgpack_bytes))
def test_any_bytes_are_a_record_or_an_error_of_the_codec(data: bytes) -> None:
    read = outcome(lambda: RECORDS.decode(data))
    assert isinstance(read, CodecError) or RECORDS.decode(RECORDS.encode(read)) == read


@pytest.mark.slow
@fuzz
@given(st.binary(max_size=200) | msgpack_bytes | damaged(msgpack_bytes))
def test_any_bytes_are_a_snapshot_or_an_error_of_the_codec(data: bytes) -> None:
    read = outcome(lambda: RECORDS.decode_snapshot(data))
    assert isinstance(read, CodecError) or RECORDS.encode_snapshot(read)
