"""The conference: gatekeeper of its participants, streams and views, and the source of numbered events."""

from collections.abc import Iterable
from typing import Any

import attrs

from engine.effects import Reply, Tell
from engine.machine.table import After, EndOnCrash, Ignore, Refuse, Row, Said, Table
from engine.vocabulary import Command, Effect, Event
from machines.conference import vocabulary as v
from machines.conference.reasons import Reason
from machines.conference.rules import addresses, gate, roll
from machines.conference.vocabulary import ConferenceState as S

LIVE = (S.EMPTY, S.ACTIVE)


def empty_seconds(conference: v.Conference) -> float:
    return conference.empty_seconds


# -- reactions


def create(conference: v.Conference, command: v.CreateConference) -> Said:
    created = v.ConferenceCreated(
        event_id=_event_id(command, 0),
        organization=command.caller.organization,
        creator=command.caller.user,
        creator_endpoint=command.creator_endpoint,
        interaction_id=command.interaction_id,
        metadata=command.metadata,
        empty_seconds=command.empty_seconds,
        at=command.at,
    )
    claim = Tell(addresses.endpoint_address(command.creator_endpoint), v.ClaimEndpoint(caller=command.caller))
    told = Reply(v.ConferenceTold(id=conference.id, version=0))
    return (created, told, claim) if command.creator_endpoint else (created, told)


def join(conference: v.Conference, command: v.JoinConference) -> Said:
    endpoint = command.user_endpoint_id
    events = _numbered(conference, command, roll.joining(conference, command))
    version = roll.after(conference, events).version
    joined = v.NoteJoined(caller=command.caller, conference_id=conference.id)
    return (
        *events,
        Reply(v.ConferenceTold(id=conference.id, version=version)),
        *_close_feeds(conference, endpoint),
        Tell(addresses.seat_address(conference.id, endpoint), v.EnterConference()),
        Tell(addresses.endpoint_address(endpoint), joined),
    )


def leave(conference: v.Conference, command: v.LeaveConference | v.DropEndpoint) -> Said:
    endpoint = command.user_endpoint_id
    return (
        *_numbered(conference, command, roll.departing(conference, endpoint, command.reason)),
        *_close_feeds(conference, endpoint),
        Tell(addresses.seat_address(conference.id, endpoint), v.ExitConference()),
        Tell(addresses.endpoint_address(endpoint), v.NoteLeft(conference_id=conference.id)),
    )


def end(conference: v.Conference, command: v.EndConference) -> Said:
    ended = v.ConferenceEnded(**roll.by(conference, command), reason=command.reason)
    return _end(conference, command, ended)


def expire(conference: v.Conference, command: v.ExpireConference) -> Said:
    return _end(conference, command, v.ConferenceEnded(event_id="", version=0, reason="empty"))


def crash(conference: v.Conference, command: Command) -> Said:
    return _end(conference, command, v.ConferenceEnded(event_id="", version=0, reason="crashed"))


def publish(conference: v.Conference, command: v.PublishStream) -> Said:
    stream_id = command.stream_id or command.stamp.cut("stream", 32)
    stream = v.Stream(
        stream_id=stream_id,
        user_endpoint_id=command.user_endpoint_id,
        peer_id=command.peer_id,
        type=command.type,
        metadata=roll.merged({}, command.metadata),
        bitrate_bps=command.bitrate_bps,
    )
    opened = v.OpenStream(peer_id=command.peer_id, bitrate_bps=command.bitrate_bps)
    return (
        # One that was lost goes and comes, so that its viewers know that they have to view it anew.
        *_numbered(conference, command, roll.unpublishing(conference, stream_id, "republished")),
        v.StreamOffered(stream=stream),
        Reply(v.StreamTaken(stream_id=stream_id)),
        *_close_views(conference, stream_id),
        Tell(addresses.stream_address(conference.id, stream_id), opened),
    )


def unpublish(conference: v.Conference, command: v.UnpublishStream) -> Said:
    return (
        *_numbered(conference, command, roll.unpublishing(conference, command.stream_id, "")),
        *_close_views(conference, command.stream_id),
        Tell(addresses.stream_address(conference.id, command.stream_id), v.CloseFeed()),
    )


