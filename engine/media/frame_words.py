"""Words of peers with frames: what they play, and what they record. Plain values, for the media port."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs


@attrs.frozen
class FileSource:
    """A media file: its first sound track and its first picture track."""

    path: str
    """As the worker sees it."""
    loop: bool = attrs.field(default=False, kw_only=True)
    """Begin again at the end."""
    audio: bool = attrs.field(default=True, kw_only=True)
    video: bool = attrs.field(default=True, kw_only=True)


@attrs.frozen(kw_only=True)
class PatternSource:
    """Moving stripes and a tone, without a device or a file."""

    width: int = 320
    height: int = 240
    frames_per_second: int = 20
    seconds: float | None = None
    """How long; for ever when None."""
    tone_hz: int | None = 440
    """No sound when None."""
    video: bool = True


@attrs.frozen
class CallableSource:
    """What an async iterator gives: `PyAV` frames, each with a time, None never.

    Called inside the worker, with `arguments` by name. It runs on the loop that media runs on, so what takes
    long belongs into a thread. Sound is s16, mono or stereo.
    """

    target: str
    """`package.module:name`. It is imported and called, so it is the program's own and never a stranger's."""
    arguments: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """Plain values: numbers, text, bytes, None, and lists and tables of them."""
    audio: bool = attrs.field(default=False, kw_only=True)
    video: bool = attrs.field(default=True, kw_only=True)
    paced: bool = attrs.field(default=False, kw_only=True)
    """Let each frame wait until it is due by its own time; a live source waits by itself."""


@attrs.frozen
class FileSink:
    """A file, made at the first frame: .webm and .mkv (VP8, Opus) or .mp4 (H264, AAC)."""

    path: str
    """As the worker sees it; what is there is overwritten."""
    audio: bool = attrs.field(default=True, kw_only=True)
    video: bool = attrs.field(default=True, kw_only=True)


@attrs.frozen
class CallableSink:
    """An async function that is called inside the worker with an async iterator of frames, then `arguments`.

    The iterator ends with the peer; what the function does not take in time is lost and counted. Where it
    runs, and what may be passed, is as for CallableSource.
    """

    target: str
    """`package.module:name`, as for CallableSource."""
    arguments: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    audio: bool = attrs.field(default=True, kw_only=True)
    video: bool = attrs.field(default=True, kw_only=True)


FrameSource: TypeAlias = FileSource | PatternSource | CallableSource
FrameSink: TypeAlias = FileSink | CallableSink
