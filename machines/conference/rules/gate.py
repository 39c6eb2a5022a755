"""Who may do what in a conference, and what it changes: the guards of its table. Pure."""

from machines.conference import vocabulary as v
from machines.conference.rules import roll
from machines.conference.rules.addresses import view_key


def is_foreign(conference: v.Conference, command: v.ConferenceCommand) -> bool:
    """Another organization's; it is not even told that the conference exists."""
    return command.caller.organization != conference.organization


def can_join(conference: v.Conference, command: v.JoinConference) -> bool:
    there = conference.participants.get(command.user_endpoint_id)
    return (
        not is_foreign(conference, command)
        and (there is None or (there.user == command.caller.user and there.health is v.Health.SICK))
        and has_room(conference, command)
    )


def can_join_as_person(conference: v.Conference, command: v.JoinConference) -> bool:
    return can_join(conference, command) and not roll.is_empty(
        roll.after(conference, roll.joining(conference, command))
    )


def is_endpoint_of_another(conference: v.Conference, command: v.JoinConference) -> bool:
    there = conference.participants.get(command.user_endpoint_id)
    return there is not None and there.user != command.caller.user


def has_joined_so(conference: v.Conference, command: v.JoinConference) -> bool:
    there = conference.participants.get(command.user_endpoint_id)
    return there is not None and there.health is not v.Health.SICK


def has_room(conference: v.Conference, command: v.JoinConference) -> bool:
    return roll.is_recorder(command.metadata) or roll.has_room(conference, command.caller.user)


def is_own(
    conference: v.Conference,
    command: v.LeaveConference | v.UpdateParticipantMetadata | v.UpdateBitrate | v.PublishStream,
) -> bool:
    return not is_foreign(conference, command) and roll.is_own(
        conference, command.caller, command.user_endpoint_id
    )


def leaves_nobody(conference: v.Conference, command: v.LeaveConference) -> bool:
    return is_own(conference, command) and _is_last(conference, command.user_endpoint_id)


def is_inside(conference: v.Conference, command: v.DropEndpoint) -> bool:
    return command.user_endpoint_id in conference.participants


def drops_last(conference: v.Conference, command: v.DropEndpoint) -> bool:
    return is_inside(conference, command) and _is_last(conference, command.user_endpoint_id)


def may_end(conference: v.Conference, command: v.EndConference) -> bool:
    return not is_foreign(conference, command) and (
        command.caller.user == conference.creator or command.caller.role is not v.Role.USER
    )


def turns_last_to_recorder(conference: v.Conference, command: v.UpdateParticipantMetadata) -> bool:
    others = [one for one in roll.people(conference) if one.user_endpoint_id != command.user_endpoint_id]
    return fits_participant(conference, command) and not others and _turns_to_recorder(conference, command)


def fits_participant(conference: v.Conference, command: v.UpdateParticipantMetadata) -> bool:
    if not is_own(conference, command):
        return False
    return _fits(conference.participants[command.user_endpoint_id].metadata, command)


def stays_or_fits_in(conference: v.Conference, command: v.UpdateParticipantMetadata) -> bool:
    """Who stops to record is one person more."""
    if not fits_participant(conference, command):
        return False
    there = conference.participants[command.user_endpoint_id]
    return (
        not roll.is_recorder(there.metadata)
        or _turns_to_recorder(conference, command)
        or roll.has_room(conference, there.user)
    )


def can_publish(conference: v.Conference, command: v.PublishStream) -> bool:
    stream = conference.streams.get(command.stream_id)
    return is_own(conference, command) and (
        stream is None
        or (stream.phase is v.Phase.LOST and stream.user_endpoint_id == command.user_endpoint_id)
    )


def owns_stream(
    conference: v.Conference, command: v.UnpublishStream | v.UpdateStreamMetadata | v.UpdateBitrate
) -> bool:
    stream = stream_of(conference, command)
    return (
        not is_foreign(conference, command)
        and roll.is_own(conference, command.caller, command.user_endpoint_id)
        and stream is not None
        and stream.user_endpoint_id == command.user_endpoint_id
    )


def owns_published(conference: v.Conference, command: v.UpdateStreamMetadata | v.UpdateBitrate) -> bool:
    """Nobody was told of a stream that is only offered, so nobody can be told of its changes."""
    stream = stream_of(conference, command)
    return owns_stream(conference, command) and stream is not None and stream.phase is not v.Phase.OFFERED


def fits_stream(conference: v.Conference, command: v.UpdateStreamMetadata) -> bool:
    return owns_published(conference, command) and _fits(
        conference.streams[command.stream_id].metadata, command
    )


def is_there(
    conference: v.Conference, command: v.UnpublishStream | v.UpdateStreamMetadata | v.UpdateBitrate
) -> bool:
    return stream_of(conference, command) is not None


def can_view(conference: v.Conference, command: v.ViewStream) -> bool:
    return (
        not is_foreign(conference, command)
        and is_viewer(conference, command)
        and _phase(conference, command) is v.Phase.PUBLISHED
        and not is_taken(conference, command)
    )