def view(conference: v.Conference, command: v.ViewStream) -> Said:
    viewer_id = command.viewer_id or command.stamp.cut("viewer", 32)
    viewer = roll.viewer_of(conference, command.caller, command.user_endpoint_id)
    assert viewer is not None, "guarded by can_view"
    admitted = v.View(stream_id=command.stream_id, viewer_id=viewer_id, user_endpoint_id=viewer)
    source_id = conference.streams[command.stream_id].peer_id
    opened = v.OpenView(peer_id=command.peer_id, source_id=source_id)
    return (
        v.ViewAdmitted(view=admitted),
        Reply(v.ViewTaken(viewer_id=viewer_id)),
        Tell(addresses.view_address(conference.id, command.stream_id, viewer_id), opened),
    )


def stop_view(conference: v.Conference, command: v.StopView) -> Said:
    address = addresses.view_address(conference.id, command.stream_id, command.viewer_id)
    return (
        v.ViewDropped(stream_id=command.stream_id, viewer_id=command.viewer_id),
        Tell(address, v.CloseFeed()),
    )


def update_metadata(conference: v.Conference, command: v.UpdateMetadata) -> Said:
    value = command.value if command.operation is v.Operation.SET else ""
    updated = v.MetadataUpdated(
        **roll.by(conference, command),
        key=command.key,
        operation=command.operation,
        value=value,
        at=command.at,
    )
    return _numbered(conference, command, [updated])


def update_participant(conference: v.Conference, command: v.UpdateParticipantMetadata) -> Said:
    updated = v.ParticipantMetadataUpdated(**roll.by(conference, command), new_metadata=command.new_metadata)
    return _numbered(conference, command, [updated])


def update_stream(conference: v.Conference, command: v.UpdateStreamMetadata) -> Said:
    updated = v.StreamMetadataUpdated(
        **roll.by(conference, command), stream_id=command.stream_id, new_metadata=command.new_metadata
    )
    return _numbered(conference, command, [updated])


def update_bitrate(conference: v.Conference, command: v.UpdateBitrate) -> Said:
    stream = gate.stream_of(conference, command)
    assert stream is not None, "guarded by owns_published"
    updated = v.BitrateUpdated(
        **roll.by(conference, command), stream_id=stream.stream_id, bitrate_bps=command.bitrate_bps
    )
    address = addresses.stream_address(conference.id, stream.stream_id)
    return (
        *_numbered(conference, command, [updated]),
        Tell(address, v.LimitStream(bitrate_bps=command.bitrate_bps)),
    )


def relate(conference: v.Conference, command: v.SetInteraction) -> Said:
    related = v.InteractionUpdated(**roll.by(conference, command), interaction_id=command.interaction_id)
    return _numbered(conference, command, [related])


def send_event(conference: v.Conference, command: v.SendEvent) -> Said:
    endpoints = tuple(conference.participants)
    taken = Reply(v.EventTaken(endpoints=endpoints))
    if not (command.stored and endpoints):
        return (taken,)
    opened = v.OpenDelivery(body=command.body, endpoints=endpoints, expire_seconds=command.expire_seconds)
    return (taken, Tell(addresses.delivery_address(conference.id, command.event_id), opened))


def note_health(conference: v.Conference, command: v.NoteHealth) -> Said:
    return (v.HealthChanged(user_endpoint_id=command.user_endpoint_id, health=command.health),)


def announce_stream(conference: v.Conference, command: v.NotePublished) -> Said:
    stream = conference.streams[command.stream_id]
    published = v.StreamPublished(
        **roll.of(conference, stream.user_endpoint_id),
        stream_id=stream.stream_id,
        type=stream.type,
        metadata=stream.metadata,
    )
    return _numbered(conference, command, [published])


def miss_stream(conference: v.Conference, command: v.NoteStreamLost) -> Said:
    return (v.StreamMissed(stream_id=command.stream_id),)


def withdraw(conference: v.Conference, command: v.NoteStreamOver) -> Said:
    return (
        *_numbered(conference, command, roll.unpublishing(conference, command.stream_id, command.reason)),
        *_close_views(conference, command.stream_id),
    )


def drop_view(conference: v.Conference, command: v.NoteViewOver) -> Said:
    return (v.ViewDropped(stream_id=command.stream_id, viewer_id=command.viewer_id),)


# -- parts


def _end(conference: v.Conference, command: Command, ended: v.ConferenceEnded) -> Said:
    """One event: whoever hears it knows that all have left."""
    left = v.NoteLeft(conference_id=conference.id)
    effects: list[Effect] = [
        *(Tell(_view_address(conference, view), v.CloseFeed()) for view in conference.views.values()),
        *(Tell(addresses.stream_address(conference.id, one), v.CloseFeed()) for one in conference.streams),
    ]
    for one in conference.participants:
        effects.append(Tell(addresses.seat_address(conference.id, one), v.ExitConference()))
        effects.append(Tell(addresses.endpoint_address(one), left))
    return (*_numbered(conference, command, [ended]), *effects)


