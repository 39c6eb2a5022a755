"""RTP as bytes: header, sequence arithmetic, header extensions (RFC 8285), where a key frame begins."""

import struct
from collections.abc import Callable, Iterator, Mapping

HEADER = struct.Struct("!BBHLL")
"""First octet, marker and payload type, sequence number, timestamp, SSRC."""
HEADER_BYTES = 12
VERSION_2 = 0x80
MARKER = 0x80
_PADDING = 0x20
_EXTENSION = 0x10
_ONE_BYTE = 0xBEDE
_TWO_BYTE = 0x1000
"""The lower four bits are the application's."""


def is_rtcp(datagram: bytes) -> bool:
    """Of a datagram that is RTP or RTCP, by the second octet (RFC 5761 section 4)."""
    return 192 <= datagram[1] <= 223


def distance(later: int, earlier: int) -> int:
    """How far `later` is ahead of `earlier` in 16-bit sequence numbers, from -32768 to 32767."""
    return ((later - earlier + 0x8000) & 0xFFFF) - 0x8000


def timestamp_distance(later: int, earlier: int) -> int:
    """How far `later` is ahead of `earlier` in 32-bit timestamps, signed."""
    return ((later - earlier + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def payload_of(packet: bytes) -> bytes | None:
    """The payload without padding, empty for a packet of padding only; None when the packet is malformed."""
    first, end = packet[0], len(packet)
    begin = HEADER_BYTES + 4 * (first & 0x0F)
    if first & _EXTENSION:
        if end < begin + 4:
            return None
        begin += 4 + 4 * int.from_bytes(packet[begin + 2 : begin + 4], "big")
    if first & _PADDING:
        end -= packet[-1]
        if end == len(packet):
            return None
    return packet[begin:end] if begin <= end else None


def extensions_of(packet: bytes) -> Mapping[int, bytes]:
    """Header extension values by id, of the one-byte or the two-byte form; what is malformed is left out."""
    begin = HEADER_BYTES + 4 * (packet[0] & 0x0F)
    if not packet[0] & _EXTENSION or len(packet) < begin + 4:
        return {}
    profile, words = struct.unpack_from("!HH", packet, begin)
    body = packet[begin + 4 : begin + 4 + 4 * words]
    if profile == _ONE_BYTE:
        return dict(_one_byte_items(body))
    return dict(_two_byte_items(body)) if profile & 0xFFF0 == _TWO_BYTE else {}


def extended(header: bytes, number: int, value: bytes) -> bytes:
    """`header` with one header extension: of a number from 1 to 14, and of one to sixteen octets."""
    padded = bytes(((number << 4) | (len(value) - 1),)) + value + bytes(-(1 + len(value)) % 4)
    first = bytes((header[0] | _EXTENSION,))
    return first + header[1:] + struct.pack("!HH", _ONE_BYTE, len(padded) // 4) + padded


def _one_byte_items(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(body):
        number, size = body[at] >> 4, (body[at] & 0x0F) + 1
        at += 1
        if number == 15:
            return
        if number:
            if at + size > len(body):
                return
            yield number, body[at : at + size]
            at += size


def _two_byte_items(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(body):
        number = body[at]
        at += 1
        if number:
            if at >= len(body) or at + 1 + body[at] > len(body):
                return
            yield number, body[at + 1 : at + 1 + body[at]]
            at += 1 + body[at]


# -- the first packet of a key frame, by codec


def vp8_key_frame(payload: bytes) -> bool:
    """RFC 7741 sections 4.2 and 4.3: begins partition 0 of a frame whose P bit is clear."""
    if not payload or payload[0] & 0x1F != 0x10:
        return False
    at = _vp8_descriptor_bytes(payload)
    return at < len(payload) and not payload[at] & 1


def _vp8_descriptor_bytes(payload: bytes) -> int:
    """Of a payload that is not empty; more than there are when it is cut short."""
    if not payload[0] & 0x80 or len(payload) == 1:
        return 1
    flags = payload[1]
    at = 2
    if flags & 0x80:
        at += 2 if len(payload) > 2 and payload[2] & 0x80 else 1
    return at + bool(flags & 0x40) + bool(flags & 0x30)


def vp8_unnumbered(payload: bytes) -> bytes:
    """Without picture numbers and layer indices (RFC 7741 section 4.2: all of them are optional)."""
    if not payload or not payload[0] & 0x80:
        return payload
    return bytes((payload[0] & 0x7F,)) + payload[_vp8_descriptor_bytes(payload) :]


def vp9_key_frame(payload: bytes) -> bool:
    """RFC 9628 section 4.2: begins a frame that is predicted from no other, in the lowest spatial layer."""
    if not payload or payload[0] & 0x48 != 0x08:
        return False
    if not payload[0] & 0x20:
        return True
    at = 1
    if payload[0] & 0x80:
        at += 2 if len(payload) > 1 and payload[1] & 0x80 else 1
    return at < len(payload) and not payload[at] & 0x0E


_H264_KEY = {5, 7}
"""An IDR slice, and the sequence parameters before it."""


def h264_key_frame(payload: bytes) -> bool:
    """RFC 6184 section 5.2: a single unit, an aggregate (STAP-A) or the first fragment (FU-A) of one."""
    if len(payload) < 2:
        return False
    kind = payload[0] & 0x1F
    if kind == 24:
        return any(unit in _H264_KEY for unit in _aggregated_units(payload))
    if kind == 28:
        return bool(payload[1] & 0x80) and payload[1] & 0x1F in _H264_KEY
    return kind in _H264_KEY


def _aggregated_units(payload: bytes) -> Iterator[int]:
    at = 1
    while at + 2 < len(payload):
        yield payload[at + 2] & 0x1F
        at += 2 + int.from_bytes(payload[at : at + 2], "big")


def av1_key_frame(payload: bytes) -> bool:
    """RTP payload for AV1 section 4.4: N is set and Z is not, so a coded video sequence begins here."""
    return bool(payload) and payload[0] & 0x88 == 0x08


def always(_payload: bytes) -> bool:
    """Of a codec whose every packet can be decoded by itself."""
    return True


KEY_FRAME_SNIFFERS: Mapping[str, Callable[[bytes], bool]] = {
    "VP8": vp8_key_frame,
    "VP9": vp9_key_frame,
    "H264": h264_key_frame,
    "AV1": av1_key_frame,
    "opus": always,
}
