"""Where a host's workers come from: begun when they are needed, or a spare that has loaded everything."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol, TypeAlias

import attrs
import structlog
import trio

from engine.errors import MediaError
from engine.media.frames import Measured, Prepare
from engine.media.link import Link
from engine.media.protocol import MediaEvent
from engine.media.rights import packet_pair

BACKOFF_SECONDS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Before a fresh worker, by how many have died at once in a row."""

log = structlog.get_logger("switchhook.media")


class Running(Protocol):
    """Where a worker runs."""

    async def end(self) -> str:
        """Make sure that nothing of it is left; it has had its time. How it ended, in words for the log.
        Not cancellable, and bounded.
        """


Spawn: TypeAlias = Callable[[socket.socket, socket.socket], Running]
"""Run a worker on its ends of two pairs, for frames and for sockets, and close those ends here."""
Heard: TypeAlias = Callable[[tuple[MediaEvent, ...]], None]
Said: TypeAlias = Callable[[int, Measured], None]
"""Takes what the worker of a number has measured."""


def backoff(died_at_once: int) -> float:
    """Seconds before the next attempt."""
    return BACKOFF_SECONDS[min(died_at_once, len(BACKOFF_SECONDS) - 1)]


@attrs.define(eq=False)
class Recruit:
    """A worker that runs; until it is taken it has no number, and nothing to do."""

    running: Running
    link: Link = attrs.field(init=False)
    worker: int | None = None
    taken: trio.Event = attrs.field(factory=trio.Event)
    ending: str = ""
    """How it ended, in words."""

    async def dismiss(self) -> None:
        """End it, however it is."""
        self.link.close()
        with trio.CancelScope(shield=True):
            self.ending = await self.running.end()


class Recruits:
    """Begins workers, and may keep one ahead: imports of a media library are most of a worker's start."""

    def __init__(
        self, spawn: Spawn, router: str, nursery: trio.Nursery, on_events: Heard, on_measured: Said
    ) -> None:
        self._spawn, self._router, self._nursery = spawn, router, nursery
        self._on_events, self._on_measured = on_events, on_measured
        self._spare: Recruit | None = None
        self._settled = trio.Event()

    @property
    def spares_count(self) -> int:
        """Workers that have loaded everything and wait."""
        return int(self._spare is not None and self._spare.link.prepared)

    def take(self, worker: int) -> Recruit:
        """The spare one, loaded or still loading, or else a fresh one; whoever takes it ends it.

        Raises:
            MediaError: none can be begun.
        """
        recruit, self._spare = self._spare, None
        if recruit is None or recruit.link.ended.is_set():
            recruit = self._begin()
        recruit.worker = worker
        recruit.taken.set()
        return recruit

    def settle(self) -> None:
        """Who was taken last works now; the next spare one takes no time from it."""
        self._settled.set()

    async def keep_spare(self) -> None:
        """Keep one that waits, for ever."""
        died_at_once = 0
        while True:
            self._settled = trio.Event()
            try:
                reason = await self._wait_taken()
            except MediaError as error:
                reason = str(error)
            if reason is None:
                died_at_once = 0
                await self._settled.wait()
            else:
                died_at_once += 1
                seconds = backoff(died_at_once)
                log.warning("media_spare_gone", reason=reason, again_in_seconds=seconds)
                await trio.sleep(seconds)

    async def _wait_taken(self) -> str | None:
        """Begin one; None as soon as it is taken, or how it ended before that.

        Raises:
            MediaError: it cannot be begun.
        """
        recruit = self._spare = self._begin()
        try:
            recruit.link.tell(Prepare(self._router))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_when, recruit.link.ended, nursery.cancel_scope)
                await recruit.taken.wait()
                nursery.cancel_scope.cancel()
        finally:
            if not recruit.taken.is_set():
                self._spare = None
                await recruit.dismiss()
        return None if recruit.taken.is_set() else recruit.link.failure or recruit.ending

    def _begin(self) -> Recruit:
        with ExitStack() as stack:
            try:
                ours, theirs = map(stack.enter_context, socket.socketpair())
                rights, their_rights = map(stack.enter_context, packet_pair())
                recruit = Recruit(self._spawn(theirs, their_rights))
            except OSError as error:
                raise MediaError(f"a media worker cannot be started: {error.strerror}") from error
            stack.pop_all()

        def measured(said: Measured) -> None:
            assert recruit.worker is not None, "it measures nothing before it is started"
            self._on_measured(recruit.worker, said)

        recruit.link = Link(ours, rights, self._nursery, self._on_events, measured)
        self._nursery.start_soon(recruit.link.run)
        return recruit


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
