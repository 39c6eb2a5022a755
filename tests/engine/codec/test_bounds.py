"""Bounds hold in the wire form, with all their faults, and show in the schema."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, NewType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codec.bounds import Between, Bound, Items, Json, Listed, Text, bounds_of
from engine.codec.dialect import UnfitError
from engine.codec.records import Record, RecordCodec
from engine.codec.wire import WireCodec, schema_of
from engine.errors import RemoteProtocolError
from engine.vocabulary import Address, Event
from tests.engine.codec.shapes import Kind, State, calm, json_values

WIRE = WireCodec()

Word = Annotated[str, Text(min=1, max=3, pattern="[a-z]*", says="is not a word")]
Key = NewType("Key", Word)
Small = Json(keys_max=2, depth_max=2, bytes_max=20)


@attrs.frozen(kw_only=True)
class Bounded(Event):
    """One field of each bound."""

    key: Key
    word: Word = "abc"
    last: Final[Word] = "a"
    maybe: Word | None = None
    count: Annotated[int, Between(min=-1, max=2)] = 0
    words: Annotated[tuple[Word, ...], Items(max=2)] = ()
    anything: Annotated[Mapping[Word, Any], Small] = attrs.field(factory=dict)
    kind: Annotated[Kind, Listed(("AUDIO", "UNKNOWN"))] = Kind.AUDIO
    lenient: Kind = Kind.AUDIO


def faults(**fields: Any) -> dict[str, str]:
    """Why these fields are refused, by path; empty when they are read."""
    try:
        WIRE.decode_value({"key": "k"} | fields, Bounded)
    except RemoteProtocolError as error:
        return dict(error.faults)
    return {}


def refused(bound: Bound, value: Any) -> str:
    """Why the bound refuses the value; empty when it does not."""
    try:
        bound.check(value)
    except UnfitError as error:
        return error.reason
    return ""


def test_values_at_the_edge_are_read() -> None:
    value = {
        "key": "k",
        "word": "abc",
        "count": 2,
        "words": ["a", "b"],
        "anything": {"a": [1], "b": 2},
        "maybe": None,
    }
    assert WIRE.decode_value(value, Bounded) == Bounded(
        key=Key("k"), word="abc", count=2, words=("a", "b"), anything={"a": (1,), "b": 2}
    )


@pytest.mark.parametrize(
    ("bound", "value", "reason"),
    [
        (Text(min=1, max=3), "", "is empty"),
        (Text(min=2, max=3), "a", "is shorter than 2 characters"),
        (Text(max=3), "abcd", "is longer than 3 characters"),
        (Text(max=3), "é" * 3, ""),
        (Text(max=3, pattern="[a-z]*"), "aB", "is not of the form that is wanted here"),
        (Text(max=3, pattern="[a-z]*"), "ab\n", "is not of the form that is wanted here"),
        (Between(min=0, max=1), -1, "is not between 0 and 1"),
        (Between(min=0, max=1), 2, "is not between 0 and 1"),
        (Between(min=0, max=1), 1, ""),
        (Items(max=1), [1, 2], "has more than 1 items"),
        (Small, {"a": 1, "b": 2, "c": 3}, "has more than 2 keys"),
        (Small, {"a": {"b": 1}}, ""),
        (Small, {"a": [{}]}, "is nested deeper than 2 levels"),
        (Small, {"a": "b" * 12}, ""),
        (Small, {"a": "b" * 13}, "is longer than 20 bytes"),
        (Small, {"a": "\ud800"}, "is not Unicode: it has a lone surrogate"),
        (Listed(("a",)), "b", "is none of the values that are allowed here"),
    ],
)
def test_a_bound_refuses_what_is_beyond_it(bound: Bound, value: Any, reason: str) -> None:
    assert refused(bound, value) == reason


def test_every_fault_is_listed_with_its_path() -> None:
    assert faults(
        key="abcd", word="", last="A", maybe="1", count=3, words=["a", ""], anything={"": 1}, kind="VIDEO"
    ) == {
        "$.key": "is longer than 3 characters",
        "$.word": "is empty",
        "$.last": "is not a word",
        "$.maybe": "is not a word",
        "$.count": "is not between -1 and 2",
        "$.words[1]": "is empty",
        "$.anything[?]": "is empty",
        "$.kind": "is none of the values that are allowed here",
    }


def test_a_value_of_another_kind_is_a_fault_of_its_kind() -> None:
    assert faults(word=1, count="1", words={}, anything=[], kind=1) == {
        "$.word": "wants a string, got an integer",
        "$.count": "wants an integer, got a string",
        "$.words": "wants an array, got an object",
        "$.anything": "wants an object, got an array",
        "$.kind": "wants a string, got an integer",
    }


def test_only_a_listed_enumeration_refuses_what_it_does_not_know() -> None:
    assert faults(lenient="VIDEO") == {}
    assert faults(kind="UNKNOWN") == {}


def test_deep_values_cost_no_recursion() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert refused(Small, deep) == "is nested deeper than 2 levels"


def test_the_journal_keeps_what_was_taken_before_a_bound_was_drawn() -> None:
    codec = RecordCodec([Bounded], states={"call": State})
    record = Record(Address("call", "c1"), "RINGING", 1, Bounded(key=Key("k"), word="longer"))
    assert codec.decode(codec.encode(record)) == record


def test_bounds_are_found_through_every_wrapping() -> None:
    assert bounds_of(Key) == bounds_of(Final[Word]) == bounds_of(Word) != ()
    assert bounds_of(Annotated[str, "a note"]) == bounds_of(str | None) == ()


def test_a_schema_shows_the_bounds() -> None:
    properties = schema_of(Bounded)["properties"]
    word = {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^[a-z]*$"}
    assert properties["word"] == properties["key"] == word
    assert properties["maybe"] == {"anyOf": [word, {"type": "null"}]}
    assert properties["count"] == {"type": "integer", "minimum": -1, "maximum": 2}
    assert properties["words"] == {"type": "array", "items": word, "maxItems": 2}
    assert properties["anything"] == {"type": "object", "additionalProperties": {}, "maxProperties": 2}
    assert properties["kind"] == {"title": "Kind", "enum": ["AUDIO", "UNKNOWN"]}
    assert "minLength" not in Text(max=1).schema()


@calm
@given(st.dictionaries(st.text(max_size=4), json_values, max_size=3))
def test_any_object_is_within_its_bounds_or_a_fault(value: dict[str, Any]) -> None:
    try:
        read = WIRE.decode_value({"key": "k", "anything": value}, Bounded)
    except RemoteProtocolError:
        return
    assert len(read.anything) <= 2
