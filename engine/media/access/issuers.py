"""Issuers from a section of the configuration, or with keys that are made up."""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from engine.errors import ConfigurationError
from engine.media.access.agora import AgoraIssuer
from engine.media.access.livekit import LivekitIssuer
from engine.media.access.port import RANDOM, AccessIssuer, Randomness
from engine.media.access.twilio import TwilioIssuer

DEVELOPMENT_URL = "ws://127.0.0.1:7880"
"""Where `livekit-server --dev` listens."""

_Fields: TypeAlias = dict[str, tuple[re.Pattern[str], str]]
"""The form of each key's value, and the form in words."""

_SID = "must be the two letters {} and 32 hexadecimal digits"
_HEX = (re.compile(r"[0-9A-Fa-f]{32}"), "must be 32 hexadecimal digits")
_FIELDS: dict[str, _Fields] = {
    "livekit": {
        "key": (re.compile(r"\S+"), "must not be empty"),
        # RFC 7518, section 3.2: a key of HS256 has 256 bits or more.
        "secret": (re.compile(r".{32,}", re.DOTALL), "must have 32 characters or more"),
        "url": (
            re.compile(r"(wss?|https?)://[^/\s]+(/\S*)?"),
            "must be a ws://, wss://, http:// or https:// URL",
        ),
    },
    "twilio": {
        "account_sid": (re.compile(r"AC[0-9a-f]{32}"), _SID.format("AC")),
        "key": (re.compile(r"SK[0-9a-f]{32}"), _SID.format("SK")),
        "secret": (re.compile(r"\S{32,}"), "must have 32 characters or more"),
    },
    "agora": {"app_id": _HEX, "certificate": _HEX},
}


class IssuerFaultsError(ConfigurationError):
    """All faults of an issuer's configuration together."""

    def __init__(self, faults: Sequence[ConfigurationError]) -> None:
        super().__init__(faults[0].key, faults[0].reason)
        self.args = ("; ".join(str(fault) for fault in faults),)
        self.faults = tuple(faults)


def issuer_of(configuration: Mapping[str, Any], *, random: Randomness = RANDOM) -> AccessIssuer:
    """The issuer that `configuration` describes: `engine`, and the keys of that engine.

    Raises:
        IssuerFaultsError: keys are missing, unknown or malformed; `faults` has one error for each. A
            fault names the key and never the value.
    """
    faults = faults_of(configuration)
    if faults:
        raise IssuerFaultsError(faults)
    values = {key: value for key, value in configuration.items() if key != "engine"}
    match configuration["engine"]:
        case "livekit":
            return LivekitIssuer(**values)
        case "twilio":
            return TwilioIssuer(**values, random=random)
    return AgoraIssuer(**values, random=random)


def faults_of(configuration: Mapping[str, Any]) -> list[ConfigurationError]:
    """What is wrong with an issuer's configuration; empty when nothing is."""
    engine = configuration.get("engine")
    fields = _FIELDS.get(engine) if isinstance(engine, str) else None
    if fields is None:
        return [ConfigurationError("engine", f"must be one of {', '.join(_FIELDS)}")]
    missing = [ConfigurationError(key, "is missing") for key in fields if key not in configuration]
    unknown = [
        ConfigurationError(str(key), f"unknown; {engine} has {', '.join(fields)}")
        for key in configuration
        if key != "engine" and key not in fields
    ]
    malformed = [
        ConfigurationError(key, words)
        for key, (form, words) in fields.items()
        if key in configuration and not _has_form(configuration[key], form)
    ]
    return missing + malformed + unknown


def _has_form(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def development_issuer(
    url: str = DEVELOPMENT_URL, *, token: Callable[[int], str] = secrets.token_urlsafe
) -> LivekitIssuer:
    """A LiveKit issuer with keys that nobody else has; its tokens are well-formed and open nothing.

    Give its `key` and `secret` to a LiveKit server of your own, and they open that.
    """
    return LivekitIssuer(key=f"dev-{token(6)}", secret=token(32), url=url)
