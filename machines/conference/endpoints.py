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

CREATE = f"{ROOT}/create"
JOIN = f"{ROOT}/join"
LEAVE = f"{ROOT}/leave"
END = f"{ROOT}/end"
PUBLISH = f"{ROOT}/publishStream"
UNPUBLISH = f"{ROOT}/unpublishStream"
PUBLISH_CANDIDATES = f"{ROOT}/addPublishStreamIceCandidates"
VIEW = f"{ROOT}/viewStream"
VIEW_CANDIDATES = f"{ROOT}/addViewStreamIceCandidates"
STOP_VIEW = f"{ROOT}/stopViewStream"
UPDATE_METADATA = f"{ROOT}/updateMetadata"
UPDATE_PARTICIPANT = f"{ROOT}/updateParticipantMetadata"
UPDATE_STREAM = f"{ROOT}/updateStreamMetadata"
BITRATE = f"{ROOT}/updatePublishedStreamBitrate"
SEND_EVENT = f"{ROOT}/sendEvent"
ACTIVE = f"{ROOT}/active"
CONFERENCE = f"{ROOT}/{{id}}"
SIMPLE_VIEW = f"{ROOT}/{{id}}/simpleView"
EVENTS = f"{ROOT}/{{id}}/events"
REGISTER_BARE = ENDPOINTS_ROOT
REGISTER = f"{ENDPOINTS_ROOT}/register"
KEEP_ALIVE = f"{ENDPOINTS_ROOT}/keepalive"
UNREGISTER = f"{ENDPOINTS_ROOT}/unregister"
ICE_SERVERS = "/rtc-api/iceServers"


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

ENDPOINTS = (
    TOKEN,
    _post(
        CREATE,
        "Create a conference",
        wire.CreateConferenceWebCommand,
        answers.ConferenceSummary,
        source="Creates a conference",
    ),
    _post(
        JOIN,
        "Join a conference",
        wire.JoinConferenceWebCommand,
        answers.ConferenceSummary,
        403,
        404,
        422,
        source="Joins a conference",
    ),
    _post(
        LEAVE,
        "Leave a conference; what the endpoint published and viewed ends with it",
        wire.LeaveConferenceWebCommand,
        None,
        source="Leaves a conference",
    ),
    _post(
        END,
        "End a conference for all",
        wire.EndConferenceWebCommand,
        None,
        403,
        source="Ends a conference",
    ),
    _post(
        PUBLISH,
        "Publish a stream",
        wire.ConferencePublishStreamWebCommand,
        answers.ConferencePublishResult,
        source="Publish a stream to the conference",
    ),
    _post(
        UNPUBLISH,
        "Unpublish a stream",
        wire.ConferenceUnpublishStreamWebCommand,
        None,
        source="Unpublish a stream from the conference",
    ),
    _post(
        PUBLISH_CANDIDATES,
        "Add candidates of a publisher",
        wire.ConferencePublishStreamIceCandidatesWebCommand,
        None,
        source="Adds ice candidates for a published stream",
    ),
    _post(
        VIEW,
        "View a stream",
        wire.ConferenceViewStreamWebCommand,
        answers.ConferenceStreamViewResult,
        404,
        source="View request",
    ),
    _post(
        VIEW_CANDIDATES,
        "Add candidates of a viewer",
        wire.ConferenceViewStreamIceCandidatesWebCommand,
        None,
        source="Adds ice candidates for a view stream request",
    ),
    _post(
        STOP_VIEW,
        "Stop viewing a stream",
        wire.ConferenceStopViewStreamWebCommand,
        None,
        404,
        source="Request to stop viewing a stream",
    ),
    _post(
        UPDATE_METADATA,
        "Set or remove a value of a conference's metadata",
        wire.UpdateConferenceMetadataWebCommand,
        None,
        source="Updates conference metadata",
    ),
    _post(
        UPDATE_PARTICIPANT,
        "Merge into the metadata of one's endpoint; null takes a property away",
        wire.UpdateConferenceParticipantMetadataWebCommand,
        None,
        source="Updates conference participant metadata",
    ),
    _post(
        UPDATE_STREAM,
        "Merge into the metadata of one's stream; null takes a property away",
        wire.UpdateConferenceStreamMetadataWebCommand,
        None,
        403,
        source="Updates conference stream metadata",
    ),
    _post(
        BITRATE,
        "Cap the bitrate of one's stream",
        wire.ConferenceUpdatePublishedStreamBitrateWebCommand,
        None,
        403,
        404,
        source="Update the bitrate of a conference stream",
    ),
    _post(
        f"{ROOT}/interaction",
        "Say which interaction a conference belongs to, once",
        wire.SetInteractionIdWebCommand,
        None,
        403,
        source="Sets the interaction id which this conference is related to",
    ),
    _post(
        SEND_EVENT,
        "Send an event to all endpoints that have joined",
        wire.SendEventToConferenceWebCommand,
        answers.SendEventResponse,
        403,
        source="Sends event to all user endpoints",
    ),
    _get(
        ACTIVE,
        "The conferences of one's organization that have not ended",
        tuple[answers.Conference, ...],
        "Gets a list of active conferences",
    ),
    _get(CONFERENCE, "A conference", answers.Conference, "Get conference aggregate"),
    _get(
        SIMPLE_VIEW,
        "A conference by users",
        answers.ConferenceSimpleView,
        "Get a simple view of a conference",
    ),
    _get(
        EVENTS,
        "The events of a conference since a version; waits a while when there are none",
        tuple[ConferenceEvent, ...],
        "Get a list of all events of a conference",
        wire.EventsQuery,
    ),
    _post(REGISTER_BARE, "Register a user endpoint", wire.CreateUserEndpoint, str, 403, source=SIBLING),
    _post(
        REGISTER,
        "Register a user endpoint",
        wire.CreateUserEndpoint,
        answers.RegisteredUserEndpoint,
        403,
        source=SIBLING,
    ),
    _post(
        KEEP_ALIVE,
        "Say that a user endpoint is there",
        wire.KeepUserEndpointAlive,
        None,
        403,
        404,
        source=SIBLING,
    ),
    _post(
        UNREGISTER,
        "Take a user endpoint out of everything",
        wire.UnregisterUserEndpoint,
        None,
        403,
        404,
        source=SIBLING,
    ),
    _get(ICE_SERVERS, "STUN and TURN servers for clients", answers.IceServers, SIBLING),
)

WORDS = frozenset(
    name
    for one in ENDPOINTS
    for root, _, name in (one.path.rpartition("/"),)
    if root == ROOT and not name.startswith("{")
)
"""What stands in a path where an id does; no conference may be called so."""
