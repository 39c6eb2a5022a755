"""Where a peer's frames go: a file, or a callable."""

import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
from av import AudioFrame, AudioStream, VideoStream
from av.container import OutputContainer
from av.video.frame import PictureType

from engine.errors import MediaError
from engine.media.frame_peer.one_thread import OneThread
from engine.media.frame_peer.queues import Frame, kind_of
from engine.media.protocol import Kind

CODECS = {
    ".webm": ("libopus", "libvpx"),
    ".mkv": ("libopus", "libvpx"),
    ".mp4": ("aac", "libx264"),
}
"""Of sound and of picture."""
CONTAINER_OPTIONS = {
    ".webm": {"flush_packets": "1", "cluster_time_limit": "1000"},
    ".mkv": {"flush_packets": "1", "cluster_time_limit": "1000"},
    ".mp4": {},
}
"""A worker that dies takes with it what is not written: a second of webm and mkv, and all of an mp4."""
OPTIONS = {"libvpx": {"deadline": "realtime", "cpu-used": "8"}, "libx264": {"preset": "ultrafast"}}
"""A recording that falls behind loses pictures; speed is worth more than size."""
VIDEO_BITRATE_BPS = 1_000_000
VIDEO_TIME_BASE = Fraction(1, 90_000)
AUDIO_RATE_HZ = 48_000
HELD_FRAMES_MAX = {Kind.AUDIO: 500, Kind.VIDEO: 100}
"""Frames that wait for the first one of the other kind: a file names its tracks before any is written."""


class Sink(Protocol):
    """Takes the frames of one or two kinds, one after the other."""

    kinds: tuple[Kind, ...]

    async def run(self, frames: AsyncIterator[Frame], kinds: tuple[Kind, ...]) -> None:
        """Take what comes, until nothing comes any more; `kinds` are those of its own that may come.

        Called once, and only when something may come.
        """

    async def close(self) -> None:
        """Finish; `run` has ended, or never began."""


class CallableSink:
    """Gives the frames to `take`; what comes after its return is lost."""

    def __init__(
        self, take: Callable[[AsyncIterator[Frame]], Awaitable[None]], kinds: tuple[Kind, ...] = tuple(Kind)
    ) -> None:
        self._take, self.kinds = take, kinds

    async def run(self, frames: AsyncIterator[Frame], kinds: tuple[Kind, ...]) -> None:  # noqa: ARG002 # see Sink
        """Pass them on."""
        await self._take(frames)

    async def close(self) -> None:
        """Nothing has to be finished."""


class FileSink:
    """Records into webm or mkv (VP8, Opus) or mp4 (H264, AAC). All pictures get the size of the first one."""

    def __init__(self, path: str | os.PathLike[str], kinds: tuple[Kind, ...] = tuple(Kind)) -> None:
        """Look at the path only; the file is made at the first frame.

        Raises:
            MediaError: the name ends with none of them, or cannot be written to.
        """
        self._path, self.kinds = Path(path), kinds
        self._expected = kinds
        if self._path.suffix not in CODECS:
            raise MediaError("a recording is a .webm, .mkv or .mp4 file")
        if not self._path.parent.is_dir():
            raise MediaError(f"there is no folder for the recording {self._path.name!r}")
        if self._path.is_dir() or not os.access(self._path.parent, os.W_OK):
            raise MediaError(f"the recording {self._path.name!r} cannot be written")
        self._thread: OneThread | None = None
        self._held: list[tuple[Frame, float]] = []
        self._container: OutputContainer | None = None
        self._streams: dict[Kind, AudioStream | VideoStream] = {}
        self._shifts: dict[Kind, float] = {}
        self._last: dict[Kind, float] = {}
        self._began_at: float | None = None
        self.late = 0
        """Frames without a place in the file: their kind or their time came too late."""

    async def run(self, frames: AsyncIterator[Frame], kinds: tuple[Kind, ...]) -> None:
        """Write them."""
        self._expected = kinds
        async for frame in frames:
            await self.take(frame)

    async def take(self, frame: Frame) -> None:
        """Write it, or hold it until the tracks are known."""
        if self._thread is None:
            self._thread = OneThread("frame-sink")
        now = time.monotonic()
        await self._thread.call(lambda: self._write(frame, now))

    async def close(self) -> None:
        """Write what is held, and the end of the file."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await thread.finish(self._finish)

    # -- on the thread

    def _write(self, frame: Frame, now: float) -> None:
        if self._container is not None:
            self._encode(frame, now)
            return
        self._held.append((frame, now))
        held = Counter(kind_of(one) for one, _ in self._held)
        if {*held} >= {*self._expected} or any(held[kind] >= HELD_FRAMES_MAX[kind] for kind in held):
            self._begin()

    def _begin(self) -> None:
        held, self._held = self._held, []
        self._container = av.open(str(self._path), "w", options=CONTAINER_OPTIONS[self._path.suffix])
        for frame, _ in held:
            if kind_of(frame) not in self._streams:
                self._streams[kind_of(frame)] = self._track(self._container, frame)
        for frame, at in held:
            self._encode(frame, at)

    def _track(self, container: OutputContainer, frame: Frame) -> AudioStream | VideoStream:
        sound, picture = CODECS[self._path.suffix]
        if isinstance(frame, AudioFrame):
            audio = container.add_stream(sound, rate=AUDIO_RATE_HZ)
            assert isinstance(audio, AudioStream)
            audio.codec_context.layout = "stereo"
            return audio
        video = container.add_stream(picture, rate=30, options=OPTIONS[picture])
        assert isinstance(video, VideoStream)
        # Encoders of 4:2:0 want even sizes.
        video.width, video.height = frame.width // 2 * 2, frame.height // 2 * 2
        video.pix_fmt, video.bit_rate = "yuv420p", VIDEO_BITRATE_BPS
        video.codec_context.time_base = VIDEO_TIME_BASE
        return video

    def _encode(self, frame: Frame, at: float) -> None:
        stream = self._streams.get(kind_of(frame))
        if stream is None or not self._put_in_time(frame, at):
            self.late += 1
            return
        assert self._container is not None
        if isinstance(frame, AudioFrame):
            assert isinstance(stream, AudioStream)
            self._container.mux(stream.encode(frame))
            return
        assert isinstance(stream, VideoStream)
        pts, base = frame.pts, frame.time_base
        picture = frame.reformat(width=stream.width, height=stream.height, format="yuv420p")
        picture.pts, picture.time_base, picture.pict_type = pts, base, PictureType.NONE
        self._container.mux(stream.encode(picture))

    def _put_in_time(self, frame: Frame, at: float) -> bool:
        """Each kind counts from its own first frame; the file counts from the first of all, as they came."""
        kind = kind_of(frame)
        if frame.pts is None or not frame.time_base:
            return False
        base = Fraction(frame.time_base.numerator, frame.time_base.denominator)
        seconds = float(frame.pts * base)
        self._began_at = at if self._began_at is None else self._began_at
        shift = self._shifts.setdefault(kind, at - self._began_at - seconds)
        if seconds + shift <= self._last.get(kind, -1.0):
            return False
        self._last[kind] = seconds + shift
        frame.pts += round(shift / base)
        return True

    def _finish(self) -> None:
        if self._held:
            self._begin()
        if self._container is None:
            return
        try:
            for stream in self._streams.values():
                self._container.mux(stream.encode(None))
        finally:
            self._container.close()
            # Encoders have threads of their own, and end with the last who knows them.
            self._container = None
            self._streams.clear()
