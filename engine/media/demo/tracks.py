"""What the publisher of the demonstration sends: moving bars, and a tone that rises and falls.

Runs on asyncio, in the publisher's own process.
"""

import asyncio
import math
import time
import zlib
from array import array
from fractions import Fraction
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame
from av.packet import Packet

WIDTH, HEIGHT = 320, 240
PICTURES_PER_SECOND = 15
RATE_HZ = 48_000
SAMPLES = 960
"""20 ms, what one RTP packet carries."""
TONE_HZ, SWING_HZ = 440.0, 110.0
SWING_SECONDS = 7.3
AMPLITUDE = 8000
STAMPS_MAX = 1000
"""Stamps that wait for a report; more are not kept."""


class _Pace:
    """Lets one through every so many seconds, without drift."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic()

    async def wait(self) -> None:
        self._next += self._seconds
        await asyncio.sleep(max(0.0, self._next - time.monotonic()))


class Bars(MediaStreamTrack):
    """Grey bars that move to the left."""

    kind = "video"

    def __init__(self) -> None:
        super().__init__()
        self._pace = _Pace(1 / PICTURES_PER_SECOND)
        self._number = 0

    async def recv(self) -> VideoFrame:
        """See MediaStreamTrack."""
        if self.readyState != "live":
            raise MediaStreamError
        await self._pace.wait()
        frame = VideoFrame(width=WIDTH, height=HEIGHT, format="yuv420p")
        for plane, step in zip(frame.planes, (2, 0, 0), strict=True):
            row = bytes((128 + step * (x + 2 * self._number)) & 0xE0 for x in range(plane.line_size))
            plane.update(row * plane.height)
        frame.pts, frame.time_base = self._number, Fraction(1, PICTURES_PER_SECOND)
        self._number += 1
        return frame


class Tone(MediaStreamTrack):
    """A tone that is never the same, so that each of its packets can be known again by its bytes."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.stamps: list[tuple[int, int]] = []
        """(CRC of a packet, nanoseconds of the system's clock when it was made)."""
        self._pace = _Pace(SAMPLES / RATE_HZ)
        self._number = 0
        self._phase = 0.0
        self._encoder = av.AudioCodecContext.create("libopus", "w")
        self._encoder.sample_rate = RATE_HZ
        self._encoder.layout = "mono"
        self._encoder.format = "s16"
        self._encoder.time_base = Fraction(1, RATE_HZ)

    async def recv(self) -> "Packet[Any]":
        """See MediaStreamTrack."""
        if self.readyState != "live":
            raise MediaStreamError
        packet: Packet[Any] | None = None
        while packet is None:
            await self._pace.wait()
            packet = next(iter(self._encoder.encode(self._frame())), None)
        # The encoder's own first time is below zero, which RTP cannot say.
        packet.pts, packet.time_base = SAMPLES * self._number, Fraction(1, RATE_HZ)
        if len(self.stamps) < STAMPS_MAX:
            self.stamps.append((zlib.crc32(bytes(packet)), time.monotonic_ns()))
        return packet

    def _frame(self) -> AudioFrame:
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        swing = math.sin(2 * math.pi * self._number * SAMPLES / RATE_HZ / SWING_SECONDS)
        step = 2 * math.pi * (TONE_HZ + SWING_HZ * swing) / RATE_HZ
        samples = array("h", (round(AMPLITUDE * math.sin(self._phase + step * n)) for n in range(SAMPLES)))
        self._phase = (self._phase + step * SAMPLES) % (2 * math.pi)
        frame.planes[0].update(samples.tobytes())
        frame.pts, frame.sample_rate = SAMPLES * self._number, RATE_HZ
        frame.time_base = Fraction(1, RATE_HZ)
        self._number += 1
        return frame
