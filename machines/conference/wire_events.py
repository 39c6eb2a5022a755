"""The wire form of the conference API's events: one class a type, and the common fields first.

The source has the common fields; the fields of each type are those that clients read. Types that no client
names (bitrate, interaction, participant metadata) are called as the others are.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import attrs

from engine.codec.wire import WireCodec
from machines.conference.wire import Mode, StreamType


def instant(at: float) -> str:
    """UTC seconds as `yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`, which clients want to the letter."""
    text = datetime.fromtimestamp(round(at * 1000) / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


@attrs.frozen(kw_only=True)
class ConferenceEvent:
    """The fields of every event, and an event of a type that is not known here."""

    id: str = ""
    type: str = ""
    timestamp: str = ""
    """As `instant` writes it."""
    conference_id: str = ""
    organization_id: str | None = None
    conference_version: int | None = None
    """The version before the event; None for creation, and for what does not count."""
    user_endpoint_id: str | None = None
    """Of who caused it."""
    user_id: str | None = None


@attrs.frozen(kw_only=True)
class ConferenceCreatedEvent(ConferenceEvent):
    """The conference is there; never versioned."""

    type: Literal["ConferenceCreatedEvent"] = "ConferenceCreatedEvent"
    mode: Mode = Mode.UNKNOWN
    interaction_id: str | None = None
    metadata: Mapping[str, str] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ConferenceJoinedEvent(ConferenceEvent):
    """A user endpoint has joined."""

    type: Literal["ConferenceJoinedEvent"] = "ConferenceJoinedEvent"
    metadata: Mapping[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ConferenceLeftEvent(ConferenceEvent):
    """A user endpoint has left, or was lost."""

    type: Literal["ConferenceLeftEvent"] = "ConferenceLeftEvent"
    reason: str | None = None


@attrs.frozen(kw_only=True)
class ConferenceEndedEvent(ConferenceEvent):
    """The conference is over."""

    type: Literal["ConferenceEndedEvent"] = "ConferenceEndedEvent"
    reason: str | None = None


@attrs.frozen(kw_only=True)
class ConferenceStreamPublishedEvent(ConferenceEvent):
    """A stream can be viewed."""

    type: Literal["ConferenceStreamPublishedEvent"] = "ConferenceStreamPublishedEvent"
    stream_id: str = ""
    stream_type: StreamType = StreamType.UNKNOWN
    metadata: Mapping[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ConferenceStreamUnpublishedEvent(ConferenceEvent):
    """A stream is gone."""

    type: Literal["ConferenceStreamUnpublishedEvent"] = "ConferenceStreamUnpublishedEvent"
    stream_id: str = ""
    stream_type: StreamType = StreamType.UNKNOWN


@attrs.frozen(kw_only=True)
class ConferenceMetadataUpdatedEvent(ConferenceEvent):
    """A value of the metadata of the conference was set or removed."""

    type: Literal["ConferenceMetadataUpdatedEvent"] = "ConferenceMetadataUpdatedEvent"
    key: str = ""
    operation: str = ""
    value: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ConferenceParticipantMetadataUpdatedEvent(ConferenceEvent):
    """The metadata of a user endpoint has changed."""

    type: Literal["ConferenceParticipantMetadataUpdatedEvent"] = "ConferenceParticipantMetadataUpdatedEvent"
    new_metadata: Mapping[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ConferenceStreamMetadataUpdatedEvent(ConferenceEvent):
    """The metadata of a stream has changed."""

    type: Literal["ConferenceStreamMetadataUpdatedEvent"] = "ConferenceStreamMetadataUpdatedEvent"
    stream_id: str = ""
    new_metadata: Mapping[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ConferenceStreamBitrateUpdatedEvent(ConferenceEvent):
    """A publisher has another cap."""

    type: Literal["ConferenceStreamBitrateUpdatedEvent"] = "ConferenceStreamBitrateUpdatedEvent"
    stream_id: str = ""
    video_bitrate: int = 0
    """Bits a second."""


@attrs.frozen(kw_only=True)
class ConferenceInteractionUpdatedEvent(ConferenceEvent):
    """The conference belongs to an interaction."""

    type: Literal["ConferenceInteractionUpdatedEvent"] = "ConferenceInteractionUpdatedEvent"
    interaction_id: str = ""


@attrs.frozen(kw_only=True)
class NetworkIndicator:
    """How the network of one user endpoint does."""

    average_jitter: float = 0.0
    """Milliseconds."""
    average_rtt: float = 0.0
    """Milliseconds."""
    average_network_quality: float = 0.0
    grade: Literal["OPTIMAL", "SUBOPTIMAL", "BAD"] = "OPTIMAL"


@attrs.frozen(kw_only=True)
class ConferenceNetworkIndicatorUpdatedEvent(ConferenceEvent):
    """How the networks do; never versioned, because clients count what is."""

    type: Literal["ConferenceNetworkIndicatorUpdatedEvent"] = "ConferenceNetworkIndicatorUpdatedEvent"
    average_network_quality: float = 0.0
    participant_indicator_map: Mapping[str, NetworkIndicator] = attrs.field(factory=dict)
    """By user endpoint."""


EVENTS: Mapping[str, type[ConferenceEvent]] = {
    cls.__name__: cls
    for cls in (
        ConferenceCreatedEvent,
        ConferenceJoinedEvent,
        ConferenceLeftEvent,
        ConferenceEndedEvent,
        ConferenceStreamPublishedEvent,
        ConferenceStreamUnpublishedEvent,
        ConferenceMetadataUpdatedEvent,
        ConferenceParticipantMetadataUpdatedEvent,
        ConferenceStreamMetadataUpdatedEvent,
        ConferenceStreamBitrateUpdatedEvent,
        ConferenceInteractionUpdatedEvent,
        ConferenceNetworkIndicatorUpdatedEvent,
    )
}
"""By type."""


def read_event(codec: WireCodec, value: Any, path: str = "$") -> ConferenceEvent:
    """An event that a client was told; one of a type that is not known here has its common fields alone.

    Raises:
        RemoteProtocolError: it is not an event; `path` is where it stood.
    """
    common = codec.decode_value(value, ConferenceEvent, path)
    known = EVENTS.get(common.type)
    return codec.decode_value(value, known, path) if known else common
