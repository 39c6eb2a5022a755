"""The wire form of the conference API ("RTC API", Conferences): bodies and queries.

Classes go by the names of the source's schemas. Whether a field may be missing is what its column "Required"
says, also where the description says otherwise; what may be missing may be null. Fields that no schema has,
such as `userId` and `creator` of some clients, are ignored. `wire_answers` and `wire_events` have the rest.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import attrs

from engine.codec.bounds import Between, Items, Json, Listed, Text
from engine.codec.dialect import UnfitError
from engine.codec.wire import Limits, WireCodec
from engine.errors import RemoteProtocolError
from engine.vocabulary import length
from machines.conference.vocabulary import Health as Health
from machines.conference.vocabulary import Mode as Mode
from machines.conference.vocabulary import Operation as Operation
from machines.conference.vocabulary import StreamType as StreamType

SDP_MAX = 200_000
"""Characters of an offer; one of a large conference has about 50,000."""

CANDIDATES_MAX = 100
"""Candidates in one request; a client with many networks finds about 40."""

MASKS_MAX = 32
MASK_MAX = 256
"""Characters of one mask."""

EVENT_DEPTH_MAX = 8
"""Levels of an event of `sendEvent`."""

LIMITS = Limits(string_max=SDP_MAX)
"""Of the codec that reads this API."""

INT32_MAX = 2**31 - 1
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

NO_SLASH = r"[^/\x00-\x1f\x7f-\x9f]*"
NOT_AN_ID = "has a slash or a control character"

# Ids become keys such as `<conference>/<stream>/<viewer>`, and parts of topics.
ID = Text(min=1, max=128, pattern=NO_SLASH, says=NOT_AN_ID)
NO_WILDCARD = Text(
    max=128, pattern=r"[^/+#\x00-\x1f\x7f-\x9f]*", says="has a slash, a plus, a hash or a control character"
)

Ident: TypeAlias = Annotated[str, ID]
"""An id; a UUID and an email address are some."""
MaybeIdent: TypeAlias = Annotated[str, Text(max=128, pattern=NO_SLASH, says=NOT_AN_ID)] | None
"""An id that may be left empty."""
MaybeEndpointId: TypeAlias = Annotated[str, NO_WILDCARD] | None
"""The id that a user endpoint wants; topics end in it, so that wildcards are refused."""

Sdp: TypeAlias = Annotated[str, Text(max=SDP_MAX)]
MaybeReason: TypeAlias = Annotated[str, Text(max=512)] | None
MetadataKey: TypeAlias = Annotated[str, Text(min=1, max=256)]
MetadataValue: TypeAlias = Annotated[str, Text(max=4096)]
Bitrate: TypeAlias = Annotated[int, Between(min=1, max=INT32_MAX)]
"""Bits a second."""
Seconds: TypeAlias = Annotated[int, Between(min=1, max=3600)]

Texts: TypeAlias = Annotated[
    Mapping[MetadataKey, MetadataValue], Json(keys_max=64, depth_max=1, bytes_max=32 * 1024)
]
"""Metadata whose values are strings."""
JsonObject: TypeAlias = Annotated[
    Mapping[MetadataKey, Any], Json(keys_max=64, depth_max=8, bytes_max=16 * 1024)
]
"""Metadata whose values are anything; arrays in it are tuples."""
EventObject: TypeAlias = Annotated[
    Mapping[MetadataKey, Any], Json(keys_max=256, depth_max=EVENT_DEPTH_MAX, bytes_max=32 * 1024)
]
"""An event of `sendEvent`."""
Masks: TypeAlias = Annotated[tuple[Annotated[str, Text(min=1, max=MASK_MAX)], ...], Items(max=MASKS_MAX)]


class Qos(StrEnum):
    """`qos` of sendEvent."""

    BEST_EFFORT = "BEST_EFFORT"
    AT_LEAST_ONCE = "AT_LEAST_ONCE"


# In a request only what is listed may stand; in an answer that a client reads, the rest is UNKNOWN.
ListedMode: TypeAlias = Annotated[Mode, Listed(tuple(one.value for one in Mode))]
ListedStreamType: TypeAlias = Annotated[StreamType, Listed(tuple(one.value for one in StreamType))]


def _stated(text: str | None) -> str | None:
    """An id that is left empty is not there."""
    return text or None


def maybe_length(text: str | None) -> str:
    """Repr of a secret field that may be missing."""
    return length(text or "")


# -- bodies


@attrs.frozen(kw_only=True)
class CreateConferenceWebCommand:
    """Body of create."""

    conference_id: MaybeIdent = attrs.field(default=None, converter=_stated)
    mode: ListedMode | None = None
    organization_id: MaybeIdent = attrs.field(default=None, converter=_stated)
    """For internal use only, says the source."""
    creator_endpoint: MaybeIdent = attrs.field(default=None, converter=_stated)
    interaction_id: MaybeIdent = attrs.field(default=None, converter=_stated)
    metadata: Texts | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class JoinConferenceWebCommand:
    """Body of join."""

    conference_id: Ident
    user_endpoint_id: Ident
    metadata: JsonObject | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class LeaveConferenceWebCommand:
    """Body of leave."""

    conference_id: Ident
    user_endpoint_id: Ident
    reason: MaybeReason = None


@attrs.frozen(kw_only=True)
class EndConferenceWebCommand:
    """Body of end."""

    conference_id: Ident
    user_endpoint_id: Ident
    reason: MaybeReason = None


@attrs.frozen(kw_only=True)
class ConferencePublishStreamWebCommand:
    """Body of publishStream."""

    conference_id: Ident
    user_endpoint_id: Ident
    stream_id: MaybeIdent = attrs.field(default=None, converter=_stated)
    conference_stream_type: ListedStreamType
    sdp_offer: Sdp | None = attrs.field(default=None, repr=maybe_length)
    """The column says optional, the description mandatory: whether it may be missing is for the service."""
    metadata: JsonObject | None = attrs.field(default=None, repr=False)
    video_bitrate: Bitrate | None = None


@attrs.frozen(kw_only=True)
class ConferenceUnpublishStreamWebCommand:
    """Body of unpublishStream."""

    conference_id: Ident
    user_endpoint_id: Ident
    stream_id: Ident


@attrs.frozen(kw_only=True)
class ConferenceViewStreamWebCommand:
    """Body of viewStream."""

    conference_id: Ident
    user_endpoint_id: Ident
    stream_id: Ident
    sdp_offer: Sdp = attrs.field(repr=length)
    viewer_id: MaybeIdent = attrs.field(default=None, converter=_stated)
    metadata: Texts | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ConferenceStopViewStreamWebCommand:
    """Body of stopViewStream."""

    conference_id: Ident
    user_endpoint_id: Ident
    stream_id: Ident
    viewer_id: Ident


@attrs.frozen(kw_only=True)
class IceCandidate:
    """One candidate, as browsers make it; an empty one says that there are no more."""

    candidate: Annotated[str, Text(max=1024)] | None = attrs.field(default=None, repr=maybe_length)
    sdp_mid: Annotated[str, Text(max=64)] | None = None
    sdp_m_line_index: Annotated[int, Between(min=0, max=INT32_MAX)] | None = None


Candidates: TypeAlias = Annotated[tuple[IceCandidate, ...], Items(max=CANDIDATES_MAX)]


@attrs.frozen(kw_only=True)
class ConferencePublishStreamIceCandidatesWebCommand:
    """Body of addPublishStreamIceCandidates."""

    conference_id: Ident
    user_endpoint_id: Ident
    stream_id: Ident
    ice_candidates: Candidates


@attrs.frozen(kw_only=True)
class ConferenceViewStreamIceCandidatesWebCommand:
    """Body of addViewStreamIceCandidates."""

    conference_id: Ident
    user_endpoint_id: Ident
    stream_id: Ident
    viewer_id: Ident
    ice_candidates: Candidates


@attrs.frozen(kw_only=True)
class UpdateConferenceMetadataWebCommand:
    """Body of updateMetadata."""

    conference_id: Ident
    user_endpoint_id: Ident
    operation: Operation
    key: MetadataKey
    value: MetadataValue | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class UpdateConferenceParticipantMetadataWebCommand:
    """Body of updateParticipantMetadata."""

    conference_id: Ident
    user_endpoint_id: Ident
    new_metadata: JsonObject = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class UpdateConferenceStreamMetadataWebCommand:
    """Body of updateStreamMetadata."""

    conference_id: Ident
    user_endpoint_id: Ident
    stream_id: Ident
    """The column says required, the description optional."""
    new_metadata: JsonObject | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ConferenceUpdatePublishedStreamBitrateWebCommand:
    """Body of updatePublishedStreamBitrate."""

    conference_id: Ident
    user_endpoint_id: Ident
    stream_id: MaybeIdent = attrs.field(default=None, converter=_stated)
    video_bitrate: Bitrate
    """The column says required, the description optional."""


@attrs.frozen(kw_only=True)
class SetInteractionIdWebCommand:
    """Body of interaction."""

    conference_id: Ident
    interaction_id: Ident
    user_endpoint_id: MaybeIdent = attrs.field(default=None, converter=_stated)


@attrs.frozen(kw_only=True)
class SendEventToConferenceWebCommand:
    """Body of sendEvent; `masks` looks into `event` and `masks`."""

    conference_id: Ident
    qos: Qos
    """The column says required, the description optional."""
    event: EventObject = attrs.field(repr=False)
    masks: Masks | None = attrs.field(default=None, repr=False)


# -- user endpoints


@attrs.frozen(kw_only=True)
class CreateUserEndpoint:
    """Body of users/endpoints and of users/endpoints/register."""

    keep_alive_seconds: Seconds
    user_endpoint_id: MaybeEndpointId = attrs.field(default=None, converter=_stated)
    """Left out, the server makes one."""
    user_id: MaybeIdent = attrs.field(default=None, converter=_stated)
    """The token says whose it is."""
    server_keep_alive_reminder_on: bool | None = None


@attrs.frozen(kw_only=True)
class KeepUserEndpointAlive:
    """Body of users/endpoints/keepalive."""

    user_endpoint_id: Ident


@attrs.frozen(kw_only=True)
class UnregisterUserEndpoint:
    """Body of users/endpoints/unregister."""

    user_endpoint_id: Ident
    reason: MaybeReason = None


# -- queries


@attrs.frozen(kw_only=True)
class EventsQuery:
    """Query of events.

    Deviates from "Get a list of all events", its table: `v` may be missing, as the text above it has it.
    """

    v: Annotated[int, Between(min=INT64_MIN, max=INT64_MAX)] | None = None
    """The first version that is wanted; None for all events, creation included."""


_CODEC = WireCodec(LIMITS)


def read_events_query(query: Iterable[tuple[str, str]]) -> EventsQuery:
    """The query of events from its decoded pairs; others than `v` are ignored.

    Raises:
        RemoteProtocolError: `v` is not one integer of 64 bits.
    """
    return _CODEC.decode_pairs(query, EventsQuery)


def read_id(text: str) -> str:
    """An id that stands in a path.

    Raises:
        RemoteProtocolError: it cannot be one.
    """
    try:
        ID.check(text)
    except UnfitError as error:
        raise RemoteProtocolError("$.id", error.reason) from None
    return text
