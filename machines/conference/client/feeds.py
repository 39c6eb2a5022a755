"""Drives the streams and the views of a seat: their peers, what the host is told of them, and their ends."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

import attrs
import structlog
import trio

from engine.effects import Request
from engine.errors import EngineError, LocalProtocolError, TransportClosedError, TransportError
from engine.media import protocol as p
from engine.runtime.local import LocalMachine
from machines.conference import endpoints, wire
from machines.conference import wire_answers as answers
from machines.conference.client import feed as life
from machines.conference.client.calls import Calls
from machines.conference.client.errors import ConferenceRefusedError, FeedFailedError
from machines.conference.client.feed import FEED_TABLE, FeedLife, FeedState
from machines.conference.client.parting import part, try_to
from machines.conference.client.peers import ClientPeers
from machines.conference.client.settings import ClientSettings

BAD_REQUEST = 400
SERVER_ERRORS = 500

_FINAL_ERRORS = (LocalProtocolError, p.BadSourceError, p.BadSinkError)
"""Asked again they would end the same, whatever the host does."""

_PASSING_ERRORS = (TransportError, p.MediaTimeoutError, p.WorkerGoneError, p.HostBusyError)
"""Nobody has said no."""

log = structlog.get_logger("switchhook.conference.client")


@attrs.frozen(kw_only=True)
class Stand:
    """Where a feed stands: in which conference, at which host, with which media."""

    conference_id: str
    endpoint_id: str
    calls: Calls
    peers: ClientPeers
    nursery: trio.Nursery
    settings: ClientSettings
    delays: Callable[[], Iterator[float]]
    """Fresh delays before something is tried again."""
    feeds: "dict[FeedDriver, None]" = attrs.field(factory=dict, repr=False)
    """Streams and views of which something may be left."""

    @property
    def who(self) -> dict[str, Any]:
        """What every body begins with."""
        return {"conference_id": self.conference_id, "user_endpoint_id": self.endpoint_id}


class FeedDriver(ABC):
    """One stream or one view, through all the peers that it takes."""

    def __init__(self, stand: Stand, stream_id: str) -> None:
        self.stream_id = stream_id
        self.is_played = False
        """The source has no more."""
        self.machine = LocalMachine(FEED_TABLE, stream_id, self._perform)
        self._stand = stand
        self._delays: Iterator[float] = iter(())
        self._opening = trio.CancelScope()
        self._peers: dict[int, str] = {}
        """Peers by their attempts that may be there at the media host."""
        self._negotiations = 0
        self._is_told = False
        """The host may know of it."""
        self._first_failure: EngineError | None = None
        self._fault = ""

    @property
    def state(self) -> FeedState:
        """Where it stands."""
        return self.machine.state

    @property
    def life(self) -> FeedLife:
        """What its machine remembers."""
        return self.machine.data

    async def open(self) -> None:
        """Open it, and wait until it is live for the first time.

        Raises:
            EngineError: it could not be had.
        """
        self._stand.nursery.start_soon(self.machine.fire_timers)
        self.machine.tell(life.OpenFeed())
        try:
            while not (self.life.parts or self.machine.is_over):
                await self.machine.wait()
        finally:
            if not self.life.parts:
                await self.close()
        if not self.life.parts:
            raise self._first_failure or self.failure()

    async def close(self) -> None:
        """End it, here and at the host; also when cancelled. Idempotent."""
        self.machine.tell(life.CloseFeed())
        await part(self.withdraw, self._stand.settings)

    async def withdraw(self) -> None:
        """Leave nothing of it behind; goes on where it was stopped."""
        self.machine.tell(life.CloseFeed())
        while self._negotiations:
            await self.machine.wait()
        await self._end_at_both_ends()
        self._stand.feeds.pop(self, None)

    def forget_host(self) -> None:
        """The host has ended it already."""
        self._is_told = False

    async def close_peers(self) -> None:
        """Close what may be there at the media host; then what was recorded is complete."""
        for attempt in [*self._peers]:
            await self._close_peer(attempt)

    async def wait_for(self, *states: FeedState) -> FeedState:
        """Wait until it is in one of `states`.

        Raises:
            EngineError: it has ended in another; see `failure`.
        """
        await trio.lowlevel.checkpoint()
        while self.state not in states:
            if self.machine.is_over:
                raise self.failure()
            await self.machine.wait()
        return self.state

    async def wait_finished(self) -> None:
        """Wait until the source has no more.

        Raises:
            EngineError: the feed has ended before.
        """
        while not self.is_played:
            if self.machine.is_over:
                raise self.failure()
            await self.machine.wait()

    def failure(self) -> EngineError:
        """What ended it: a new exception for each who is to be told."""
        if self.state is FeedState.CLOSED:
            return TransportClosedError("it was closed")
        return FeedFailedError(self._fault or self.life.reason)

    # -- what a stream and a view do each in its way

    @abstractmethod
    def _peer(self, peer_id: str) -> p.OpenFramePeer:
        """The peer to open next."""

    @abstractmethod
    async def _ask_host(self, sdp_offer: str) -> str:
        """The host's answer to an offer."""

    @abstractmethod
    async def _send_candidates(self, candidates: tuple[wire.IceCandidate, ...]) -> None:
        """Send what came with the offer, as clients do after the answer."""

    @abstractmethod
    async def _end_at_both_ends(self) -> None:
        """Close the peers and tell the host, in the order that is good for it."""

    # -- the machine

    def _perform(self, request: Request) -> None:
        nursery = self._stand.nursery
        match request:
            case life.Negotiate(attempt):
                self._drop(attempt - 1)
                self._opening = trio.CancelScope()
                self._negotiations += 1
                nursery.start_soon(self._negotiate, attempt, self._opening)
            case life.DropPeer(attempt):
                self._drop(attempt)
            case life.Withdraw():
                nursery.start_soon(self.withdraw)

    def _drop(self, attempt: int) -> None:
        self._opening.cancel()
        if attempt in self._peers:
            self._stand.nursery.start_soon(self._drop_peer, attempt)

    async def _drop_peer(self, attempt: int) -> None:
        await self._close_peer(attempt)
        # For a peer that did not connect in time; the others are known to be gone.
        self._lose(attempt, "it did not connect in time")

    # -- peers

    async def _negotiate(self, attempt: int, opening: trio.CancelScope) -> None:
        try:
            with opening:
                await self._connect(attempt)
        except EngineError as error:
            self._first_failure = self._first_failure or error
            self._lose(attempt, str(error), is_refusal=_is_refusal(error), is_final=_is_final(error))
        finally:
            self._negotiations -= 1
            self.machine.wake()

    async def _connect(self, attempt: int) -> None:
        media, seconds = self._stand.peers.media, self._stand.settings.media_seconds
        peer_id = self._peers[attempt] = secrets.token_hex(16)
        offered = await media.request(self._peer(peer_id), seconds=seconds)
        assert isinstance(offered, p.Offered)
        self._stand.peers.own(peer_id, lambda event: self._hear(attempt, event))
        self._is_told = True
        sdp_answer = await self._ask_host(offered.with_candidates())
        await media.request(p.TakeAnswer(peer_id=peer_id, sdp_answer=sdp_answer), seconds=seconds)
        self.machine.tell(life.NoteAnswered(attempt=attempt))
        candidates = tuple(_wired(one) for one in offered.candidates if one.candidate)
        if candidates:
            # The offer has them too: a host that does not take them apart is as well off.
            await try_to("candidates", self._send_candidates(candidates))

    def _hear(self, attempt: int, event: p.PeerEvent) -> None:
        match event:
            case p.PeerConnected():
                self.machine.tell(life.NoteConnected(attempt=attempt))
            case p.SourceFinished():
                self.is_played = True
                self.machine.wake()
            case p.PeerFault():
                self._fault = f"the {event.where} of its peer failed: {event.error}"
            case p.PeerClosed():
                is_fault = event.reason is p.CloseReason.FAULT
                self._lose(attempt, self._fault or f"its peer was closed: {event.reason}", is_final=is_fault)

    def _lose(self, attempt: int, reason: str, *, is_refusal: bool = False, is_final: bool = False) -> None:
        if not self.life.losses:
            self._delays = self._stand.delays()
        self.machine.tell(
            life.LosePeer(
                attempt=attempt,
                reason=reason,
                delay_seconds=next(self._delays),
                is_refusal=is_refusal,
                is_final=is_final,
            )
        )

    async def _close_peer(self, attempt: int) -> None:
        peer_id = self._peers.get(attempt)
        if peer_id is None:
            return
        self._stand.peers.disown(peer_id)
        request = p.ClosePeer(peer_id=peer_id)
        closed = self._stand.peers.media.request(request, seconds=self._stand.settings.media_seconds)
        if await try_to("close a peer", closed):
            self._peers.pop(attempt, None)


