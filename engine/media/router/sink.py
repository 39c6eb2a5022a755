"""One viewer's copy of a track: numbers and times of its own, answers to NACK, reports, change of source."""

import secrets
from collections.abc import Sequence

import attrs
from aiortc.rtp import RtcpReceiverInfo, RtcpSenderInfo

from engine.media.router import rtcp
from engine.media.router.link import Link
from engine.media.router.repair import Budget, Copies, Losses, Playout, delay_for
from engine.media.router.rtp import HEADER, HEADER_BYTES, VERSION_2, distance, extended, timestamp_distance
from engine.media.router.sdp import Outgoing, Track
from engine.media.router.source import HISTORY_PACKETS, JOIN_SECONDS, Kept, Source

SWITCH_SECONDS = 30.0
"""Patience when there is another layer to look at meanwhile."""
_FIRST_SEQUENCE_MAX = 0x4000
"""The first number is in the lower part, so that packets from before it cannot wrap below zero (SRTP)."""


@attrs.define
class Epoch:
    """A stretch in which one source's numbers map to ours by one offset."""

    source: Source
    first_in: int
    first_out: int
    sequence_offset: int
    timestamp_offset: int
    settled: bool = False
    """It is longer than the history, so everything that is kept belongs to it, whatever wraps."""

    def has(self, sequence: int) -> bool:
        """Whether the source's packet `sequence`, if it is kept, has a number of ours."""
        return self.settled or distance(sequence, self.first_in) >= 0

    def gave(self, out: int) -> bool:
        """Whether our number `out` is of this epoch, and not of the one before."""
        return self.settled or distance(out, self.first_out) >= 0


