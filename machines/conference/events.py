"""Events of a conference in their wire form (3.3, "Event types")."""

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from engine.codec.wire import WireCodec
from engine.vocabulary import Event
from machines.conference import vocabulary as v
from machines.conference import wire_events as wire
from machines.conference.wire import Mode

_CODEC = WireCodec()


@attrs.frozen(kw_only=True)
class Told:
    """One event as clients are told it."""

    version: int | None
    organization: str
    text: str = attrs.field(repr=False)
    """JSON."""
    is_last: bool
    """Nothing comes behind it."""


def told(conference_id: str, organization: str, event: Event, at: float) -> Told:
    """The wire form of an event that clients know; a creation brings its own organization."""
    if isinstance(event, v.ConferenceCreated):
        organization = event.organization
    shaped = _shaped(
        event,
        id=event.event_id if isinstance(event, v.NumberedEvent | v.ConferenceCreated) else "",
        timestamp=wire.instant(at),
        conference_id=conference_id,
        organization_id=organization or None,
    )
    return Told(
        version=shaped.conference_version,
        organization=organization,
        text=_CODEC.encode(shaped).decode(),
        is_last=isinstance(event, v.ConferenceEnded),
    )


def values_of(metadata: v.JsonTexts) -> dict[str, Any]:
    """Metadata with its JSON texts read."""
    return {name: msgspec.json.decode(text) for name, text in metadata.items()}


def texts_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Metadata with its values written as JSON texts."""
    return {name: msgspec.json.encode(value).decode() for name, value in metadata.items()}


def _shaped(event: Event, **common: Any) -> wire.ConferenceEvent:
    if isinstance(event, v.NumberedEvent):
        common["conference_version"] = event.version
        common["user_id"] = event.user or None
        common["user_endpoint_id"] = event.user_endpoint_id or None
    match event:
        case v.ConferenceCreated():
            return wire.ConferenceCreatedEvent(
                **common,
                user_id=event.creator,
                user_endpoint_id=event.creator_endpoint or None,
                mode=Mode.ROUTER,
                interaction_id=event.interaction_id or None,
                metadata=event.metadata,
            )
        case v.ParticipantJoined():
            return wire.ConferenceJoinedEvent(**common, metadata=values_of(event.metadata))
        case v.ParticipantLeft():
            return wire.ConferenceLeftEvent(**common, reason=event.reason)
        case v.ConferenceEnded():
            return wire.ConferenceEndedEvent(**common, reason=event.reason)
        case _:
            return _shaped_update(event, common)


def _shaped_update(event: Event, common: dict[str, Any]) -> wire.ConferenceEvent:
    match event:
        case v.StreamPublished():
            return wire.ConferenceStreamPublishedEvent(
                **common,
                stream_id=event.stream_id,
                stream_type=event.type,
                metadata=values_of(event.metadata),
            )
        case v.StreamUnpublished():
            return wire.ConferenceStreamUnpublishedEvent(
                **common, stream_id=event.stream_id, stream_type=event.type
            )
        case v.MetadataUpdated():
            return wire.ConferenceMetadataUpdatedEvent(
                **common, key=event.key, operation=event.operation.value, value=event.value
            )
        case v.ParticipantMetadataUpdated():
            return wire.ConferenceParticipantMetadataUpdatedEvent(
                **common, new_metadata=values_of(event.new_metadata)
            )
        case v.StreamMetadataUpdated():
            return wire.ConferenceStreamMetadataUpdatedEvent(
                **common, stream_id=event.stream_id, new_metadata=values_of(event.new_metadata)
            )
        case v.BitrateUpdated():
            return wire.ConferenceStreamBitrateUpdatedEvent(
                **common, stream_id=event.stream_id, video_bitrate=event.bitrate_bps
            )
        case v.InteractionUpdated():
            return wire.ConferenceInteractionUpdatedEvent(**common, interaction_id=event.interaction_id)
    raise AssertionError(f"clients know no {type(event).__name__}")