class StreamDriver(FeedDriver):
    """What this endpoint publishes."""

    def __init__(
        self,
        stand: Stand,
        stream_id: str,
        source: p.FrameSource,
        stream_type: wire.StreamType,
        metadata: Mapping[str, Any] | None,
        bitrate_bps: int | None,
    ) -> None:
        super().__init__(stand, stream_id)
        self._source = source
        self._type = stream_type
        self.metadata = metadata
        self.bitrate_bps = bitrate_bps

    def _peer(self, peer_id: str) -> p.OpenFramePeer:
        return p.OpenFramePeer(peer_id=peer_id, send=self._source)

    async def _ask_host(self, sdp_offer: str) -> str:
        try:
            return await self._publish(sdp_offer)
        except ConferenceRefusedError as error:
            if error.status != BAD_REQUEST or self.life.attempt == 1:
                raise
        # The host has not noticed yet that the peer before is lost.
        await try_to("unpublish", self._unpublish())
        return await self._publish(sdp_offer)

    async def _publish(self, sdp_offer: str) -> str:
        body = wire.ConferencePublishStreamWebCommand(
            **self._stand.who,
            stream_id=self.stream_id,
            conference_stream_type=self._type,
            sdp_offer=sdp_offer,
            metadata=self.metadata,
            video_bitrate=self.bitrate_bps,
        )
        result = await self._stand.calls.ask(endpoints.PUBLISH.path, body, answers.ConferencePublishResult)
        return result.sdp_answer

    async def _send_candidates(self, candidates: tuple[wire.IceCandidate, ...]) -> None:
        body = wire.ConferencePublishStreamIceCandidatesWebCommand(
            **self._stand.who, stream_id=self.stream_id, ice_candidates=candidates
        )
        await self._stand.calls.do(endpoints.PUBLISH_CANDIDATES.path, body)

    async def _unpublish(self) -> None:
        body = wire.ConferenceUnpublishStreamWebCommand(**self._stand.who, stream_id=self.stream_id)
        await self._stand.calls.do(endpoints.UNPUBLISH.path, body)

    async def _end_at_both_ends(self) -> None:
        # The host first: to it a peer that closes by itself is a stream that was lost.
        if self._is_told:
            await try_to("unpublish", self._unpublish())
            self._is_told = False
        await self.close_peers()