def _close_feeds(conference: v.Conference, user_endpoint_id: str) -> tuple[Tell, ...]:
    """End what an endpoint views, what it publishes, and who views that."""
    streams = [stream.stream_id for stream in roll.streams_of(conference, user_endpoint_id)]
    closed = [
        _view_address(conference, view)
        for view in conference.views.values()
        if view.user_endpoint_id == user_endpoint_id or view.stream_id in streams
    ]
    closed += [addresses.stream_address(conference.id, stream_id) for stream_id in streams]
    return tuple(Tell(address, v.CloseFeed()) for address in closed)


def _close_views(conference: v.Conference, stream_id: str) -> tuple[Tell, ...]:
    viewed = (view for view in conference.views.values() if view.stream_id == stream_id)
    return tuple(Tell(_view_address(conference, view), v.CloseFeed()) for view in viewed)


def _view_address(conference: v.Conference, view: v.View) -> Any:
    return addresses.view_address(conference.id, view.stream_id, view.viewer_id)


def _numbered(conference: v.Conference, command: Command, events: Iterable[Event]) -> tuple[Event, ...]:
    """The events with their ids and versions."""
    numbered: list[Event] = []
    version = conference.version
    for place, event in enumerate(events):
        if isinstance(event, v.NumberedEvent):
            event = attrs.evolve(event, event_id=_event_id(command, place), version=version)
            version += 1
        numbered.append(event)
    return tuple(numbered)


def _event_id(command: Command, place: int) -> str:
    return command.stamp.cut(f"event {place}", 32)


_MEMBERS = (
    v.JoinConference,
    v.LeaveConference,
    v.EndConference,
    v.PublishStream,
    v.UnpublishStream,
    v.ViewStream,
    v.StopView,
    v.UpdateMetadata,
    v.UpdateParticipantMetadata,
    v.UpdateStreamMetadata,
    v.UpdateBitrate,
    v.SetInteraction,
    v.SendEvent,
)
"""What a conference must exist for."""

_CHANGES_OF_STREAMS = (v.UpdateStreamMetadata, v.UpdateBitrate)

_NOTES = (
    v.NoteHealth,
    v.DropEndpoint,
    v.NotePublished,
    v.NoteStreamLost,
    v.NoteStreamOver,
    v.NoteViewOver,
)

