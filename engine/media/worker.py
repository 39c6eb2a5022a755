"""The asyncio side: runs a router, answers requests, reports.

`python -m engine.media.worker FD RIGHTS PARENT`: its two sockets, and the process that started it.

Requests are plain asyncio tasks and are cancelled by plain `Task.cancel`: an anyio scope would cancel every
await of a media library's clean-up again.
"""

import asyncio
import contextlib
import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import anyio
import attrs

from engine.errors import EngineError, MediaError
from engine.media import frames
from engine.media import protocol as p
from engine.media.frames import Frame, FrameBuffer, FrameError, Prepare, Start
from engine.media.inner import OpenPipe
from engine.media.load import Gauge
from engine.media.outbox import Outbox
from engine.media.rights import Handed

LAG_SECONDS = 0.05
"""How often the loop is asked whether it is on time."""
UNWIND_SECONDS = 1.0
"""What requests get to unwind when the worker ends."""
ORPHAN_SECONDS = 1.0
"""What the router gets to close when there is nobody left to tell."""
DRAINED_SECONDS = 1.0
"""What peers get to close behind a drain."""
_PR_SET_PDEATHSIG = 1
_STATM = Path("/proc/self/statm")


class Router(Protocol):
    """What runs inside a worker. A cancelled `handle` has undone what it began when it ends."""

    async def open(self) -> None:
        """Take sockets and other things; MediaError says why that cannot be."""

    async def close(self) -> None:
        """Close every peer and give everything back."""

    async def handle(self, request: p.MediaRequest) -> p.MediaAnswer:
        """Do what is asked, or raise a MediaError."""

    def figures(self) -> Mapping[str, float]:
        """Of all peers, by name; asked for twice a second."""

    async def connect(self, request: OpenPipe, sock: socket.socket) -> p.MediaAnswer:
        """Carry a stream through `sock`, which it owns from now on, or raise a MediaError."""


RouterFactory: TypeAlias = Callable[[Mapping[str, Any], Callable[[p.MediaEvent], None]], Router]


@attrs.define(eq=False)
class _Asked:
    """A request that runs."""

    name: str
    task: "asyncio.Task[None]"
    cancelled: bool = False


