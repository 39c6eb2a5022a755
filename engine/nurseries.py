"""Nurseries for blocks that a caller fills: what the caller's block raises leaves as it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_block_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery that hides behind a context manager of ours.

    Whoever writes `async with open_engine(...)` sees no nursery, so an error of his block must not come out
    wrapped in a group that he did not make. It ends the tasks and leaves as it is. What tasks raise leaves as
    a group, as ever; both at once are one group.
    """
    failed: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield nursery
            except Exception as error:
                # Kept, not handled; cancellation is not among these.
                failed = error
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if failed is None:
            raise
        raise BaseExceptionGroup(group.message, [failed, *group.exceptions]) from None
    if failed is not None:
        raise failed
