"""Every endpoint of the conference API, as routing, OpenAPI and the reference read it."""

from typing import Any

from engine.app.api import Endpoint
from machines.conference import wire
from machines.conference import wire_answers as answers
from machines.conference.oauth.requests import TokenForm
from machines.conference.oauth.service import TOKEN_PATH, OauthRefusal, TokenAnswer
from machines.conference.wire_events import ConferenceEvent

ROOT = "/rtc-api/conferences"
ENDPOINTS_ROOT = "/rtc-api/users/endpoints"
EVENTS_PATH = "/rtc-api/events"
SIBLING = "sibling text"
"""Further public documents of the same product; their facts are written out in the spec."""

ERROR = answers.AnotherErrorResponse


def _post(path: str, summary: str, body: type, done: Any, *errors: int, source: str) -> Endpoint:
    """`done` is what 200 carries; None makes it 204. 400, 401, 500 and 503 are everywhere."""
    results: dict[int, Any] = {204: None} if done is None else {200: done}
    results |= dict.fromkeys((400, 401, *errors, 500, 503), ERROR)
    return Endpoint(
        method="POST",
        path=path,
        summary=summary,
        source=source,
        body=body,
        results=dict(sorted(results.items())),
    )


def _get(path: str, summary: str, done: Any, source: str, query: type | None = None) -> Endpoint:
    results = {200: done, 400: ERROR, 401: ERROR, 500: ERROR, 503: ERROR}
    return Endpoint(method="GET", path=path, summary=summary, source=source, query=query, results=results)


TOKEN = Endpoint(
    method="POST",
    path=TOKEN_PATH,
    summary="A token for a client, or a new one for a refresh token",
    source="Authentication",
    body=TokenForm,
    body_type="application/x-www-form-urlencoded",
    results={200: TokenAnswer, 400: OauthRefusal, 401: OauthRefusal, 429: OauthRefusal},
    public=True,
)

CREATE = _post(
    f"{ROOT}/create",
    "Create a conference",
    wire.CreateConferenceWebCommand,
    answers.ConferenceSummary,
    source="Creates a conference",
)

JOIN = _post(
    f"{ROOT}/join",
    "Join a conference",
    wire.JoinConferenceWebCommand,
    answers.ConferenceSummary,
    403,
    404,
    422,
    source="Joins a conference",
)

LEAVE = _post(
    f"{ROOT}/leave",
    "Leave a conference; what the endpoint published and viewed ends with it",
    wire.LeaveConferenceWebCommand,
    None,
    source="Leaves a conference",
)

END = _post(
    f"{ROOT}/end",
    "End a conference for all",
    wire.EndConferenceWebCommand,
    None,
    403,
    source="Ends a conference",
)

PUBLISH = _post(
    f"{ROOT}/publishStream",
    "Publish a stream",
    wire.ConferencePublishStreamWebCommand,
    answers.ConferencePublishResult,
    source="Publish a stream to the conference",
)

UNPUBLISH = _post(
    f"{ROOT}/unpublishStream",
    "Unpublish a stream",
    wire.ConferenceUnpublishStreamWebCommand,
    None,
    source="Unpublish a stream from the conference",
)

PUBLISH_CANDIDATES = _post(
    f"{ROOT}/addPublishStreamIceCandidates",
    "Add candidates of a publisher",
    wire.ConferencePublishStreamIceCandidatesWebCommand,
    None,
    source="Adds ice candidates for a published stream",
)

VIEW = _post(
    f"{ROOT}/viewStream",
    "View a stream",
    wire.ConferenceViewStreamWebCommand,
    answers.ConferenceStreamViewResult,
    404,
    source="View request",
)

VIEW_CANDIDATES = _post(
    f"{ROOT}/addViewStreamIceCandidates",
    "Add candidates of a viewer",
    wire.ConferenceViewStreamIceCandidatesWebCommand,
    None,
    source="Adds ice candidates for a view stream request",
)

STOP_VIEW = _post(
    f"{ROOT}/stopViewStream",
    "Stop viewing a stream",
    wire.ConferenceStopViewStreamWebCommand,
    None,
    404,
    source="Request to stop viewing a stream",
)

