"""Names, wrappings and kinds."""

from typing import Annotated, NewType

import attrs
import pytest

from engine.codec.dialect import bare, camel, fields_of, on_wire, wire_namer
from engine.errors import CodecError


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("id", "id"),
        ("avatar_url", "avatarUrl"),
        ("is_co_presenter", "isCoPresenter"),
        ("from_", "from"),
        ("_hidden_name", "hiddenName"),
        ("sdp_offer_2", "sdpOffer2"),
    ],
)
def test_snake_case_becomes_camel_case(name: str, wire: str) -> None:
    assert camel(name) == wire


def test_metadata_of_a_field_wins_over_the_rule() -> None:
    @attrs.frozen
    class Odd:
        avatar3d: str = attrs.field(metadata=on_wire("avatar3D"))
        plain_one: str = attrs.field(metadata=on_wire(omit_empty=True))

    name_of = wire_namer(camel)
    assert [name_of(field) for field in attrs.fields(Odd)] == ["avatar3D", "plainOne"]


def test_wrappings_without_a_meaning_outside_are_taken_off() -> None:
    room = NewType("room", str)
    assert bare(Annotated[room, "a note"]) is str
    assert bare(None) is type(None)


def test_a_type_that_cannot_be_resolved_is_an_error_that_names_the_class() -> None:
    @attrs.frozen
    class Broken:
        other: "NowhereDefined"  # type: ignore[name-defined]  # noqa: F821 - the point of the test

    with pytest.raises(CodecError, match=r"Broken.*NowhereDefined"):
        fields_of(Broken)
