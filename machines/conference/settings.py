"""Section `[conference]` of the configuration."""

from collections.abc import Mapping

import attrs

from engine.app.configuration import between, not_negative, positive
from engine.errors import ConfigurationError
from machines.conference.oauth.service import ClientSettings, OauthSettings, check_clients
from machines.conference.wire import INT32_MAX
from machines.conference.wire_answers import IceServer


@attrs.frozen(kw_only=True)
class ConferenceSettings:
    """How conferences behave; the defaults are the rules of the spec."""

    empty_seconds: float = attrs.field(default=300.0, validator=positive)
    """How long a conference may be empty before it ends."""
    poll_seconds: float = attrs.field(default=10.0, validator=not_negative)
    """How long a request for events waits when there are none."""
    events_max: int = attrs.field(default=10_000, validator=positive)
    """The most events of one answer; the header `Link` of a full one says where the rest is."""
    bitrate_min_bps: int = attrs.field(default=30_000, validator=between(1, INT32_MAX))
    """The least `videoBitrate` that may be asked for."""
    bitrate_max_bps: int = attrs.field(default=8_000_000, validator=between(1, INT32_MAX))
    """The most."""
    delivery_seconds: float = attrs.field(default=60.0, validator=positive)
    """How long an event of `sendEvent` with AT_LEAST_ONCE is told to those who do not acknowledge it."""
    oauth: OauthSettings = attrs.field(factory=OauthSettings)
    """How tokens are made."""
    clients: Mapping[str, ClientSettings] = attrs.field(factory=dict, validator=check_clients)
    """Who may ask for tokens, by client id."""
    ice_servers: tuple[IceServer, ...] = ()
    """STUN and TURN servers that clients are told of; the media router itself needs none."""

    def __attrs_post_init__(self) -> None:
        if self.bitrate_min_bps > self.bitrate_max_bps:
            # No bitrate at all could be asked for.
            raise ConfigurationError("bitrate_min_bps", "must not be more than bitrate_max_bps")
