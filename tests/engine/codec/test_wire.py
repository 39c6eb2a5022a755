"""Round trips, and any JSON value into any class."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codec.wire import Limits, WireCodec
from engine.errors import RemoteProtocolError
from tests.engine.codec.shapes import (
    Avatar,
    Everything,
    Mode,
    Node,
    Person,
    UserId,
    calm,
    everythings,
    json_values,
    nodes,
    persons,
)

WIRE = WireCodec()
CLASSES = [Everything, Person, Avatar, Node]


def faults(value: Any, cls: type) -> tuple[tuple[str, str], ...]:
    """Why `value` is refused; empty when it is read."""
    try:
        assert isinstance(WIRE.decode_value(value, cls), cls)
    except RemoteProtocolError as error:
        return error.faults
    return ()


def test_a_message_reads_as_the_document_shows_it() -> None:
    text = '{"id":"ann","firstName":"Ann","avatar3D":{"assetId":"a1","assetSkins":{"hat":"red"}},"extra":[1]}'
    avatar = Avatar(asset_id="a1", asset_skins={"hat": "red"})
    assert WIRE.decode(text, Person) == Person(id=UserId("ann"), first_name="Ann", avatar3d=avatar)


def test_an_api_may_have_another_rule_for_names() -> None:
    snake = WireCodec(rename=lambda name: name)
    assert snake.encode(Avatar(asset_id="x")) == b'{"asset_id":"x","asset_skins":{},"url":null}'


def test_null_is_not_absence() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        WIRE.decode('{"id":"ann","firstName":null}', Person)
    assert caught.value.faults == (("$.firstName", "wants a string, got null"),)


def test_limits_hold_for_the_codec_that_has_them() -> None:
    with pytest.raises(RemoteProtocolError, match="longer than 5 bytes"):
        WireCodec(Limits(bytes_max=5)).decode('"12345"', str)


@pytest.mark.slow
@calm
@given(everythings)
def test_what_is_written_reads_back_as_it_was(thing: Everything) -> None:
    again = WIRE.decode(WIRE.encode(thing), Everything)
    assert again == thing
    assert WIRE.encode(again) == WIRE.encode(thing)


@calm
@given(nodes)
def test_a_class_that_holds_itself_reads_back_as_it_was(node: Node) -> None:
    assert WIRE.decode_value(WIRE.to_value(node), Node) == node


@calm
@given(json_values)
def test_a_value_of_no_type_is_sent_as_it_came(value: Any) -> None:
    assert WIRE.to_value(WIRE.decode_value(value, Any)) == value


@calm
@given(json_values, st.sampled_from(CLASSES))
def test_any_value_is_read_or_refused_with_a_path(value: Any, cls: type) -> None:
    assert all(path.startswith("$") for path, _ in faults(value, cls))


@pytest.mark.slow
@calm
@given(everythings, st.data())
def test_a_message_with_one_field_replaced_is_read_or_refused_at_that_field(
    thing: Everything, data: st.DataObject
) -> None:
    plain = WIRE.to_value(thing)
    name = data.draw(st.sampled_from(sorted(plain)))
    plain[name] = data.draw(json_values)
    assert all(path.startswith(f"$.{name}") for path, _ in faults(plain, Everything))


@calm
@given(persons)
def test_fields_nobody_knows_are_ignored(person: Person) -> None:
    assert WIRE.decode_value({**WIRE.to_value(person), "creator": {"deep": [1]}}, Person) == person


def test_enums_and_scalars_may_be_asked_for_alone() -> None:
    assert WIRE.decode('"videochat"', Mode) is Mode.VIDEOCHAT
    assert WIRE.decode("[1,2]", tuple[int, ...]) == (1, 2)


@calm
@given(everythings)
def test_what_a_field_of_no_type_kept_is_read_again_as_what_it_is(thing: Everything) -> None:
    kept = WIRE.decode_value(WIRE.to_value(thing), Any)
    assert WIRE.decode_value(kept, Everything) == thing
