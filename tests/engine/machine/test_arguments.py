"""The first argument of a call is told when it is one name or one constant, and otherwise not."""

import dis
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from engine.machine.arguments import first_argument

PLACE = SimpleNamespace(name="kitchen", other=None)
NAME = "hall"


def ring(*said: object, **more: object) -> tuple[object, ...]:
    return (*said, more)


SHOP = SimpleNamespace(ring=ring)


def told(function: Callable[..., Any]) -> Any:
    """What `ring` is called with, where names of this module are known and nothing else is."""
    code = [*dis.get_instructions(function)]
    values = [known(one) for one in code]
    return first_argument(code, values, next(n for n, value in enumerate(values) if value is ring))


def known(instruction: dis.Instruction) -> Any:
    match instruction.opname:
        case "LOAD_GLOBAL":
            return globals().get(instruction.argval)
        case "LOAD_CONST":
            return instruction.argval
        case "LOAD_ATTR" | "LOAD_METHOD":
            # Of `PLACE` its field, and of `SHOP` its method: nothing else is read here.
            return getattr(PLACE, instruction.argval, getattr(SHOP, instruction.argval, None))
    return None


@pytest.mark.parametrize(
    "call",
    [
        lambda: ring("hall", 1),
        lambda: ring(NAME, ring()),
        lambda: ring(NAME, ring(1, 2), more=ring(3)),
        lambda: SHOP.ring(NAME, [1, 2]),
        lambda: ring(NAME, f"{NAME}{NAME}"),
        lambda: ring(NAME),
    ],
)
def test_a_name_and_a_constant_are_told(call: Callable[..., Any]) -> None:
    assert told(call) == "hall"


def test_the_field_of_a_name_is_told() -> None:
    assert told(lambda: ring(PLACE.name, 1)) == "kitchen"


def test_a_keyword_is_told_when_it_comes_first() -> None:
    assert told(lambda: ring(port=NAME, request=1)) == "hall"


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ring(x, NAME),
        lambda x: ring(NAME + x, 1),
        lambda x: ring(f"{NAME}.{x}", 1),
        lambda x: ring(NAME % x, 1),
        lambda x: ring(NAME if x else "", 1),
        lambda x: ring(NAME or x, 1),
        lambda x: ring(NAME[x], 1),
        lambda x: ring(NAME.lower(), 1),
        lambda x: ring(NAME, 1 if x else 2),
    ],
)
def test_what_is_computed_or_chosen_is_not_told(call: Callable[..., Any]) -> None:
    assert told(call) is None


def test_what_is_named_and_not_called_has_no_argument() -> None:
    def passed_on() -> object:
        return ring

    assert told(passed_on) is None


def test_code_that_ends_is_not_told() -> None:
    code = [*dis.get_instructions(lambda: ring(NAME, 1))]
    place = next(n for n, one in enumerate(code) if one.argval == "ring")
    assert first_argument(code[: place + 3], [None, None, None, None, NAME][: place + 3], place) is None
