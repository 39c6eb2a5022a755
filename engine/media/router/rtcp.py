"""RTCP: what is sent, what is read, and the arithmetic of reception (RFC 3550 section 6.4, appendix A)."""

import struct
from collections.abc import Sequence
from typing import TypeAlias

import attrs
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB,
    RTCP_RTPFB_NACK,
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    clamp_packets_lost,
    pack_remb_fci,
    unpack_remb_fci,
)

from engine.media.router.rtp import timestamp_distance

AnyPacket: TypeAlias = (
    RtcpByePacket | RtcpPsfbPacket | RtcpRrPacket | RtcpRtpfbPacket | RtcpSdesPacket | RtcpSrPacket
)
NACK_SEQUENCES_MAX = 100
"""In one packet; who has more sends more packets."""
_CNAME = 1
_JITTER_JUMP_SECONDS = 10
"""A larger change of the transit time is a new clock, not jitter."""


def read(data: bytes) -> Sequence[AnyPacket]:
    """The packets of a compound; none when any of it is malformed."""
    try:
        return RtcpPacket.parse(data)
    except (ValueError, IndexError, struct.error):
        return ()


def picture_loss(*, sender: int, media: int) -> bytes:
    """Ask for a key frame (PLI, RFC 4585 section 6.3.1)."""
    return bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=sender, media_ssrc=media))


def negative_acknowledgement(lost: Sequence[int], *, sender: int, media: int) -> bytes:
    """Ask for packets once more (RFC 4585 section 6.2.1).

    Written here because aiortc's cannot write numbers on both sides of the wrap.
    """
    items: list[list[int]] = []
    for sequence in lost[:NACK_SEQUENCES_MAX]:
        behind = (sequence - items[-1][0] - 1) & 0xFFFF if items else 16
        if behind < 16:
            items[-1][1] |= 1 << behind
        else:
            items.append([sequence, 0])
    header = struct.pack("!BBHLL", 0x80 | RTCP_RTPFB_NACK, RTCP_RTPFB, 2 + len(items), sender, media)
    return header + b"".join(struct.pack("!HH", *item) for item in items)


def bitrate_limit(bitrate_bps: int, media: Sequence[int], *, sender: int) -> bytes:
    """Tell a sender what the streams `media` may take together (REMB)."""
    fci = pack_remb_fci(bitrate_bps, list(media))
    return bytes(RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=sender, media_ssrc=0, fci=fci))


def receiver_report(reports: Sequence[RtcpReceiverInfo], *, sender: int) -> bytes:
    """At most 31 of `reports` have room in one packet."""
    return bytes(RtcpRrPacket(ssrc=sender, reports=list(reports[:31])))


def sender_report(ssrc: int, info: RtcpSenderInfo, cname: str) -> bytes:
    """A sender report and, as RFC 3550 section 6.1 asks, the name that it goes with."""
    name = RtcpSourceInfo(ssrc=ssrc, items=[(_CNAME, cname.encode())])
    return bytes(RtcpSrPacket(ssrc=ssrc, sender_info=info)) + bytes(RtcpSdesPacket(chunks=[name]))


def asks_for_key_frame(packet: AnyPacket) -> bool:
    """Whether it is a PLI or a FIR."""
    return isinstance(packet, RtcpPsfbPacket) and packet.fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR)


def asked_again(packet: AnyPacket) -> Sequence[int]:
    """The sequence numbers of a NACK."""
    if isinstance(packet, RtcpRtpfbPacket) and packet.fmt == RTCP_RTPFB_NACK:
        # aiortc does not wrap the numbers that follow the first one of an item.
        return [sequence & 0xFFFF for sequence in packet.lost]
    return ()


def told_bitrate_bps(packet: AnyPacket) -> int | None:
    """The estimate in a REMB."""
    if not isinstance(packet, RtcpPsfbPacket) or packet.fmt != RTCP_PSFB_APP:
        return None
    try:
        return unpack_remb_fci(packet.fci)[0]
    except (ValueError, IndexError, struct.error):
        return None


def middle_bits(ntp_timestamp: int) -> int:
    """The 32 bits of an NTP time that reports refer to a sender report by."""
    return (ntp_timestamp >> 16) & 0xFFFFFFFF


def aligned_timestamp(timestamp: int, clock_rate: int, *, here: RtcpSenderInfo, there: RtcpSenderInfo) -> int:
    """`timestamp` of a stream that reported `here`, told on the clock of another that reported `there`."""
    seconds = (here.ntp_timestamp - there.ntp_timestamp) / (1 << 32)
    since_here = timestamp_distance(timestamp, here.rtp_timestamp)
    return (there.rtp_timestamp + since_here + round(seconds * clock_rate)) & 0xFFFFFFFF


@attrs.define
class Reception:
    """What a receiver knows of one stream. `now` is in seconds of any steady clock."""

    clock_rate: int
    highest: int | None = None
    """Highest sequence number, without the cycles."""
    received: int = 0
    _cycles: int = 0
    _base: int = 0
    _jitter_q4: int = 0
    _arrived_at: float | None = None
    _timestamp: int | None = None
    _expected_before: int = 0
    _received_before: int = 0
    _report: RtcpSenderInfo | None = None
    _report_at: float = 0.0

    @property
    def report(self) -> RtcpSenderInfo | None:
        """The sender's last one."""
        return self._report

    @property
    def expected(self) -> int:
        """How many packets there should have been."""
        return 0 if self.highest is None else self._cycles + self.highest - self._base + 1

    @property
    def lost(self) -> int:
        """Packets that never came; duplicates can make it negative."""
        return self.expected - self.received

    def advance(self, sequence: int, timestamp: int, now: float) -> None:
        """A packet that is newer than all before it."""
        if self.highest is None:
            self._base = sequence
        elif sequence < self.highest:
            self._cycles += 1 << 16
        self.highest = sequence
        self.received += 1
        if timestamp != self._timestamp:
            self._measure_jitter(timestamp, now)

    def fill(self) -> None:
        """A packet that came late or again."""
        self.received += 1

    def take_report(self, info: RtcpSenderInfo, now: float) -> None:
        """The sender's report came."""
        self._report, self._report_at = info, now

    def info(self, ssrc: int, now: float) -> RtcpReceiverInfo:
        """A block for the next receiver report; begins a new interval of the fraction."""
        expected, received = self.expected - self._expected_before, self.received - self._received_before
        self._expected_before, self._received_before = self.expected, self.received
        lost = max(0, expected - received)
        return RtcpReceiverInfo(
            ssrc=ssrc,
            fraction_lost=min(255, (lost << 8) // expected) if expected > 0 else 0,
            packets_lost=clamp_packets_lost(self.lost),
            highest_sequence=(self._cycles + (self.highest or 0)) & 0xFFFFFFFF,
            jitter=(self._jitter_q4 >> 4) & 0xFFFFFFFF,
            lsr=middle_bits(self._report.ntp_timestamp) if self._report else 0,
            dlsr=round((now - self._report_at) * 65536) & 0xFFFFFFFF if self._report else 0,
        )

    def _measure_jitter(self, timestamp: int, now: float) -> None:
        # Only the first packet of a frame says something: the others wait behind it on purpose.
        if self._timestamp is not None and self._arrived_at is not None:
            passed = timestamp_distance(timestamp, self._timestamp)
            change = abs((now - self._arrived_at) * self.clock_rate - passed)
            if change < _JITTER_JUMP_SECONDS * self.clock_rate:
                self._jitter_q4 += int(change) - ((self._jitter_q4 + 8) >> 4)
        self._timestamp, self._arrived_at = timestamp, now
