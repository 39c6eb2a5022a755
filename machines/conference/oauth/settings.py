"""Sections `[conference.oauth]` and `[conference.clients.<client id>]` of the configuration."""

import re
from collections.abc import Mapping
from typing import Any

import attrs

from engine.app.configuration import ConfigurationFaultsError, between
from engine.app.digests import SecretSettings
from engine.app.tokens import check_key
from engine.errors import ConfigurationError
from engine.vocabulary import length
from machines.conference.callers import Role, is_name

TOKEN_SECONDS_MIN = 60
ACCESS_SECONDS_MAX = 86_400
REFRESH_SECONDS_MAX = 31 * 86_400
FAILURES_MAX = 1_000
FAILURE_SECONDS_MAX = 86_400.0

_CLIENT_ID = re.compile(r"[!-9;-~]{1,128}")


def _name(_settings: object, field: "attrs.Attribute[Any]", name: str) -> None:
    if name and not is_name(name):
        raise ConfigurationError(field.name, "must be 1 to 128 printable characters")


@attrs.frozen(kw_only=True)
class ClientSettings(SecretSettings):
    """A program that may ask for tokens. What its fields must be together, `client_faults` says."""

    organization: str = attrs.field(default="", validator=_name)
    """Whose conferences it may see."""
    role: Role = Role.USER
    """A SERVICE may also ask for tokens of its organization's agents and users, an AGENT for users'."""
    user: str = attrs.field(default="", validator=_name)
    """The user that it is by itself; empty: its client id."""


def client_faults(clients: Mapping[str, ClientSettings]) -> list[ConfigurationError]:
    """What is wrong with a section of clients beyond single fields; empty when nothing is."""
    faults = []
    for client_id, client in clients.items():
        if _CLIENT_ID.fullmatch(client_id):
            faults += _faults_together(f"clients.{client_id}", client)
        else:
            # Without the name, which may be a secret in the wrong place.
            reason = "a client id is 1 to 128 of ASCII, no space, no colon"
            faults.append(ConfigurationError("clients", reason))
    return faults


def _faults_together(key: str, client: ClientSettings) -> list[ConfigurationError]:
    faults = client.secret_faults(key)
    if not client.organization:
        faults.append(ConfigurationError(f"{key}.organization", "is missing"))
    return faults


def check_clients(_settings: object, _field: object, clients: Mapping[str, ClientSettings]) -> None:
    """Validator of the field `clients`.

    Raises:
        ConfigurationFaultsError: with every fault; none of them quotes a secret.
    """
    faults = client_faults(clients)
    if faults:
        raise ConfigurationFaultsError(faults)


@attrs.frozen(kw_only=True)
class OauthSettings:
    """How tokens are made, and how often a secret may be tried."""

    signing_key: str = attrs.field(default="", validator=check_key, repr=length)
    """At least 32 bytes; empty makes one up, and all tokens die with the process."""
    access_seconds: int = attrs.field(default=3600, validator=between(TOKEN_SECONDS_MIN, ACCESS_SECONDS_MAX))
    """How long an access token lives, a minute to a day."""
    refresh_seconds: int = attrs.field(
        default=86_400, validator=between(TOKEN_SECONDS_MIN, REFRESH_SECONDS_MAX)
    )
    """How long a refresh token lives, a minute to 31 days; each refresh gives a new one."""
    failures_max: int = attrs.field(default=10, validator=between(1, FAILURES_MAX))
    """Wrong secrets for one client id from one address within `failure_seconds`; then it is 429."""
    failure_seconds: float = attrs.field(default=60.0, validator=between(1.0, FAILURE_SECONDS_MAX))
    """How long a wrong secret counts."""

    def __attrs_post_init__(self) -> None:
        if self.refresh_seconds < self.access_seconds:
            # It could not be used once when it is needed.
            raise ConfigurationError("refresh_seconds", "must not be less than access_seconds")