class Worker:
    """Dispatches frames to a router, and answers each request once."""

    def __init__(self, start: Start, write: Callable[[Frame], None], handed: Handed) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = start.limits
        self._worker = start.worker
        self._write, self._handed = write, handed
        self.outbox = Outbox(write, self._loop.call_soon, start.limits.events_max)
        self._gauge = Gauge(start.limits)
        self._start = start
        self._router: Router | None = None
        self._asked: dict[int, _Asked] = {}
        self._peers: set[str] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._draining = False
        self._own: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._close_seconds = ORPHAN_SECONDS

    async def run(self) -> None:
        """Work until `stop`, then close everything."""
        self._loop.set_exception_handler(self._loop_failed)
        self._keep(self._work())
        await self._stopping.wait()
        await self._unwind([*self._own, *(asked.task for asked in self._asked.values())])
        await self._close()
        self.outbox.flush()

    def stop(self, seconds: float) -> None:
        """End; the router gets `seconds` to close."""
        self._close_seconds = seconds
        self._stopping.set()

    def hear(self, frame: Frame) -> None:
        """Take a frame of the host."""
        match frame:
            case frames.Ask(number=number, request=sealed):
                self._ask(number, sealed)
            case frames.Cancel(number=number):
                self._cancel(number)
            case frames.Stop(seconds=seconds):
                self.stop(seconds)
            case _:
                raise FrameError(f"a worker does not take {frame}")

    def emit(self, event: p.MediaEvent) -> None:
        """Take an event of the router; loop thread only."""
        if isinstance(event, p.PeerClosed):
            self._give_up(event.peer_id)
        self.outbox.put(event)

    # -- life

    async def _work(self) -> None:
        if await self._open():
            # Not before: imports and certificates would pass for overload.
            await self._measure()

    async def _open(self) -> bool:
        try:
            self._router = _factory(self._start.router)(self._start.config, self.emit)
            await self._router.open()
        except Exception as error:
            self._write(_failed(error))
            self.stop(ORPHAN_SECONDS)
            return False
        self._write(frames.Ready())
        return True

    async def _unwind(self, tasks: "list[asyncio.Task[Any]]") -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=UNWIND_SECONDS)

    async def _close(self) -> None:
        if self._router is None:
            return
        try:
            await asyncio.wait_for(self._router.close(), self._close_seconds)
        except TimeoutError:
            self._fault("close", TimeoutError())
        except Exception as error:
            self._fault("close", error)

    # -- requests

    def _ask(self, number: int, sealed: frames.Sealed) -> None:
        try:
            request = frames.request_of(sealed)
        except FrameError as error:
            self._write(frames.refusal(number, error))
            return
        task = self._loop.create_task(self._answer(number, request))
        self._asked[number] = _Asked(type(request).__name__, task)
        task.add_done_callback(lambda _: self._settle(number))

    async def _answer(self, number: int, request: p.MediaRequest) -> None:
        answer = await self._handle(request)
        sealed = frames.seal(answer)
        # At once and not when the loop turns: a peer that closes next has been answered before.
        del self._asked[number]
        self._say(frames.Answer(number, sealed))

    def _cancel(self, number: int) -> None:
        asked = self._asked.get(number)
        if asked is not None:
            asked.cancelled = True
            asked.task.cancel()

    async def _handle(self, request: p.MediaRequest) -> p.MediaAnswer:
        if self._router is None or self._stopping.is_set():
            raise p.WorkerGoneError("the worker is ending")
        match request:
            case p.Publish() | p.View() | p.FramePeerRequest():
                return await self._admit(self._router, request)
            case p.Drain():
                self._draining = True
            case p.GetStatistics(peer_id=None):
                answer = await self._router.handle(request)
                assert isinstance(answer, p.Statistics)
                values = self._with_own_figures(answer.values)
                # Without the one that asks.
                return p.Statistics(values={**values, "requests_count": values["requests_count"] - 1})
            case OpenPipe(pipe=pipe):
                return await self._router.connect(request, self._handed.take(pipe))
        return await self._router.handle(request)

    async def _admit(self, router: Router, request: p.Publish | p.View | p.FramePeerRequest) -> p.MediaAnswer:
        known = request.peer_id in self._peers
        if not known and not self._accepting:
            raise p.HostBusyError("draining" if self._draining else "overloaded")
        # Before the router is asked: it may close the peer before it answers.
        self._peers.add(request.peer_id)
        self._empty.clear()
        try:
            return await router.handle(request)
        except BaseException:
            if not known:
                self._give_up(request.peer_id)
            raise

    def _give_up(self, peer_id: str) -> None:
        self._peers.discard(peer_id)
        if not self._peers:
            self._empty.set()

    def _settle(self, number: int) -> None:
        """Called when its task has ended."""
        asked = self._asked.pop(number, None)
        if asked is not None:
            self._say(self._unanswered(number, asked))

    def _say(self, settled: frames.Answer | frames.Refusal | frames.Unwound) -> None:
        # What happened before the answer is told before it.
        self.outbox.flush()
        try:
            self._write(settled)
        except FrameError as error:
            self._write(frames.refusal(settled.number, error))

    def _unanswered(self, number: int, asked: _Asked) -> frames.Refusal | frames.Unwound:
        if not asked.task.cancelled():
            error = asked.task.exception()
            assert error is not None, "it has answered"
        elif asked.cancelled or self._stopping.is_set():
            return frames.Unwound(number)
        else:
            error = asyncio.CancelledError()
        if isinstance(error, MediaError):
            return frames.refusal(number, error)
        self._fault(asked.name, error)
        return frames.refusal(number, MediaError(f"the media side failed: {type(error).__name__}"))

    # -- faults

    def _fault(self, where: str, error: BaseException) -> None:
        self.outbox.put(p.MediaFault(where=where, error=type(error).__name__))

    def _loop_failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A task that nobody awaits, or a callback, has raised. The loop's message may quote arguments."""
        task = context.get("task") or context.get("future")
        where = "callback"
        if isinstance(task, asyncio.Task):
            where = getattr(task.get_coro(), "__qualname__", "task")
        self._fault(where, context.get("exception") or RuntimeError())

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._own.add(task)
        task.add_done_callback(self._own_ended)

    def _own_ended(self, task: "asyncio.Task[None]") -> None:
        self._own.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fault("worker", error)
            self._write(frames.Leaving(f"a task of its own raised {type(error).__name__}"))
            self.stop(ORPHAN_SECONDS)

    # -- load

    @property
    def _accepting(self) -> bool:
        return not (self._draining or self._gauge.overloaded)

    async def _measure(self) -> None:
        while True:
            began, used = time.monotonic(), time.thread_time()
            while time.monotonic() - began < self._limits.measure_seconds:
                await self._measure_lag()
            # The loop's thread and not the process: one loop has one core at most, wherever it runs.
            share = (time.thread_time() - used) / (time.monotonic() - began)
            if self._gauge.judge(share):
                self._tell_overload()
            self._guard_memory()
            self._tell_measured()

    async def _measure_lag(self) -> None:
        asked = time.monotonic()
        await asyncio.sleep(LAG_SECONDS)
        self._gauge.note_lag(1000 * (time.monotonic() - asked - LAG_SECONDS))

    def _tell_overload(self) -> None:
        self.outbox.put(
            p.WorkerOverloaded(
                worker=self._worker,
                lag_milliseconds=self._gauge.lag_milliseconds,
                cpu_fraction=self._gauge.cpu_fraction,
            )
        )

    def _tell_measured(self) -> None:
        assert self._router is not None
        figures = self._with_own_figures(self._router.figures())
        gauge = self._gauge
        self._write(frames.Measured(gauge.lag_milliseconds, gauge.cpu_fraction, self._accepting, figures))

    def _with_own_figures(self, values: Mapping[str, float]) -> dict[str, float]:
        return {
            **values,
            "worker_lag_milliseconds": self._gauge.lag_milliseconds,
            "worker_cpu_fraction": self._gauge.cpu_fraction,
            "worker_rss_bytes": float(_rss_bytes()),
            "worker_accepting_count": float(self._accepting),
            "requests_count": float(len(self._asked)),
        }

    # -- memory

    def _guard_memory(self) -> None:
        limit = self._limits.rss_max_bytes
        if limit is not None and not self._draining and _rss_bytes() > limit:
            self._draining = True
            self._tell_overload()
            self._write(frames.Leaving(f"it had {_rss_bytes() >> 20} MiB of memory, and drained"))
            self._keep(self._retire())

    async def _retire(self) -> None:
        """Give the peers time, then end: the host starts a fresh worker."""
        assert self._router is not None
        seconds = self._limits.drain_seconds
        await self._router.handle(p.Drain(seconds=seconds))
        try:
            # The router closes what is left when the time has passed, and that is to be told as it is.
            await asyncio.wait_for(self._empty.wait(), seconds + DRAINED_SECONDS)
        except TimeoutError:
            self._fault("drain", TimeoutError())
        self.stop(ORPHAN_SECONDS)