class Sink:
    """Where a source's packets go for one viewer."""

    def __init__(self, source: Source, link: Link, track: Track, outgoing: Outgoing) -> None:
        self.link, self.kind = link, track.kind
        self.ssrc, self.payload_type = outgoing.ssrc, track.codec.payload_type
        self.rtx_ssrc, self.rtx_payload_type = outgoing.rtx_ssrc, track.rtx_payload_type
        self.sequence_offset = self.timestamp_offset = 0
        self.wanted = source
        """The source to be on; while it waits for that one's key frame it may still be on another."""
        self.muted = False
        self.resent = self.resend_misses = self.copied = 0
        self.loss_fraction = 0.0
        self.round_trip_seconds: float | None = None
        self.bitrate_estimate_bps: int | None = None
        self._cname = outgoing.cname
        self._clock_rate = track.codec.clock_rate
        self._epoch: Epoch | None = None
        self._before: Epoch | None = None
        self._on: Source | None = None
        self._last_out = (secrets.randbelow(_FIRST_SEQUENCE_MAX) - 1) & 0xFFFF
        self._last_timestamp: int | None = None
        self._left_at = 0.0
        self._packets = self._octets = 0
        self._joined_packets = self._joined_octets = 0
        self._rtx_sequence = secrets.randbelow(_FIRST_SEQUENCE_MAX)
        self._losses, self._budget, self._copies = Losses(), Budget(), Copies()
        self._playout = Playout()
        self._delay_extension = track.delay_extension
        self._report: tuple[int, float] | None = None

    # -- which source

    @property
    def source(self) -> Source | None:
        """The one that it is on now."""
        return self._on

    def start(self, now: float) -> None:
        """Begin to receive, or go on after silence."""
        if not self.muted:
            self.wanted.want(self, now, JOIN_SECONDS)

    def select(self, source: Source, now: float) -> None:
        """Move to another source at its next key frame."""
        if source is self.wanted:
            return
        if self.wanted is not self._on:
            self.wanted.leave(self)
        self.wanted = source
        if source is not self._on and not self.muted:
            source.want(self, now, JOIN_SECONDS if self._on is None else SWITCH_SECONDS)

    def mute(self, now: float, *, muted: bool) -> None:
        """Stop sending, or go on from a key frame."""
        if muted == self.muted:
            return
        self.muted = muted
        if muted:
            self.stop(now)
        else:
            self.start(now)

    def stop(self, now: float) -> None:
        """Leave whatever it is on or waits for."""
        self.wanted.leave(self)
        self.pause(now)

    def pause(self, now: float) -> None:
        """Leave the source that it is on, and remember where it was."""
        source, epoch = self._on, self._current()
        if source is None or epoch is None:
            return
        self._packets, self._octets = self.packets, self.octets
        self._on = None
        highest = source.reception.highest
        assert highest is not None, "it was joined with a packet"
        self._last_out = (highest + epoch.sequence_offset) & 0xFFFF
        self._last_timestamp = (source.last_timestamp + epoch.timestamp_offset) & 0xFFFFFFFF
        self._left_at = source.heard_at if source.heard_at is not None else now
        self._copies = Copies()
        source.leave(self)

    def join(self, source: Source, sequence: int, timestamp: int, now: float) -> None:
        """Called by the source: this packet is the first; our numbers go on as if nothing had happened."""
        self.pause(now)
        out, out_timestamp = (self._last_out + 1) & 0xFFFF, self._next_timestamp(source, timestamp, now)
        self.sequence_offset = (out - sequence) & 0xFFFF
        self.timestamp_offset = (out_timestamp - timestamp) & 0xFFFFFFFF
        # Of the same source anew, the numbers from before may mean other packets now.
        self._before = self._epoch if self._epoch and self._epoch.source is not source else None
        self._epoch = Epoch(source, sequence, out, self.sequence_offset, self.timestamp_offset)
        self._on = source
        self._joined_packets, self._joined_octets = source.forwarded_packets, source.forwarded_octets
        if not self._playout.told_enough:
            source.tell(self)

    def _next_timestamp(self, source: Source, timestamp: int, now: float) -> int:
        if self._last_timestamp is None or self._epoch is None:
            return secrets.randbits(32)
        waited = max(1, int((now - self._left_at) * self._clock_rate))
        here, there = source.reception.report, self._epoch.source.reception.report
        if here and there and source is not self._epoch.source:
            # Both have told their clocks, so lips stay with voices to the millisecond.
            aligned = rtcp.aligned_timestamp(timestamp, self._clock_rate, here=here, there=there)
            exact = (aligned + self._epoch.timestamp_offset) & 0xFFFFFFFF
            if 0 < timestamp_distance(exact, self._last_timestamp) < waited + 2 * self._clock_rate:
                return exact
        return (self._last_timestamp + waited) & 0xFFFFFFFF

    # -- what goes out beside the fan-out

    def send_late(self, kept: Kept, now: float) -> None:
        """A packet that came after newer ones; what is from before our beginning has no number here."""
        epoch = self._current()
        if epoch is not None and epoch.has(kept.sequence):
            self._packets += 1
            self._octets += len(kept.body)
            self.link.send_rtp(self._packet(kept, epoch))
            if self._losses.likely(self.packets):
                # Its viewer has asked already, in vain, and does not ask again soon.
                self._owe((kept.sequence + epoch.sequence_offset) & 0xFFFF, now)

    def take_request(self, numbers: Sequence[int], now: float) -> None:
        """The viewer has missed these numbers of ours."""
        resent = [number for number in numbers if self._resend(number)]
        for number in resent:
            self._owe(number, now)
        if resent and self._losses.take(self.packets, now):
            self._delay()

    def _resend(self, out: int, *, spare: bool = False) -> bool:
        found = self._found(out)
        if found is None or not self._budget.take(len(found[0].body), self.octets, spare=spare):
            self.resend_misses += not spare
            return False
        self.resent += not spare
        self.copied += spare
        write = self._packet if self.rtx_payload_type is None else self._rtx
        self.link.send_rtp(write(*found))
        return True

    def _found(self, out: int) -> tuple[Kept, Epoch] | None:
        epoch = self._current()
        if epoch is not None and not epoch.gave(out):
            epoch = self._before
        kept = epoch.source.kept((out - epoch.sequence_offset) & 0xFFFF) if epoch else None
        return (kept, epoch) if kept is not None and epoch is not None and epoch.has(kept.sequence) else None

    # -- copies of what was sent again, because that may be lost as well

    def _owe(self, out: int, now: float) -> None:
        if self._on is not None:
            self._copies.owe(out, now)
            self._on.owe(self)

    def send_copies(self, now: float) -> bool:
        """Those whose time has come; whether there are more."""
        for out in self._copies.due(now):
            self._resend(out, spare=True)
        return bool(self._copies)

    # -- how late the viewer plays

    @property
    def playout_delay_milliseconds(self) -> int:
        """The least that it is told: with heavy loss, enough for asking more than once."""
        return self._playout.told

    def _delay(self) -> None:
        if self._delay_extension is not None:
            trip = self.round_trip_seconds or 0.0
            self._playout.want(delay_for(trip) if self._losses.heavy else 0)
            if self._on is not None:
                self._on.tell(self)

    def tell(self, kept: Kept) -> bool:
        """Tell the delay with a packet that begins a frame and is sent next; whether to tell more."""
        epoch, number = self._epoch, self._delay_extension
        assert epoch is not None, "only who is on a source is told of its packets"
        assert number is not None, "only who can be told asks for it"
        # By RTX, because the stream's packet is the same for all: that one comes second, as a duplicate.
        packet = self._rtx(kept, epoch)
        header = extended(packet[:HEADER_BYTES], number, self._playout.step())
        self.link.send_rtp(header + packet[HEADER_BYTES:])
        return not self._playout.told_enough

    def _current(self) -> Epoch | None:
        if self._epoch and self._on and self._on.forwarded_packets - self._joined_packets >= HISTORY_PACKETS:
            self._epoch.settled = True
        return self._epoch

    def _packet(self, kept: Kept, epoch: Epoch) -> bytes:
        number, timestamp = self._mapped(kept, epoch)
        second = kept.marker | self.payload_type
        return HEADER.pack(VERSION_2, second, number, timestamp, self.ssrc) + kept.body

    def _rtx(self, kept: Kept, epoch: Epoch) -> bytes:
        assert self.rtx_payload_type is not None, "asked for by the caller"
        number, timestamp = self._mapped(kept, epoch)
        second = kept.marker | self.rtx_payload_type
        header = HEADER.pack(VERSION_2, second, self._rtx_sequence, timestamp, self.rtx_ssrc)
        self._rtx_sequence = (self._rtx_sequence + 1) & 0xFFFF
        return header + number.to_bytes(2, "big") + kept.body

    def _mapped(self, kept: Kept, epoch: Epoch) -> tuple[int, int]:
        number = (kept.sequence + epoch.sequence_offset) & 0xFFFF
        return number, (kept.timestamp + epoch.timestamp_offset) & 0xFFFFFFFF

    # -- reports

    @property
    def packets(self) -> int:
        """Sent to the viewer, without those that were sent again."""
        return self._packets + (self._on.forwarded_packets - self._joined_packets if self._on else 0)

    @property
    def octets(self) -> int:
        """Of payload, as a sender report counts."""
        return self._octets + (self._on.forwarded_octets - self._joined_octets if self._on else 0)

    def send_report(self, now: float) -> None:
        """Tell the source's clock in our numbers, so that sound and picture stay together."""
        source, epoch = self._on, self._epoch
        info = source.reception.report if source else None
        if info is None or epoch is None:
            return
        mapped = RtcpSenderInfo(
            ntp_timestamp=info.ntp_timestamp,
            rtp_timestamp=(info.rtp_timestamp + epoch.timestamp_offset) & 0xFFFFFFFF,
            packet_count=self.packets & 0xFFFFFFFF,
            octet_count=self.octets & 0xFFFFFFFF,
        )
        self._report = rtcp.middle_bits(info.ntp_timestamp), now
        self.link.send_rtcp(rtcp.sender_report(self.ssrc, mapped, self._cname))

    def take_report(self, block: RtcpReceiverInfo, now: float) -> None:
        """What the viewer says about what we send."""
        self.loss_fraction = block.fraction_lost / 256
        if self._losses.calm(now):
            self._delay()
        if self._report is not None and block.lsr == self._report[0]:
            # The publisher's clock is in the report, so the time is measured by ours.
            self.round_trip_seconds = max(0.0, now - self._report[1] - block.dlsr / 65536)