UPDATE_METADATA = _post(
    f"{ROOT}/updateMetadata",
    "Set or remove a value of a conference's metadata",
    wire.UpdateConferenceMetadataWebCommand,
    None,
    source="Updates conference metadata",
)

UPDATE_PARTICIPANT = _post(
    f"{ROOT}/updateParticipantMetadata",
    "Merge into the metadata of one's endpoint; null takes a property away",
    wire.UpdateConferenceParticipantMetadataWebCommand,
    None,
    source="Updates conference participant metadata",
)

UPDATE_STREAM = _post(
    f"{ROOT}/updateStreamMetadata",
    "Merge into the metadata of one's stream; null takes a property away",
    wire.UpdateConferenceStreamMetadataWebCommand,
    None,
    403,
    source="Updates conference stream metadata",
)

BITRATE = _post(
    f"{ROOT}/updatePublishedStreamBitrate",
    "Cap the bitrate of one's stream",
    wire.ConferenceUpdatePublishedStreamBitrateWebCommand,
    None,
    403,
    404,
    source="Update the bitrate of a conference stream",
)

INTERACTION = _post(
    f"{ROOT}/interaction",
    "Say which interaction a conference belongs to, once",
    wire.SetInteractionIdWebCommand,
    None,
    403,
    source="Sets the interaction id which this conference is related to",
)

SEND_EVENT = _post(
    f"{ROOT}/sendEvent",
    "Send an event to all endpoints that have joined",
    wire.SendEventToConferenceWebCommand,
    answers.SendEventResponse,
    403,
    source="Sends event to all user endpoints",
)

ACTIVE = _get(
    f"{ROOT}/active",
    "The conferences of one's organization that have not ended",
    tuple[answers.Conference, ...],
    "Gets a list of active conferences",
)

CONFERENCE = _get(f"{ROOT}/{{id}}", "A conference", answers.Conference, "Get conference aggregate")

SIMPLE_VIEW = _get(
    f"{ROOT}/{{id}}/simpleView",
    "A conference by users",
    answers.ConferenceSimpleView,
    "Get a simple view of a conference",
)

EVENTS = _get(
    f"{ROOT}/{{id}}/events",
    "The events of a conference since a version; waits a while when there are none",
    tuple[ConferenceEvent, ...],
    "Get a list of all events of a conference",
    wire.EventsQuery,
)

REGISTER_BARE = _post(
    ENDPOINTS_ROOT, "Register a user endpoint", wire.CreateUserEndpoint, str, 403, source=SIBLING
)

REGISTER = _post(
    f"{ENDPOINTS_ROOT}/register",
    "Register a user endpoint",
    wire.CreateUserEndpoint,
    answers.RegisteredUserEndpoint,
    403,
    source=SIBLING,
)

KEEP_ALIVE = _post(
    f"{ENDPOINTS_ROOT}/keepalive",
    "Say that a user endpoint is there",
    wire.KeepUserEndpointAlive,
    None,
    403,
    404,
    source=SIBLING,
)

UNREGISTER = _post(
    f"{ENDPOINTS_ROOT}/unregister",
    "Take a user endpoint out of everything",
    wire.UnregisterUserEndpoint,
    None,
    403,
    404,
    source=SIBLING,
)

ICE_SERVERS = _get("/rtc-api/iceServers", "STUN and TURN servers for clients", answers.IceServers, SIBLING)

ENDPOINTS = (
    TOKEN,
    CREATE,
    JOIN,
    LEAVE,
    END,
    PUBLISH,
    UNPUBLISH,
    PUBLISH_CANDIDATES,
    VIEW,
    VIEW_CANDIDATES,
    STOP_VIEW,
    UPDATE_METADATA,
    UPDATE_PARTICIPANT,
    UPDATE_STREAM,
    BITRATE,
    INTERACTION,
    SEND_EVENT,
    ACTIVE,
    CONFERENCE,
    SIMPLE_VIEW,
    EVENTS,
    REGISTER_BARE,
    REGISTER,
    KEEP_ALIVE,
    UNREGISTER,
    ICE_SERVERS,
)

WORDS = frozenset(
    name
    for one in ENDPOINTS
    for root, _, name in (one.path.rpartition("/"),)
    if root == ROOT and not name.startswith("{")
)
"""What stands in a path where an id does; no conference may be called so."""
