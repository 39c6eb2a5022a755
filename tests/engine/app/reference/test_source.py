"""What only the source text tells."""

from typing import ClassVar

import attrs
import pytest

from engine.app.reference.source import (
    alias_of,
    fields_of,
    first_sentence,
    methods_of,
    signature_of,
)


@attrs.define
class Parcel:
    """A parcel.

    It has a weight.
    """

    weight: "float"
    """In kilograms."""
    size: int = attrs.field(repr=False)
    label: str = attrs.field(default="none", repr=False)
    tags: list[str] = attrs.field(factory=list)
    other: list[str] = attrs.Factory(list)
    _hidden: int = 0
    SCHEMA: ClassVar[int] = 2

    @property
    def heavy(self) -> bool:
        """Whether two carry it."""
        return self.weight > 20

    def open(self) -> None:
        pass

    def _secret(self) -> None:
        pass


def carry(
    first: int, /, second: str = "x", *rest: int, some_long_name: float = 1.0, other_name, **more: str
) -> None:
    """A head that is too long for one line."""


async def wait(*, seconds=1) -> None:
    """A short one."""


def test_fields_come_with_types_defaults_and_the_strings_beneath_them() -> None:
    found = [(one.name, one.annotation, one.default, one.text) for one in fields_of(Parcel)]
    assert found == [
        ("weight", "float", "", "In kilograms."),
        ("size", "int", "", ""),
        ("label", "str", "'none'", ""),
        ("tags", "list[str]", "…", ""),
        ("other", "list[str]", "…", ""),
    ]


def test_methods_and_properties_are_listed_and_private_ones_are_not() -> None:
    assert [*methods_of(Parcel)] == [
        ("heavy", "heavy: bool", "Whether two carry it."),
        ("open", "def open(self) -> None", ""),
    ]


def test_a_short_signature_is_one_line_as_it_was_written() -> None:
    assert signature_of(wait) == "async def wait(*, seconds=1) -> None"


def test_a_long_signature_has_an_argument_a_line() -> None:
    assert signature_of(carry).splitlines() == [
        "def carry(",
        "    first: int,",
        "    /,",
        "    second: str = 'x',",
        "    *rest: int,",
        "    some_long_name: float = 1.0,",
        "    other_name,",
        "    **more: str,",
        ") -> None",
    ]


def test_the_first_paragraph_is_one_line() -> None:
    assert first_sentence(Parcel) == "A parcel."


def test_an_alias_has_its_value_and_its_text() -> None:
    value, text = alias_of("engine.machine.table", "Said")
    assert value == "tuple[Event | Effect, ...]"
    assert text.startswith("What a reaction says")


def test_an_alias_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LookupError, match="has no type alias Nothing"):
        alias_of("engine.vocabulary", "Nothing")
