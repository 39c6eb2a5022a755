"""Where one failure is kept from becoming everybody's."""

import structlog
import trio

from engine.errors import UnavailableError
from engine.runtime.supervisor import contained, described


def fail(secret: str) -> None:
    raise LookupError(f"no {secret}")


def test_a_failure_is_logged_told_and_over() -> None:
    told: list[Exception] = []
    with structlog.testing.capture_logs() as lines:
        with contained("it_failed", told.append, member="a"):
            fail("hunter2")
        with contained("it_failed"):
            fail("hunter2")
    assert [type(one) for one in told] == [LookupError]
    assert [(one["event"], one["error"]) for one in lines] == [("it_failed", "LookupError")] * 2
    assert "hunter2" not in str(lines)
    assert "fail" in lines[0]["raised"][0]["stack"][-1]


async def test_cancellation_passes() -> None:
    with trio.CancelScope() as scope:
        with contained("never"):
            scope.cancel()
            await trio.lowlevel.checkpoint()
        raise AssertionError("not reached")
    assert scope.cancelled_caught


def test_causes_and_the_parts_of_groups_are_described_and_only_our_texts_are_shown() -> None:
    error = UnavailableError("not now")
    error.__cause__ = ExceptionGroup("both", [LookupError("hunter2"), UnavailableError("closed")])
    found = [(one["type"], one["text"]) for one in described(error)]
    assert found == [
        ("UnavailableError", "not now"),
        ("ExceptionGroup", None),
        ("LookupError", None),
        ("UnavailableError", "closed"),
    ]
