"""What publishers and viewers have in common: the ICE end, DTLS, and how a peer begins and ends."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

import attrs

from engine.media.protocol import (
    Answered,
    Candidate,
    CloseReason,
    Kind,
    MediaEvent,
    PeerConnected,
)
from engine.media.router import rtcp
from engine.media.router.dtls import Identity, Secured, SrtpError
from engine.media.router.fanout import FanoutFactory
from engine.media.router.ice_mux import Mux
from engine.media.router.link import Link
from engine.media.router.liveness import Liveness
from engine.media.router.sdp import Local, Outgoing, Plan, write_answer
from engine.media.router.tally import Tally

STOP_SECONDS = 5.0
"""For goodbyes; a peer that is not gone by then is left behind."""


@attrs.frozen(kw_only=True)
class Surroundings:
    """What the router lends to its peers."""

    mux: Mux
    identity: Identity
    clock: Callable[[], float]
    emit: Callable[[MediaEvent], None]
    spawn: Callable[[str, Coroutine[Any, Any, None]], "asyncio.Task[None]"]
    fault: Callable[[str, BaseException], None]
    ended: Callable[["Peer", CloseReason], None]
    fanout: FanoutFactory
    liveness: Callable[[float], Liveness]
    tally: Tally


class Peer:
    """What publishers and viewers have in common."""

    sends = False
    """Whether it owes us media."""

    def __init__(self, peer_id: str, offer: str, plan: Plan, around: Surroundings) -> None:
        self.id, self.offer = peer_id, offer
        self.answered: Answered
        self.plan = plan
        self.opened_at = around.clock()
        self.liveness = around.liveness(self.opened_at)
        self.endpoint = around.mux.add(plan.ufrag, self)
        self.secured = Secured(around.identity, self.endpoint, self._secured_ended)
        self.link = Link(self.endpoint, self.secured)
        self.ending: asyncio.Task[None] | None = None
        self.forged = 0
        """Packets that SRTP refused."""
        self.unknown = 0
        """Packets of no track that we know."""
        self._around = around
        self._connecting: asyncio.Task[None] | None = None

    def _write_answer(self, outgoing: Mapping[Kind, Outgoing] | None) -> None:
        local = Local(
            session_id=secrets.randbits(62),
            ufrag=self.endpoint.ufrag,
            password=self.endpoint.password,
            fingerprint=self._around.identity.fingerprint,
        )
        first = self.plan.tracks[0]
        where: dict[str, Any] = {"sdp_mid": first.mid or None, "sdp_m_line_index": first.index}
        ours = (attrs.evolve(one, **where) for one in self._around.mux.candidates)
        self.answered = Answered(
            sdp_answer=write_answer(self.plan, local, outgoing),
            candidates=(*ours, Candidate(candidate="", **where)),
        )

    # -- called by the mux

    def on_path(self) -> None:
        """See Receiver."""

    def on_handshake(self) -> None:
        """See Receiver."""
        self._connecting = self._around.spawn("handshake", self._connect())

    def on_rtp(self, packet: bytes, now: float) -> None:
        """See Receiver."""

    def on_rtcp(self, packet: bytes, now: float) -> None:
        """See Receiver."""
        if not self.secured.connected:
            return
        try:
            plain = self.secured.unprotect_rtcp(packet)
        except (SrtpError, ValueError):
            self.forged += 1
            return
        self.liveness.heard_at = now
        self.take_rtcp(rtcp.read(plain), now)

    def take_rtcp(self, packets: Sequence[rtcp.AnyPacket], now: float) -> None:
        """The packets of one compound."""

    # -- its life

    async def _connect(self) -> None:
        worked = await self.secured.handshake(self.plan.fingerprints)
        if self.ending is not None:
            return
        if not worked:
            self._around.ended(self, CloseReason.FAILED)
            return
        now = self._around.clock()
        self.liveness.connected(now, sends=self.sends)
        self._around.emit(PeerConnected(peer_id=self.id, milliseconds=1000 * (now - self.opened_at)))
        self.connected(now)

    def connected(self, now: float) -> None:
        """Media may flow."""

    def _secured_ended(self, error: BaseException | None) -> None:
        if error is not None:
            self._around.fault("dtls", error)
        self._around.ended(self, CloseReason.REMOTE if error is None else CloseReason.LOST)

    def leave(self, now: float) -> None:
        """Let go of sources and sinks."""

    async def close(self) -> None:
        """Say goodbye; nothing of the peer is left afterwards, and no task of it."""
        try:
            if self._connecting is not None and not self._connecting.done():
                self._connecting.cancel()
                await asyncio.wait({self._connecting})
            stopping = asyncio.ensure_future(self.secured.stop())
            done, _ = await asyncio.wait({stopping}, timeout=STOP_SECONDS)
            if not done:
                self._around.fault("stop", TimeoutError())
                stopping.cancel()
            else:
                stopping.result()
        finally:
            self.endpoint.close()

    def heard_at(self) -> float:
        """When it last proved to be there."""
        return max(self.liveness.heard_at, self.endpoint.heard_at)

    def statistics(self, now: float) -> Iterator[tuple[str, float]]:
        """Figures by name."""
        yield "age_seconds", now - self.opened_at
        yield "connected_count", float(self.liveness.connected_at is not None)
        yield "forged_packets", self.forged
        yield "unknown_packets", self.unknown
        yield "unsent_packets", self.link.unsent
        yield "handshake_dropped_packets", self.endpoint.dropped
