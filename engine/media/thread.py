"""Media workers in threads: for tests and small installations.

Media is as late here as trio's longest step, a worker that is stuck cannot be killed, and memory is not
watched. The worker and its wire are the same as in a process, so the same holds for what is on them.
"""

import contextlib
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import attrs
import msgspec
import trio

from engine.media.host import HostSettings, WorkersHost, open_workers
from engine.media.readers import Readers
from engine.media.worker import serve

END_SECONDS = 2.0
"""How long to wait for a thread; one that is stuck is left behind and does not hold up the interpreter."""


class WorkerThread:
    """A thread with a worker.

    A plain thread and no anyio portal: requests come by the socket, so a portal would have nothing to carry,
    and its thread would hold up the interpreter's exit when media code is stuck.
    """

    def __init__(self, theirs: socket.socket, rights: socket.socket) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._ended = trio.Event()
        self._thread = threading.Thread(
            target=self._run, args=(theirs, rights), name="media worker", daemon=True
        )
        self._thread.start()

    def _run(self, theirs: socket.socket, rights: socket.socket) -> None:
        try:
            anyio.run(serve, theirs, rights, backend="asyncio")
        finally:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._ended.set)

    async def end(self) -> str:
        """Wait for it a while."""
        with trio.move_on_after(END_SECONDS):
            await self._ended.wait()
            # It has said so as its last deed.
            self._thread.join()
            return "the thread ended"
        return "the thread is stuck and was left behind"


@asynccontextmanager
async def open_thread_host(
    settings: HostSettings, readers: Readers | None = None
) -> AsyncIterator[WorkersHost]:
    """A host with a thread for each worker, and no spare one: imports are shared. Given `readers` outlive it.

    Raises:
        MediaError: a worker cannot start.
    """
    # The memory is the whole program's.
    limits = msgspec.structs.replace(settings.limits, rss_max_bytes=None)
    settings = attrs.evolve(settings, limits=limits, spare=False)
    async with open_workers(WorkerThread, settings, readers) as host:
        yield host
