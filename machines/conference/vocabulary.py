"""Words of the conference API ("RTC API", Conferences): states, data, commands, events, messages."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeAlias

import attrs

from engine.effects import Request
from engine.vocabulary import Command, Event, Message, length
from machines.conference.callers import Caller as Caller
from machines.conference.callers import Role as Role

CONFERENCE = "conference.conference"
PARTICIPANT = "conference.participant"
STREAM = "conference.stream"
VIEW = "conference.view"
DELIVERY = "conference.delivery"
ENDPOINT = "conference.endpoint"

MEDIA = "conference.media"
"""The port that opens, feeds and closes peers."""

JsonTexts: TypeAlias = Mapping[str, str]
"""Metadata: a property's name to the JSON text of its value."""

KEYS_MAX = 1_000
"""Keys of the metadata of one conference; clients keep one for each stream that was muted."""

PROPERTIES_MAX = 64
"""Properties of the metadata of one participant or stream: as many as one request may bring."""


class ConferenceState(StrEnum):
    """One conference."""

    NEW = "new"
    EMPTY = "empty"
    """Nobody is inside, or recorders only."""
    ACTIVE = "active"
    ENDED = "ended"


class ParticipantState(StrEnum):
    """One user endpoint in one conference."""

    ABSENT = "absent"
    HEALTHY = "healthy"
    SICK = "sick"


class StreamState(StrEnum):
    """One published stream."""

    ABSENT = "absent"
    OPENING = "opening"
    """The media host is asked."""
    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    RECONNECTING = "reconnecting"
    """Its peer is lost; the publisher may publish it again."""


class ViewState(StrEnum):
    """One viewer of one stream."""

    ABSENT = "absent"
    OPENING = "opening"
    CONNECTING = "connecting"
    LIVE = "live"
    RECONNECTING = "reconnecting"


class DeliveryState(StrEnum):
    """One event that is told until it is acknowledged."""

    ABSENT = "absent"
    PENDING = "pending"
    SETTLED = "settled"
    """Everybody has it; its id is taken until its time is over."""


class EndpointState(StrEnum):
    """One user endpoint, wherever it has joined."""

    UNREGISTERED = "unregistered"
    HEALTHY = "healthy"
    SICK = "sick"


class Mode(StrEnum):
    """`mode` of the source; only ROUTER is run."""

    P2P = "P2P"
    ROUTER = "ROUTER"
    UNKNOWN = "UNKNOWN"


class StreamType(StrEnum):
    """`conferenceStreamType` of the source."""

    MIC = "MIC"
    CAM = "CAM"
    SCREEN = "SCREEN"
    MIC_AND_CAM = "MIC_AND_CAM"
    UNKNOWN = "UNKNOWN"


class Health(StrEnum):
    """`state` of a participant in the source."""

    HEALTHY = "HEALTHY"
    SICK = "SICK"
    UNKNOWN = "UNKNOWN"


class Operation(StrEnum):
    """`operation` of a change of conference metadata."""

    SET = "SET"
    REMOVE = "REMOVE"


class Phase(StrEnum):
    """What a conference knows of a stream's life."""

    OFFERED = "offered"
    """Its publisher has no answer yet, so nobody was told."""
    PUBLISHED = "published"
    LOST = "lost"
    """Published, and without a peer."""


class PeerEnd(StrEnum):
    """Why a peer is gone."""

    REFUSED = "refused"
    """The offer was not answered."""
    REMOTE = "remote"
    """The client closed it."""
    FAILED = "failed"
    """It did not connect in time."""
    SOURCE_ENDED = "source_ended"
    LOST = "lost"
    """It went silent."""
    WORKER_GONE = "worker_gone"
    RESTARTED = "restarted"
    """The engine was started anew, and the peer went with the old one."""


# -- values


@attrs.frozen(kw_only=True)
class MetadataEntry:
    """One value of the metadata of a conference, and who set it."""

    value: str
    user: str
    user_endpoint_id: str
    modified_at: float
    """UTC seconds."""


@attrs.frozen(kw_only=True)
class Participant:
    """A user endpoint that has joined."""

    user_endpoint_id: str
    user: str
    metadata: JsonTexts = attrs.field(factory=dict)
    health: Health = Health.HEALTHY


@attrs.frozen(kw_only=True)
class Stream:
    """A stream as its conference sees it."""

    stream_id: str
    user_endpoint_id: str
    peer_id: str
    type: StreamType
    metadata: JsonTexts = attrs.field(factory=dict)
    bitrate_bps: int | None = None
    phase: Phase = Phase.OFFERED


