"""Where a peer's frames come from: a test pattern, a file, or a callable."""

import math
import os
from array import array
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import attrs
import av
from av import AudioFrame, AudioResampler, VideoFrame
from av.container import InputContainer
from av.stream import Stream
from av.video.frame import PictureType

from engine.errors import MediaError
from engine.media.frame_peer.one_thread import OneThread
from engine.media.frame_peer.queues import Frame, kind_of
from engine.media.protocol import Kind

AUDIO_RATE_HZ = 48_000
AUDIO_SAMPLES = 960
"""Twenty milliseconds, the length of an Opus frame."""
TONE_HZ = 440
PICTURE_SECONDS = Fraction(1, 25)
"""How long a file's last picture stays before the file begins again."""
TONE_PEAK = 8_000
"""Of 32 767."""


class Source(Protocol):
    """Gives the frames of one or two kinds, in the order in which they are due."""

    paced: bool
    """Whether the peer waits until a frame is due by its own time; a live source has waited already."""

    async def open(self) -> tuple[Kind, ...]:
        """Get ready, and say which kinds will come.

        Raises:
            MediaError: there is nothing to read.
        """

    async def next(self) -> Frame | None:
        """The next frame; None at the end."""

    async def close(self) -> None:
        """Give everything back; also after a failed `open`, and twice."""


