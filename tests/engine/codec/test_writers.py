"""What is written, and what is refused."""

from types import MappingProxyType
from typing import Any, Literal

import attrs
import pytest

from engine.codec.wire import WireCodec
from engine.errors import CodecError, LocalProtocolError
from tests.engine.codec.shapes import Avatar, Mode, Node, Person, Privacy, UserId

WIRE = WireCodec()


@attrs.frozen
class Holder:
    """Fields whose values the tests put in."""

    anything: Any = None
    person: Person | None = None
    measure: float = 0.0
    either: float | tuple[int, ...] | dict[str, int] | Node | Mode | bool | None = None
    pair: tuple[str, float] = ("", 0.0)
    modes: frozenset[Mode] = frozenset()
    level: Literal["low", 7] | float = 7


@attrs.frozen(kw_only=True)
class Guest(Person):
    """A person, and more."""

    host: str = ""


def test_empty_values_are_left_out_only_where_the_field_says_so() -> None:
    assert WIRE.to_value(Person(id=UserId("ann"))) == {"id": "ann", "firstName": ""}
    full = Person(id=UserId("ann"), avatar3d=Avatar(asset_id="x"), tags=("a",))
    assert WIRE.to_value(full) == {
        "id": "ann",
        "firstName": "",
        "avatar3D": {"assetId": "x", "assetSkins": {}, "url": None},
        "tags": ["a"],
    }


def test_sets_are_written_in_an_order_of_their_own() -> None:
    assert WIRE.to_value(Holder(modes=frozenset(Mode)))["modes"] == ["videochat", "networkConference"]
    assert WIRE.to_value(frozenset({"b", "a", "c"})) == ["a", "b", "c"]


def test_where_anything_may_stand_values_are_written_as_what_they_are() -> None:
    value = {"a": (1, [2.5]), "b": Privacy.INCOGNITO, "c": Node("x"), "d": MappingProxyType({"e": True})}
    assert WIRE.to_value(Holder(anything=value))["anything"] == {
        "a": [1, [2.5]],
        "b": 1,
        "c": {"name": "x", "children": [], "parent": None},
        "d": {"e": True},
    }


@pytest.mark.parametrize(
    ("value", "plain"),
    [(5, 5.0), ((1, 2), [1, 2]), ({"a": 1}, {"a": 1}), (Mode.NETWORK, "networkConference"), (None, None)],
)
def test_a_member_of_a_union_is_known_by_its_class(value: Any, plain: Any) -> None:
    written = WIRE.to_value(Holder(either=value))["either"]
    assert (written, type(written)) == (plain, type(plain))


def test_a_literal_in_a_union_is_known_by_its_values() -> None:
    assert [WIRE.to_value(Holder(level=level))["level"] for level in ("low", 7, 1.5)] == ["low", 7, 1.5]


def test_a_subclass_in_a_field_is_sent_as_what_it_is() -> None:
    assert WIRE.to_value(Holder(person=Guest(id=UserId("ann"), host="bob")))["person"]["host"] == "bob"


@pytest.mark.parametrize(
    "wrong",
    [
        Holder(measure=float("nan")),
        Holder(anything=float("inf")),
        Holder(measure="fast"),  # type: ignore[arg-type]  # the point of the test
        Holder(person=Node("x")),  # type: ignore[arg-type]  # the point of the test
        Holder(either="text"),  # type: ignore[arg-type]  # the point of the test
        Holder(pair=("a",)),  # type: ignore[arg-type]  # the point of the test
        Holder(anything="\ud800"),
        Holder(anything={1.5: {}, (): {}}),
    ],
)
def test_what_does_not_fit_its_field_is_a_fault_of_ours(wrong: Holder) -> None:
    with pytest.raises(LocalProtocolError, match="Holder"):
        WIRE.encode(wrong)


def test_a_value_that_holds_itself_is_a_fault_of_ours() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(LocalProtocolError):
        WIRE.to_value(Holder(anything=loop))


def test_a_class_without_a_form_is_an_error_each_time() -> None:
    @attrs.frozen
    class Raw:
        data: bytes = b""

    for _ in range(2):
        with pytest.raises(CodecError, match="bytes has no form outside"):
            WIRE.encode(Raw())


def test_a_class_may_hold_itself() -> None:
    tree = Node("a", (Node("b"),))
    assert WIRE.decode(WIRE.encode(tree), Node) == tree
