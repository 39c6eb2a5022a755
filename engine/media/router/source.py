"""One RTP stream that comes in: a track, or a layer of it. `now` is in seconds of a steady clock."""

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from aiortc.rtp import RtcpReceiverInfo, RtcpSenderInfo

from engine.media.protocol import Kind
from engine.media.router import rtcp
from engine.media.router.fanout import Fanout
from engine.media.router.missing import Missing
from engine.media.router.rtp import (
    HEADER,
    HEADER_BYTES,
    KEY_FRAME_SNIFFERS,
    MARKER,
    VERSION_2,
    distance,
    payload_of,
    vp8_unnumbered,
)
from engine.media.router.sdp import Track, codec_name
from engine.media.router.tally import Tally

if TYPE_CHECKING:
    from engine.media.router.sink import Sink

HISTORY_PACKETS = 1024
"""A power of two; about six seconds of 1.5 Mbit/s."""
PICTURE_LOSS_SECONDS = 0.3
"""Key frames are asked for no more often than this."""
JOIN_SECONDS = 1.0
"""Patience for a key frame, for codecs or senders whose key frames we do not see."""
JUMP_MAX = HISTORY_PACKETS
"""A number further ahead than this is a sender that has begun anew."""


class Kept(NamedTuple):
    """A packet of the past, without its header; a tuple, because one is made for each packet."""

    sequence: int
    timestamp: int
    marker: int
    body: bytes


class Tap(Protocol):
    """Hears all that a source takes, muted or not."""

    sink_count: int
    """Sinks behind it, wherever they are."""
    dropped: int
    """Packets that were not sent to them, to however many."""

    def take(self, marker: int, sequence: int, timestamp: int, body: bytes) -> None:
        """A packet, in order of arrival."""

    def take_report(self, info: RtcpSenderInfo) -> None:
        """The sender's report."""

    def take_mute(self) -> None:
        """The source has been muted, or is muted no more."""


