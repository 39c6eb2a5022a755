"""The bodies of the source as clients send them: a whole one for each class, and what may be left out."""

from collections.abc import Callable
from typing import Any

from engine.errors import RemoteProtocolError
from machines.conference import wire as w
from machines.conference import wire_answers as a

UUID = "3f0e8f7c-4b3a-4f6e-9d51-0c1f5f6a7b8c"
PLACE = {"conferenceId": "standup", "userEndpointId": UUID}
CANDIDATE = {
    "candidate": "candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host generation 0",
    "sdpMid": "0",
    "sdpMLineIndex": 0,
}

WHOLE: dict[type, dict[str, Any]] = {
    w.CreateConferenceWebCommand: {
        "conferenceId": "standup",
        "mode": "P2P",
        "organizationId": "acme",
        "creatorEndpoint": UUID,
        "interactionId": "i-7",
        "metadata": {"participant_limit": "8"},
    },
    w.JoinConferenceWebCommand: {
        **PLACE,
        "metadata": {
            "name": "Ann",
            "roles": ["agent"],
            "mediaDevices": {"cam": [{"id": 1}]},
            "avatarUrl": None,
        },
    },
    w.LeaveConferenceWebCommand: {**PLACE, "reason": ""},
    w.EndConferenceWebCommand: {**PLACE, "reason": "done"},
    w.ConferencePublishStreamWebCommand: {
        **PLACE,
        "streamId": "cam-1",
        "conferenceStreamType": "MIC_AND_CAM",
        "sdpOffer": "v=0",
        "metadata": {"correlationId": "c", "primary": True, "portraitMode": False},
        "videoBitrate": 30000,
    },
    w.ConferenceUnpublishStreamWebCommand: {**PLACE, "streamId": "cam-1"},
    w.ConferenceViewStreamWebCommand: {
        **PLACE,
        "streamId": "cam-1",
        "sdpOffer": "v=0",
        "viewerId": UUID,
        "metadata": {"size": "small"},
    },
    w.ConferenceStopViewStreamWebCommand: {**PLACE, "streamId": "cam-1", "viewerId": UUID},
    w.ConferencePublishStreamIceCandidatesWebCommand: {
        **PLACE,
        "streamId": "cam-1",
        "iceCandidates": [CANDIDATE, {"candidate": ""}],
    },
    w.ConferenceViewStreamIceCandidatesWebCommand: {
        **PLACE,
        "streamId": "cam-1",
        "viewerId": UUID,
        "iceCandidates": [CANDIDATE],
    },
    w.UpdateConferenceMetadataWebCommand: {**PLACE, "operation": "SET", "key": "ON_HOLD", "value": "true"},
    w.UpdateConferenceParticipantMetadataWebCommand: {**PLACE, "newMetadata": {"name": "Ann", "age": None}},
    w.UpdateConferenceStreamMetadataWebCommand: {
        **PLACE,
        "streamId": "cam-1",
        "newMetadata": {"portraitMode": True},
    },
    w.ConferenceUpdatePublishedStreamBitrateWebCommand: {**PLACE, "streamId": "cam-1", "videoBitrate": 30000},
    w.SetInteractionIdWebCommand: {**PLACE, "interactionId": "i-7"},
    w.SendEventToConferenceWebCommand: {
        "conferenceId": "standup",
        "qos": "BEST_EFFORT",
        "event": {
            "type": "FormSubmittedEvent",
            "timestamp": "2011-12-03T10:15:30Z",
            "card": {"number": "41"},
        },
        "masks": ["$.card.number"],
    },
    w.CreateUserEndpoint: {
        "keepAliveSeconds": 15,
        "userEndpointId": UUID,
        "userId": "ann+calls@example.org",
        "serverKeepAliveReminderOn": True,
    },
    w.KeepUserEndpointAlive: {"userEndpointId": UUID},
    w.UnregisterUserEndpoint: {"userEndpointId": UUID, "reason": "logout"},
}
"""Every body with every field."""

REQUIRED: dict[type, set[str]] = {
    w.CreateConferenceWebCommand: set(),
    w.JoinConferenceWebCommand: {"conferenceId", "userEndpointId"},
    w.LeaveConferenceWebCommand: {"conferenceId", "userEndpointId"},
    w.EndConferenceWebCommand: {"conferenceId", "userEndpointId"},
    w.ConferencePublishStreamWebCommand: {"conferenceId", "userEndpointId", "conferenceStreamType"},
    w.ConferenceUnpublishStreamWebCommand: {"conferenceId", "userEndpointId", "streamId"},
    w.ConferenceViewStreamWebCommand: {"conferenceId", "userEndpointId", "streamId", "sdpOffer"},
    w.ConferenceStopViewStreamWebCommand: {"conferenceId", "userEndpointId", "streamId", "viewerId"},
    w.ConferencePublishStreamIceCandidatesWebCommand: {
        "conferenceId",
        "userEndpointId",
        "streamId",
        "iceCandidates",
    },
    w.ConferenceViewStreamIceCandidatesWebCommand: {
        "conferenceId",
        "userEndpointId",
        "streamId",
        "viewerId",
        "iceCandidates",
    },
    w.UpdateConferenceMetadataWebCommand: {"conferenceId", "userEndpointId", "operation", "key"},
    w.UpdateConferenceParticipantMetadataWebCommand: {"conferenceId", "userEndpointId", "newMetadata"},
    w.UpdateConferenceStreamMetadataWebCommand: {"conferenceId", "userEndpointId", "streamId"},
    w.ConferenceUpdatePublishedStreamBitrateWebCommand: {"conferenceId", "userEndpointId", "videoBitrate"},
    w.SetInteractionIdWebCommand: {"conferenceId", "interactionId"},
    w.SendEventToConferenceWebCommand: {"conferenceId", "qos", "event"},
    w.CreateUserEndpoint: {"keepAliveSeconds"},
    w.KeepUserEndpointAlive: {"userEndpointId"},
    w.UnregisterUserEndpoint: {"userEndpointId"},
}
"""The column "Required" of the source's tables, and of the user endpoints what every client sends."""


ANSWERS = [
    a.RegisteredUserEndpoint,
    a.ConferenceSummary,
    a.ConferencePublishResult,
    a.ConferenceStreamViewResult,
    a.SendEventResponse,
    a.Conference,
    a.ConferenceSimpleView,
    a.AnotherErrorResponse,
    a.IceServers,
]


def outcome(act: Callable[[], Any]) -> Any:
    """What `act` gives, or the error that it is allowed to raise."""
    try:
        return act()
    except RemoteProtocolError as error:
        return error
