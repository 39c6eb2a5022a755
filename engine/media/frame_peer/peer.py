"""A peer with frames: an aiortc connection that plays sources, records into sinks, or both, under asyncio."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import AudioFrame, VideoFrame

from engine.errors import MediaError
from engine.media.frame_peer.connection import (
    SentTrack,
    add_candidate,
    described,
    description,
    new_connection,
    offered_kinds,
    stop_again,
    tasks_of,
)
from engine.media.frame_peer.parts import FramePeerConfig, Played, Recorded, seconds_of
from engine.media.frame_peer.queues import FrameQueue
from engine.media.frame_peer.sinks import Sink
from engine.media.frame_peer.sources import Source
from engine.media.frame_peer.tasks import Tasks
from engine.media.protocol import (
    BadOfferError,
    Candidate,
    CloseReason,
    Kind,
    MediaEvent,
    PeerClosed,
    PeerConnected,
    PeerFault,
    SourceFinished,
)

EARLY_CANDIDATES_MAX = 100
"""Candidates that wait for the other side's description."""
TAIL_SECONDS = 1.0
"""How long the last frames may take from a decoder that has ended."""


class FramePeer:
    """One connection, used once. Add sources and sinks first, then offer or answer, then `close` in any case.

    `emit` is called on the loop, and must neither block nor raise. PeerClosed is the last event of a peer.
    """

    def __init__(self, config: FramePeerConfig, emit: Callable[[MediaEvent], None]) -> None:
        self._config, self._emit = config, emit
        self._connection = new_connection()
        self._connection.on("connectionstatechange", self._state_changed)
        self._connection.on("track", self._track_came)
        self._played: list[Played] = []
        self._recorded: list[Recorded] = []
        self._early: list[Candidate] = []
        self._tasks = Tasks(self._task_failed)
        self._describing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._began_at = 0.0
        self._connected = False
        self._faults = self._abandoned = 0

    # -- what flows

    async def add_source(self, source: Source) -> None:
        """Send its frames once connected; that the last source has ended is told, and the peer stays.

        Raises:
            MediaError: it cannot be opened, a kind has a source already, or it is too late.
        """
        self._check_is_new()
        try:
            kinds = await source.open()
            self._check_is_new()
            self._check_are_free(kinds, {Kind(track.kind) for one in self._played for track in one.tracks})
        except BaseException:
            await source.close()
            raise
        queues = {kind: self._config.queue() for kind in kinds}
        tracks = tuple(SentTrack(kind, queue) for kind, queue in queues.items())
        self._played.append(Played(source=source, queues=queues, tracks=tracks))
        for track in tracks:
            track.on("ended", lambda track=track: self._track_ended(track))

    def add_sink(self, sink: Sink) -> None:
        """Give it what comes of its kinds. A kind goes to one sink; a callable can share it out.

        Raises:
            MediaError: a kind has a sink already, or it is too late.
        """
        self._check_is_new()
        self._check_are_free(sink.kinds, {kind for one in self._recorded for kind in one.sink.kinds})
        self._recorded.append(Recorded(sink=sink, queue=self._config.queue()))

    def _check_is_new(self) -> None:
        if self._deadline is not None or self._closing is not None:
            raise MediaError("the peer has begun already")

    def _check_are_free(self, kinds: tuple[Kind, ...], taken: set[Kind]) -> None:
        if taken & {*kinds}:
            raise MediaError("the peer has one source and one sink of a kind")

    # -- negotiation

    async def offer(self) -> str:
        """Our offer, with every candidate inside.

        Raises:
            MediaError: there is nothing to send or receive, or the peer has begun already.
        """
        self._begin()
        self._add_tracks()
        await self._describe(self._describe_ourselves("offer"), "offer")
        return self._local_sdp()

    async def take_answer(self, sdp: str, candidates: tuple[Candidate, ...] = ()) -> None:
        """The other side's answer to our offer.

        Raises:
            BadAnswerError: it cannot be used.
        """
        await self._describe(self._take(sdp, "answer", candidates), "answer")

    async def add_candidates(self, candidates: tuple[Candidate, ...]) -> None:
        """More of the other side's, whose description may come later.

        Raises:
            BadOfferError: one cannot be read, or too many wait for the description.
        """
        if not all(one.is_well_formed for one in candidates):
            raise BadOfferError("a candidate cannot be read")
        if self._connection.remoteDescription is not None:
            for one in candidates:
                await described(add_candidate(self._connection, one), "candidate")
            return
        if len(self._early) + len(candidates) > EARLY_CANDIDATES_MAX:
            raise BadOfferError("there are too many candidates")
        self._early += candidates

    async def answer(self, sdp: str) -> str:
        """Our answer to an offer, with every candidate inside.

        Raises:
            BadOfferError: the offer cannot be used, or has no kind that is played or recorded here.
            MediaError: the peer has begun already.
        """
        kinds = offered_kinds(sdp)
        self._begin()
        if not {*kinds} & {*self._kinds()}:
            raise BadOfferError("the offer has no kind that is played or recorded")
        self._add_tracks(kinds)
        await self._describe(self._take(sdp, "offer", ()), "offer")
        await self._describe(self._describe_ourselves("answer"), "offer")
        return self._local_sdp()

    def _begin(self) -> None:
        self._check_is_new()
        if not self._played and not self._recorded:
            raise MediaError("the peer has neither source nor sink")
        self._began_at = time.monotonic()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._config.connect_seconds, self._not_connected)

    def _kinds(self) -> Iterator[Kind]:
        for played in self._played:
            yield from played.queues
        for recorded in self._recorded:
            yield from recorded.sink.kinds

    def _add_tracks(self, offered: tuple[Kind, ...] | None = None) -> None:
        """In the order of the offer, or else aiortc closes the sockets that they share."""
        sent = {Kind(track.kind): track for one in self._played for track in one.tracks}
        wanted = {kind for one in self._recorded for kind in one.sink.kinds}
        for kind in Kind if offered is None else offered:
            track, receives = sent.pop(kind, None), kind in wanted
            wanted.discard(kind)
            if track is not None:
                self._connection.addTransceiver(track, direction="sendrecv" if receives else "sendonly")
            elif receives:
                self._connection.addTransceiver(kind.value, direction="recvonly")
            elif offered is not None:
                # Nobody wants it here, and aiortc would start a thread that decodes it.
                self._connection.addTransceiver(kind.value, direction="inactive")

    async def _describe(self, work: Coroutine[Any, Any, None], what: str) -> None:
        # Cancelled half way, aiortc would leave sockets that nothing closes; the end waits for it instead.
        task = asyncio.get_running_loop().create_task(described(work, what), name="describe")
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._describing = task
        await asyncio.shield(task)

    async def _describe_ourselves(self, kind: str) -> None:
        make = self._connection.createOffer if kind == "offer" else self._connection.createAnswer
        await self._connection.setLocalDescription(await make())
        self._tasks.watch(tasks_of(self._connection))

    async def _take(self, sdp: str, kind: str, candidates: tuple[Candidate, ...]) -> None:
        await self._connection.setRemoteDescription(description(sdp, kind, candidates))
        self._tasks.watch(tasks_of(self._connection))
        early, self._early = self._early, []
        for one in early:
            await add_candidate(self._connection, one)

    def _local_sdp(self) -> str:
        return str(self._connection.localDescription.sdp)

    # -- changes of state

    def _state_changed(self) -> None:
        state = self._connection.connectionState
        if state == "connected" and not self._connected and self._closing is None:
            self._connected = True
            self._emit(PeerConnected(peer_id=self._config.peer_id, milliseconds=self._milliseconds()))
            for one in self._played:
                one.plays = self._tasks.spawn("source", self._play(one))
        elif state in ("failed", "closed"):
            failed = CloseReason.LOST if self._connected else CloseReason.FAILED
            self._end(failed if state == "failed" else CloseReason.REMOTE)

    def _milliseconds(self) -> float:
        return 1000 * (time.monotonic() - self._began_at)

    def _not_connected(self) -> None:
        if not self._connected:
            self._end(CloseReason.FAILED)

    def _track_came(self, track: MediaStreamTrack) -> None:
        for one in self._recorded:
            if track.kind in one.sink.kinds:
                one.coming.add(Kind(track.kind))
                self._tasks.spawn("receive", self._receive(track, one.queue))
                if one.writes is None:
                    one.writes = self._tasks.spawn("sink", self._write(one))

    def _track_ended(self, track: SentTrack) -> None:
        if self._closing is None and not track.complete:
            self._fault("encoder", MediaError("the encoder has stopped"))
            self._end(CloseReason.FAULT)
        elif self._closing is None and all(
            one.readyState == "ended" for played in self._played for one in played.tracks
        ):
            self._emit(SourceFinished(peer_id=self._config.peer_id))

    # -- tasks

    async def _play(self, played: Played) -> None:
        try:
            origin: float | None = None
            while (frame := await played.source.next()) is not None:
                if played.source.paced:
                    due_at = seconds_of(frame)
                    origin = time.monotonic() - due_at if origin is None else origin
                    await asyncio.sleep(max(0.0, origin + due_at - time.monotonic()))
                played.put(frame)
        finally:
            for queue in played.queues.values():
                queue.end()

    async def _receive(self, track: MediaStreamTrack, queue: FrameQueue) -> None:
        # aiortc's own queue has no limit, so this must never wait for the sink.
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, AudioFrame | VideoFrame):
                    queue.put(frame)
        except MediaStreamError:
            return

    async def _write(self, recorded: Recorded) -> None:
        # All tracks of a description have come before this begins.
        await recorded.sink.run(recorded.queue, tuple(recorded.coming))

    def _task_failed(self, name: str, error: BaseException) -> None:
        if name == "connect" and self._closing is not None:
            # It was closed before it was there, which aiortc takes for an error.
            return
        self._fault(name, error)
        ours = name in ("source", "sink")
        self._end(CloseReason.FAULT if ours else CloseReason.FAILED)

    def _fault(self, where: str, error: BaseException) -> None:
        self._faults += 1
        self._emit(PeerFault(peer_id=self._config.peer_id, where=where, error=type(error).__name__))

    # -- end

    @property
    def ending(self) -> bool:
        """It is closed, or about to be."""
        return self._closing is not None

    async def close(self, reason: CloseReason = CloseReason.REQUESTED) -> None:
        """End it and wait for the end; the first reason counts. A cancelled wait does not stop the end."""
        self._end(reason)
        assert self._closing is not None
        await asyncio.shield(self._closing)

    def _end(self, reason: CloseReason) -> None:
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(reason), name="close")

    async def _close(self, reason: CloseReason) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        for task in self._tasks.named("source"):
            task.cancel()
        # aiortc first: its decoders give their last frames, and then the sinks can finish.
        await self._within("connection", self._close_connection())
        await self._within("rest", self._close_rest())
        self._abandoned += await self._tasks.cancel_all(self._config.close_seconds)
        self._emit(PeerClosed(peer_id=self._config.peer_id, reason=reason))

    async def _close_connection(self) -> None:
        if self._describing is not None:
            await asyncio.wait({self._describing})
        connects = self._tasks.named("connect")
        await self._connection.close()
        for task in connects:
            task.cancel()
        if connects:
            await asyncio.wait(connects)
            await stop_again(self._connection)

    async def _close_rest(self) -> None:
        if receives := self._tasks.named("receive"):
            # A decoder that never began does not end its track either.
            _, late = await asyncio.wait(receives, timeout=TAIL_SECONDS if self._connected else 0)
            for task in late:
                task.cancel()
        # Side by side: one that is stuck must not keep the others from finishing.
        await asyncio.gather(
            *map(self._close_played, self._played), *map(self._close_recorded, self._recorded)
        )

    async def _close_played(self, played: Played) -> None:
        if played.plays is not None:
            await asyncio.wait({played.plays})
        await self._told("source", played.source.close())

    async def _close_recorded(self, recorded: Recorded) -> None:
        recorded.queue.end()
        if recorded.writes is not None:
            await asyncio.wait({recorded.writes})
        await self._told("sink", recorded.sink.close())

    async def _told(self, where: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # Each has to be closed, whatever the others do.
            self._fault(where, error)

    async def _within(self, where: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._told(where, work), name=f"close {where}")
        _, late = await asyncio.wait({task}, timeout=self._config.close_seconds)
        if late:
            task.cancel()
            self._abandoned += 1
            self._fault(f"close {where}", TimeoutError())

    # -- figures

    def statistics(self) -> Mapping[str, float]:
        """Figures by name; those of a kind begin with it."""
        values = {
            "connected": float(self._connected),
            "tasks_count": len(self._tasks),
            "faults_count": self._faults,
            "abandoned_count": self._abandoned,
        }
        for played in self._played:
            values.update(played.figures())
        for recorded in self._recorded:
            values.update(recorded.figures())
        return values
