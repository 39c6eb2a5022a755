"""The roll of a conference: who and what is in it, what goes together, how events change it. Pure."""

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, TypeVar

import attrs

from engine.vocabulary import Event
from machines.conference import vocabulary as v
from machines.conference.rules.addresses import view_key

PARTICIPANT_LIMIT = "participant_limit"
"""The key of a conference's metadata that says how many users it takes."""

RECORDER = "RECORDER"
"""The key of a participant's metadata that makes it nobody: it keeps no conference alive."""

NULL = "null"
"""The JSON text that deletes a property of metadata."""

FALSE = "false"
"""The JSON text that makes nothing of a flag."""

T = TypeVar("T")


def begin(conference_id: str) -> v.Conference:
    """A conference that nobody has created."""
    return v.Conference(id=conference_id)


# -- queries


def is_own(conference: v.Conference, caller: v.Caller, user_endpoint_id: str) -> bool:
    """Whether the endpoint has joined and is the caller's."""
    there = conference.participants.get(user_endpoint_id)
    return there is not None and there.user == caller.user


def people(conference: v.Conference) -> list[v.Participant]:
    """Participants that are no recorders."""
    return [one for one in conference.participants.values() if not is_recorder(one.metadata)]


def is_recorder(metadata: v.JsonTexts) -> bool:
    """Whether a participant with this metadata only records."""
    return metadata.get(RECORDER, FALSE) not in (FALSE, NULL)


def is_empty(conference: v.Conference) -> bool:
    """Whether nobody is inside, or recorders only."""
    return not people(conference)


def limit_of(conference: v.Conference) -> int | None:
    """How many users may be inside; None when nothing says so, or nothing that can be read."""
    entry = conference.metadata.get(PARTICIPANT_LIMIT)
    return int(entry.value) if entry is not None and entry.value.isdecimal() else None


def viewer_of(conference: v.Conference, caller: v.Caller, user_endpoint_id: str) -> str | None:
    """The caller's endpoint that views: the named one, or else his only one.

    Some clients name the publisher's endpoint, so that the name alone cannot decide.
    """
    if is_own(conference, caller, user_endpoint_id):
        return user_endpoint_id
    own = [one for one in conference.participants.values() if one.user == caller.user]
    return own[0].user_endpoint_id if len(own) == 1 else None


def has_room(conference: v.Conference, user: str) -> bool:
    """Whether the user is in as a person, or may come in as one more."""
    limit = limit_of(conference)
    users = {one.user for one in people(conference)}
    return limit is None or user in users or len(users) < limit


def stream_named(conference: v.Conference, stream_id: str, user_endpoint_id: str) -> v.Stream | None:
    """The stream with this id; without an id the only one that the endpoint publishes."""
    own = streams_of(conference, user_endpoint_id)
    if stream_id or len(own) != 1:
        return conference.streams.get(stream_id)
    return own[0]


def streams_of(conference: v.Conference, user_endpoint_id: str) -> list[v.Stream]:
    """What an endpoint publishes, in its order."""
    return [one for one in conference.streams.values() if one.user_endpoint_id == user_endpoint_id]


def after(conference: v.Conference, events: Iterable[Event]) -> v.Conference:
    """The conference when the events have happened."""
    return reduce(evolve, events, conference)


# -- what goes together


def joining(conference: v.Conference, command: v.JoinConference) -> list[Event]:
    """Joining; an endpoint that is still listed, though it is sick, leaves before."""
    metadata = merged({}, command.metadata)
    joined = v.ParticipantJoined(**by(conference, command), metadata=metadata)
    return [*departing(conference, command.user_endpoint_id, "lost"), joined]


def departing(conference: v.Conference, user_endpoint_id: str, reason: str) -> list[Event]:
    """Everything that goes with an endpoint: its streams, its views, then itself."""
    if user_endpoint_id not in conference.participants:
        return []
    events: list[Event] = []
    for stream in streams_of(conference, user_endpoint_id):
        events += unpublishing(conference, stream.stream_id, "left")
    for view in conference.views.values():
        if view.user_endpoint_id == user_endpoint_id:
            events.append(v.ViewDropped(stream_id=view.stream_id, viewer_id=view.viewer_id))
    return [*events, v.ParticipantLeft(**of(conference, user_endpoint_id), reason=reason)]


def unpublishing(conference: v.Conference, stream_id: str, reason: str) -> list[Event]:
    """The end of a stream; none was told of one that is only offered."""
    stream = conference.streams.get(stream_id)
    if stream is None:
        return []
    if stream.phase is v.Phase.OFFERED:
        return [v.OfferDropped(stream_id=stream_id)]
    owner = of(conference, stream.user_endpoint_id)
    return [v.StreamUnpublished(**owner, stream_id=stream_id, type=stream.type, reason=reason)]


def by(conference: v.Conference, command: Any) -> dict[str, Any]:
    """The common fields of an event that the caller causes; its place in the step gives the first two.

    An endpoint of somebody else is not named: clients do not act on events that name their own.
    """
    there = conference.participants.get(command.user_endpoint_id)
    is_of_another = there is not None and there.user != command.caller.user
    endpoint = "" if is_of_another else command.user_endpoint_id
    return {"event_id": "", "version": 0, "user": command.caller.user, "user_endpoint_id": endpoint}


