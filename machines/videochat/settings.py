"""Section `[videochat]` of the configuration."""

from collections.abc import Mapping

import attrs

from engine.app.configuration import ConfigurationFaultsError, between, positive
from engine.app.webhook import webhook_faults
from engine.errors import ConfigurationError
from engine.media.access.issuers import IssuerFaultsError, faults_of
from engine.media.access.port import DAY_SECONDS
from machines.videochat.ring import RING_SECONDS_MAX, RING_SECONDS_MIN
from machines.videochat.vocabulary import Glare


def _media_engine(_settings: object, _field: object, values: Mapping[str, str]) -> None:
    faults = faults_of(values) if values else []
    if faults:
        raise IssuerFaultsError([ConfigurationError(f"engine.{one.key}", one.reason) for one in faults])


def _push(_settings: object, _field: object, values: Mapping[str, str]) -> None:
    faults = webhook_faults(values) if values else []
    if faults:
        raise ConfigurationFaultsError([ConfigurationError(f"push.{one.key}", one.reason) for one in faults])


@attrs.frozen(kw_only=True)
class VideochatSettings:
    """How videochats behave; the defaults are the rules of the spec."""

    ring_seconds: float = attrs.field(default=60.0, validator=between(RING_SECONDS_MIN, RING_SECONDS_MAX))
    """How long a request rings, 5 to 180 seconds."""
    glare: Glare = Glare.MERGE
    """Two people who ring each other are connected, or the second is told 10011."""
    room_limit: int = attrs.field(default=50, validator=positive)
    """Seats of a videochat."""
    one_videochat_per_user: bool = True
    """Connecting to a videochat leaves the one before."""
    token_seconds: float = attrs.field(default=3600.0, validator=between(1, DAY_SECONDS))
    """How long a media token may be used to connect, up to a day: beyond it an engine gives none."""
    authenticate_seconds: float = attrs.field(default=10.0, validator=positive)
    """How long a socket may take to authenticate."""
    engine: Mapping[str, str] = attrs.field(factory=dict, validator=_media_engine, repr=False)
    """`engine`, and what that media engine needs; empty makes livekit keys up (development)."""
    push: Mapping[str, str] = attrs.field(factory=dict, validator=_push, repr=False)
    """`url`, `secret`, and which `users` the webhook for pushes reaches; empty: nobody without a socket."""