@attrs.define(kw_only=True)
class PatternSource:
    """Moving stripes and a tone, without a device."""

    width: int = 320
    height: int = 240
    frames_per_second: int = 20
    seconds: float | None = None
    """When it ends; never when None."""
    tone_hz: int = TONE_HZ
    kinds: tuple[Kind, ...] = (Kind.AUDIO, Kind.VIDEO)
    paced: bool = attrs.field(default=True, init=False)
    _given: dict[Kind, int] = attrs.field(factory=lambda: dict.fromkeys(Kind, 0), init=False)

    async def open(self) -> tuple[Kind, ...]:
        """Nothing has to be got ready."""
        return self.kinds

    async def next(self) -> Frame | None:
        """The next frame; None after `seconds`."""
        kind = min(self.kinds, key=self._due_seconds)
        if self.seconds is not None and self._due_seconds(kind) >= self.seconds:
            return None
        number = self._given[kind]
        self._given[kind] += 1
        return self._picture(number) if kind is Kind.VIDEO else _tone(number, self.tone_hz)

    async def close(self) -> None:
        """Nothing has to be given back."""

    def _due_seconds(self, kind: Kind) -> float:
        video = kind is Kind.VIDEO
        return self._given[kind] * (1 / self.frames_per_second if video else AUDIO_SAMPLES / AUDIO_RATE_HZ)

    def _picture(self, number: int) -> VideoFrame:
        frame = VideoFrame(self.width, self.height, "yuv420p")
        for plane in frame.planes:
            stripe = bytes((4 * number + column) % 256 for column in range(plane.line_size))
            plane.update(stripe * (plane.buffer_size // plane.line_size))
        frame.pts, frame.time_base = number, Fraction(1, self.frames_per_second)
        return frame


@lru_cache(maxsize=8)
def _second(hz: int) -> "array[int]":
    """One second holds a whole number of waves, so that it can be repeated."""
    step = 2 * math.pi * hz / AUDIO_RATE_HZ
    return array("h", (round(TONE_PEAK * math.sin(step * at)) for at in range(AUDIO_RATE_HZ)))


def _tone(number: int, hz: int) -> AudioFrame:
    begin = number * AUDIO_SAMPLES % AUDIO_RATE_HZ
    frame = AudioFrame(format="s16", layout="mono", samples=AUDIO_SAMPLES)
    samples = _second(hz)[begin : begin + AUDIO_SAMPLES].tobytes()
    frame.planes[0].update(samples.ljust(frame.planes[0].buffer_size, b"\0"))
    frame.pts, frame.sample_rate = number * AUDIO_SAMPLES, AUDIO_RATE_HZ
    frame.time_base = Fraction(1, AUDIO_RATE_HZ)
    return frame


class FileSource:
    """Plays what PyAV can read: the first picture track and the first sound track."""

    paced = True

    def __init__(
        self, path: str | os.PathLike[str], kinds: tuple[Kind, ...] = tuple(Kind), *, loop: bool = False
    ) -> None:
        """With `loop` it begins again at its end, and its times go on."""
        self._path, self._kinds, self._loop = Path(path), kinds, loop
        self._thread: OneThread | None = None
        self._container: InputContainer | None = None
        self._frames: Iterator[Frame] = iter(())

    async def open(self) -> tuple[Kind, ...]:
        """Open the file.

        Raises:
            MediaError: there is no such file, or nothing in it that can be played.
        """
        self._thread = OneThread("frame-source")
        return await self._thread.call(self._open)

    async def next(self) -> Frame | None:
        """The next frame; None at the end of the file."""
        assert self._thread is not None
        return await self._thread.call(lambda: next(self._frames, None))

    async def close(self) -> None:
        """Close the file."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await thread.finish(self._close)

    # -- on the thread

    def _open(self) -> tuple[Kind, ...]:
        if not self._path.is_file():
            raise MediaError(f"there is no file {self._path.name!r} to play")
        self._container = av.open(str(self._path))
        streams = self._container.streams
        has = {Kind.AUDIO: streams.audio[:1], Kind.VIDEO: streams.video[:1]}
        kinds = tuple(kind for kind in Kind if kind in self._kinds and has[kind])
        if not kinds:
            raise MediaError("the file has neither picture nor sound that is wanted")
        self._frames = _played(self._container, [one for kind in kinds for one in has[kind]], loop=self._loop)
        return kinds

    def _close(self) -> None:
        self._frames = iter(())
        if self._container is not None:
            self._container.close()
            # Decoders have threads of their own, and end with the last who knows them.
            self._container = None


def _played(container: InputContainer, streams: list[Stream], *, loop: bool) -> Iterator[Frame]:
    shift = Fraction(0)
    while True:
        end = shift
        for frame, base in _decoded(container, streams):
            assert frame.pts is not None
            frame.pts += round(shift / base)
            end = max(end, frame.pts * base + _length(frame))
            yield frame
        # A file without a frame would be repeated for ever, and in no time.
        if not loop or end == shift:
            return
        shift = end
        container.seek(0)


def _decoded(container: InputContainer, streams: list[Stream]) -> Iterator[tuple[Frame, Fraction]]:
    """Frames that have a time, with what it counts in."""
    resampler = AudioResampler(format="s16", layout="stereo", rate=AUDIO_RATE_HZ, frame_size=AUDIO_SAMPLES)
    for frame in container.decode(streams):
        if isinstance(frame, AudioFrame):
            for sound in resampler.resample(frame):
                yield sound, Fraction(1, AUDIO_RATE_HZ)
        elif isinstance(frame, VideoFrame) and frame.pts is not None and frame.time_base:
            # The types of the file's pictures would be orders to the encoder.
            frame.pict_type = PictureType.NONE
            yield frame, frame.time_base


def _length(frame: Frame) -> Fraction:
    if isinstance(frame, AudioFrame):
        return Fraction(frame.samples, AUDIO_RATE_HZ)
    return PICTURE_SECONDS


class CallableSource:
    """What an async iterator gives. Each frame has a time; sound is s16, mono or stereo."""

    def __init__(self, frames: AsyncIterator[Frame], kinds: tuple[Kind, ...], *, paced: bool = False) -> None:
        self._frames, self._kinds, self.paced = frames, kinds, paced

    async def open(self) -> tuple[Kind, ...]:
        """Nothing has to be got ready."""
        return self._kinds

    async def next(self) -> Frame | None:
        """Ask for one.

        Raises:
            MediaError: it is no frame that can be sent.
        """
        frame = await anext(self._frames, None)
        if frame is not None:
            self._check(frame)
        return frame

    async def close(self) -> None:
        """Let it give back what it has."""
        if isinstance(self._frames, AsyncGenerator):
            await self._frames.aclose()

    def _check(self, frame: object) -> None:
        if not isinstance(frame, AudioFrame | VideoFrame) or kind_of(frame) not in self._kinds:
            raise MediaError(f"the source gave no {' or '.join(self._kinds)} frame")
        if frame.pts is None or not frame.time_base:
            raise MediaError("the source gave a frame without a time")
        if isinstance(frame, AudioFrame) and (
            frame.format.name != "s16" or frame.layout.name not in ("mono", "stereo")
        ):
            raise MediaError("the source gave sound that is not s16, mono or stereo")