@attrs.frozen(kw_only=True)
class View:
    """A viewer as its conference sees it."""

    stream_id: str
    viewer_id: str
    user_endpoint_id: str


@attrs.frozen(kw_only=True)
class Conference:
    """Data of a conference; participants, streams and views in the order in which they came."""

    id: str
    organization: str = ""
    mode: Mode = Mode.ROUTER
    creator: str = ""
    creator_endpoint: str = ""
    interaction_id: str = ""
    empty_seconds: float = 300.0
    version: int = 0
    """The number that the next versioned event carries."""
    metadata: Mapping[str, MetadataEntry] = attrs.field(factory=dict)
    participants: Mapping[str, Participant] = attrs.field(factory=dict)
    streams: Mapping[str, Stream] = attrs.field(factory=dict)
    views: Mapping[str, View] = attrs.field(factory=dict)
    """By `<stream id>/<viewer id>`."""


@attrs.frozen(kw_only=True)
class Seat:
    """Data of a participant's machine."""

    conference_id: str
    user_endpoint_id: str


@attrs.frozen(kw_only=True)
class Feed:
    """Data of a stream's or a view's machine."""

    conference_id: str
    stream_id: str
    viewer_id: str = ""
    """Empty for the stream itself."""
    peer_id: str = ""
    lost: bool = False
    """The peer is gone and closed; its id stays, because the conference knows the feed by it."""


@attrs.frozen(kw_only=True)
class Delivery:
    """Data of an event that is told until it is acknowledged."""

    conference_id: str
    event_id: str
    body: str = attrs.field(default="", repr=length)
    """JSON text, masked."""
    waiting: tuple[str, ...] = ()
    """Endpoints that have not acknowledged it."""
    expires_at: float = 0.0
    """UTC seconds."""


@attrs.frozen(kw_only=True)
class Endpoint:
    """Data of a user endpoint."""

    user_endpoint_id: str
    user: str = ""
    organization: str = ""
    keep_alive_seconds: float = 5.0
    conferences: tuple[str, ...] = ()
    """Where it has joined."""


# -- commands to a conference


@attrs.frozen(kw_only=True)
class ConferenceCommand(Command):
    """Base of what clients ask of a conference."""

    caller: Caller


@attrs.frozen(kw_only=True)
class CreateConference(ConferenceCommand):
    """`create`."""

    creator_endpoint: str = ""
    interaction_id: str = ""
    metadata: Mapping[str, str] = attrs.field(factory=dict)
    empty_seconds: float = 300.0
    """How long it may be empty before it ends."""


@attrs.frozen(kw_only=True)
class JoinConference(ConferenceCommand):
    """`join`."""

    user_endpoint_id: str
    metadata: JsonTexts = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class LeaveConference(ConferenceCommand):
    """`leave`."""

    user_endpoint_id: str
    reason: str = ""


@attrs.frozen(kw_only=True)
class EndConference(ConferenceCommand):
    """`end`."""

    user_endpoint_id: str = ""
    reason: str = ""


@attrs.frozen(kw_only=True)
class PublishStream(ConferenceCommand):
    """`publishStream`; the offer waits under `peer_id`, outside of the journal."""

    user_endpoint_id: str
    stream_id: str
    peer_id: str
    type: StreamType
    metadata: JsonTexts = attrs.field(factory=dict)
    bitrate_bps: int | None = None


@attrs.frozen(kw_only=True)
class UnpublishStream(ConferenceCommand):
    """`unpublishStream`."""

    user_endpoint_id: str
    stream_id: str


@attrs.frozen(kw_only=True)
class ViewStream(ConferenceCommand):
    """`viewStream`; the offer waits under `peer_id`, outside of the journal."""

    user_endpoint_id: str
    """The viewer's, or, as some clients send it, the publisher's."""
    stream_id: str
    viewer_id: str
    peer_id: str


@attrs.frozen(kw_only=True)
class StopView(ConferenceCommand):
    """`stopViewStream`."""

    stream_id: str
    viewer_id: str


@attrs.frozen(kw_only=True)
class UpdateMetadata(ConferenceCommand):
    """`updateMetadata`."""

    user_endpoint_id: str
    operation: Operation
    key: str
    value: str = ""
    keys_max: int = KEYS_MAX


@attrs.frozen(kw_only=True)
class UpdateParticipantMetadata(ConferenceCommand):
    """`updateParticipantMetadata`."""

    user_endpoint_id: str
    new_metadata: JsonTexts = attrs.field(factory=dict)
    properties_max: int = PROPERTIES_MAX


