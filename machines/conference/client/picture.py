"""A conference as a client sees it: who is inside and what is published, at one version. Pure."""

from collections.abc import Mapping
from typing import Any

import attrs

from machines.conference import wire_answers as answers
from machines.conference import wire_events as told
from machines.conference.wire import StreamType


@attrs.frozen(kw_only=True)
class SeenStream:
    """A stream that can be viewed."""

    stream_id: str
    user_endpoint_id: str
    """Its publisher's."""
    user_id: str
    type: StreamType = StreamType.UNKNOWN
    metadata: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class Picture:
    """A conference at one version."""

    version: int = 0
    """The version that the next event carries."""
    endpoints: Mapping[str, str] = attrs.field(factory=dict)
    """Users by user endpoint, in the order in which they came."""
    streams: Mapping[str, SeenStream] = attrs.field(factory=dict)
    """By stream id."""
    metadata: Mapping[str, str] = attrs.field(factory=dict, repr=False)


def picture_of(view: answers.ConferenceSimpleView) -> Picture:
    """What a simple view shows."""
    endpoints: dict[str, str] = {}
    streams: dict[str, SeenStream] = {}
    for person in view.participants:
        for endpoint in person.endpoints:
            endpoints[endpoint.id] = person.id
            for stream in endpoint.streams:
                streams[stream.id] = _seen(stream, endpoint.id, person.id)
    return Picture(
        version=view.version,
        endpoints=endpoints,
        streams=streams,
        metadata={key: one.value or "" for key, one in view.metadata.items()},
    )


def after(picture: Picture, event: told.ConferenceEvent) -> Picture:
    """The picture when this event has happened; one that has no version changes nothing."""
    if event.conference_version is None:
        return picture
    picture = attrs.evolve(picture, version=event.conference_version + 1)
    endpoint = event.user_endpoint_id or ""
    match event:
        case told.ConferenceJoinedEvent():
            endpoints = {**picture.endpoints, endpoint: event.user_id or ""}
            return attrs.evolve(picture, endpoints=endpoints)
        case told.ConferenceLeftEvent():
            return _without(picture, endpoint)
        case told.ConferenceEndedEvent():
            return attrs.evolve(picture, endpoints={}, streams={})
        case _:
            return _after_change(picture, event, endpoint)


def _after_change(picture: Picture, event: told.ConferenceEvent, endpoint: str) -> Picture:
    match event:
        case told.ConferenceStreamPublishedEvent():
            stream = SeenStream(
                stream_id=event.stream_id,
                user_endpoint_id=endpoint,
                user_id=event.user_id or "",
                type=event.stream_type,
                metadata=event.metadata or {},
            )
            return attrs.evolve(picture, streams={**picture.streams, stream.stream_id: stream})
        case told.ConferenceStreamUnpublishedEvent(stream_id=gone):
            streams = {name: one for name, one in picture.streams.items() if name != gone}
            return attrs.evolve(picture, streams=streams)
        case told.ConferenceStreamMetadataUpdatedEvent(stream_id=name) if name in picture.streams:
            stream = picture.streams[name]
            stream = attrs.evolve(stream, metadata=_merged(stream.metadata, event.new_metadata or {}))
            return attrs.evolve(picture, streams={**picture.streams, name: stream})
        case told.ConferenceMetadataUpdatedEvent():
            metadata = {key: value for key, value in picture.metadata.items() if key != event.key}
            kept = {} if event.operation == "REMOVE" else {event.key: event.value or ""}
            return attrs.evolve(picture, metadata=metadata | kept)
        case _:
            return picture


def _without(picture: Picture, endpoint: str) -> Picture:
    """Hosts tell of its streams before; one that does not must not leave them here for ever."""
    return attrs.evolve(
        picture,
        endpoints={name: user for name, user in picture.endpoints.items() if name != endpoint},
        streams={name: one for name, one in picture.streams.items() if one.user_endpoint_id != endpoint},
    )


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**old, **new}.items() if value is not None}


def _seen(
    stream: answers.ConferenceSimpleViewParticipantEndpointStream, endpoint: str, user: str
) -> SeenStream:
    known = stream.type in tuple(StreamType)
    return SeenStream(
        stream_id=stream.id,
        user_endpoint_id=endpoint,
        user_id=user,
        type=StreamType(stream.type) if known else StreamType.UNKNOWN,
        metadata=stream.metadata or {},
    )
