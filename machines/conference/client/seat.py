"""Drives a seat: steps its machine, asks the host, and tells its streams, its views and the program."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import trio

from engine.effects import Request
from engine.errors import (
    EngineError,
    OverloadedError,
    RemoteProtocolError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
)
from engine.runtime.local import LocalMachine
from engine.vocabulary import Command
from machines.conference import endpoints, wire
from machines.conference import wire_answers as answers
from machines.conference import wire_events as told
from machines.conference.client import feed
from machines.conference.client import session as life
from machines.conference.client.errors import ConferenceOverError, ConferenceRefusedError
from machines.conference.client.events import Resumed, Source
from machines.conference.client.feeds import FeedDriver, Stand, StreamDriver, ViewDriver
from machines.conference.client.parting import part, try_to
from machines.conference.client.picture import Picture, picture_of
from machines.conference.client.session import SESSION_TABLE, SessionLife, SessionState
from machines.conference.client.settings import WhenFull

SERVER_ERRORS = 500
TOO_MANY = 429


class SeatDriver:
    """One endpoint in one conference."""

    def __init__(
        self,
        stand: Stand,
        metadata: Mapping[str, Any] | None,
        register: Callable[[], Awaitable[object]],
    ) -> None:
        self.stand = stand
        self.dropped = 0
        self._metadata = metadata
        self._register = register
        """Asks the host again to know the endpoint, which it may have dropped."""
        self._machine = LocalMachine(SESSION_TABLE, stand.endpoint_id, self._perform, self._end)
        self._delays: Iterator[float] = stand.delays()
        self._sources: tuple[Source, ...] = ()
        self._refusal: ConferenceRefusedError | None = None
        self._is_overloaded = False
        self._is_told = False
        """The host may have let the endpoint in."""
        events = trio.open_memory_channel[told.ConferenceEvent](stand.settings.events_max)
        self._events_in, self.events = events

    # -- for the program

    @property
    def conference_id(self) -> str:
        """Which conference it is."""
        return self.stand.conference_id

    @property
    def endpoint_id(self) -> str:
        """Which endpoint it is."""
        return self.stand.endpoint_id

    @property
    def state(self) -> SessionState:
        """Where it stands."""
        return self._machine.state

    @property
    def picture(self) -> Picture:
        """The conference as far as it was heard."""
        data: SessionLife = self._machine.data
        return data.picture

    async def open(self, *sources: Source) -> None:
        """Join; the first of `sources` that the host has is heard from then on.

        Raises:
            EngineError: it cannot be joined; see `failure`.
        """
        self._sources = sources
        nursery = self.stand.nursery
        nursery.start_soon(self._machine.fire_timers)
        nursery.start_soon(self._listen)
        self._machine.tell(life.OpenSeat(give_up_seconds=self.stand.settings.give_up_seconds))
        await self.wait_inside()

    async def wait_inside(self) -> None:
        """Until it is inside and in step with the host.

        Raises:
            EngineError: it is over; see `failure`.
        """
        await trio.lowlevel.checkpoint()
        while self.state is not SessionState.INSIDE:
            self.check()
            await self._machine.wait()

    async def wait(self) -> None:
        """Until something may have changed."""
        await self._machine.wait()

    def check(self) -> None:
        """Raises: EngineError: it is over; see `failure`."""
        if self._machine.is_over:
            raise self.failure()

    async def leave(self) -> None:
        """Say goodbye to the host, and end everything; also when cancelled. Idempotent."""
        # Before the host says it: whoever hears that he was put out would come back.
        self._machine.tell(life.LeaveSeat())
        await part(self._say_goodbye, self.stand.settings)

    def failure(self) -> EngineError:
        """What ended it: a new exception for each who is to be told."""
        if self._is_overloaded:
            return OverloadedError(f"{self.stand.settings.events_max} events were not taken")
        data: SessionLife = self._machine.data
        match self.state:
            case SessionState.ENDED:
                return ConferenceOverError(f"the conference has ended: {data.reason or 'no reason'}")
            case SessionState.REFUSED if self._refusal is not None:
                refusal = self._refusal
                return type(refusal)(refusal.status, refusal.error, refusal.description)
            case SessionState.GIVEN_UP:
                return TransportTimeoutError(data.reason)
            case SessionState.FAULTY:
                return RemoteProtocolError(data.path or "$", data.reason)
            case _:
                return TransportClosedError("this seat was left")

    # -- for where events come from

    @property
    def since(self) -> int:
        """The version that comes next."""
        return self.picture.version

    def hear(self, event: told.ConferenceEvent) -> None:
        """An event came."""
        self._machine.tell(life.Hear(event))

    def doubt(self) -> None:
        """The host may know less than this seat, or may have dropped its endpoint."""
        self._machine.tell(life.NoteDoubt())

    def fault(self, error: RemoteProtocolError) -> None:
        """What the host sent cannot be read."""
        self._machine.tell(life.NoteFault(path=error.path, reason=error.reason))

    async def _listen(self) -> None:
        for source in self._sources:
            try:
                await source.run()
            except EngineError:
                # It has ended, and the program is told by whatever it does next.
                return

    # -- the machine

    def _end(self) -> None:
        """Nobody is to wait for what cannot come any more."""
        self._events_in.close()
        if self.state in (SessionState.ENDED, SessionState.REFUSED):
            self._is_told = False
        for one in [*self.stand.feeds]:
            if not self._is_told:
                one.forget_host()
            one.machine.tell(feed.CloseFeed())

    def _perform(self, request: Request) -> None:
        match request:
            case life.Join(attempt):
                self._is_told = True
                self.stand.nursery.start_soon(self._ask, attempt, self._join)
            case life.ReadPicture(attempt):
                self.stand.nursery.start_soon(self._ask, attempt, self._read)
            case life.Follow():
                self._follow(request)
            case life.Deliver(event):
                self._take(event)

    async def _ask(self, attempt: int, ask: Callable[[int], Awaitable[Command]]) -> None:
        """Ask the host, and tell the machine what it says."""
        try:
            note = await ask(attempt)
        except ConferenceRefusedError as error:
            note = self._refused(attempt, error)
        except RemoteProtocolError as fault:
            note = life.NoteFault(path=fault.path, reason=fault.reason)
        except TransportError as error:
            note = self._lost(attempt, str(error))
        self._machine.tell(note)

    async def _join(self, attempt: int) -> Command:
        if self._machine.data.was_inside:
            await self._register()
        body = wire.JoinConferenceWebCommand(**self.stand.who, metadata=self._metadata)
        await self.stand.calls.ask(endpoints.JOIN.path, body, answers.ConferenceSummary)
        return life.NoteJoined(attempt=attempt)

    async def _read(self, attempt: int) -> Command:
        view = await self.stand.calls.simple_view(self.conference_id)
        return life.NotePicture(attempt=attempt, picture=picture_of(view))

    def _refused(self, attempt: int, error: ConferenceRefusedError) -> Command:
        if error.status >= SERVER_ERRORS or error.status == TOO_MANY:
            return self._lost(attempt, str(error))
        self._refusal = error
        return life.NoteRefused(
            attempt=attempt, status=error.status, error=error.error, reason=error.description
        )

    def _lost(self, attempt: int, reason: str) -> Command:
        return life.LoseHost(attempt=attempt, reason=reason, delay_seconds=next(self._delays))

    # -- streams, views and the program

    def _follow(self, request: life.Follow) -> None:
        self._delays = self.stand.delays()
        if request.is_first:
            return
        for source in self._sources:
            source.follow_anew()
        for one in [*self.stand.feeds]:
            self._compare(one, is_forgotten=request.is_joined)
        self._deliver(Resumed(picture=self.picture))

    def _compare(self, one: FeedDriver, *, is_forgotten: bool) -> None:
        """What the host says now, and what a feed believes."""
        is_there = one.stream_id in self.picture.streams
        if isinstance(one, ViewDriver):
            one.machine.tell(feed.NotePresent() if is_there else feed.NoteAbsent())
        if is_forgotten or (isinstance(one, StreamDriver) and not is_there):
            one.machine.tell(feed.NoteForgotten())

    def _take(self, event: told.ConferenceEvent) -> None:
        match event:
            case told.ConferenceStreamPublishedEvent(stream_id=stream_id):
                self._tell_views(stream_id, feed.NotePresent())
            case told.ConferenceStreamUnpublishedEvent(stream_id=stream_id):
                self._tell_views(stream_id, feed.NoteAbsent())
        self._deliver(event)

    def _tell_views(self, stream_id: str, command: Command) -> None:
        for one in [*self.stand.feeds]:
            if isinstance(one, ViewDriver) and one.stream_id == stream_id:
                one.machine.tell(command)

    def _deliver(self, event: told.ConferenceEvent) -> None:
        try:
            self._events_in.send_nowait(event)
        except trio.WouldBlock:
            if self.stand.settings.when_full is WhenFull.END:
                # Not from inside of the step that delivers.
                self.stand.nursery.start_soon(self._end_overloaded)
                return
            self.events.receive_nowait()
            self.dropped += 1
            self._events_in.send_nowait(event)

    async def _end_overloaded(self) -> None:
        self._is_overloaded = True
        self._machine.tell(life.NoteFault(reason="events were not taken"))

    # -- the end

    async def _say_goodbye(self) -> None:
        async with trio.open_nursery() as nursery:
            for one in [*self.stand.feeds]:
                nursery.start_soon(one.withdraw)
        if self._is_told:
            body = wire.LeaveConferenceWebCommand(**self.stand.who, reason="")
            await try_to("leave", self.stand.calls.do(endpoints.LEAVE.path, body))
            self._is_told = False
