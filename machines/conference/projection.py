"""What clients see of a conference: aggregate, simple view, and what a service sends. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from machines.conference import vocabulary as v
from machines.conference import wire_answers as wire
from machines.conference.events import values_of
from machines.conference.rules.roll import streams_of
from machines.conference.wire_events import instant


def aggregate(conference: v.Conference, *, empty: bool) -> wire.Conference:
    """The whole conference, a participant for each user endpoint; `empty` when nobody counts as inside."""
    return wire.Conference(
        id=conference.id,
        mode=conference.mode,
        organization_id=conference.organization or None,
        interaction_id=conference.interaction_id or None,
        creator=conference.creator or None,
        creator_endpoint=conference.creator_endpoint or None,
        participants=tuple(
            _participant(one, _streams_of(conference, one)) for one in conference.participants.values()
        ),
        metadata=_metadata(conference),
        version=conference.version,
        empty=empty,
    )


def simple_view(conference: v.Conference) -> wire.ConferenceSimpleView:
    """The conference by users, in the order in which they came; its version is that of the next event."""
    endpoints: dict[str, list[wire.ConferenceSimpleViewParticipantEndpoint]] = {}
    for one in conference.participants.values():
        endpoints.setdefault(one.user, []).append(_endpoint(one, _streams_of(conference, one)))
    return wire.ConferenceSimpleView(
        id=conference.id,
        mode=conference.mode,
        metadata=_metadata(conference),
        participants=tuple(
            wire.ConferenceSimpleViewParticipant(id=user, endpoints=tuple(his))
            for user, his in endpoints.items()
        ),
        version=conference.version,
    )


def sent_event(
    event: Mapping[str, Any], *, event_id: str, conference_id: str, organization: str
) -> dict[str, Any]:
    """An event of sendEvent as clients are told it.

    It never has a version: clients count the events that have one, and would lose step.
    """
    told = {name: value for name, value in event.items() if name != "conferenceVersion"}
    return {**told, "id": event_id, "conferenceId": conference_id, "organizationId": organization or None}


def _participant(one: v.Participant, streams: Iterable[v.Stream]) -> wire.ConferenceParticipant:
    return wire.ConferenceParticipant(
        id=one.user_endpoint_id,
        user_id=one.user,
        state=one.health,
        streams=tuple(
            wire.ConferenceStream(
                id=stream.stream_id,
                type=stream.type,
                metadata=values_of(stream.metadata),
                video_bitrate=stream.bitrate_bps,
            )
            for stream in streams
        ),
        metadata=values_of(one.metadata),
    )


def _endpoint(
    one: v.Participant, streams: Iterable[v.Stream]
) -> wire.ConferenceSimpleViewParticipantEndpoint:
    return wire.ConferenceSimpleViewParticipantEndpoint(
        id=one.user_endpoint_id,
        state=one.health,
        streams=tuple(
            wire.ConferenceSimpleViewParticipantEndpointStream(
                id=stream.stream_id, type=stream.type, metadata=values_of(stream.metadata)
            )
            for stream in streams
        ),
        metadata=values_of(one.metadata),
    )


def _streams_of(conference: v.Conference, one: v.Participant) -> list[v.Stream]:
    """Without those that are only offered: nobody has been told of them."""
    published = streams_of(conference, one.user_endpoint_id)
    return [stream for stream in published if stream.phase is not v.Phase.OFFERED]


def _metadata(conference: v.Conference) -> dict[str, wire.Metadata]:
    return {
        key: wire.Metadata(
            value=entry.value,
            user_id=entry.user or None,
            user_endpoint_id=entry.user_endpoint_id or None,
            last_modified=instant(entry.modified_at),
        )
        for key, entry in conference.metadata.items()
    }