class ViewDriver(FeedDriver):
    """What this endpoint views."""

    def __init__(self, stand: Stand, stream_id: str, sink: p.FrameSink, viewer_id: str) -> None:
        super().__init__(stand, stream_id)
        self.viewer_id = viewer_id
        self._sink = sink

    @property
    def recordings(self) -> tuple[str, ...]:
        """Files of a FileSink, one for each peer that has connected, in order."""
        if not isinstance(self._sink, p.FileSink):
            return ()
        return tuple(part_path(self._sink.path, number) for number in range(1, self.life.parts + 1))

    def _peer(self, peer_id: str) -> p.OpenFramePeer:
        sink = self._sink
        if isinstance(sink, p.FileSink):
            # A file that is opened again is overwritten.
            sink = attrs.evolve(sink, path=part_path(sink.path, self.life.parts + 1))
        return p.OpenFramePeer(peer_id=peer_id, receive=sink)

    async def _ask_host(self, sdp_offer: str) -> str:
        body = wire.ConferenceViewStreamWebCommand(
            **self._stand.who, stream_id=self.stream_id, viewer_id=self.viewer_id, sdp_offer=sdp_offer
        )
        result = await self._stand.calls.ask(endpoints.VIEW.path, body, answers.ConferenceStreamViewResult)
        # The host may have an id of its own for it.
        self.viewer_id = result.viewer_id or self.viewer_id
        return result.sdp_answer

    async def _send_candidates(self, candidates: tuple[wire.IceCandidate, ...]) -> None:
        body = wire.ConferenceViewStreamIceCandidatesWebCommand(
            **self._stand.who,
            stream_id=self.stream_id,
            viewer_id=self.viewer_id,
            ice_candidates=candidates,
        )
        await self._stand.calls.do(endpoints.VIEW_CANDIDATES.path, body)

    async def _stop(self) -> None:
        body = wire.ConferenceStopViewStreamWebCommand(
            **self._stand.who, stream_id=self.stream_id, viewer_id=self.viewer_id
        )
        await self._stand.calls.do(endpoints.STOP_VIEW.path, body)

    async def _end_at_both_ends(self) -> None:
        # Our peer first: the recording is complete whatever the host says.
        await self.close_peers()
        if self._is_told:
            await try_to("stop a view", self._stop())
            self._is_told = False


def part_path(path: str, number: int) -> str:
    """The file of the `number`-th part: `call.webm`, then `call-2.webm`."""
    if number == 1:
        return path
    whole = PurePath(path)
    return str(whole.with_name(f"{whole.stem}-{number}{whole.suffix}"))


def _wired(candidate: p.Candidate) -> wire.IceCandidate:
    return wire.IceCandidate(
        candidate=candidate.candidate,
        sdp_mid=candidate.sdp_mid,
        sdp_m_line_index=candidate.sdp_m_line_index,
    )


def _is_refusal(error: EngineError) -> bool:
    if isinstance(error, ConferenceRefusedError):
        return error.status < SERVER_ERRORS
    return not isinstance(error, _PASSING_ERRORS)


def _is_final(error: EngineError) -> bool:
    return isinstance(error, _FINAL_ERRORS)
