"""The wire form of the conference API's answers, by the names of the source's schemas.

No field of an answer is required. In what another server answers, a value that is not listed is UNKNOWN.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from engine.codec.wire import on_wire
from engine.vocabulary import length
from machines.conference.wire import Health, Mode, StreamType, maybe_length


@attrs.frozen(kw_only=True)
class RegisteredUserEndpoint:
    """Answer of users/endpoints/register; users/endpoints answers the id alone, as a JSON string."""

    id: str


@attrs.frozen(kw_only=True)
class ConferenceSummary:
    """Answer of create, join and summary."""

    id: str = ""
    version: int = 0
    mode: Mode = Mode.UNKNOWN


@attrs.frozen(kw_only=True)
class ConferencePublishResult:
    """Answer of publishStream."""

    stream_id: str = ""
    sdp_answer: str = attrs.field(default="", repr=length)


@attrs.frozen(kw_only=True)
class ConferenceStreamViewResult:
    """Answer of viewStream."""

    viewer_id: str = ""
    sdp_answer: str = attrs.field(default="", repr=length)


@attrs.frozen(kw_only=True)
class SendEventResponse:
    """Answer of sendEvent."""

    events_sent: int = 0
    """Endpoints addressed."""


@attrs.frozen(kw_only=True)
class Metadata:
    """One value of the metadata of a conference."""

    value: str | None = attrs.field(default=None, repr=False)
    user_id: str | None = None
    user_endpoint_id: str | None = None
    last_modified: str | None = None
    """As `instant` writes it."""


@attrs.frozen(kw_only=True)
class ConferenceStream:
    """A stream of a `ConferenceParticipant`."""

    id: str = ""
    type: StreamType = StreamType.UNKNOWN
    metadata: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    video_bitrate: int | None = None
    """Bits a second."""


@attrs.frozen(kw_only=True)
class ConferenceParticipant:
    """A user endpoint of a `Conference`."""

    id: str = ""
    """Of the user endpoint."""
    user_id: str = ""
    state: Health = Health.UNKNOWN
    streams: tuple[ConferenceStream, ...] = ()
    metadata: Mapping[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Conference:
    """Answer of the aggregate; active answers an array of them."""

    id: str = ""
    mode: Mode = Mode.UNKNOWN
    organization_id: str | None = None
    interaction_id: str | None = None
    creator: str | None = None
    creator_endpoint: str | None = None
    participants: tuple[ConferenceParticipant, ...] = ()
    metadata: Mapping[str, Metadata] = attrs.field(factory=dict, repr=False)
    version: int = 0
    empty: bool = False


@attrs.frozen(kw_only=True)
class ConferenceSimpleViewParticipantEndpointStream:
    """A stream of an endpoint of a `ConferenceSimpleView`."""

    id: str = ""
    type: str = ""
    metadata: Mapping[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ConferenceSimpleViewParticipantEndpoint:
    """A user endpoint of a `ConferenceSimpleView`."""

    id: str = ""
    state: Health = Health.UNKNOWN
    streams: tuple[ConferenceSimpleViewParticipantEndpointStream, ...] = ()
    metadata: Mapping[str, Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class ConferenceSimpleViewParticipant:
    """A user of a `ConferenceSimpleView`, with all of his endpoints."""

    id: str = ""
    """Of the user."""
    endpoints: tuple[ConferenceSimpleViewParticipantEndpoint, ...] = ()


@attrs.frozen(kw_only=True)
class ConferenceSimpleView:
    """Answer of simpleView."""

    id: str = ""
    mode: str = ""
    metadata: Mapping[str, Metadata] = attrs.field(factory=dict, repr=False)
    participants: tuple[ConferenceSimpleViewParticipant, ...] = ()
    version: int = 0


@attrs.frozen(kw_only=True)
class AnotherErrorResponse:
    """What a refusal carries."""

    error: str = ""
    error_description: str = attrs.field(default="", metadata=on_wire("error_description"))


@attrs.frozen(kw_only=True)
class IceServer:
    """A server that helps two peers to meet."""

    urls: tuple[str, ...] = ()
    username: str | None = None
    credential: str | None = attrs.field(default=None, repr=maybe_length)


@attrs.frozen(kw_only=True)
class IceServers:
    """Answer of iceServers."""

    ice_servers: tuple[IceServer, ...] = ()
