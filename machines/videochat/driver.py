"""Drives the link of a client: steps its machine, dials, sends, reads, and sends again what has no answer."""

import contextlib
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import TypeAlias

import attrs
import msgspec
import trio

from engine.codec.wire import WireCodec
from engine.effects import Request
from engine.errors import (
    ConfigurationError,
    EngineError,
    LocalProtocolError,
    OverloadedError,
    RemoteProtocolError,
    TransportBrokenError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
)
from engine.runtime.local import LocalMachine
from engine.transport.link import Link
from engine.transport.websocket import backoff
from machines.videochat import link as life
from machines.videochat import wire
from machines.videochat.cursor import Cursor
from machines.videochat.heard import AuthenticationError, Frame, Heard, Reader, TakenOverError
from machines.videochat.link import LINK_TABLE, LinkState

OpenLink: TypeAlias = Callable[[], AbstractAsyncContextManager[Link]]


class WhenFull(StrEnum):
    """What happens when the program does not take the events that come."""

    END = "end"
    """The client ends with OverloadedError: nothing is lost unseen."""
    DROP_OLDEST = "drop_oldest"
    """The oldest event is dropped and counted: for programs that look at some events, or at none."""


@attrs.frozen(kw_only=True)
class ClientSettings:
    """How a client behaves. Times in seconds."""

    request_seconds: float = 15.0
    """From a request to its answer, over all links that it takes."""
    link_seconds: float = 10.0
    """How long connecting may take, and then authenticating."""
    give_up_seconds: float = 300.0
    """How long to go on trying while there is no link."""
    first_delay_seconds: float = 0.5
    """Bound of the first delay before a link is dialled again; it doubles."""
    longest_delay_seconds: float = 30.0
    requests_max: int = 64
    """Requests without an answer; one more waits, within its own time."""
    events_max: int = 256
    """Events that the program has not taken."""
    when_full: WhenFull = WhenFull.END


@attrs.frozen(kw_only=True)
class Identity:
    """Who authenticates."""

    token: str = attrs.field(repr=False)
    device: str


@attrs.define(eq=False)
class _Request:
    """A request and, once there is one, its answer."""

    event_id: str
    text: str = attrs.field(repr=False)
    answer: Frame | None = attrs.field(default=None, repr=False)
    done: trio.Event = attrs.field(factory=trio.Event, repr=False)


