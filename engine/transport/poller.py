"""Waiting for many non-blocking sockets at once under trio."""

import select
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import attrs
import trio

READY_MAX = 128
"""Connections served in one turn before other tasks of the process get theirs."""

EPOLL_INPUT = getattr(select, "EPOLLIN", 1)
EPOLL_OUTPUT = getattr(select, "EPOLLOUT", 4)
EPOLL_GONE = getattr(select, "EPOLLERR", 8) | getattr(select, "EPOLLHUP", 16)


class Watched(Protocol):
    """Something with a file descriptor that wants to know when it is ready."""

    def ready(self, gone: bool, /) -> None:
        """Read and write what is possible; `gone` when the kernel reports an error or a hang-up."""
        ...


class Turn(Protocol):
    """What happens around the serving of a batch."""

    def begin_turn(self) -> None:
        """Before anything of the batch is served."""
        ...

    def end_turn(self) -> None:
        """After all of it was."""
        ...


class Poller(Protocol):
    """Watches file descriptors and calls their owners. Level-triggered."""

    def watch(self, fd: int, target: Watched, *, reading: bool, writing: bool) -> None:
        """Begin or change the watch of `fd`."""
        ...

    def forget(self, fd: int) -> None:
        """End the watch; to be called before `fd` is closed."""
        ...

    async def run(self, turn: Turn, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        ...

    def close(self) -> None:
        """Give back what it holds of the kernel."""
        ...


class EpollPoller:
    """One task waits for an epoll that holds all sockets, by the epoll's own readability.

    Chosen by measurement over a task a connection (`python -m tests.bench transport`): an idle WebSocket
    takes 3.2 KB and not 6.8, an echo 10.5 us and not 15.5, because a batch of messages costs one
    registration with trio's own epoll, and a message no task switch.
    """

    def __init__(self) -> None:
        # Linux only, hence absent from the type stubs of other platforms.
        self._epoll: Any = select.epoll()
        self._watched: dict[int, Watched] = {}

    def watch(self, fd: int, target: Watched, *, reading: bool, writing: bool) -> None:
        """Begin or change the watch of `fd`."""
        mask = (EPOLL_INPUT if reading else 0) | (EPOLL_OUTPUT if writing else 0)
        if fd in self._watched:
            self._epoll.modify(fd, mask)
        else:
            self._epoll.register(fd, mask)
        self._watched[fd] = target

    def forget(self, fd: int) -> None:
        """End the watch; to be called before `fd` is closed."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    async def run(self, turn: Turn, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        task_status.started()
        own_fd = self._epoll.fileno()
        while True:
            await trio.lowlevel.wait_readable(own_fd)
            turn.begin_turn()
            for fd, mask in self._epoll.poll(0, READY_MAX):
                # A descriptor closed in this batch may already belong to a new connection: it is told
                # of a readiness it does not have, finds nothing to read, and waits on.
                target = self._watched.get(fd)
                if target is not None:
                    target.ready(bool(mask & EPOLL_GONE))
            turn.end_turn()

    def close(self) -> None:
        """Close the epoll."""
        self._epoll.close()


@attrs.define(eq=False)
class _Watch:
    """The tasks that wait for one descriptor, as the scopes that end them."""

    target: Watched
    reading: trio.CancelScope | None = None
    writing: trio.CancelScope | None = None


class TaskPoller:
    """A task for each direction of each socket, for systems without epoll."""

    def __init__(self) -> None:
        self._watched: dict[int, _Watch] = {}
        self._nursery: trio.Nursery | None = None
        self._turn: Turn | None = None

    def watch(self, fd: int, target: Watched, *, reading: bool, writing: bool) -> None:
        """Begin or change the watch of `fd`; only while `run` runs."""
        watch = self._watched.setdefault(fd, _Watch(target))
        watch.reading = self._switch(watch.reading, reading, fd, target, trio.lowlevel.wait_readable)
        watch.writing = self._switch(watch.writing, writing, fd, target, trio.lowlevel.wait_writable)

    def _switch(
        self,
        scope: trio.CancelScope | None,
        wanted: bool,
        fd: int,
        target: Watched,
        wait: Callable[[int], Awaitable[None]],
    ) -> trio.CancelScope | None:
        if wanted == (scope is not None):
            return scope
        if scope is not None:
            scope.cancel()
            return None
        if self._nursery is None:
            # `run` has ended: last words are sent, and nobody waits for more.
            return None
        scope = trio.CancelScope()
        self._nursery.start_soon(self._serve, scope, fd, target, wait)
        return scope

    async def _serve(
        self, scope: trio.CancelScope, fd: int, target: Watched, wait: Callable[[int], Awaitable[None]]
    ) -> None:
        assert self._turn is not None
        with scope:
            # Looked at on both sides of the wait: trio would register a descriptor that is closed by now
            # before it noticed the cancellation.
            while not scope.cancel_called:
                await wait(fd)
                if scope.cancel_called:
                    return
                self._turn.begin_turn()
                target.ready(False)  # noqa: FBT003  a positional parameter; an error shows when it reads
                self._turn.end_turn()

    def forget(self, fd: int) -> None:
        """End the watch; to be called before `fd` is closed."""
        watch = self._watched.pop(fd, None)
        if watch is None:
            return
        for scope in (watch.reading, watch.writing):
            if scope is not None:
                scope.cancel()

    async def run(self, turn: Turn, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        self._turn = turn
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    def close(self) -> None:
        """Nothing is held: the tasks ended with `run`."""


def best_poller() -> Poller:
    """The cheapest one that this system has."""
    return EpollPoller() if hasattr(select, "epoll") else TaskPoller()