@attrs.frozen(kw_only=True)
class UpdateStreamMetadata(ConferenceCommand):
    """`updateStreamMetadata`."""

    user_endpoint_id: str
    stream_id: str
    new_metadata: JsonTexts = attrs.field(factory=dict)
    properties_max: int = PROPERTIES_MAX


@attrs.frozen(kw_only=True)
class UpdateBitrate(ConferenceCommand):
    """`updatePublishedStreamBitrate`."""

    user_endpoint_id: str
    stream_id: str
    bitrate_bps: int


@attrs.frozen(kw_only=True)
class SetInteraction(ConferenceCommand):
    """`interaction`."""

    interaction_id: str
    user_endpoint_id: str = ""


@attrs.frozen(kw_only=True)
class SendEvent(ConferenceCommand):
    """`sendEvent`; its plain body waits under `event_id`, outside of the journal."""

    event_id: str
    body: str = attrs.field(repr=length)
    """JSON text, masked."""
    stored: bool = False
    """AT_LEAST_ONCE."""
    expire_seconds: float = 60.0


@attrs.frozen
class ExpireConference(Command):
    """It has been empty for too long."""


@attrs.frozen(kw_only=True)
class NoteHealth(Command):
    """A participant's machine says how it is."""

    user_endpoint_id: str
    health: Health


@attrs.frozen(kw_only=True)
class DropEndpoint(Command):
    """A user endpoint is gone."""

    user_endpoint_id: str
    reason: str = ""


@attrs.frozen(kw_only=True)
class NotePublished(Command):
    """A stream's offer is answered."""

    stream_id: str
    peer_id: str


@attrs.frozen(kw_only=True)
class NoteStreamLost(Command):
    """A stream has no peer, and waits for another."""

    stream_id: str
    peer_id: str


@attrs.frozen(kw_only=True)
class NoteStreamOver(Command):
    """A stream has ended without being asked to."""

    stream_id: str
    peer_id: str
    reason: str = ""


@attrs.frozen(kw_only=True)
class NoteViewOver(Command):
    """A view has ended without being asked to."""

    stream_id: str
    viewer_id: str


# -- commands to a participant


@attrs.frozen
class EnterConference(Command):
    """The endpoint has joined."""


@attrs.frozen
class ExitConference(Command):
    """The endpoint has left, or the conference has ended."""


@attrs.frozen
class Sicken(Command):
    """The endpoint misses keepalives."""


@attrs.frozen
class Recover(Command):
    """The endpoint is heard again."""


# -- commands to a stream or a view


@attrs.frozen(kw_only=True)
class OpenStream(Command):
    """Take the publisher's offer."""

    peer_id: str
    bitrate_bps: int | None = None


@attrs.frozen(kw_only=True)
class OpenView(Command):
    """Take a viewer's offer."""

    peer_id: str
    source_id: str
    """The publisher's peer."""


@attrs.frozen
class CloseFeed(Command):
    """End the stream or the view; the conference knows."""


@attrs.frozen(kw_only=True)
class LimitStream(Command):
    """Give the publisher a new cap."""

    bitrate_bps: int


@attrs.frozen(kw_only=True)
class NotePeer(Command):
    """Base of what the media host reports of a peer."""

    peer_id: str


@attrs.frozen(kw_only=True)
class NoteAnswered(NotePeer):
    """The offer has its answer."""


@attrs.frozen(kw_only=True)
class NoteConnected(NotePeer):
    """Media may flow."""


@attrs.frozen(kw_only=True)
class NoteStalled(NotePeer):
    """The publisher sends nothing."""


@attrs.frozen(kw_only=True)
class NoteResumed(NotePeer):
    """It sends again."""


@attrs.frozen(kw_only=True)
class NotePeerGone(NotePeer):
    """The peer is no more."""

    end: PeerEnd


@attrs.frozen
class ExpireOpening(Command):
    """The media host has not answered."""


@attrs.frozen
class ExpireConnecting(Command):
    """The peer has not connected."""


@attrs.frozen
class ExpireStall(Command):
    """The publisher has been silent for too long."""


@attrs.frozen
class ExpireReconnecting(Command):
    """Nobody came back."""


# -- commands to a delivery


@attrs.frozen(kw_only=True)
class OpenDelivery(Command):
    """Tell these endpoints until they acknowledge it."""

    body: str = attrs.field(repr=length)
    endpoints: tuple[str, ...] = ()
    expire_seconds: float = 60.0


@attrs.frozen(kw_only=True)
class Acknowledge(Command):
    """An endpoint has it."""

    user_endpoint_id: str


@attrs.frozen
class RepeatDelivery(Command):
    """Tell it again."""


