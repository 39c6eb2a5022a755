"""What the bodies of requests mean: from the wire form to an address and a command. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from engine.media.protocol import Candidate
from engine.vocabulary import Address, Command
from machines.conference import vocabulary as v
from machines.conference import wire
from machines.conference.events import texts_of
from machines.conference.rules.addresses import conference_address, endpoint_address
from machines.conference.settings import ConferenceSettings

Meant: TypeAlias = tuple[Address, Command]


def create(
    caller: v.Caller, body: wire.CreateConferenceWebCommand, conference_id: str, empty: float
) -> Meant:
    """`create`; whatever mode is asked for, ROUTER is run, and whose conference it is the token says."""
    command = v.CreateConference(
        caller=caller,
        creator_endpoint=body.creator_endpoint or "",
        interaction_id=body.interaction_id or "",
        metadata=body.metadata or {},
        empty_seconds=empty,
    )
    return conference_address(conference_id), command


def publish(caller: v.Caller, body: wire.ConferencePublishStreamWebCommand, peer_id: str) -> Meant:
    """`publishStream`, with its offer on the desk."""
    command = v.PublishStream(
        caller=caller,
        user_endpoint_id=body.user_endpoint_id,
        stream_id=body.stream_id or "",
        peer_id=peer_id,
        type=body.conference_stream_type,
        metadata=texts_of(body.metadata or {}),
        bitrate_bps=body.video_bitrate,
    )
    return conference_address(body.conference_id), command


def view(caller: v.Caller, body: wire.ConferenceViewStreamWebCommand, peer_id: str) -> Meant:
    """`viewStream`, with its offer on the desk."""
    command = v.ViewStream(
        caller=caller,
        user_endpoint_id=body.user_endpoint_id,
        stream_id=body.stream_id,
        viewer_id=body.viewer_id or "",
        peer_id=peer_id,
    )
    return conference_address(body.conference_id), command


def register(caller: v.Caller, body: wire.CreateUserEndpoint, user_endpoint_id: str) -> Meant:
    """`users/endpoints`; whose it is the token says."""
    command = v.RegisterEndpoint(caller=caller, keep_alive_seconds=float(body.keep_alive_seconds))
    return endpoint_address(user_endpoint_id), command


def send_event(
    caller: v.Caller, conference_id: str, event_id: str, body: str, stored: bool, settings: ConferenceSettings
) -> Meant:
    """`sendEvent`, with its masked body."""
    command = v.SendEvent(
        caller=caller,
        event_id=event_id,
        body=body,
        stored=stored,
        expire_seconds=settings.delivery_seconds,
    )
    return conference_address(conference_id), command


def candidates(body: tuple[wire.IceCandidate, ...]) -> tuple[Candidate, ...]:
    """Candidates as the media host takes them."""
    return tuple(
        Candidate(candidate=one.candidate or "", sdp_mid=one.sdp_mid, sdp_m_line_index=one.sdp_m_line_index)
        for one in body
    )


def meant(caller: v.Caller, body: Any) -> Meant:
    """The command of a body that needs nothing else."""
    return _PLAIN[type(body)](caller, body)


def _join(caller: v.Caller, body: wire.JoinConferenceWebCommand) -> Meant:
    command = v.JoinConference(
        caller=caller, user_endpoint_id=body.user_endpoint_id, metadata=texts_of(body.metadata or {})
    )
    return conference_address(body.conference_id), command


def _leave(caller: v.Caller, body: wire.LeaveConferenceWebCommand) -> Meant:
    command = v.LeaveConference(
        caller=caller, user_endpoint_id=body.user_endpoint_id, reason=body.reason or ""
    )
    return conference_address(body.conference_id), command


def _end(caller: v.Caller, body: wire.EndConferenceWebCommand) -> Meant:
    command = v.EndConference(caller=caller, user_endpoint_id=body.user_endpoint_id, reason=body.reason or "")
    return conference_address(body.conference_id), command


def _unpublish(caller: v.Caller, body: wire.ConferenceUnpublishStreamWebCommand) -> Meant:
    command = v.UnpublishStream(
        caller=caller, user_endpoint_id=body.user_endpoint_id, stream_id=body.stream_id
    )
    return conference_address(body.conference_id), command


def _stop_view(caller: v.Caller, body: wire.ConferenceStopViewStreamWebCommand) -> Meant:
    command = v.StopView(caller=caller, stream_id=body.stream_id, viewer_id=body.viewer_id)
    return conference_address(body.conference_id), command


def _metadata(caller: v.Caller, body: wire.UpdateConferenceMetadataWebCommand) -> Meant:
    command = v.UpdateMetadata(
        caller=caller,
        user_endpoint_id=body.user_endpoint_id,
        operation=body.operation,
        key=body.key,
        value=body.value or "",
    )
    return conference_address(body.conference_id), command


def _participant(caller: v.Caller, body: wire.UpdateConferenceParticipantMetadataWebCommand) -> Meant:
    command = v.UpdateParticipantMetadata(
        caller=caller, user_endpoint_id=body.user_endpoint_id, new_metadata=texts_of(body.new_metadata)
    )
    return conference_address(body.conference_id), command


def _stream(caller: v.Caller, body: wire.UpdateConferenceStreamMetadataWebCommand) -> Meant:
    command = v.UpdateStreamMetadata(
        caller=caller,
        user_endpoint_id=body.user_endpoint_id,
        stream_id=body.stream_id,
        new_metadata=texts_of(body.new_metadata or {}),
    )
    return conference_address(body.conference_id), command


def _bitrate(caller: v.Caller, body: wire.ConferenceUpdatePublishedStreamBitrateWebCommand) -> Meant:
    command = v.UpdateBitrate(
        caller=caller,
        user_endpoint_id=body.user_endpoint_id,
        stream_id=body.stream_id or "",
        bitrate_bps=body.video_bitrate,
    )
    return conference_address(body.conference_id), command


def _interaction(caller: v.Caller, body: wire.SetInteractionIdWebCommand) -> Meant:
    command = v.SetInteraction(
        caller=caller, interaction_id=body.interaction_id, user_endpoint_id=body.user_endpoint_id or ""
    )
    return conference_address(body.conference_id), command


def _keep_alive(caller: v.Caller, body: wire.KeepUserEndpointAlive) -> Meant:
    return endpoint_address(body.user_endpoint_id), v.KeepAlive(caller=caller)


def _unregister(caller: v.Caller, body: wire.UnregisterUserEndpoint) -> Meant:
    command = v.UnregisterEndpoint(caller=caller, reason=body.reason or "")
    return endpoint_address(body.user_endpoint_id), command


_PLAIN: Mapping[type, Callable[[v.Caller, Any], Meant]] = {
    wire.JoinConferenceWebCommand: _join,
    wire.LeaveConferenceWebCommand: _leave,
    wire.EndConferenceWebCommand: _end,
    wire.ConferenceUnpublishStreamWebCommand: _unpublish,
    wire.ConferenceStopViewStreamWebCommand: _stop_view,
    wire.UpdateConferenceMetadataWebCommand: _metadata,
    wire.UpdateConferenceParticipantMetadataWebCommand: _participant,
    wire.UpdateConferenceStreamMetadataWebCommand: _stream,
    wire.ConferenceUpdatePublishedStreamBitrateWebCommand: _bitrate,
    wire.SetInteractionIdWebCommand: _interaction,
    wire.KeepUserEndpointAlive: _keep_alive,
    wire.UnregisterUserEndpoint: _unregister,
}