def _factory(name: str) -> RouterFactory:
    module, _, attribute = name.partition(":")
    factory: RouterFactory = getattr(importlib.import_module(module), attribute)
    return factory


def _failed(error: Exception) -> frames.Failed:
    # The text of a foreign error may quote what must not be told.
    return frames.Failed(str(error) if isinstance(error, EngineError) else type(error).__name__)


def _rss_bytes() -> int:
    with contextlib.suppress(OSError):
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    # Elsewhere than on Linux there is only the peak, in kilobytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class _Wire(asyncio.Protocol):
    """The worker's end of the socket pair."""

    def __init__(self, handed: Handed) -> None:
        loop = asyncio.get_running_loop()
        self._handed = handed
        self._buffer = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self.worker: Worker | None = None
        self.begun: asyncio.Future[Worker | None] = loop.create_future()
        """None when the host has gone before it said anything."""
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._buffer.feed(data):
                self._hear(frame)
        except FrameError:
            # The host is trusted; if even so it cannot be read, there is nothing left to do here.
            self._end()

    def write(self, frame: Frame) -> None:
        """Send a frame; what cannot be sent at once waits in the transport."""
        assert self._transport is not None
        data = frames.encode(frame)
        if not self._transport.is_closing():
            self._transport.write(data)

    def pause_writing(self) -> None:
        if self.worker is not None:
            self.worker.outbox.hold()

    def resume_writing(self) -> None:
        if self.worker is not None:
            self.worker.outbox.release()

    def connection_lost(self, _: Exception | None) -> None:
        self.closed.set()
        self._end()

    async def close(self) -> None:
        """Send what is left, then close; the host closes its end when it does not read."""
        assert self._transport is not None
        self._transport.close()
        await self.closed.wait()

    def _hear(self, frame: Frame) -> None:
        if self.worker is not None:
            self.worker.hear(frame)
        elif isinstance(frame, Start) and not self.begun.done():
            # At once, for a Stop may be right behind.
            self.worker = Worker(frame, self.write, self._handed)
            self.begun.set_result(self.worker)
        elif isinstance(frame, Prepare):
            self._prepare(frame.router)
        else:
            raise FrameError("the first frame is not a Start")

    def _prepare(self, router: str) -> None:
        try:
            _factory(router)
        except Exception as error:
            self.write(_failed(error))
            self._end()
        else:
            self.write(frames.Prepared())

    def _end(self) -> None:
        if self.worker is not None:
            self.worker.stop(ORPHAN_SECONDS)
        elif not self.begun.done():
            self.begun.set_result(None)


async def serve(sock: socket.socket, rights: socket.socket) -> None:
    """Be a worker on `sock` until the host says stop or goes away. Closes both.

    `rights` is what sockets are handed over by.
    """
    handed = Handed(rights)
    wire = _Wire(handed)
    await asyncio.get_running_loop().create_unix_connection(lambda: wire, sock=sock)
    worker = await wire.begun
    if worker is not None:
        await worker.run()
    await wire.close()
    handed.close()


def _die_with_parent(parent: int) -> None:  # pragma: no cover # see main
    """A worker whose loop is stuck does not see the socket close; the kernel tells it the hard way."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:  # pragma: no cover # it ends the process, and the measuring with it
    """Run in a process of its own."""
    # A terminal's Ctrl-C reaches the whole group; when to end is the parent's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    descriptor, rights, parent = map(int, sys.argv[1:])
    _die_with_parent(parent)
    anyio.run(serve, socket.socket(fileno=descriptor), socket.socket(fileno=rights), backend="asyncio")
    # Threads that a media library may have left would hold up an ordinary exit.
    os._exit(0)


if __name__ == "__main__":
    main()
