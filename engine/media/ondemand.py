"""A media host that is opened by the first request, so that programs without media start no process."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeAlias

import attrs
import trio

from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.readers import BATCHES_MAX, Readers
from engine.nurseries import open_block_nursery

OpenHost: TypeAlias = Callable[[Readers], AbstractAsyncContextManager[p.MediaHost]]
"""Opens a host that publishes its events to the given readers and leaves those open."""


@attrs.define(eq=False)
class _Opening:
    """One attempt, shared by all who ask meanwhile."""

    ended: trio.Event = attrs.field(factory=trio.Event)
    host: p.MediaHost | None = None
    reason: str = ""
    """Why there is no host."""


class OnDemandHost:
    """The media port over a host that may not be there yet. Made by `open_on_demand`.

    Events may be read before there is a host, and go on when a host is opened after one that failed.
    """

    def __init__(self, open_host: OpenHost, nursery: trio.Nursery, readers: Readers) -> None:
        self._open_host = open_host
        self._nursery = nursery
        self._readers = readers
        self._opening: _Opening | None = None
        self._closed = False

    @property
    def is_open(self) -> bool:
        """Whether there is a host."""
        return not self._closed and self._opening is not None and self._opening.host is not None

    async def request(self, request: p.MediaRequest, *, seconds: float = 5.0) -> p.MediaAnswer:
        """See MediaHost. The deadline has the opening in it; one that is late goes on for the next request.

        Raises:
            MediaError: the host cannot be opened; the next request tries again.
        """
        deadline = trio.current_time() + seconds
        with trio.move_on_at(deadline) as opening:
            host = await self._found()
        if opening.cancelled_caught:
            raise p.MediaTimeoutError(f"the media host was not open within {seconds:g} s")
        return await host.request(request, seconds=max(0.0, deadline - trio.current_time()))

    @property
    def figures(self) -> p.Figures:
        """See MediaHost; those of nobody while there is no host."""
        host = None if self._opening is None else self._opening.host
        return p.Figures() if host is None else host.figures

    def events(self) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[p.Batch]]:
        """See MediaHost."""
        return self._readers.open()

    async def warm_up(self) -> None:
        """Open the host unless it is open, and wait for it.

        Raises:
            MediaError: it cannot be opened.
        """
        await self._found()

    def close(self) -> None:
        """Let nobody wait for a host any more."""
        self._closed = True

    async def _found(self) -> p.MediaHost:
        if self._closed:
            raise p.WorkerGoneError("the host is closed")
        opening = self._opening
        if opening is None:
            opening = self._opening = _Opening()
            # Not by the task that asks: its cancellation must not end what others wait for.
            self._nursery.start_soon(self._keep, opening)
        await opening.ended.wait()
        if opening.host is None:
            raise MediaError(f"the media host cannot be opened: {opening.reason or 'the engine was left'}")
        return opening.host

    async def _keep(self, opening: _Opening) -> None:
        """Hold a host open until the nursery ends."""
        try:
            async with self._open_host(self._readers) as opening.host:
                opening.ended.set()
                await trio.sleep_forever()
        except MediaError as error:
            if opening.host is not None:
                raise
            opening.reason, self._opening = str(error), None
        finally:
            opening.ended.set()


@asynccontextmanager
async def open_on_demand(
    open_host: OpenHost, *, batches_max: int = BATCHES_MAX
) -> AsyncIterator[OnDemandHost]:
    """A host that opens when it is needed. Leaving closes it."""
    readers = Readers(batches_max)
    try:
        async with open_block_nursery() as nursery:
            host = OnDemandHost(open_host, nursery, readers)
            try:
                yield host
            finally:
                host.close()
                nursery.cancel_scope.cancel()
    finally:
        # Last, so that readers hear what the host said when it closed.
        readers.close()
