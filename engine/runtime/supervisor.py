"""The supervisor: where one failure is kept from becoming everybody's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

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
        log.error(what, error=type(error).__name__, exc_info=error, **facts)
        if on_failure is not None:
            on_failure(error)