class LinkDriver:
    """The one link of a client at a time, and what goes over it."""

    def __init__(
        self,
        open_link: OpenLink,
        nursery: trio.Nursery,
        who: Identity,
        since: int | None,
        settings: ClientSettings,
        draw: Callable[[], float],
    ) -> None:
        self.reader = Reader(WireCodec())
        self.dropped = 0
        self._open_link = open_link
        self._nursery = nursery
        self._who = who
        self._settings = settings
        self._draw = draw
        self._delays: Iterator[float] = iter(())
        self._machine = LocalMachine(LINK_TABLE, who.device, self._perform, self._end)
        self._hang_up = trio.CancelScope()
        self._ended_by: Callable[[], EngineError] | None = None
        """What the program or its configuration ended the client by; the machine has the other reasons."""
        self._outbox: deque[_Request] = deque()
        """At most `requests_max`, and `authenticate`."""
        self._posted = trio.Event()
        self._asked: dict[str, _Request] = {}
        self._slots = trio.Semaphore(settings.requests_max)
        self._cursor = Cursor(since)
        self._events_in, self.events = trio.open_memory_channel[Heard](settings.events_max)

    # -- for the client

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self._machine.state

    async def wait_for(self, *states: LinkState) -> LinkState:
        """Wait until the link is in one of `states`; raises `failure()` when it can come there no more."""
        await trio.lowlevel.checkpoint()
        while self.state not in states:
            self._check_alive()
            await self._machine.wait()
        return self.state

    def open(self) -> None:
        """Begin to dial."""
        self._nursery.start_soon(self._machine.fire_timers)
        settings = self._settings
        self._machine.tell(
            life.OpenClient(link_seconds=settings.link_seconds, give_up_seconds=settings.give_up_seconds)
        )

    def close(self) -> None:
        """End the client for good. Idempotent."""
        self._machine.tell(life.CloseClient())

    async def ask(self, name: str, asked: object, event_id: str) -> Frame:
        """Ask, and wait for the answer over as many links as it takes.

        Raises:
            TransportTimeoutError: no answer in `request_seconds`.
            LocalProtocolError: a request with this `event_id` waits already.
            EngineError: the client has ended.
        """
        request = self._written(name, asked, event_id or secrets.token_hex(8))
        with trio.move_on_after(self._settings.request_seconds):
            async with self._slots:
                return await self._answer_to(request)
        raise TransportTimeoutError(f"no answer to {name} in {self._settings.request_seconds:g} seconds")

    def failure(self) -> EngineError:
        """What ended the client: a new exception for each who is to be told."""
        if self._ended_by is not None:
            return self._ended_by()
        reason = self._machine.data.reason
        match self.state:
            case LinkState.TAKEN_OVER:
                return TakenOverError(f"device {self._who.device}: {reason}")
            case LinkState.REFUSED:
                return AuthenticationError("the server turned the token away")
            case LinkState.FAULTY:
                return RemoteProtocolError(self._machine.data.path or "$", reason)
            case LinkState.GIVEN_UP:
                return TransportTimeoutError(reason)
            case _:
                return TransportClosedError("this client is closed")

    def _check_alive(self) -> None:
        if self._machine.is_over:
            raise self.failure()

    # -- requests

    def _written(self, name: str, asked: object, event_id: str) -> _Request:
        value = self.reader.codec.to_value(asked)
        event = {"id": event_id, "date": round(time.time() * 1000)}
        text = msgspec.json.encode({"type": name, "data": value, "event": event}).decode()
        return _Request(event_id, text)

    async def _answer_to(self, request: _Request) -> Frame:
        self._check_alive()
        if request.event_id in self._asked:
            raise LocalProtocolError("a request with this event.id waits for its answer")
        self._asked[request.event_id] = request
        try:
            if self.state is LinkState.READY:
                self._post(request)
            await request.done.wait()
        finally:
            del self._asked[request.event_id]
            with contextlib.suppress(ValueError):
                self._outbox.remove(request)
        if request.answer is None:
            raise self.failure()
        return request.answer

    def _post(self, request: _Request) -> None:
        self._outbox.append(request)
        self._posted.set()

    # -- the machine

    def _perform(self, request: Request) -> None:
        match request:
            case life.Dial(number):
                self._outbox.clear()
                self._hang_up = trio.CancelScope()
                self._nursery.start_soon(self._dial, number, self._hang_up)
            case life.Introduce():
                who = self._who
                shown = wire.Authenticate(token=who.token, device=who.device, since=self._cursor.resume)
                self._post(self._written(wire.AUTHENTICATE, shown, ""))
            case life.Resume():
                for asked in self._asked.values():
                    self._post(asked)
            case life.HangUp():
                self._hang_up.cancel()

    def _end(self) -> None:
        """Nobody is to wait for what cannot come any more."""
        self._events_in.close()
        for request in self._asked.values():
            request.done.set()

    # -- one link

    async def _dial(self, number: int, opening: trio.CancelScope) -> None:
        """Open a link, talk over it until it ends, and say how it ended."""
        lost = TransportBrokenError("not connected in time")
        try:
            with opening:
                async with self._open_link() as link:
                    # From here on hanging up is to close the link, which may take its time.
                    self._hang_up = trio.CancelScope()
                    lost = TransportBrokenError("not authenticated in time")
                    self._machine.tell(life.NoteOpened(dial=number))
                    with self._hang_up:
                        await self._talk(link, number)
        except TransportError as error:
            lost = TransportBrokenError(str(error), getattr(error, "code", None))
        except RemoteProtocolError as fault:
            self._machine.tell(life.NoteFault(dial=number, path=fault.path, reason=fault.reason))
        except ConfigurationError as error:
            self._end_by(ConfigurationError, error.key, error.reason)
        delay = self._delay()
        self._machine.tell(life.LoseLink(dial=number, code=lost.code, reason=str(lost), delay_seconds=delay))

    def _delay(self) -> float:
        if not self._machine.data.failures:
            settings = self._settings
            self._delays = backoff(
                self._draw,
                first_seconds=settings.first_delay_seconds,
                ceiling_seconds=settings.longest_delay_seconds,
            )
        return next(self._delays)

    def _end_by(self, kind: type[EngineError], *arguments: str) -> None:
        self._ended_by = lambda: kind(*arguments)
        self.close()

    async def _talk(self, link: Link, number: int) -> None:
        failure: EngineError | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, link)
            try:
                while not self._machine.is_over:
                    self._take(self.reader.frame(await link.receive()), number)
            except EngineError as error:
                # Raised again outside of the nursery, which would wrap it in a group.
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _write(self, link: Link) -> None:
        while True:
            while self._outbox:
                try:
                    await link.send(self._outbox.popleft().text)
                except TransportError:
                    # Reading tells how it ended, after what came before the end.
                    return
            self._posted = trio.Event()
            await self._posted.wait()

    # -- what comes in

    def _take(self, frame: Frame, number: int) -> None:
        if frame.type == wire.INVALID_CONNECTION:
            self._machine.tell(life.NoteTakeOver(dial=number))
        elif frame.type == wire.USER_INFO:
            self._cursor.begin(self.reader.welcome(frame).since)
            self._machine.tell(life.NoteWelcome(dial=number))
        elif frame.type in REQUESTS:
            self._take_answer(frame)
        elif frame.type == "error":
            raise RemoteProtocolError("$", f"the server cannot read a frame of ours: {frame.error.message}")
        else:
            event = self.reader.event(frame)
            if self._cursor.is_new(event.version):
                self._hear(event)

    def _take_answer(self, frame: Frame) -> None:
        self._cursor.prove()
        request = self._asked.get(frame.event.id)
        # Nobody waits for an answer that came too late, or twice because its request was sent twice.
        if request is not None and request.answer is None:
            request.answer = frame
            request.done.set()

    def _hear(self, event: Heard) -> None:
        try:
            self._events_in.send_nowait(event)
        except trio.WouldBlock:
            if self._settings.when_full is WhenFull.END:
                self._end_by(OverloadedError, f"{self._settings.events_max} events were not taken")
                return
            self.events.receive_nowait()
            self.dropped += 1
            self._events_in.send_nowait(event)


REQUESTS = frozenset(
    f"{wire.PREFIX}{name}"
    for name in (
        "requestDirectVideochat",
        "invite",
        "acceptVideochatRequest",
        "declineVideochatRequest",
        "mergeToVideochat",
        "getToken",
        "onConnection",
        "onDisconnection",
        "userGoesToBackgroundMode",
        "userReturnsFromBackgroundMode",
    )
)
"""Types of requests; a frame of one of these types is an answer."""
