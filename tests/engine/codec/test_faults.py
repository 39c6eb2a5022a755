"""Paths and reasons of faults inside classes."""

from typing import Any

import attrs
import pytest

from engine.codec.wire import Limits, WireCodec
from engine.errors import RemoteProtocolError
from tests.engine.codec.shapes import Person

WIRE = WireCodec()


def refused(value: Any, kind: Any, **options: Any) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        WIRE.decode_value(value, kind, **options)
    return caught.value


def test_every_fault_is_listed_in_the_order_of_the_fields() -> None:
    error = refused({"firstName": 5, "avatar3D": {"assetSkins": {"hat": 1}}}, Person)
    assert error.faults == (
        ("$.id", "is missing"),
        ("$.firstName", "wants a string, got an integer"),
        ("$.avatar3D.assetId", "is missing"),
        ("$.avatar3D.assetSkins.hat", "wants a string, got an integer"),
    )
    assert (error.path, error.reason) == error.faults[0]


def test_paths_begin_where_the_value_stood() -> None:
    assert refused({}, Person, path="$.data.user").path == "$.data.user.id"


def test_the_list_of_faults_has_a_limit() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        WireCodec(Limits(faults_max=3)).decode_value([1] * 9, tuple[str, ...])
    assert len(caught.value.faults) == 3


@attrs.frozen
class Strict:
    """Has rules of its own."""

    name: str = attrs.field(validator=attrs.validators.matches_re("[a-z]+"))
    size: int = attrs.field(default=0, validator=attrs.validators.le(5))


@attrs.frozen
class Paired:
    """A rule over two fields that says where it hurts."""

    low: int
    high: int

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise RemoteProtocolError("$.high", "is below the low end")


def test_the_rules_of_a_class_are_faults_and_do_not_quote_the_value() -> None:
    error = refused({"inner": {"name": "SECRET"}}, _Outer)
    assert error.faults == (("$.inner.name", "is refused by a rule of Strict"),)
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_rule_that_names_no_field_is_a_fault_of_the_object() -> None:
    assert refused({"name": "a", "size": 6}, Strict).faults == (("$", "is refused by a rule of Strict"),)


def test_a_rule_may_say_its_own_path() -> None:
    assert refused([{"low": 2, "high": 1}], tuple[Paired, ...]).faults == (
        ("$[0].high", "is below the low end"),
    )


def test_a_value_that_is_nested_without_end_is_a_fault() -> None:
    value: list[Any] = []
    value.append(value)
    assert refused(value, Any).faults == (("$", "is nested too deeply"),)


@attrs.frozen
class _Outer:
    inner: Strict