class Source:
    """Takes plain RTP, keeps it for a while, and gives it to its sinks."""

    def __init__(
        self,
        track: Track,
        layer: str | None,
        fanout: Fanout,
        send_rtcp: Callable[[bytes], None],
        tally: Tally,
    ) -> None:
        self.kind, self.codec, self.layer = track.kind, codec_name(track.codec), layer
        self.payload_type, self.rtx_payload_type = track.codec.payload_type, track.rtx_payload_type
        self.clock_rate = track.codec.clock_rate
        self.ssrc, self.rtx_ssrc = track.ssrc, track.rtx_ssrc
        self.local_ssrc = secrets.randbits(32)
        self.fanout = fanout
        self.reception = rtcp.Reception(self.clock_rate)
        self.missing = Missing()
        self.last_timestamp = 0
        self.heard_at: float | None = None
        self.muted = False
        self.forwarded_packets = self.forwarded_octets = 0
        """In order, to all that are on it; a sink counts by the difference."""
        self.key_frames = self.picture_losses = self.malformed = self.too_late = self.recovered = 0
        self.beginnings = 0
        """How often its numbers have begun anew."""
        self.taps: list[Tap] = []
        self._dropped_elsewhere = 0
        self._resends = "nack" in track.feedback
        self._makes_key_frames = track.kind is Kind.VIDEO
        # Each layer, and each new beginning of a sender, numbers its pictures by itself. A receiver that sees
        # the numbers jump waits for pictures that never come: Chromium for three seconds, until it asks for a
        # key frame. Without them it goes by sequence numbers, which are ours.
        self._is_vp8 = self.codec == "VP8"
        self._begins_key_frame = KEY_FRAME_SNIFFERS[self.codec]
        self._send_rtcp, self._tally = send_rtcp, tally
        self._history: list[Kept | None] = [None] * HISTORY_PACKETS
        self._sinks: dict[Sink, None] = {}
        self._joining: dict[Sink, float] = {}
        self._telling: dict[Sink, None] = {}
        self._owing: dict[Sink, None] = {}
        self._key_frame_wanted = False
        self._key_frame_asked_at: float | None = None

    # -- sinks

    def want(self, sink: "Sink", now: float, patience_seconds: float) -> None:
        """Take `sink` on at the next key frame; when none comes in time, at any packet."""
        self._joining[sink] = now + patience_seconds
        self.want_key_frame(now)

    def leave(self, sink: "Sink") -> None:
        """Send it nothing more."""
        self._joining.pop(sink, None)
        self._telling.pop(sink, None)
        self._owing.pop(sink, None)
        if sink in self._sinks:
            del self._sinks[sink]
            self.rearrange()

    def tell(self, sink: "Sink") -> None:
        """Let `sink` know of each packet that begins a frame, before it is sent, until it has enough."""
        self._telling[sink] = None

    def owe(self, sink: "Sink") -> None:
        """Let `sink` know of each tick, until it owes nothing."""
        self._owing[sink] = None

    def rearrange(self) -> None:
        """A sink has come, gone, or is reached by another way."""
        self.fanout.changed(self._sinks)

    @property
    def sink_count(self) -> int:
        """Those it is sent to, those that wait for a key frame, and those of other workers."""
        return len(self._sinks) + len(self._joining) + sum(tap.sink_count for tap in self.taps)

    def _take_on(self, sequence: int, timestamp: int, now: float, *, key_frame: bool) -> None:
        ready = [sink for sink, until in self._joining.items() if key_frame or now >= until]
        for sink in ready:
            del self._joining[sink]
            sink.join(self, sequence, timestamp, now)
            self._sinks[sink] = None
            sink.send_report(now)
        if ready:
            self.rearrange()

    @property
    def dropped(self) -> int:
        """Packets that fan-outs have not sent, here and on other workers."""
        return self.fanout.dropped + self._dropped_elsewhere + sum(tap.dropped for tap in self.taps)

    def untap(self, tap: Tap) -> None:
        """Tell it nothing more, and keep its figures."""
        if tap in self.taps:
            self.taps.remove(tap)
            self._dropped_elsewhere += tap.dropped

    # -- packets

    def take(self, packet: bytes, now: float) -> None:
        """A packet of the stream itself."""
        first, second, sequence, timestamp, _ = HEADER.unpack_from(packet)
        body = packet[HEADER_BYTES:] if first == VERSION_2 else payload_of(packet)
        if body is None:
            self.malformed += 1
            return
        if self._is_vp8:
            body = vp8_unnumbered(body)
        self.heard_at = now
        highest = self.reception.highest
        ahead = 1 if highest is None else distance(sequence, highest)
        marker = second & MARKER
        if ahead <= 0:
            self._take_late(Kept(sequence, timestamp, marker, body), now, resent=False)
            return
        if ahead > JUMP_MAX:
            self._begin_anew(now)
        elif ahead > 1 and highest is not None:
            self._tally.missed_packets += ahead - 1
            self._look_for_missing(highest, sequence, now)
        elif self.missing.unasked:
            # Two have overtaken it: it is lost rather than late.
            self._ask_again(now)
        self._take_newest(sequence, timestamp, marker, body, now)

    def _look_for_missing(self, highest: int, sequence: int, now: float) -> None:
        if self._resends and not self.missing.gap(highest, sequence, now):
            self.want_key_frame(now)

    def _take_newest(self, sequence: int, timestamp: int, marker: int, body: bytes, now: float) -> None:
        self.reception.advance(sequence, timestamp, now)
        self._tally.received_packets += 1
        begins_frame, self.last_timestamp = timestamp != self.last_timestamp, timestamp
        kept = self._history[sequence % HISTORY_PACKETS] = Kept(sequence, timestamp, marker, body)
        key_frame = self._begins_key_frame(body)
        if key_frame and self._makes_key_frames:
            self.key_frames += 1
            self._key_frame_wanted = False
        # Before our own sinks: another core begins its share while this one does ours.
        for tap in self.taps:
            tap.take(marker, sequence, timestamp, body)
        if self.muted:
            return
        if self._joining:
            self._take_on(sequence, timestamp, now, key_frame=key_frame)
        if self._telling and begins_frame:
            self._telling = {sink: None for sink in self._telling if sink.tell(kept)}
        self._tally.forwarded_packets += len(self._sinks)
        self.forwarded_packets += 1
        self.forwarded_octets += len(body)
        self.fanout.send(marker, sequence, timestamp, body)

    def take_again(self, packet: bytes, now: float) -> None:
        """A packet of the stream's RTX (RFC 4588 section 4): the original number, then what was lost."""
        _, second, _, timestamp, _ = HEADER.unpack_from(packet)
        payload = payload_of(packet)
        if payload is None or len(payload) < 2:
            # Without a payload it is a probe for bandwidth.
            self.malformed += payload is None
            return
        self.heard_at = now
        sequence, body = int.from_bytes(payload[:2], "big"), payload[2:]
        if self._is_vp8:
            body = vp8_unnumbered(body)
        self._take_late(Kept(sequence, timestamp, second & MARKER, body), now, resent=True)

    def _take_late(self, kept: Kept, now: float, *, resent: bool) -> None:
        missing = self.missing
        was_missing = missing.answered(kept.sequence, now) if resent else missing.found(kept.sequence)
        highest = self.reception.highest
        old = highest is None or not -HISTORY_PACKETS < distance(kept.sequence, highest) < 0
        if old or self.kept(kept.sequence) is not None or (resent and not was_missing):
            self.too_late += 1
            return
        self.reception.fill()
        self._tally.received_packets += 1
        self._tally.recovered_packets += 1
        self.recovered += resent
        self._history[kept.sequence % HISTORY_PACKETS] = kept
        for tap in self.taps:
            tap.take(kept.marker, kept.sequence, kept.timestamp, kept.body)
        if not self.muted:
            for sink in self._sinks:
                sink.send_late(kept, now)

    def _begin_anew(self, now: float) -> None:
        """Other numbers: whoever is on it goes on after what he had, from the next key frame."""
        self.missing.clear()
        self._pause_all(now)
        self.reception = rtcp.Reception(self.clock_rate)
        self._history = [None] * HISTORY_PACKETS
        self.beginnings += 1
        self.want_key_frame(now)

    def rebind(self, ssrc: int, now: float) -> None:
        """The sender goes on under another SSRC."""
        if self.reception.highest is not None:
            self._begin_anew(now)
        self.ssrc = ssrc

    def kept(self, sequence: int) -> Kept | None:
        """A packet that is still in the history."""
        kept = self._history[sequence % HISTORY_PACKETS]
        return kept if kept is not None and kept.sequence == sequence else None

    def mute(self, now: float, *, muted: bool) -> None:
        """Take packets but give them to nobody; afterwards each sink goes on from a key frame."""
        self.muted = muted
        for tap in self.taps:
            tap.take_mute()
        if muted:
            self._pause_all(now)
        elif self._joining:
            self._joining = dict.fromkeys(self._joining, now + JOIN_SECONDS)
            self.want_key_frame(now)

    def _pause_all(self, now: float) -> None:
        for sink in list(self._sinks):
            sink.pause(now)
            # Who waits for another layer already does not come back to this one.
            if sink.wanted is self:
                self._joining[sink] = now + JOIN_SECONDS

    # -- to and from the sender

    def want_key_frame(self, now: float) -> None:
        """Ask for one now, or as soon as that is allowed again."""
        self._key_frame_wanted = self._makes_key_frames
        self._ask_for_key_frame(now)

    def _ask_for_key_frame(self, now: float) -> None:
        asked_at = self._key_frame_asked_at
        too_early = asked_at is not None and now - asked_at < PICTURE_LOSS_SECONDS
        if not self._key_frame_wanted or self.ssrc is None or self.muted or too_early:
            return
        self._key_frame_asked_at = now
        self._key_frame_wanted = False
        self.picture_losses += 1
        self._tally.plis_sent_count += 1
        self._send_rtcp(rtcp.picture_loss(sender=self.local_ssrc, media=self.ssrc))

    def tick(self, now: float) -> None:
        """Every twenty milliseconds: ask again for what is missing, and send what is owed."""
        # Who waits for a key frame goes on asking: the last request may have been lost.
        self._key_frame_wanted |= bool(self._joining) and self._makes_key_frames
        if self._key_frame_wanted:
            self._ask_for_key_frame(now)
        if self.missing:
            self._ask_again(now)
        if self._owing:
            self._owing = {sink: None for sink in self._owing if sink.send_copies(now)}

    def _ask_again(self, now: float) -> None:
        asked, lost = self.missing.due(now)
        if lost:
            self.want_key_frame(now)
        assert self.ssrc is not None, "packets that were taken had one"
        for first in range(0, len(asked), rtcp.NACK_SEQUENCES_MAX):
            some = asked[first : first + rtcp.NACK_SEQUENCES_MAX]
            self._tally.nacks_sent_count += 1
            self._send_rtcp(rtcp.negative_acknowledgement(some, sender=self.local_ssrc, media=self.ssrc))

    def take_report(self, info: RtcpSenderInfo, now: float) -> None:
        """The sender's report; each sink gets one of its own."""
        self.reception.take_report(info, now)
        for tap in self.taps:
            tap.take_report(info)
        if not self.muted:
            for sink in self._sinks:
                sink.send_report(now)

    def report(self, now: float) -> RtcpReceiverInfo | None:
        """Our report about it, when there is anything to report."""
        if self.ssrc is None or self.reception.highest is None:
            return None
        return self.reception.info(self.ssrc, now)
