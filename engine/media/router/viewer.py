"""A peer that gets a stream from us: its sinks, and what it asks and reports."""

import secrets
from collections.abc import Iterator, Sequence

from aiortc.rtp import RtcpRrPacket, RtcpSrPacket

from engine.media.protocol import Kind, PeerQuality
from engine.media.router import rtcp
from engine.media.router.peer import Peer, Surroundings
from engine.media.router.sdp import Outgoing, Plan
from engine.media.router.sink import Sink
from engine.media.router.stream import Stream, source_of

QUALITY_SECONDS = 1.0
"""A viewer's quality is told no more often."""


class Viewer(Peer):
    """Gets one stream from us."""

    def __init__(
        self,
        peer_id: str,
        offer: str,
        plan: Plan,
        around: Surroundings,
        *,
        stream: Stream,
        layer: str | None,
    ) -> None:
        super().__init__(peer_id, offer, plan, around)
        self.stream = stream
        cname = secrets.token_hex(8)
        outgoing = {
            track.kind: Outgoing(
                ssrc=secrets.randbits(32),
                rtx_ssrc=secrets.randbits(32),
                cname=cname,
                stream_id=stream.stream_id,
            )
            for track in plan.tracks
        }
        self.sinks: dict[int, Sink] = {}
        for track in plan.tracks:
            source = source_of(stream, track.kind, layer)
            assert source is not None, "the plan has only what is published, and the layer was looked for"
            self.sinks[outgoing[track.kind].ssrc] = Sink(source, self.link, track, outgoing[track.kind])
        self._quality_at = 0.0
        self._write_answer(outgoing)

    def connected(self, now: float) -> None:
        """See Peer."""
        for sink in self.sinks.values():
            sink.start(now)

    def on_path(self) -> None:
        """See Receiver."""
        for sink in self.sinks.values():
            sink.wanted.rearrange()
            if sink.source is not None:
                sink.source.rearrange()

    def leave(self, now: float) -> None:
        """See Peer."""
        for sink in self.sinks.values():
            sink.stop(now)

    def take_rtcp(self, packets: Sequence[rtcp.AnyPacket], now: float) -> None:
        """Reports, and requests for packets and key frames."""
        for packet in packets:
            if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
                self._take_reports(packet, now)
            elif (bitrate_bps := rtcp.told_bitrate_bps(packet)) is not None:
                for sink in self.sinks.values():
                    sink.bitrate_estimate_bps = bitrate_bps
            else:
                self._take_request(packet, now)

    def _take_request(self, packet: rtcp.AnyPacket, now: float) -> None:
        sink = self.sinks.get(getattr(packet, "media_ssrc", 0))
        if sink is None and rtcp.asks_for_key_frame(packet):
            # A FIR names its streams elsewhere (RFC 5104 section 4.3.1); there is one picture only.
            sink = next((one for one in self.sinks.values() if one.kind is Kind.VIDEO), None)
        if sink is None:
            return
        if rtcp.asks_for_key_frame(packet):
            self._around.tally.plis_received_count += 1
            (sink.source or sink.wanted).want_key_frame(now)
        if numbers := rtcp.asked_again(packet):
            before = sink.resent
            sink.take_request(numbers, now)
            self._around.tally.nacks_received_count += 1
            self._around.tally.resent_packets += sink.resent - before

    def _take_reports(self, packet: RtcpRrPacket | RtcpSrPacket, now: float) -> None:
        ours = [(self.sinks[block.ssrc], block) for block in packet.reports if block.ssrc in self.sinks]
        for sink, block in ours:
            sink.take_report(block, now)
        if ours and now >= self._quality_at:
            self._quality_at = now + QUALITY_SECONDS
            self._around.emit(self._quality())

    def _quality(self) -> PeerQuality:
        sinks = self.sinks.values()
        trips = [one.round_trip_seconds for one in sinks if one.round_trip_seconds is not None]
        estimates = [one.bitrate_estimate_bps for one in sinks if one.bitrate_estimate_bps is not None]
        return PeerQuality(
            peer_id=self.id,
            loss_fraction=max(one.loss_fraction for one in sinks),
            rtt_milliseconds=1000 * max(trips) if trips else None,
            bitrate_estimate_bps=min(estimates) if estimates else None,
        )

    def mute(self, kind: Kind, now: float, *, muted: bool) -> None:
        """To this viewer."""
        for sink in self.sinks.values():
            if sink.kind is kind:
                sink.mute(now, muted=muted)

    def select(self, layer: str, now: float) -> bool:
        """Move the picture to a layer; False when there is none of that name."""
        source = source_of(self.stream, Kind.VIDEO, layer)
        if source is None or source.layer != layer:
            return False
        for sink in self.sinks.values():
            if sink.kind is Kind.VIDEO:
                sink.select(source, now)
        return True

    def statistics(self, now: float) -> Iterator[tuple[str, float]]:
        """Figures by name; those of a track begin with its kind."""
        yield from super().statistics(now)
        for sink in self.sinks.values():
            yield f"{sink.kind}_sent_packets", sink.packets
            yield f"{sink.kind}_sent_bytes", sink.octets
            yield f"{sink.kind}_resent_packets", sink.resent
            yield f"{sink.kind}_resend_missed_packets", sink.resend_misses
            yield f"{sink.kind}_copied_packets", sink.copied
            yield f"{sink.kind}_playout_delay_milliseconds", sink.playout_delay_milliseconds
            yield f"{sink.kind}_loss_fraction", sink.loss_fraction
            if sink.round_trip_seconds is not None:
                yield f"{sink.kind}_round_trip_seconds", sink.round_trip_seconds
