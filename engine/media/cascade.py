"""Carries out the cascades of the placement: gives two workers a pipe, and takes it away when it is over."""

import socket
from collections.abc import Iterable, Mapping

import attrs
import trio

from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.inner import ClosePipe, OpenPipe
from engine.media.link import Link
from engine.media.placement import Cascade, Placement
from engine.media.rights import packet_pair

LINGER_SECONDS = 5.0
"""A pipe without viewers stays so long: who leaves may be back at once, and a room empties one by one."""


@attrs.define(eq=False)
class _Pipe:
    """Of a cascade that is not over."""

    settled: trio.Event = attrs.field(factory=trio.Event)
    """It is open, or could not be opened."""
    error: MediaError | None = None
    opening: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    linger: trio.CancelScope | None = None


class Cascades:
    """The pipes between the workers behind `links`."""

    def __init__(
        self,
        placement: Placement,
        links: Mapping[int, Link],
        nursery: trio.Nursery,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        self._placement, self._links, self._nursery = placement, links, nursery
        self._linger_seconds = linger_seconds
        self._pipes: dict[Cascade, _Pipe] = {}

    async def wait_open(self, cascade: Cascade) -> None:
        """Until the far worker has the stream, or had it: who is there still may ask again.

        Raises:
            MediaError: it cannot get it.
        """
        if cascade.ended is not None:
            return
        pipe = self._pipes.get(cascade)
        if pipe is None:
            pipe = self._pipes[cascade] = _Pipe()
            # A task of the host's: who asked first may be cancelled, and others wait for it too.
            self._nursery.start_soon(self._open, cascade, pipe)
        await pipe.settled.wait()
        if pipe.error is not None:
            raise pipe.error

    def look(self, cascades: Iterable[Cascade]) -> None:
        """These have ended, or have no viewer now."""
        for cascade in cascades:
            if cascade.ended is None:
                self._idle(cascade)
            else:
                self._close(cascade, cascade.ended)

    # -- opening

    async def _open(self, cascade: Cascade, pipe: _Pipe) -> None:
        try:
            with pipe.opening:
                await self._connect(cascade)
                pipe.settled.set()
        except MediaError as error:
            pipe.error = error
        finally:
            if not pipe.settled.is_set():
                # It was refused, or the host is leaving.
                self._placement.end(cascade, p.CloseReason.WORKER_GONE)
                self._close(cascade, p.CloseReason.WORKER_GONE)

    async def _connect(self, cascade: Cascade) -> None:
        try:
            home, far = packet_pair()
        except OSError as error:
            raise p.HostBusyError(f"there is no pipe to be had: {error.strerror}") from error
        with home, far:
            # The home first: what it says in the pipe tells the far worker what there is to view.
            await self._give(cascade, cascade.home, home)
            await self._give(cascade, cascade.far, far)

    async def _give(self, cascade: Cascade, worker: int, sock: socket.socket) -> None:
        link = self._links.get(worker)
        if link is None:
            raise p.WorkerGoneError("the worker has ended")
        link.hand(cascade.number, sock)
        home = worker == cascade.home
        await link.ask(OpenPipe(pipe=cascade.number, stream_id=cascade.stream_id, home=home))

    # -- ending

    def _idle(self, cascade: Cascade) -> None:
        pipe = self._pipes.get(cascade)
        if pipe is None:
            self._placement.end(cascade, p.CloseReason.REQUESTED)
        elif pipe.linger is None:
            pipe.linger = trio.CancelScope()
            self._nursery.start_soon(self._linger, cascade, pipe.linger)
        else:
            pipe.linger.deadline = trio.current_time() + self._linger_seconds

    async def _linger(self, cascade: Cascade, scope: trio.CancelScope) -> None:
        scope.deadline = trio.current_time() + self._linger_seconds
        with scope:
            await trio.sleep_forever()
        pipe = self._pipes.get(cascade)
        if pipe is None:
            return
        pipe.linger = None
        if not cascade.viewers:
            self._placement.end(cascade, p.CloseReason.REQUESTED)
            self._close(cascade, p.CloseReason.REQUESTED)

    def _close(self, cascade: Cascade, reason: p.CloseReason) -> None:
        pipe = self._pipes.pop(cascade, None)
        if pipe is None:
            return
        pipe.opening.cancel()
        if pipe.linger is not None:
            pipe.linger.cancel()
        if not pipe.settled.is_set():
            pipe.error = pipe.error or _error_of(reason)
            pipe.settled.set()
        for worker in (cascade.far, cascade.home):
            link = self._links.get(worker)
            if link is not None:
                link.order(ClosePipe(pipe=cascade.number, reason=reason))


def _error_of(reason: p.CloseReason) -> MediaError:
    """For those who wait for a pipe that is closed before it is open."""
    if reason is p.CloseReason.WORKER_GONE:
        return p.WorkerGoneError("the worker has ended")
    return p.UnknownStreamError("nobody publishes this stream")