def of(conference: v.Conference, user_endpoint_id: str) -> dict[str, Any]:
    """The common fields of an event about an endpoint that has joined."""
    user = conference.participants[user_endpoint_id].user
    return {"event_id": "", "version": 0, "user": user, "user_endpoint_id": user_endpoint_id}


# -- changes


def evolve(conference: v.Conference, event: Event) -> v.Conference:
    """The only thing that changes a conference's data."""
    if isinstance(event, v.NumberedEvent):
        conference = attrs.evolve(conference, version=event.version + 1)
    match event:
        case v.ConferenceCreated():
            return _created(conference, event)
        case v.ParticipantJoined():
            joined = v.Participant(
                user_endpoint_id=event.user_endpoint_id, user=event.user, metadata=event.metadata
            )
            return attrs.evolve(conference, participants=_with(conference.participants, joined))
        case v.ParticipantLeft():
            return attrs.evolve(
                conference, participants=_less(conference.participants, event.user_endpoint_id)
            )
        case v.ParticipantMetadataUpdated() | v.HealthChanged():
            return _participant_changed(conference, event)
        case v.StreamOffered(stream=stream):
            return attrs.evolve(conference, streams={**conference.streams, stream.stream_id: stream})
        case v.StreamPublished() | v.StreamMissed() | v.StreamMetadataUpdated() | v.BitrateUpdated():
            return _stream_changed(conference, event)
        case v.StreamUnpublished() | v.OfferDropped():
            return _unpublished(conference, event.stream_id)
        case v.ViewAdmitted(view=view):
            key = view_key(view.stream_id, view.viewer_id)
            return attrs.evolve(conference, views={**conference.views, key: view})
        case v.ViewDropped():
            gone = view_key(event.stream_id, event.viewer_id)
            return attrs.evolve(conference, views=_less(conference.views, gone))
        case v.MetadataUpdated():
            return _metadata_updated(conference, event)
        case v.InteractionUpdated():
            return attrs.evolve(conference, interaction_id=event.interaction_id)
        case _:
            assert isinstance(event, v.ConferenceEnded), "every event of the table is above"
            return attrs.evolve(conference, participants={}, streams={}, views={})


def merged(metadata: v.JsonTexts, new: v.JsonTexts) -> v.JsonTexts:
    """`new` over `metadata`, property by property; null takes one away."""
    both = {**metadata, **new}
    return {name: value for name, value in both.items() if value != NULL}


def _created(conference: v.Conference, event: v.ConferenceCreated) -> v.Conference:
    def entry(value: str) -> v.MetadataEntry:
        return v.MetadataEntry(
            value=value, user=event.creator, user_endpoint_id=event.creator_endpoint, modified_at=event.at
        )

    return attrs.evolve(
        conference,
        organization=event.organization,
        creator=event.creator,
        creator_endpoint=event.creator_endpoint,
        interaction_id=event.interaction_id,
        empty_seconds=event.empty_seconds,
        metadata={key: entry(value) for key, value in event.metadata.items()},
    )


def _participant_changed(
    conference: v.Conference, event: v.ParticipantMetadataUpdated | v.HealthChanged
) -> v.Conference:
    there = conference.participants[event.user_endpoint_id]
    if isinstance(event, v.HealthChanged):
        there = attrs.evolve(there, health=event.health)
    else:
        there = attrs.evolve(there, metadata=merged(there.metadata, event.new_metadata))
    return attrs.evolve(conference, participants=_with(conference.participants, there))


def _stream_changed(
    conference: v.Conference,
    event: v.StreamPublished | v.StreamMissed | v.StreamMetadataUpdated | v.BitrateUpdated,
) -> v.Conference:
    stream = conference.streams[event.stream_id]
    match event:
        case v.StreamPublished():
            stream = attrs.evolve(stream, phase=v.Phase.PUBLISHED)
        case v.StreamMissed():
            stream = attrs.evolve(stream, phase=v.Phase.LOST)
        case v.StreamMetadataUpdated():
            stream = attrs.evolve(stream, metadata=merged(stream.metadata, event.new_metadata))
        case _:
            stream = attrs.evolve(stream, bitrate_bps=event.bitrate_bps)
    return attrs.evolve(conference, streams={**conference.streams, stream.stream_id: stream})


def _unpublished(conference: v.Conference, stream_id: str) -> v.Conference:
    """Who viewed it views nothing."""
    views = {key: view for key, view in conference.views.items() if view.stream_id != stream_id}
    return attrs.evolve(conference, streams=_less(conference.streams, stream_id), views=views)


def _metadata_updated(conference: v.Conference, event: v.MetadataUpdated) -> v.Conference:
    if event.operation is v.Operation.REMOVE:
        return attrs.evolve(conference, metadata=_less(conference.metadata, event.key))
    entry = v.MetadataEntry(
        value=event.value,
        user=event.user,
        user_endpoint_id=event.user_endpoint_id,
        modified_at=event.at,
    )
    return attrs.evolve(conference, metadata={**conference.metadata, event.key: entry})


def _with(participants: Mapping[str, v.Participant], one: v.Participant) -> dict[str, v.Participant]:
    return {**participants, one.user_endpoint_id: one}


def _less(mapping: Mapping[str, T], key: str) -> dict[str, T]:
    return {name: value for name, value in mapping.items() if name != key}