def is_viewer(conference: v.Conference, command: v.ViewStream) -> bool:
    return roll.viewer_of(conference, command.caller, command.user_endpoint_id) is not None


def is_no_viewer(conference: v.Conference, command: v.ViewStream) -> bool:
    return not is_viewer(conference, command)


def is_lost(conference: v.Conference, command: v.ViewStream) -> bool:
    return _phase(conference, command) is v.Phase.LOST


def is_taken(conference: v.Conference, command: v.ViewStream) -> bool:
    """Another user views the stream under this id; one's own older view is replaced."""
    view = conference.views.get(view_key(command.stream_id, command.viewer_id))
    return view is not None and not roll.is_own(conference, command.caller, view.user_endpoint_id)


def is_published(conference: v.Conference, command: v.ViewStream) -> bool:
    return _phase(conference, command) is v.Phase.PUBLISHED


def views(conference: v.Conference, command: v.StopView) -> bool:
    view = conference.views.get(view_key(command.stream_id, command.viewer_id))
    return (
        not is_foreign(conference, command)
        and view is not None
        and roll.is_own(conference, command.caller, view.user_endpoint_id)
    )


def may_change_metadata(conference: v.Conference, command: v.UpdateMetadata) -> bool:
    return not is_foreign(conference, command) and (
        command.caller.role is v.Role.SERVICE
        or roll.is_own(conference, command.caller, command.user_endpoint_id)
    )


def changes_metadata(conference: v.Conference, command: v.UpdateMetadata) -> bool:
    """A value that is set again is told again: clients use it as a signal."""
    return may_change_metadata(conference, command) and (
        command.key in conference.metadata or (_sets(command) and has_room_for_key(conference, command))
    )


def has_room_for_key(conference: v.Conference, command: v.UpdateMetadata) -> bool:
    return len(conference.metadata) < command.keys_max


def lacks_room_for_key(conference: v.Conference, command: v.UpdateMetadata) -> bool:
    return (
        may_change_metadata(conference, command)
        and _sets(command)
        and not has_room_for_key(conference, command)
    )


def may_relate(conference: v.Conference, command: v.SetInteraction) -> bool:
    caller = command.caller
    return not is_foreign(conference, command) and (
        caller.role is not v.Role.USER
        or caller.user == conference.creator
        or any(one.user == caller.user for one in conference.participants.values())
    )


def is_unrelated(conference: v.Conference, command: v.SetInteraction) -> bool:
    named = command.interaction_id != ""
    return may_relate(conference, command) and named and not conference.interaction_id


def is_related_so(conference: v.Conference, command: v.SetInteraction) -> bool:
    return may_relate(conference, command) and conference.interaction_id == command.interaction_id


def may_send(conference: v.Conference, command: v.SendEvent) -> bool:
    return not is_foreign(conference, command) and command.caller.role is v.Role.SERVICE


def changes_health(conference: v.Conference, command: v.NoteHealth) -> bool:
    there = conference.participants.get(command.user_endpoint_id)
    return there is not None and there.health is not command.health


def is_of_this_peer(
    conference: v.Conference, command: v.NotePublished | v.NoteStreamLost | v.NoteStreamOver
) -> bool:
    stream = conference.streams.get(command.stream_id)
    return stream is not None and stream.peer_id == command.peer_id


def has_view(conference: v.Conference, command: v.NoteViewOver) -> bool:
    return view_key(command.stream_id, command.viewer_id) in conference.views


# -- parts


def _fits(metadata: v.JsonTexts, command: v.UpdateParticipantMetadata | v.UpdateStreamMetadata) -> bool:
    """Whether it is not too much, or no more than before."""
    merged = roll.merged(metadata, command.new_metadata)
    return len(merged) <= max(command.properties_max, len(metadata))


def _sets(command: v.UpdateMetadata) -> bool:
    return command.operation is v.Operation.SET


def _is_last(conference: v.Conference, user_endpoint_id: str) -> bool:
    return roll.is_empty(roll.after(conference, roll.departing(conference, user_endpoint_id, "")))


def stream_of(
    conference: v.Conference, command: v.UnpublishStream | v.UpdateStreamMetadata | v.UpdateBitrate
) -> v.Stream | None:
    """The stream that is meant; only `updatePublishedStreamBitrate` may leave out its id."""
    if isinstance(command, v.UpdateBitrate):
        return roll.stream_named(conference, command.stream_id, command.user_endpoint_id)
    return conference.streams.get(command.stream_id)


def _turns_to_recorder(conference: v.Conference, command: v.UpdateParticipantMetadata) -> bool:
    metadata = conference.participants[command.user_endpoint_id].metadata
    return roll.is_recorder(roll.merged(metadata, command.new_metadata))


def _phase(conference: v.Conference, command: v.ViewStream) -> v.Phase | None:
    stream = conference.streams.get(command.stream_id)
    return None if stream is None else stream.phase
