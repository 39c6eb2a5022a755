"""One stream on its way to another worker: RTP and reports there, requests for packets and key frames back.

RTP is plain, as it is after ingress. Its SSRC says which source it is of (the lower eight bits) and how often
that has begun anew (the others). What begins with a zero octet is a message of our own in MessagePack.
"""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence

import attrs
import msgspec
from aiortc.rtp import RtcpSenderInfo, RtcpSrPacket

from engine.errors import MediaError
from engine.media.protocol import CloseReason, Kind
from engine.media.router import rtcp
from engine.media.router.fanout import FanoutFactory
from engine.media.router.rtp import HEADER, HEADER_BYTES, KEY_FRAME_SNIFFERS, VERSION_2, is_rtcp
from engine.media.router.sdp import Track, codec_name
from engine.media.router.source import Source
from engine.media.router.tally import Tally

BUFFER_BYTES = 1 << 19
"""Asked of the kernel; what waits for a worker that is late is the only queue, and is full after a second."""
PACKET_BYTES_MAX = 2048
HELLO_BYTES_MAX = 1 << 16
READS_MAX = 64
"""Packets taken at once before timers get their turn."""
SOURCES_MAX = 256
_BEGINNINGS_MAX = 1 << 24
_MESSAGE = b"\0"


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of our own."""


class Hello(_Message, frozen=True):
    """The first one: what the stream is made of."""

    tracks: tuple[Track, ...]
    ssrcs: tuple[int, ...]
    """One for each source: of each track in order, and of each of its layers."""


class Muted(_Message, frozen=True):
    """Whether viewers get nothing of a source."""

    source: int
    muted: bool


class Ended(_Message, frozen=True):
    """The stream is over."""

    reason: CloseReason
    """Told to its viewers."""


class Watched(_Message, frozen=True):
    """How it is with each source on the far worker."""

    sinks: tuple[int, ...]
    dropped: tuple[int, ...]
    """Packets that its fan-out has not sent."""


_UNREADABLE = msgspec.MsgspecError, UnicodeDecodeError
_ENCODER = msgspec.msgpack.Encoder()
_FROM_HOME: msgspec.msgpack.Decoder[Hello | Muted | Ended] = msgspec.msgpack.Decoder(Hello | Muted | Ended)
_FROM_FAR: msgspec.msgpack.Decoder[Watched] = msgspec.msgpack.Decoder(Watched)


@attrs.frozen(kw_only=True)
class PipeAround:
    """What the router lends to the ends of pipes."""

    clock: Callable[[], float]
    fault: Callable[[str, BaseException], None]
    fanout: FanoutFactory
    tally: Tally


class PipeSocket:
    """One end of a pipe. What the kernel has no room for is dropped."""

    def __init__(self, sock: socket.socket, take: Callable[[bytes, float], None], around: PipeAround) -> None:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        self._sock, self._take, self._around = sock, take, around
        self._reads = False
        self.sent = self.dropped = self.strange = 0

    def send(self, packet: bytes) -> bool:
        """Send at once, or drop; whether it was sent."""
        try:
            self._sock.send(packet)
        except OSError:
            self.dropped += 1
            return False
        self.sent += 1
        return True

    def tell(self, message: _Message) -> bool:
        """Send a message of our own."""
        return self.send(_MESSAGE + _ENCODER.encode(message))

    def first(self) -> bytes:
        """What has been sent before anything else; empty when that is nothing."""
        try:
            return self._sock.recv(HELLO_BYTES_MAX)
        except OSError:
            return b""

    def read(self) -> None:
        """Take packets as they come."""
        asyncio.get_running_loop().add_reader(self._sock, self._readable)
        self._reads = True

    def close(self) -> None:
        """Neither send nor take anything more."""
        self._rest()
        self._sock.close()

    def _rest(self) -> None:
        if self._reads:
            self._reads = False
            asyncio.get_running_loop().remove_reader(self._sock)

    def _readable(self) -> None:
        now = self._around.clock()
        for _ in range(READS_MAX):
            try:
                packet = self._sock.recv(PACKET_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                # The other end is gone with what we sent unread; what it sent is still there.
                continue
            if not packet:
                # The other end is gone. Why, the host says, and closes this one.
                self._rest()
                return
            self._take_one(packet, now)
            if not self._reads:
                return

    def _take_one(self, packet: bytes, now: float) -> None:
        try:
            self._take(packet, now)
        except Exception as error:  # One packet must not stop the others, whatever it does.
            self.strange += 1
            self._around.fault("pipe", error)


class _HomeTap:
    """Sends what one source takes."""

    def __init__(self, number: int, source: Source, pipe: PipeSocket) -> None:
        self.source, self.sink_count, self.dropped = source, 0, 0
        self._number, self._pipe = number, pipe
        self._told_muted = False

    @property
    def ssrc(self) -> int:
        """What the source is called in the pipe now."""
        return self.source.beginnings % _BEGINNINGS_MAX << 8 | self._number

    def take(self, marker: int, sequence: int, timestamp: int, body: bytes) -> None:
        """See Tap."""
        if self._told_muted is not self.source.muted and not self._tell_mute():
            # Nothing goes to viewers there that must not be seen.
            self._pipe.dropped += 1
            return
        second = marker | self.source.payload_type
        self._pipe.send(HEADER.pack(VERSION_2, second, sequence, timestamp, self.ssrc) + body)

    def take_report(self, info: RtcpSenderInfo) -> None:
        """See Tap."""
        self._pipe.send(bytes(RtcpSrPacket(ssrc=self.ssrc, sender_info=info)))

    def take_mute(self) -> None:
        """See Tap."""
        self._tell_mute()

    def _tell_mute(self) -> bool:
        told = self._pipe.tell(Muted(self._number, self.source.muted))
        if told:
            self._told_muted = self.source.muted
        return told

    def take_again(self, sequence: int) -> None:
        """The far worker has missed a packet. One that we miss too is sent when it comes."""
        kept = self.source.kept(sequence)
        if kept is not None:
            self.take(kept.marker, kept.sequence, kept.timestamp, kept.body)


class HomeEnd:
    """The end on the worker that the stream is published on."""

    def __init__(
        self,
        sock: socket.socket,
        tracks: Mapping[Kind, Track],
        sources: Sequence[Source],
        around: PipeAround,
    ) -> None:
        self._clock = around.clock
        self.pipe = PipeSocket(sock, self._take, around)
        self._taps = [_HomeTap(number, source, self.pipe) for number, source in enumerate(sources)]
        self.pipe.tell(Hello(tuple(tracks.values()), tuple(tap.ssrc for tap in self._taps)))
        for tap in self._taps:
            self._begin(tap)
        self.pipe.read()

    def _begin(self, tap: _HomeTap) -> None:
        report = tap.source.reception.report
        if report is not None:
            tap.take_report(report)
        if tap.source.muted:
            tap.take_mute()
        tap.source.taps.append(tap)

    def end(self, reason: CloseReason) -> None:
        """The stream is over; its viewers are told why."""
        self.pipe.tell(Ended(reason))
        self.close()

    def close(self) -> None:
        """Send nothing more."""
        for tap in self._taps:
            tap.source.untap(tap)
        self.pipe.close()

    def _take(self, packet: bytes, now: float) -> None:
        if packet.startswith(_MESSAGE):
            self._take_message(packet)
            return
        for each in rtcp.read(packet):
            number = getattr(each, "media_ssrc", 0) & 0xFF
            if number < len(self._taps):
                self._take_request(self._taps[number], each, now)

    def _take_message(self, packet: bytes) -> None:
        try:
            watched = _FROM_FAR.decode(packet[1:])
        except _UNREADABLE:
            self.pipe.strange += 1
            return
        for tap, count, dropped in zip(self._taps, watched.sinks, watched.dropped, strict=False):
            tap.sink_count, tap.dropped = count, dropped

    def _take_request(self, tap: _HomeTap, packet: rtcp.AnyPacket, now: float) -> None:
        if rtcp.asks_for_key_frame(packet):
            tap.source.want_key_frame(now)
        for sequence in rtcp.asked_again(packet):
            tap.take_again(sequence)


class FarEnd:
    """The end on another worker: the stream as its viewers there know it."""

    def __init__(
        self,
        sock: socket.socket,
        stream_id: str,
        around: PipeAround,
        on_ended: Callable[[CloseReason], None],
    ) -> None:
        """Raises: MediaError when the home has not said what the stream is made of."""
        self.stream_id = stream_id
        self._on_ended = on_ended
        self._counted, self._tally = around.tally, Tally()
        self.pipe = PipeSocket(sock, self._take, around)
        hello = _hello(self.pipe.first())
        self.tracks: Mapping[Kind, Track] = {track.kind: track for track in hello.tracks}
        self.sources: list[Source] = []
        for track in hello.tracks:
            for layer in track.layers or (None,):
                self.sources.append(Source(track, layer, around.fanout(), self._send_rtcp, self._tally))
        for source, ssrc in zip(self.sources, hello.ssrcs, strict=True):
            source.ssrc = ssrc
        self._watched: Watched | None = None
        self.pipe.read()

    def tick(self, now: float) -> None:
        """Every twenty milliseconds."""
        for source in self.sources:
            source.tick(now)
        sinks = tuple([source.sink_count for source in self.sources])
        watched = Watched(sinks, tuple([source.dropped for source in self.sources]))
        if watched != self._watched and self.pipe.tell(watched):
            self._watched = watched
        self._count()

    def close(self) -> None:
        """Take nothing more."""
        self.pipe.close()
        self._count()

    def _count(self) -> None:
        """Only what goes to viewers here: what came, and what was asked for, is counted at home."""
        self._counted.forwarded_packets += self._tally.forwarded_packets
        self._tally.forwarded_packets = 0

    def _send_rtcp(self, packet: bytes) -> None:
        self.pipe.send(packet)

    def _take(self, packet: bytes, now: float) -> None:
        if packet.startswith(_MESSAGE):
            self._take_message(packet, now)
        elif packet[0] >> 6 != VERSION_2 >> 6 or len(packet) < HEADER_BYTES:
            self.pipe.strange += 1
        elif is_rtcp(packet):
            self._take_reports(packet, now)
        else:
            self._take_rtp(packet, now)

    def _take_rtp(self, packet: bytes, now: float) -> None:
        ssrc = int.from_bytes(packet[8:12], "big")
        source = self._source_of(ssrc)
        if source is None:
            return
        if ssrc != source.ssrc:
            source.rebind(ssrc, now)
        source.take(packet, now)

    def _take_reports(self, packet: bytes, now: float) -> None:
        for each in rtcp.read(packet):
            if isinstance(each, RtcpSrPacket) and (source := self._source_of(each.ssrc)) is not None:
                source.take_report(each.sender_info, now)

    def _source_of(self, ssrc: int) -> Source | None:
        number = ssrc & 0xFF
        if number < len(self.sources):
            return self.sources[number]
        self.pipe.strange += 1
        return None

    def _take_message(self, packet: bytes, now: float) -> None:
        try:
            message = _FROM_HOME.decode(packet[1:])
        except _UNREADABLE:
            self.pipe.strange += 1
            return
        match message:
            case Muted(source=number, muted=muted) if (source := self._source_of(number)) is not None:
                source.mute(now, muted=muted)
            case Ended(reason=reason):
                self._on_ended(reason)


def _hello(packet: bytes) -> Hello:
    """The first message of a pipe.

    Raises:
        MediaError: it is not one, or of a stream that cannot be.
    """
    try:
        hello = _FROM_HOME.decode(packet[1:])
    except _UNREADABLE:
        # `from None`: the original may quote what it read.
        raise MediaError("a pipe does not begin with what it carries") from None
    if not packet.startswith(_MESSAGE) or not isinstance(hello, Hello) or not _is_sound(hello):
        raise MediaError("a pipe does not begin with what it carries")
    return hello


def _is_sound(hello: Hello) -> bool:
    count = sum(len(track.layers) or 1 for track in hello.tracks)
    kinds = {track.kind for track in hello.tracks}
    return (
        0 < count == len(hello.ssrcs) <= SOURCES_MAX
        and len(kinds) == len(hello.tracks)
        and all(codec_name(track.codec) in KEY_FRAME_SNIFFERS for track in hello.tracks)
        and all(ssrc & 0xFF == number for number, ssrc in enumerate(hello.ssrcs))
        and all(0 <= ssrc < 1 << 32 for ssrc in hello.ssrcs)
    )