@attrs.frozen
class ExpireDelivery(Command):
    """Whoever has not acknowledged it by now never will."""


# -- commands to an endpoint


@attrs.frozen(kw_only=True)
class RegisterEndpoint(Command):
    """`users/endpoints`, `users/endpoints/register`."""

    caller: Caller
    keep_alive_seconds: float = 5.0


@attrs.frozen(kw_only=True)
class KeepAlive(Command):
    """`users/endpoints/keepalive`."""

    caller: Caller


@attrs.frozen(kw_only=True)
class UnregisterEndpoint(Command):
    """`users/endpoints/unregister`."""

    caller: Caller
    reason: str = ""


@attrs.frozen(kw_only=True)
class ClaimEndpoint(Command):
    """A conference asks that the endpoint be there and be the caller's."""

    caller: Caller


@attrs.frozen(kw_only=True)
class NoteJoined(Command):
    """It has joined a conference; refused unless it is there and is the caller's."""

    caller: Caller
    conference_id: str


@attrs.frozen(kw_only=True)
class NoteLeft(Command):
    """It is not in the conference any more."""

    conference_id: str


@attrs.frozen
class MissKeepAlive(Command):
    """A keepalive is overdue."""


@attrs.frozen
class ExpireEndpoint(Command):
    """Too many keepalives were missed."""


# -- events of a conference


@attrs.frozen(kw_only=True)
class NumberedEvent(Event):
    """An event that clients are told, with the version before it."""

    event_id: str
    version: int
    user: str = ""
    user_endpoint_id: str = ""


@attrs.frozen(kw_only=True)
class ConferenceCreated(Event):
    """The one event that clients are told and that has no version."""

    event_id: str
    organization: str
    creator: str
    creator_endpoint: str = ""
    interaction_id: str = ""
    metadata: Mapping[str, str] = attrs.field(factory=dict)
    empty_seconds: float
    at: float
    """UTC seconds."""


@attrs.frozen(kw_only=True)
class ParticipantJoined(NumberedEvent):
    """ConferenceJoinedEvent."""

    metadata: JsonTexts = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class ParticipantLeft(NumberedEvent):
    """ConferenceLeftEvent."""

    reason: str = ""


@attrs.frozen(kw_only=True)
class ConferenceEnded(NumberedEvent):
    """ConferenceEndedEvent."""

    reason: str = ""


@attrs.frozen(kw_only=True)
class StreamPublished(NumberedEvent):
    """ConferenceStreamPublishedEvent."""

    stream_id: str
    type: StreamType
    metadata: JsonTexts = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class StreamUnpublished(NumberedEvent):
    """ConferenceStreamUnpublishedEvent."""

    stream_id: str
    type: StreamType
    reason: str = ""


@attrs.frozen(kw_only=True)
class MetadataUpdated(NumberedEvent):
    """ConferenceMetadataUpdatedEvent."""

    key: str
    operation: Operation
    value: str = ""
    at: float
    """UTC seconds."""


@attrs.frozen(kw_only=True)
class ParticipantMetadataUpdated(NumberedEvent):
    """ConferenceParticipantMetadataUpdatedEvent."""

    new_metadata: JsonTexts


@attrs.frozen(kw_only=True)
class StreamMetadataUpdated(NumberedEvent):
    """ConferenceStreamMetadataUpdatedEvent."""

    stream_id: str
    new_metadata: JsonTexts


@attrs.frozen(kw_only=True)
class BitrateUpdated(NumberedEvent):
    """ConferenceStreamBitrateUpdatedEvent."""

    stream_id: str
    bitrate_bps: int


@attrs.frozen(kw_only=True)
class InteractionUpdated(NumberedEvent):
    """ConferenceInteractionUpdatedEvent."""

    interaction_id: str


@attrs.frozen(kw_only=True)
class StreamOffered(Event):
    """A stream id is taken, and its media host is asked."""

    stream: Stream


@attrs.frozen(kw_only=True)
class OfferDropped(Event):
    """The offer came to nothing."""

    stream_id: str


@attrs.frozen(kw_only=True)
class StreamMissed(Event):
    """A stream has lost its peer."""

    stream_id: str


@attrs.frozen(kw_only=True)
class ViewAdmitted(Event):
    """A viewer was let in."""

    view: View


@attrs.frozen(kw_only=True)
class ViewDropped(Event):
    """A viewer is gone."""

    stream_id: str
    viewer_id: str


@attrs.frozen(kw_only=True)
class HealthChanged(Event):
    """A participant became sick, or healthy again."""

    user_endpoint_id: str
    health: Health


# -- events of the others


@attrs.frozen
class ParticipantEntered(Event):
    """The endpoint is in."""


