"""What a host asks of its workers besides what it is asked itself: pipes between two of them."""

import attrs

from engine.media.protocol import CloseReason, MediaRequest


@attrs.frozen(kw_only=True)
class OpenPipe(MediaRequest):
    """Carry a stream through the socket that was handed over under the number `pipe`."""

    pipe: int
    """Of one host; numbers go up and none is used twice."""
    stream_id: str
    home: bool
    """Whether the stream is published on the worker that is asked; the home is asked first."""


@attrs.frozen(kw_only=True)
class ClosePipe(MediaRequest):
    """End a pipe, and on its far worker the stream; one that is closed is closed."""

    pipe: int
    reason: CloseReason
    """Told to those who still view it there."""
