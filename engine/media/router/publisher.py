"""A peer that sends us a stream: which packet is of which source, and our reports about them."""

import secrets
from collections.abc import Iterator, Mapping, Sequence

from aiortc.rtp import RtcpSrPacket

from engine.media.protocol import Kind, SourceStarted
from engine.media.router import rtcp
from engine.media.router.dtls import SrtpError
from engine.media.router.peer import Peer, Surroundings
from engine.media.router.rtp import HEADER, extensions_of
from engine.media.router.sdp import Plan, Track
from engine.media.router.source import Source

REPORT_SECONDS = 1.0
REBIND_SECONDS = 2.0
"""A stream that was silent for so long may go on under another SSRC."""


class Publisher(Peer):
    """Sends us one stream."""

    sends = True

    def __init__(
        self,
        peer_id: str,
        offer: str,
        plan: Plan,
        around: Surroundings,
        *,
        stream_id: str,
        bitrate_max_bps: int,
    ) -> None:
        super().__init__(peer_id, offer, plan, around)
        self.stream_id = stream_id
        self.bitrate_max_bps = bitrate_max_bps
        self.tracks: Mapping[Kind, Track] = {track.kind: track for track in plan.tracks}
        self.sources: list[Source] = []
        self._by_layer: dict[str, Source] = {}
        self._by_payload_type: dict[int, tuple[Source, bool]] = {}
        self._by_ssrc: dict[int, tuple[Source, bool]] = {}
        self._started: set[Source] = set()
        self._report_at = 0.0
        for track in plan.tracks:
            self._add(track)
        self._write_answer(None)

    def _add(self, track: Track) -> None:
        for layer in track.layers or (None,):
            source = Source(track, layer, self._around.fanout(), self.link.send_rtcp, self._around.tally)
            self.sources.append(source)
            if layer is not None:
                self._by_layer[layer] = source
                continue
            # Of layers, several share a payload type; only the header extension tells them apart.
            self._by_payload_type[source.payload_type] = source, False
            if source.rtx_payload_type is not None:
                self._by_payload_type[source.rtx_payload_type] = source, True
        for source in self.sources:
            if source.ssrc is not None:
                self._by_ssrc[source.ssrc] = source, False
            if source.rtx_ssrc is not None:
                self._by_ssrc[source.rtx_ssrc] = source, True

    def on_rtp(self, packet: bytes, now: float) -> None:
        """See Receiver."""
        if not self.secured.connected:
            return
        try:
            plain = self.secured.unprotect(packet)
        except (SrtpError, ValueError):
            self.forged += 1
            return
        self.liveness.heard_at = self.liveness.media_at = now
        self.take_rtp(plain, now)

    def take_rtp(self, packet: bytes, now: float) -> None:
        """Plain RTP, of whatever source it is."""
        _, second, _, _, ssrc = HEADER.unpack_from(packet)
        payload_type = second & 0x7F
        source, resent = (
            self._by_ssrc.get(ssrc) or self._bind(packet, ssrc, payload_type, now) or (None, False)
        )
        if source is not None and payload_type == (
            source.rtx_payload_type if resent else source.payload_type
        ):
            if resent:
                source.take_again(packet, now)
            else:
                source.take(packet, now)
                if source not in self._started:
                    self._start(source)
        else:
            self.unknown += 1

    def _start(self, source: Source) -> None:
        self._started.add(source)
        self._around.emit(
            SourceStarted(
                peer_id=self.id,
                stream_id=self.stream_id,
                kind=source.kind,
                codec=source.codec,
                layer=source.layer,
            )
        )

    def _bind(self, packet: bytes, ssrc: int, payload_type: int, now: float) -> tuple[Source, bool] | None:
        """Whose a new SSRC is: by its layer's id in the packet, else by payload type."""
        bound = self._by_extension(packet) or self._by_payload_type.get(payload_type)
        if bound is None:
            return None
        source, resent = bound
        if resent:
            self._by_ssrc.pop(source.rtx_ssrc or 0, None)
            source.rtx_ssrc = ssrc
        else:
            speaks = source.heard_at is not None and now - source.heard_at < REBIND_SECONDS
            if speaks and source.ssrc is not None:
                return None
            self._by_ssrc.pop(source.ssrc or 0, None)
            source.rebind(ssrc, now)
        self._by_ssrc[ssrc] = bound
        return bound

    def _by_extension(self, packet: bytes) -> tuple[Source, bool] | None:
        video = self.tracks.get(Kind.VIDEO)
        if video is None or video.rid_extension is None:
            return None
        values = extensions_of(packet)
        for number, resent in ((video.rid_extension, False), (video.repaired_rid_extension, True)):
            value = values.get(number) if number is not None else None
            source = self._by_layer.get(value.decode("ascii", "replace")) if value else None
            if source is not None:
                return source, resent
        return None

    def take_rtcp(self, packets: Sequence[rtcp.AnyPacket], now: float) -> None:
        """Sender reports."""
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                source, resent = self._by_ssrc.get(packet.ssrc) or (None, False)
                if source is not None and not resent:
                    source.take_report(packet.sender_info, now)

    def limit(self, bitrate_max_bps: int) -> None:
        """A new cap, told at once."""
        self.bitrate_max_bps = bitrate_max_bps
        self._report_at = 0.0

    def tick(self, now: float) -> None:
        """Every twenty milliseconds."""
        if not self.secured.connected:
            return
        for source in self.sources:
            source.tick(now)
        if now >= self._report_at:
            self._send_reports(now)

    def _send_reports(self, now: float) -> None:
        reports = [report for source in self.sources if (report := source.report(now)) is not None]
        if not reports:
            return
        # Half to one and a half of the interval, so that peers do not fall into step (RFC 3550 section 6.2).
        self._report_at = now + REPORT_SECONDS * (0.5 + secrets.randbelow(1000) / 1000)
        sender = self.sources[0].local_ssrc
        compound = rtcp.receiver_report(reports, sender=sender)
        limited = [one.ssrc for one in self.sources if one.kind is Kind.VIDEO and one.ssrc is not None]
        if limited and "goog-remb" in self.tracks[Kind.VIDEO].feedback:
            compound += rtcp.bitrate_limit(self.bitrate_max_bps, limited, sender=sender)
        self.link.send_rtcp(compound)

    def mute(self, kind: Kind, now: float, *, muted: bool) -> None:
        """To all who view it."""
        for source in self.sources:
            if source.kind is kind:
                source.mute(now, muted=muted)

    @property
    def dropped(self) -> int:
        """Packets that were not sent to viewers, to however many."""
        return sum(source.dropped for source in self.sources)

    def statistics(self, now: float) -> Iterator[tuple[str, float]]:
        """Figures by name; those of a source begin with its kind and layer."""
        yield from super().statistics(now)
        for source in self.sources:
            name = f"{source.kind}_{source.layer}" if source.layer else str(source.kind)
            yield f"{name}_received_packets", source.reception.received
            yield f"{name}_lost_packets", source.reception.lost
            yield f"{name}_recovered_packets", source.recovered
            yield f"{name}_given_up_packets", source.missing.given_up
            yield f"{name}_asked_again_packets", source.missing.asked
            yield f"{name}_malformed_packets", source.malformed
            yield f"{name}_late_packets", source.too_late
            yield f"{name}_forwarded_packets", source.forwarded_packets
            yield f"{name}_forwarded_bytes", source.forwarded_octets
            yield f"{name}_fanout_dropped_packets", source.dropped
            yield f"{name}_key_frames_count", source.key_frames
            yield f"{name}_key_frames_asked_count", source.picture_losses
            yield f"{name}_sinks_count", source.sink_count