@attrs.frozen
class ParticipantExited(Event):
    """The endpoint is out."""


@attrs.frozen
class ParticipantSickened(Event):
    """The endpoint misses keepalives."""


@attrs.frozen
class ParticipantRecovered(Event):
    """The endpoint is heard again."""


@attrs.frozen(kw_only=True)
class FeedOpened(Event):
    """A peer was asked for."""

    peer_id: str


@attrs.frozen
class FeedAnswered(Event):
    """The offer has its answer."""


@attrs.frozen
class FeedConnected(Event):
    """Media flows."""


@attrs.frozen
class FeedStalled(Event):
    """The publisher sends nothing."""


@attrs.frozen
class FeedResumed(Event):
    """It sends again."""


@attrs.frozen(kw_only=True)
class FeedLost(Event):
    """The peer is gone, and another may come."""

    reason: str


@attrs.frozen(kw_only=True)
class FeedClosed(Event):
    """It is over."""

    reason: str = ""


@attrs.frozen(kw_only=True)
class FeedLimited(Event):
    """The publisher has a new cap."""

    bitrate_bps: int


@attrs.frozen(kw_only=True)
class DeliveryOpened(Event):
    """An event waits to be acknowledged."""

    body: str = attrs.field(repr=length)
    endpoints: tuple[str, ...]
    expires_at: float


@attrs.frozen(kw_only=True)
class DeliveryRepeated(Event):
    """It was told again to those who have not acknowledged it."""

    body: str = attrs.field(repr=length)
    endpoints: tuple[str, ...]


@attrs.frozen(kw_only=True)
class DeliveryAcknowledged(Event):
    """An endpoint has it."""

    user_endpoint_id: str


@attrs.frozen(kw_only=True)
class DeliverySettled(Event):
    """All have it, or nobody is told any more."""

    missed: tuple[str, ...] = ()
    """Endpoints that never acknowledged it."""


@attrs.frozen
class DeliveryForgotten(Event):
    """Its time is over, and its id is free again."""


@attrs.frozen(kw_only=True)
class EndpointRegistered(Event):
    """It is there and healthy."""

    user: str
    organization: str
    keep_alive_seconds: float


@attrs.frozen
class EndpointSeen(Event):
    """It was heard. Older journals have one for each keepalive; today one says nothing."""


@attrs.frozen
class EndpointSickened(Event):
    """A keepalive is overdue."""


@attrs.frozen
class EndpointRecovered(Event):
    """It is heard again."""


@attrs.frozen(kw_only=True)
class EndpointJoined(Event):
    """It is in a conference."""

    conference_id: str


@attrs.frozen(kw_only=True)
class EndpointLeft(Event):
    """It is not in the conference any more."""

    conference_id: str


@attrs.frozen(kw_only=True)
class EndpointRemoved(Event):
    """It is gone."""

    reason: str = ""


# -- messages


@attrs.frozen(kw_only=True)
class ConferenceTold(Message):
    """ConferenceSummary."""

    id: str
    version: int
    mode: Mode = Mode.ROUTER


@attrs.frozen(kw_only=True)
class StreamTaken(Message):
    """The stream's id; the answer to its offer follows under the peer's id."""

    stream_id: str


@attrs.frozen(kw_only=True)
class ViewTaken(Message):
    """The viewer's id; the answer to the offer follows under the peer's id."""

    viewer_id: str


@attrs.frozen(kw_only=True)
class EventTaken(Message):
    """Who is addressed by an event."""

    endpoints: tuple[str, ...] = ()


@attrs.frozen
class EventNotice(Message):
    """What followers of a conference are told; `event` is one that clients know."""

    event: Event


@attrs.frozen(kw_only=True)
class DeliveryNotice(Message):
    """An event of `sendEvent`, for these endpoints only."""

    event_id: str
    body: str = attrs.field(repr=length)
    endpoints: tuple[str, ...]


# -- what the media port is asked


@attrs.frozen(kw_only=True)
class OpenPublisher(Request):
    """Open a peer for the offer that waits under its id, own it, and say what becomes of it."""

    peer_id: str
    bitrate_bps: int | None = None


@attrs.frozen(kw_only=True)
class OpenViewer(Request):
    """The same for a viewer of `source_id`, which is the publisher's peer."""

    peer_id: str
    source_id: str


@attrs.frozen(kw_only=True)
class ClosePeer(Request):
    """Close it; to close what is closed is done."""

    peer_id: str


@attrs.frozen(kw_only=True)
class LimitPeer(Request):
    """A new cap."""

    peer_id: str
    bitrate_bps: int
