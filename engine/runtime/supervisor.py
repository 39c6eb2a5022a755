"""The supervisor: where one failure is kept from becoming everybody's."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from engine.errors import EngineError

log = structlog.get_logger("switchhook.supervisor")


@contextmanager
def contained(
    what: str, on_failure: Callable[[Exception], None] | None = None, **facts: Any
) -> Iterator[None]:
    """Log an exception of the block as `what`, tell `on_failure`, and go on behind it.

    For code that belongs to one call, one socket or one listener and runs where others would suffer.
    Cancellation is not an exception and passes.
    """
    try:
        yield
    except Exception as error:
        log.error(what, error=type(error).__name__, raised=described(error), **facts)
        if on_failure is not None:
            on_failure(error)


def described(error: BaseException) -> list[dict[str, Any]]:
    """Where an exception and its causes came from, for a log.

    Never handed to the log as itself: whatever prints it may print local variables, and they hold tokens.
    Its text is shown only when it is ours, because others quote values.
    """
    return [
        {
            "type": type(one).__qualname__,
            "text": str(one) if isinstance(one, EngineError) else None,
            "stack": [
                f"{frame.filename}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(one.__traceback__)
            ],
        }
        for one in _chain(error)
    ]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for part in error.exceptions:
                yield from _chain(part)
        error = error.__cause__
