"""A router without media for tests of hosts: what a peer does is in its id."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.frame_parts import check
from engine.media.inner import ClosePipe, OpenPipe

TICK_SECONDS = 0.01
UNWIND_SECONDS = 0.02


class StandIn:
    """Peers whose id begins with a word of `_odd` behave oddly; all others are taken in at once."""

    def __init__(self, config: Mapping[str, Any], emit: Callable[[p.MediaEvent], None]) -> None:
        self._config = config
        self._emit = emit
        self._peers: dict[str, p.Publish | p.View | p.FramePeerRequest] = {}
        self._answers: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._begun = 0
        self._pipes: dict[int, tuple[OpenPipe, socket.socket]] = {}

    async def open(self) -> None:
        match self._config.get("open"):
            case "refuse":
                raise MediaError("the port is taken")
            case "crash":
                raise ValueError("never told")
            case "die":
                os._exit(3)
            case "hang":
                await asyncio.sleep(60)
            case "busy":
                ends = time.thread_time() + 0.2
                while time.thread_time() < ends:
                    pass
            case "once":
                self._die_the_second_time()

    def _die_the_second_time(self) -> None:
        try:
            Path(self._config["folder"]).mkdir()
        except FileExistsError:
            os._exit(3)

    async def close(self) -> None:
        if self._config.get("close") == "hang":
            await asyncio.sleep(60)
        if self._config.get("close") == "crash":
            raise ValueError("never told")
        for peer_id in tuple(self._peers):
            self._end(peer_id, p.CloseReason.REQUESTED)
        for _, sock in self._pipes.values():
            sock.close()

    async def connect(self, request: OpenPipe, sock: socket.socket) -> p.MediaAnswer:
        """Keeps the socket; of a stream whose name begins with a word of `_odd`, it is odd there."""
        try:
            if not request.home or self._config.get("odd_home"):
                await self._odd(request.stream_id)
        except BaseException:
            sock.close()
            raise
        self._pipes[request.pipe] = request, sock
        return p.Done()

    def _disconnect(self, request: ClosePipe) -> None:
        opened, sock = self._pipes.pop(request.pipe, (None, None))
        if opened is not None and sock is not None:
            sock.close()
            if not opened.home:
                for peer_id in tuple(self._peers):
                    self._end(peer_id, request.reason, of=opened.stream_id)

    async def handle(self, request: p.MediaRequest) -> p.MediaAnswer:
        match request:
            case p.Publish() | p.View():
                return await self._take_in(request)
            case p.FramePeerRequest():
                return await self._begin(request)
            case p.TakeAnswer():
                self._take_answer(request)
            case p.GetStatistics() if self._config.get("statistics") == "refuse":
                raise p.HostBusyError("not now")
            case p.GetStatistics() if self._config.get("statistics", "none") == self._config.get("worker"):
                os._exit(3)
            case p.GetStatistics():
                return p.Statistics(values=self.figures())
            case ClosePipe():
                self._disconnect(request)
            case p.ClosePeer(peer_id=peer_id, reason=reason):
                self._end(peer_id, reason)
            case p.Drain() if self._config.get("drain") == "never":
                pass
            case p.Drain() if self._config.get("drain") == "crash":
                raise ValueError("never told")
            case p.Drain(seconds=seconds):
                self._keep("drain", self._drain(seconds))
            case p.SelectLayer(layer="callback"):
                asyncio.get_running_loop().call_soon(_fail_at_once)
            case p.AddCandidates(peer_id=peer_id) | p.SelectLayer(peer_id=peer_id):
                self._known(peer_id)
            case p.LimitBitrate(peer_id=peer_id, bitrate_max_bps=count):
                self._known(peer_id)
                for number in range(count):
                    self._emit(p.PeerConnected(peer_id=peer_id, milliseconds=number))
            case p.Mute(peer_id=peer_id):
                self._known(peer_id)
                self._keep("loose", _fail())
        return p.Done()

    def figures(self) -> dict[str, float]:
        return {"peers_count": len(self._peers), "begun": self._begun, "pipes_count": len(self._pipes)}

    def _known(self, peer_id: str) -> None:
        if peer_id not in self._peers:
            raise p.UnknownPeerError("there is no such peer")

    async def _take_in(self, request: p.Publish | p.View) -> p.MediaAnswer:
        if not request.sdp_offer.startswith("v=0"):
            raise p.BadOfferError("it does not begin with v=0")
        if self._is_busy(request):
            raise p.HostBusyError("overloaded")
        known = self._peers.get(request.peer_id)
        if known is not None and (
            type(known) is not type(request)
            or isinstance(known, p.FramePeerRequest)
            or known.stream_id != request.stream_id
        ):
            raise p.PeerExistsError("the id is taken")
        if known is None and isinstance(request, p.Publish) and self._is_published(request.stream_id):
            raise p.PeerExistsError("the stream has a publisher")
        self._begun += 1
        try:
            await self._odd(request.peer_id)
        finally:
            self._begun -= 1
        if known is None:
            self._peers[request.peer_id] = request
            if not request.peer_id.startswith("quiet"):
                self._emit(p.PeerConnected(peer_id=request.peer_id, milliseconds=1.0))
            if request.peer_id.startswith("ticking"):
                self._keep(request.peer_id, self._tick(request.peer_id))
        answer = f"v=0\r\no={request.peer_id}\r\nm=audio\r\n"
        return p.Answered(
            sdp_answer=answer, candidates=(p.Candidate(candidate="one"), p.Candidate(candidate=""))
        )

    async def _begin(self, request: p.FramePeerRequest) -> p.MediaAnswer:
        known = self._peers.get(request.peer_id)
        if known not in (None, request):
            raise p.PeerExistsError("the id is taken")
        check(request)
        self._begun += 1
        try:
            await self._odd(request.peer_id)
        finally:
            self._begun -= 1
        self._peers[request.peer_id] = request
        ours = (p.Candidate(candidate="one"), p.Candidate(candidate=""))
        if isinstance(request, p.AnswerFramePeer):
            if known is None:
                self._emit(p.PeerConnected(peer_id=request.peer_id, milliseconds=1.0))
            return p.Answered(sdp_answer=f"v=0\r\no={request.peer_id}\r\nm=audio\r\n", candidates=ours)
        return p.Offered(sdp_offer=f"v=0\r\no={request.peer_id}\r\nm=audio\r\n", candidates=ours)

    def _take_answer(self, request: p.TakeAnswer) -> None:
        known = self._peers.get(request.peer_id)
        if not isinstance(known, p.FramePeerRequest):
            raise p.UnknownPeerError("there is no such peer")
        if not isinstance(known, p.OpenFramePeer):
            raise p.BadAnswerError("the peer has made no offer")
        if not request.sdp_answer.startswith("v=0"):
            raise p.BadAnswerError("it does not begin with v=0")
        if request.peer_id not in self._answers:
            self._answers[request.peer_id] = request.sdp_answer
            self._emit(p.PeerConnected(peer_id=request.peer_id, milliseconds=1.0))
        elif self._answers[request.peer_id] != request.sdp_answer:
            raise p.BadAnswerError("the peer has another answer")

    def _is_busy(self, request: p.Publish | p.View) -> bool:
        return self._config.get("worker") in self._config.get("busy", {}).get(type(request).__name__, ())

    def _is_published(self, stream_id: str) -> bool:
        return any(
            isinstance(each, p.Publish) and each.stream_id == stream_id for each in self._peers.values()
        )

    async def _odd(self, peer_id: str) -> None:
        match peer_id.partition("-")[0]:
            case "slow":
                try:
                    await asyncio.sleep(60)
                finally:
                    # Clean-up that awaits, as in media libraries.
                    await asyncio.sleep(UNWIND_SECONDS)
            case "deaf":
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    await asyncio.sleep(self._config.get("deaf_seconds", 0))
            case "stuck":
                time.sleep(self._config.get("stuck_seconds", 60))  # noqa: ASYNC251 # a stuck loop
            case "broken":
                raise ValueError("never told")
            case "own":
                raise _OwnError("a reason")
            case "selfish":
                raise asyncio.CancelledError
            case "deadly":
                os._exit(3)
            case "large":
                raise MediaError("x" * 5_000_000)

    def _end(self, peer_id: str, reason: p.CloseReason, *, of: str | None = None) -> None:
        peer = self._peers.get(peer_id)
        if peer is None or of not in (None, getattr(peer, "stream_id", None)):
            return
        del self._peers[peer_id]
        if peer_id in self._tasks:
            self._tasks.pop(peer_id).cancel()
        self._answers.pop(peer_id, None)
        self._emit(p.PeerClosed(peer_id=peer_id, reason=reason))
        if isinstance(peer, p.Publish):
            for other, viewer in tuple(self._peers.items()):
                if isinstance(viewer, p.View) and viewer.stream_id == peer.stream_id:
                    self._end(other, p.CloseReason.SOURCE_ENDED)

    async def _drain(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for peer_id in tuple(self._peers):
            self._end(peer_id, p.CloseReason.DRAINED)

    async def _tick(self, peer_id: str) -> None:
        """Tells the system's clock in milliseconds, again and again."""
        while True:
            self._emit(p.PeerConnected(peer_id=peer_id, milliseconds=1000 * time.monotonic()))
            await asyncio.sleep(TICK_SECONDS)

    def _keep(self, name: str, coroutine: Any) -> None:
        # Nobody else holds a loose one, so that its exception is found when it ends.
        task = asyncio.get_running_loop().create_task(coroutine)
        if name != "loose":
            self._tasks[name] = task


class _OwnError(p.BadOfferError):
    """Of the router alone."""


async def _fail() -> None:
    raise KeyError("never told")


def _fail_at_once() -> None:
    raise KeyError("never told")
