"""JSON Schema says what the wire form says."""

from typing import Any

import attrs
import pytest

from engine.codec.wire import schema_of
from engine.errors import CodecError
from tests.engine.codec.shapes import Avatar, Everything, Node, Person


def test_a_schema_has_the_names_of_the_wire_and_what_is_required() -> None:
    assert schema_of(Avatar) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Avatar",
        "type": "object",
        "properties": {
            "assetId": {"type": "string"},
            "assetSkins": {"type": "object", "additionalProperties": {"type": "string"}},
            "url": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "required": ["assetId"],
    }


def test_every_form_has_its_schema() -> None:
    properties = schema_of(Everything)["properties"]
    person = {"$ref": "#/$defs/Person"}
    assert "computed" not in properties
    assert properties["anything"] == {}
    assert properties["choice"] == {"enum": ["a", 1]}
    assert properties["mode"] == {"title": "Mode", "enum": ["videochat", "networkConference"]}
    assert properties["people"] == {"type": "array", "items": person}
    assert properties["pair"] == {
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "integer"}],
        "minItems": 2,
        "maxItems": 2,
    }
    assert properties["modes"] == {"type": "array", "items": properties["mode"], "uniqueItems": True}
    assert properties["from"] == {"type": "string"}


def test_nested_classes_are_definitions_once() -> None:
    schema = schema_of(Everything, ref="#/components/schemas/")
    assert sorted(schema["$defs"]) == ["Avatar", "Person"]
    assert schema["$defs"]["Person"]["properties"]["avatar3D"]["anyOf"][0] == {
        "$ref": "#/components/schemas/Avatar"
    }


def test_a_class_that_holds_itself_refers_to_itself() -> None:
    assert schema_of(Node)["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}


def test_an_api_may_have_another_rule_for_names() -> None:
    assert "first_name" in schema_of(Person, rename=lambda name: name)["properties"]


def test_two_classes_of_one_name_are_an_error() -> None:
    other = attrs.make_class("Person", {"id": attrs.field(type=str)}, frozen=True)
    both = attrs.make_class("Both", {"a": attrs.field(type=Person), "b": attrs.field(type=other)})
    with pytest.raises(CodecError, match="another class has its name"):
        schema_of(both)


@pytest.mark.parametrize("kind", [bytes, list[str]])
def test_a_type_without_a_form_is_an_error(kind: Any) -> None:
    raw = attrs.make_class("Raw", {"data": attrs.field(type=kind)})
    with pytest.raises(CodecError, match="has no form outside"):
        schema_of(raw)
