"""What viewers know of a stream, whether it is published here or comes from another worker."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from engine.media.protocol import Kind
from engine.media.router.sdp import Track
from engine.media.router.source import Source


class Stream(Protocol):
    """Something to view."""

    @property
    def stream_id(self) -> str:
        """Its name."""

    @property
    def tracks(self) -> Mapping[Kind, Track]:
        """As they are published."""

    @property
    def sources(self) -> Sequence[Source]:
        """Of each track in order, and of each of its layers."""

    def tick(self, now: float) -> None:
        """Every twenty milliseconds."""


def source_of(stream: Stream, kind: Kind, layer: str | None) -> Source | None:
    """The source of a kind; its first layer unless one is named."""
    of_kind = (one for one in stream.sources if one.kind is kind)
    return next((one for one in of_kind if layer is None or one.layer in (layer, None)), None)
