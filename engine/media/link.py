"""One worker as trio sees it: requests over a socket, each answered once, and what the worker reports."""

import itertools
import socket
from collections.abc import Callable
from typing import TypeAlias

import attrs
import outcome
import trio

from engine.errors import MediaError
from engine.media import frames
from engine.media import protocol as p
from engine.media.frames import Frame, FrameBuffer, FrameError
from engine.media.rights import hand

REQUESTS_MAX = 1000
"""Requests that wait for one worker."""
UNSENT_BYTES_MAX = 2 * frames.FRAME_BYTES_MAX
"""What may wait for a worker that does not read."""
UNWIND_SECONDS = 2.0
"""How long a cancelled request waits for the worker's word."""
_READ_BYTES = 256 * 1024

_Outcome: TypeAlias = outcome.Value[p.MediaAnswer] | outcome.Error


@attrs.define(eq=False)
class _Pending:
    """A request without an answer. One without a task is abandoned; its answer would come too late."""

    request: p.MediaRequest
    task: trio.lowlevel.Task | None
    on_answer: Callable[[], None] | None = None
    cancelled: outcome.Error | None = None
    settled: trio.Event = attrs.field(factory=trio.Event)


class Link:
    """A worker's socket. `run` reads it until the worker ends; everything else is called beside that."""

    def __init__(
        self,
        sock: socket.socket,
        rights: socket.socket,
        nursery: trio.Nursery,
        on_events: Callable[[tuple[p.MediaEvent, ...]], None],
        on_measured: Callable[[frames.Measured], None],
    ) -> None:
        """`rights` is what sockets are handed over by."""
        sock.setblocking(False)  # noqa: FBT003 # the standard library's signature
        self._sock, self._rights = sock, rights
        self._nursery = nursery
        self._on_events = on_events
        self._on_measured = on_measured
        self._buffer = FrameBuffer()
        self._unsent = bytearray()
        self._writable = trio.Event()
        self._pending: dict[int, _Pending] = {}
        self._numbers = itertools.count(1)
        self._closed = False
        self.ready = trio.Event()
        """The worker takes requests, or has ended."""
        self.ended = trio.Event()
        self.failure: str | None = None
        """Why the worker could not start."""
        self.prepared = False
        """A spare worker has loaded what it will run."""
        self.leaving: str | None = None
        """Why the worker ends of its own accord."""
        self.beats = 0
        """Signs of life so far."""

    async def run(self) -> None:
        """Read until the worker ends. Not cancellable: whoever made the link closes it."""
        with trio.CancelScope(shield=True):
            try:
                # It may have been closed before this task's first turn.
                while not self._closed and (data := await self._read()):
                    for frame in self._buffer.feed(data):
                        self._hear(frame)
            except (FrameError, trio.ClosedResourceError):
                # What cannot be read is gone like what has ended; the owner kills it.
                pass
            self._end()

    async def ask(
        self, request: p.MediaRequest, on_answer: Callable[[], None] | None = None
    ) -> p.MediaAnswer:
        """Ask the worker.

        `on_answer` is called when the answer is read, before what the worker says next; the task that asked
        runs only afterwards.

        Cancelled, it returns when the worker has undone what it began; if the worker was done before it
        heard, it returns the answer.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if len(self._pending) >= REQUESTS_MAX:
            raise p.HostBusyError(f"{REQUESTS_MAX} requests wait for the worker")
        number = next(self._numbers)
        self.tell(frames.Ask(number, frames.seal(request)))
        self._pending[number] = _Pending(request, trio.lowlevel.current_task(), on_answer)

        def abort(raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            return self._cancel(number, raise_cancel)

        # A scope of its own: trio may not be asked for a task of a nursery while it cancels the tasks of it.
        with trio.CancelScope():
            answer: p.MediaAnswer = await trio.lowlevel.wait_task_rescheduled(abort)
        return answer

    def tell(self, frame: Frame) -> None:
        """Send a frame, now or as soon as the worker reads.

        Raises:
            WorkerGoneError: it has ended.
            HostBusyError: it does not read.
            FrameError: it is too large.
        """
        data = frames.encode(frame)
        if self.ended.is_set() or self._closed:
            raise p.WorkerGoneError("the worker has ended")
        if len(self._unsent) + len(data) > UNSENT_BYTES_MAX:
            raise p.HostBusyError("the worker does not read")
        if self._unsent:
            self._unsent += data
            return
        self._unsent += data
        self._write()
        if self._unsent:
            self._nursery.start_soon(self._write_rest)

    def order(self, request: p.MediaRequest) -> None:
        """Ask, but wait for no answer. A worker that does not read does not hear it."""
        number = next(self._numbers)
        try:
            self.tell(frames.Ask(number, frames.seal(request)))
        except MediaError:
            return
        self._pending[number] = _Pending(request, None)

    def hand(self, number: int, given: socket.socket) -> None:
        """Give the worker a copy of a socket; the request that names its number comes right behind.

        Raises:
            WorkerGoneError: it has ended.
            HostBusyError: it does not take what it is given.
        """
        try:
            hand(self._rights, number, given)
        except BlockingIOError as error:
            raise p.HostBusyError("the worker does not read") from error
        except OSError as error:
            raise p.WorkerGoneError("the worker has ended") from error

    def close(self) -> None:
        """Close the socket; a worker that lives ends itself then. What is pending fails."""
        if not self._closed:
            self._closed = True
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
            self._rights.close()
            self._end()

    # -- the socket

    async def _read(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                return self._sock.recv(_READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                return b""

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            # The reader sees the end of it, after what the worker said last.
            sent = len(self._unsent)
        del self._unsent[:sent]

    async def _write_rest(self) -> None:
        with trio.CancelScope(shield=True):
            try:
                while self._unsent:
                    await trio.lowlevel.wait_writable(self._sock)
                    self._write()
            except trio.ClosedResourceError:
                pass

    # -- frames

    def _hear(self, frame: Frame) -> None:
        match frame:
            case frames.Answer(number=number, answer=sealed):
                self._settle(number, outcome.Value(frames.answer_of(sealed)))
            case frames.Refusal(number=number):
                self._settle(number, outcome.Error(frames.error_of(frame)))
            case frames.Unwound(number=number):
                self._settle(number, outcome.Error(p.WorkerGoneError("the worker is ending")))
            case frames.Happened():
                self._on_events(frames.events_of(frame))
            case frames.Measured():
                self.beats += 1
                self._on_measured(frame)
            case frames.Prepared():
                self.prepared = True
            case frames.Ready():
                self.ready.set()
            case frames.Leaving(reason=reason):
                self.leaving = reason
            case frames.Failed(reason=reason):
                self.failure = reason
            case _:
                raise FrameError(f"a host does not take {frame}")

    def _end(self) -> None:
        if self.ended.is_set():
            return
        self.ended.set()
        self.ready.set()
        for number in tuple(self._pending):
            self._settle(number, outcome.Error(p.WorkerGoneError("the worker has ended")))

    # -- requests

    def _settle(self, number: int, result: _Outcome) -> None:
        pending = self._pending.pop(number, None)
        if pending is None:
            raise FrameError("an answer to nothing")
        pending.settled.set()
        if pending.task is None:
            self._undo_late(pending.request, result)
        elif pending.cancelled is not None and isinstance(result, outcome.Error):
            trio.lowlevel.reschedule(pending.task, pending.cancelled)
        else:
            if pending.on_answer is not None and isinstance(result, outcome.Value):
                pending.on_answer()
            trio.lowlevel.reschedule(pending.task, result)

    def _cancel(self, number: int, raise_cancel: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        pending = self._pending[number]
        captured = outcome.capture(raise_cancel)
        assert isinstance(captured, outcome.Error)
        pending.cancelled = captured
        try:
            self.tell(frames.Cancel(number))
        except MediaError:
            # It has ended, or does not read: nothing will come, or nothing in time.
            pending.task = None
            return trio.lowlevel.Abort.SUCCEEDED
        self._nursery.start_soon(_abandon_later, pending)
        return trio.lowlevel.Abort.FAILED

    def _undo_late(self, request: p.MediaRequest, result: _Outcome) -> None:
        if isinstance(request, p.Publish | p.View | p.FramePeerRequest) and isinstance(result, outcome.Value):
            # One that does not read: the caller has been told that it is gone, and its seat is given up.
            self.order(p.ClosePeer(peer_id=request.peer_id))


async def _abandon_later(pending: _Pending) -> None:
    """Let the caller go when the worker is silent. The answer, if one comes, is undone then."""
    with trio.CancelScope(shield=True), trio.move_on_after(UNWIND_SECONDS):
        await pending.settled.wait()
    if not pending.settled.is_set():
        assert pending.task is not None
        assert pending.cancelled is not None
        task, pending.task = pending.task, None
        trio.lowlevel.reschedule(task, pending.cancelled)
