"""Section `[videochat]` of the configuration."""

from collections.abc import Mapping
from typing import Any

import attrs

from engine.app.configuration import ConfigurationFaultsError
from engine.app.webhook import webhook_faults
from engine.errors import ConfigurationError
from engine.media.access.issuers import IssuerFaultsError, faults_of
from engine.media.access.port import DAY_SECONDS
from machines.videochat.ring import RING_SECONDS_MAX, RING_SECONDS_MIN
from machines.videochat.vocabulary import Glare


def _ring_time(_settings: object, _field: object, seconds: float) -> None:
    if not RING_SECONDS_MIN <= seconds <= RING_SECONDS_MAX:
        raise ConfigurationError("ring_seconds", f"must be {RING_SECONDS_MIN:g} to {RING_SECONDS_MAX:g}")


def _positive(_settings: object, field: "attrs.Attribute[Any]", value: float) -> None:
    if not value > 0:
        raise ConfigurationError(field.name, "must be more than 0")


def _token_time(_settings: object, _field: object, seconds: float) -> None:
    # What every media engine takes; beyond it each call would end for want of a token.
    if not 1 <= seconds <= DAY_SECONDS:
        raise ConfigurationError("token_seconds", f"must be 1 to {DAY_SECONDS}")


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

    ring_seconds: float = attrs.field(default=60.0, validator=_ring_time)
    """How long a request rings, 5 to 180 seconds."""
    glare: Glare = Glare.MERGE
    """Two people who ring each other are connected, or the second is told 10011."""
    room_limit: int = attrs.field(default=50, validator=_positive)
    """Seats of a videochat."""
    one_videochat_per_user: bool = True
    """Connecting to a videochat leaves the one before."""
    token_seconds: float = attrs.field(default=3600.0, validator=_token_time)
    """How long a media token may be used to connect, up to a day."""
    authenticate_seconds: float = attrs.field(default=10.0, validator=_positive)
    """How long a socket may take to authenticate."""
    engine: Mapping[str, str] = attrs.field(factory=dict, validator=_media_engine, repr=False)
    """`engine`, and what that media engine needs; empty makes livekit keys up (development)."""
    push: Mapping[str, str] = attrs.field(factory=dict, validator=_push, repr=False)
    """`url`, `secret`, and which `users` the webhook for pushes reaches; empty: nobody without a socket."""
