"""Media workers in processes of their own: nothing that trio does holds them up, and they can be killed."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from engine.media.host import HostSettings, WorkersHost, open_workers
from engine.media.readers import Readers

POLL_SECONDS = 0.01
"""How often to look for the end of a process where the system cannot tell it."""

EXIT_SECONDS = 0.1
"""For a process that is ending; then it is killed."""


class WorkerProcess:
    """A process with a worker."""

    def __init__(self, theirs: socket.socket, rights: socket.socket) -> None:
        descriptors = theirs.fileno(), rights.fileno()
        # Started by this thread and not by one of trio's: when the thread that started it ends, the worker is
        # killed, for that is what the kernel takes for the parent's death.
        with theirs, rights:
            self._process = subprocess.Popen(  # noqa: S603 # our own interpreter and module
                [sys.executable, "-P", "-m", "engine.media.worker", *map(str, (*descriptors, os.getpid()))],
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
                # A group of its own: Ctrl-C at a terminal is for the parent, which then ends its workers.
                process_group=0,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(each or str(Path.cwd()) for each in sys.path),
                },
            )
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid) if hasattr(os, "pidfd_open") else None

    async def end(self) -> str:
        """Kill what is left of it, and wait for that."""
        with trio.move_on_after(EXIT_SECONDS):
            # What has closed its socket exits by itself, and its status says more than that we killed it.
            await self._wait_exit()
        self._process.kill()
        await self._wait_exit()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        return _ending(self._process.returncode)

    async def _wait_exit(self) -> None:
        if self._pidfd is not None:
            await trio.lowlevel.wait_readable(self._pidfd)
        while self._process.poll() is None:  # noqa: ASYNC110 # nothing would set an event
            await trio.sleep(POLL_SECONDS)


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


@asynccontextmanager
async def open_process_host(
    settings: HostSettings, readers: Readers | None = None
) -> AsyncIterator[WorkersHost]:
    """A host with a process for each worker. Given `readers` outlive it.

    Raises:
        MediaError: a worker cannot start.
    """
    async with open_workers(WorkerProcess, settings, readers) as host:
        yield host