TABLE: Table[S, v.Conference] = Table(
    name="conference",
    initial=S.NEW,
    final=frozenset({S.ENDED}),
    start=roll.begin,
    evolve=roll.evolve,
    crash=EndOnCrash(S.ENDED, crash),
    waits={S.NEW: "nobody has created it", S.ACTIVE: "somebody is inside; each endpoint has its own lease"},
    rows=(
        Row(S.NEW, v.CreateConference, S.EMPTY, create),
        Row(LIVE, v.JoinConference, S.ACTIVE, join, when=gate.can_join_as_person),
        Row(LIVE, v.JoinConference, S.EMPTY, join, when=gate.can_join),
        Row(LIVE, v.LeaveConference, S.EMPTY, leave, when=gate.leaves_nobody),
        Row(S.ACTIVE, v.LeaveConference, S.ACTIVE, leave, when=gate.is_own),
        Row(LIVE, v.DropEndpoint, S.EMPTY, leave, when=gate.drops_last),
        Row(S.ACTIVE, v.DropEndpoint, S.ACTIVE, leave, when=gate.is_inside),
        Row(LIVE, v.EndConference, S.ENDED, end, when=gate.may_end),
        Row(S.EMPTY, v.ExpireConference, S.ENDED, expire),
        Row(LIVE, v.PublishStream, None, publish, when=gate.can_publish),
        Row(LIVE, v.UnpublishStream, None, unpublish, when=gate.owns_stream),
        Row(LIVE, v.ViewStream, None, view, when=gate.can_view),
        Row(LIVE, v.StopView, None, stop_view, when=gate.views),
        Row(LIVE, v.UpdateMetadata, None, update_metadata, when=gate.changes_metadata),
        # Metadata can make a recorder of a person, and a person of a recorder.
        Row(LIVE, v.UpdateParticipantMetadata, S.EMPTY, update_participant, when=gate.turns_last_to_recorder),
        Row(LIVE, v.UpdateParticipantMetadata, S.ACTIVE, update_participant, when=gate.stays_or_fits_in),
        Row(LIVE, v.UpdateStreamMetadata, None, update_stream, when=gate.fits_stream),
        Row(LIVE, v.UpdateBitrate, None, update_bitrate, when=gate.owns_published),
        Row(LIVE, v.SetInteraction, None, relate, when=gate.is_unrelated),
        Row(LIVE, v.SendEvent, None, send_event, when=gate.may_send),
        Row(LIVE, v.NoteHealth, None, note_health, when=gate.changes_health),
        Row(LIVE, v.NotePublished, None, announce_stream, when=gate.is_of_this_peer),
        Row(LIVE, v.NoteStreamLost, None, miss_stream, when=gate.is_of_this_peer),
        Row(LIVE, v.NoteStreamOver, None, withdraw, when=gate.is_of_this_peer),
        Row(LIVE, v.NoteViewOver, None, drop_view, when=gate.has_view),
    ),
    timers=(After(S.EMPTY, v.ExpireConference, seconds=empty_seconds, name="empty"),),
    asides=(
        Refuse((*LIVE, S.ENDED), v.CreateConference, Reason.CONFERENCE_EXISTS),
        Refuse(S.NEW, _MEMBERS, Reason.CONFERENCE_NOT_FOUND),
        Refuse((*LIVE, S.ENDED), _MEMBERS, Reason.CONFERENCE_NOT_FOUND, when=gate.is_foreign),
        Refuse(S.ENDED, _MEMBERS, Reason.CONFERENCE_ENDED),
        Refuse(LIVE, v.JoinConference, Reason.ENDPOINT_TAKEN, when=gate.is_endpoint_of_another),
        Refuse(LIVE, v.JoinConference, Reason.ALREADY_JOINED, when=gate.has_joined_so),
        Refuse(LIVE, v.JoinConference, Reason.CONFERENCE_FULL),
        Refuse(LIVE, v.UpdateParticipantMetadata, Reason.CONFERENCE_FULL, when=gate.fits_participant),
        Refuse(LIVE, v.UpdateParticipantMetadata, Reason.METADATA_FULL, when=gate.is_own),
        Refuse(LIVE, (v.LeaveConference, v.UpdateParticipantMetadata), Reason.NOT_JOINED),
        Refuse(LIVE, v.EndConference, Reason.FORBIDDEN),
        Refuse(LIVE, v.PublishStream, Reason.STREAM_EXISTS, when=gate.is_own),
        Refuse(LIVE, v.PublishStream, Reason.NOT_JOINED),
        Refuse(LIVE, v.UpdateStreamMetadata, Reason.METADATA_FULL, when=gate.owns_published),
        Refuse(LIVE, _CHANGES_OF_STREAMS, Reason.STREAM_NOT_FOUND, when=gate.owns_stream),
        Refuse(LIVE, (v.UnpublishStream, *_CHANGES_OF_STREAMS), Reason.STREAM_NOT_YOURS, when=gate.is_there),
        Refuse(LIVE, (v.UnpublishStream, *_CHANGES_OF_STREAMS), Reason.STREAM_NOT_FOUND),
        Refuse(LIVE, v.ViewStream, Reason.NOT_JOINED, when=gate.is_no_viewer),
        Refuse(LIVE, v.ViewStream, Reason.STREAM_NOT_READY, when=gate.is_lost),
        Refuse(LIVE, v.ViewStream, Reason.VIEWER_TAKEN, when=gate.is_published),
        Refuse(LIVE, v.ViewStream, Reason.STREAM_NOT_FOUND),
        Refuse(LIVE, v.StopView, Reason.VIEW_NOT_FOUND),
        Refuse(LIVE, v.UpdateMetadata, Reason.METADATA_FULL, when=gate.lacks_room_for_key),
        Ignore(LIVE, v.UpdateMetadata, "there is no such key to remove", when=gate.may_change_metadata),
        Refuse(LIVE, v.UpdateMetadata, Reason.NOT_JOINED),
        Ignore(LIVE, v.SetInteraction, "it is that one already", when=gate.is_related_so),
        Refuse(LIVE, v.SetInteraction, Reason.INTERACTION_SET, when=gate.may_relate),
        Refuse(LIVE, (v.SetInteraction, v.SendEvent), Reason.FORBIDDEN),
        Ignore(LIVE, _NOTES, "what it is about is gone, or is so already"),
        Ignore((S.NEW, S.ENDED), _NOTES, "nobody is inside"),
        Ignore((S.NEW, S.ACTIVE, S.ENDED), v.ExpireConference, "late timer"),
    ),
)
