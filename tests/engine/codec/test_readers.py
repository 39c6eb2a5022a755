"""What may stand in a field, and what may not."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

import attrs
import pytest

from engine.codec.wire import WireCodec
from engine.errors import CodecError, RemoteProtocolError
from tests.engine.codec.shapes import Kind, Mode, Node, Person, Privacy

WIRE = WireCodec()


def read(value: Any, kind: Any) -> Any:
    return WIRE.decode_value(value, kind)


def reason(value: Any, kind: Any) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        read(value, kind)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (5, str, "$: wants a string, got an integer"),
        ("77", int, "$: wants an integer, got a string"),
        (True, int, "$: wants an integer, got a boolean"),
        (7.0, int, "$: wants an integer, got a number"),
        (1, bool, "$: wants a boolean, got an integer"),
        (True, float, "$: wants a number, got a boolean"),
        ("1.5", float, "$: wants a number, got a string"),
        (None, str, "$: wants a string, got null"),
        ("x", tuple[str, ...], "$: wants an array, got a string"),
        ({"a": 1}, tuple[str, ...], "$: wants an array, got an object"),
        ([1], dict[str, int], "$: wants an object, got an array"),
        ([1], Person, "$: wants an object, got an array"),
        (1.5, str | None, "$: wants a string or null, got a number"),
        (object(), str, "$: wants a string, got something else"),
        (["a"], tuple[str, int], "$: wants 2 items, got 1"),
        ("a", tuple[str, int], "$: wants an array, got a string"),
    ],
)
def test_nothing_is_coerced(value: Any, kind: Any, expected: str) -> None:
    assert reason(value, kind) == expected


def test_an_integer_is_taken_where_a_number_is_wanted() -> None:
    assert type(read(5, float)) is float
    assert type(read(5, float | str)) is float


def test_an_integer_stays_one_where_both_are_wanted() -> None:
    assert type(read(5, int | float)) is int
    assert type(read(5.0, int | float)) is float


@pytest.mark.parametrize("kind", [int, float, Any, int | None])
def test_integers_of_more_than_64_bits_are_refused(kind: Any) -> None:
    assert read(2**64 - 1, kind) in (2**64 - 1, float(2**64 - 1))
    assert reason(2**64, kind) == "$: is an integer of more than 64 bits"
    assert reason(-(2**63) - 1, kind) == "$: is an integer of more than 64 bits"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    assert reason(value, float) == "$: is not a finite number"


def test_arrays_become_tuples_also_where_anything_may_stand() -> None:
    assert read([1, [2]], tuple[int | tuple[int, ...], ...]) == (1, (2,))
    assert read({"a": [1, {"b": []}], "c": 1.5}, Any) == {"a": (1, {"b": ()}), "c": 1.5}


def test_values_of_enums_are_looked_up_with_their_kind() -> None:
    assert read("videochat", Mode) is Mode.VIDEOCHAT
    assert read(1, Privacy) is Privacy.INCOGNITO
    assert reason(True, Privacy) == "$: wants an integer, got a boolean"
    assert reason(1.0, Privacy) == "$: wants an integer, got a number"


def test_an_unknown_value_of_an_enum_is_a_fault_unless_the_enum_has_a_member_for_it() -> None:
    assert reason("audio", Mode) == "$: is none of the values that are allowed here"
    assert read("HOLOGRAM", Kind) is Kind.UNKNOWN
    assert reason(5, Kind) == "$: wants a string, got an integer"


def test_literals_are_taken_as_they_are() -> None:
    assert read("a", Literal["a", 1]) == "a"
    assert reason(True, Literal["a", 1]) == "$: wants a string or an integer, got a boolean"
    assert reason(2, Literal["a", 1]) == "$: is none of the values that are allowed here"
    assert read(1.5, Literal["a", 1] | float) == 1.5
    assert reason(2, Literal["a", 1] | float) == "$: is none of the values that are allowed here"


def test_every_fault_inside_collections_is_listed_with_its_path() -> None:
    assert reason([1, "b", None], tuple[str, ...]) == (
        "$[0]: wants a string, got an integer; $[2]: wants a string, got null"
    )
    assert reason({"a": 1, "b": "x", "no good": 2}, dict[str, str]) == (
        "$.a: wants a string, got an integer; $[?]: wants a string, got an integer"
    )
    assert reason([1, 2], tuple[str, int]) == "$[0]: wants a string, got an integer"


def test_keys_of_a_mapping_may_be_of_an_enum() -> None:
    assert read({"videochat": 1}, Mapping[Mode, int]) == {Mode.VIDEOCHAT: 1}
    assert reason({"phone": 1}, Mapping[Mode, int]) == "$.phone: is none of the values that are allowed here"


def test_a_class_may_hold_itself() -> None:
    tree = {"name": "a", "children": [{"name": "b", "parent": {"name": "c"}}]}
    assert read(tree, Node) == Node("a", (Node("b", (), Node("c")),))
    assert reason({"name": "a", "children": [{"children": [5]}]}, Node) == (
        "$.children[0].name: is missing; $.children[0].children[0]: wants an object, got an integer"
    )


class Odd(Enum):
    """Its values are no JSON."""

    ONE = (1, 2)


@attrs.frozen
class Mutable:
    """A list may change, so it is none of the forms."""

    items: list[str]


@pytest.mark.parametrize(
    "kind",
    [
        bytes,
        list[str],
        Odd,
        dict[int, str],
        Mutable,
        tuple[bytes, ...],
        str | Mode,
        Person | Node,
        int | Any,
        str | bytes,
    ],
)
def test_a_type_without_a_form_is_an_error_of_ours_each_time(kind: Any) -> None:
    for _ in range(2):
        with pytest.raises(CodecError, match="has no form outside"):
            read({}, kind)
