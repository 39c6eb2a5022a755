"""The first argument of a call, as a function's code has it, when it is one name or one constant."""

import dis
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

_OF_A_NAME = ("LOAD_ATTR", "LOAD_METHOD")


def first_argument(code: Sequence[dis.Instruction], values: Sequence[Any], place: int) -> Any:
    """What the callable that is loaded at `place` is called with first; None when that cannot be told.

    `values` has what each instruction of `code` loads. What is computed, or found out by a branch, cannot
    be told.
    """
    start = place + 1 + (code[place + 1].opname == "PUSH_NULL")
    start += sum(1 for _ in takewhile(lambda one: one.opname in _OF_A_NAME, code[start + 1 :]))
    return values[start] if _is_handed_on(code[start + 1 :]) else None


def _is_handed_on(rest: Sequence[dis.Instruction]) -> bool:
    """Whether what lies on the stack is next touched by a call."""
    depth = 1
    for instruction in rest:
        effect = dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
        if depth + effect <= 1:
            # Python 3.11 has a PRECALL before each CALL.
            return instruction.opname.startswith(("CALL", "PRECALL"))
        depth += effect
    return False
