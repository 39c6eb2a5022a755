"""What can be said of sources and sinks without touching anything. Pure, for every driver."""

import re
from pathlib import PurePath

from engine.media.protocol import (
    BadSinkError,
    BadSourceError,
    CallableSource,
    FileSink,
    FramePeerRequest,
    FrameSink,
    FrameSource,
    Kind,
    PatternSource,
)

RECORDINGS = (".webm", ".mkv", ".mp4")
SIDE_MIN, SIDE_MAX = 16, 4096
"""Pixels of a pattern's side."""
FRAMES_PER_SECOND_MAX = 120
TONE_HZ_MAX = 20_000
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def check(request: FramePeerRequest) -> None:
    """Look at what is to be played and recorded.

    Raises:
        BadSourceError: it can never be played, or there is nothing to do at all.
        BadSinkError: it can never be recorded into.
    """
    if request.send is None and request.receive is None:
        raise BadSourceError("the peer has neither source nor sink")
    if request.send is not None:
        _check_source(request.send)
    if request.receive is not None:
        _check_sink(request.receive)


def kinds_of(part: FrameSource | FrameSink) -> tuple[Kind, ...]:
    """Which it has, or takes; a file may have fewer."""
    audio = part.tone_hz is not None if isinstance(part, PatternSource) else part.audio
    return tuple(kind for kind, has in ((Kind.AUDIO, audio), (Kind.VIDEO, part.video)) if has)


def _check_source(source: FrameSource) -> None:
    if not kinds_of(source):
        raise BadSourceError("the source has neither picture nor sound")
    if isinstance(source, PatternSource):
        _check_pattern(source)
    elif isinstance(source, CallableSource) and not _TARGET.fullmatch(source.target):
        raise BadSourceError("a callable is named as package.module:name")


def _check_pattern(source: PatternSource) -> None:
    if not all(SIDE_MIN <= side <= SIDE_MAX and side % 2 == 0 for side in (source.width, source.height)):
        raise BadSourceError(f"a pattern's sides are even numbers from {SIDE_MIN} to {SIDE_MAX}")
    if not 0 < source.frames_per_second <= FRAMES_PER_SECOND_MAX:
        raise BadSourceError(f"a pattern has 1 to {FRAMES_PER_SECOND_MAX} frames per second")
    if source.tone_hz is not None and not 0 < source.tone_hz <= TONE_HZ_MAX:
        raise BadSourceError(f"a tone has 1 to {TONE_HZ_MAX} Hz")
    if source.seconds is not None and not 0 < source.seconds < float("inf"):
        raise BadSourceError("a pattern takes more than no time, or is without end when None")


def _check_sink(sink: FrameSink) -> None:
    if not kinds_of(sink):
        raise BadSinkError("the sink takes neither picture nor sound")
    if isinstance(sink, FileSink) and PurePath(sink.path).suffix not in RECORDINGS:
        raise BadSinkError("a recording is a .webm, .mkv or .mp4 file")
    if not isinstance(sink, FileSink) and not _TARGET.fullmatch(sink.target):
        raise BadSinkError("a callable is named as package.module:name")
