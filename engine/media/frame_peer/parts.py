"""What a peer with frames is made of: its limits, and its sources and sinks with their queues."""

import asyncio
from collections.abc import Iterator, Mapping

import attrs

from engine.media.frame_peer.connection import SentTrack
from engine.media.frame_peer.queues import Frame, FrameQueue, kind_of
from engine.media.frame_peer.sinks import Sink
from engine.media.frame_peer.sources import Source
from engine.media.protocol import Kind


@attrs.frozen(kw_only=True)
class FramePeerConfig:
    """Limits and deadlines of a peer."""

    peer_id: str
    video_frames_max: int = 8
    """Pictures that wait for an encoder or a sink; a decoded one is large."""
    audio_frames_max: int = 100
    """Two seconds in frames of twenty milliseconds."""
    connect_seconds: float = 10.0
    """From the offer, or from the answer to one."""
    close_seconds: float = 2.0
    """For aiortc, and again for sources and sinks; what is not done then is abandoned and counted."""

    def queue(self) -> FrameQueue:
        """One for a source or a sink."""
        return FrameQueue({Kind.VIDEO: self.video_frames_max, Kind.AUDIO: self.audio_frames_max})


@attrs.define(kw_only=True, eq=False)
class Played:
    """A source with what it fills."""

    source: Source
    queues: Mapping[Kind, FrameQueue]
    tracks: tuple[SentTrack, ...]
    plays: "asyncio.Task[None] | None" = None

    def put(self, frame: Frame) -> None:
        """To its track; a frame of a kind that was not announced goes nowhere."""
        queue = self.queues.get(kind_of(frame))
        if queue is not None:
            queue.put(frame)

    def figures(self) -> Iterator[tuple[str, float]]:
        """By name."""
        for track in self.tracks:
            kind = Kind(track.kind)
            yield f"{kind}_sent_frames", track.frames
            yield f"{kind}_source_dropped_frames", self.queues[kind].dropped[kind]
            if kind is Kind.AUDIO:
                yield "audio_sent_samples", track.samples


@attrs.define(kw_only=True, eq=False)
class Recorded:
    """A sink with what it empties."""

    sink: Sink
    queue: FrameQueue
    coming: set[Kind] = attrs.field(factory=set)
    """Kinds that the other side may send."""
    writes: "asyncio.Task[None] | None" = None

    def figures(self) -> Iterator[tuple[str, float]]:
        """By name."""
        for kind in self.sink.kinds:
            yield f"{kind}_received_frames", self.queue.taken[kind]
            yield f"{kind}_sink_dropped_frames", self.queue.dropped[kind]
            if kind is Kind.AUDIO:
                yield "audio_received_samples", self.queue.samples


def seconds_of(frame: Frame) -> float:
    """When it is due, by its own time."""
    base = frame.time_base
    assert frame.pts is not None and base is not None  # noqa: PT018 # one fact: it has a time
    return frame.pts * base.numerator / base.denominator
