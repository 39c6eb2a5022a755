"""Section `[conference]` of the configuration."""

from collections.abc import Mapping
from typing import Any

import attrs

from engine.errors import ConfigurationError
from machines.conference.oauth.service import ClientSettings, OauthSettings, check_clients
from machines.conference.wire import INT32_MAX
from machines.conference.wire_answers import IceServer


def _positive(_settings: object, field: "attrs.Attribute[Any]", value: float) -> None:
    if not value > 0:
        raise ConfigurationError(field.name, "must be more than 0")


def _not_negative(_settings: object, field: "attrs.Attribute[Any]", value: float) -> None:
    if value < 0:
        raise ConfigurationError(field.name, "must be 0 or more")


def _bitrate(_settings: object, field: "attrs.Attribute[Any]", value: int) -> None:
    if not 1 <= value <= INT32_MAX:
        raise ConfigurationError(field.name, f"must be 1 to {INT32_MAX}")


@attrs.frozen(kw_only=True)
class ConferenceSettings:
    """How conferences behave; the defaults are the rules of the spec."""

    empty_seconds: float = attrs.field(default=300.0, validator=_positive)
    """How long a conference may be empty before it ends."""
    poll_seconds: float = attrs.field(default=10.0, validator=_not_negative)
    """How long a request for events waits when there are none."""
    events_max: int = attrs.field(default=10_000, validator=_positive)
    """The most events of one answer; the header `Link` of a full one says where the rest is."""
    bitrate_min_bps: int = attrs.field(default=30_000, validator=_bitrate)
    """The least `videoBitrate` that may be asked for."""
    bitrate_max_bps: int = attrs.field(default=8_000_000, validator=_bitrate)
    """The most."""
    delivery_seconds: float = attrs.field(default=60.0, validator=_positive)
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
