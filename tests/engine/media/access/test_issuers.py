"""Issuers from configurations, whole and faulty."""

from typing import Any

import pytest

from engine.errors import ConfigurationError
from engine.media.access.issuers import IssuerFaultsError, development_issuer, faults_of, issuer_of
from tests.engine.media.access.seats import (
    ACCOUNT_SID,
    AGORA,
    APP_ID,
    CERTIFICATE,
    KEY_SID,
    LIVEKIT,
    SEAT,
    SECRET,
    TWILIO,
    ones,
)

WHOLE: dict[str, dict[str, Any]] = {
    "livekit": {"engine": "livekit", "key": "devkey", "secret": SECRET, "url": "wss://media.example"},
    "twilio": {"engine": "twilio", "account_sid": ACCOUNT_SID, "key": KEY_SID, "secret": SECRET},
    "agora": {"engine": "agora", "app_id": APP_ID, "certificate": CERTIFICATE},
}


def test_each_engine_is_built_from_its_section() -> None:
    assert [issuer_of(section, random=ones) for section in WHOLE.values()] == [LIVEKIT, TWILIO, AGORA]


@pytest.mark.parametrize(
    ("engine", "change", "key"),
    [
        ("livekit", {"engine": "zoom"}, "engine"),
        ("livekit", {"engine": None}, "engine"),
        ("livekit", {"engine": ["livekit"]}, "engine"),
        ("livekit", {"key": ""}, "key"),
        ("livekit", {"secret": "s" * 31}, "secret"),
        ("livekit", {"secret": 5}, "secret"),
        ("livekit", {"url": "media.example"}, "url"),
        ("livekit", {"url": "wss://"}, "url"),
        ("livekit", {"region": "eu"}, "region"),
        ("twilio", {"account_sid": KEY_SID}, "account_sid"),
        ("twilio", {"key": "SK1"}, "key"),
        ("twilio", {"secret": ""}, "secret"),
        ("agora", {"app_id": APP_ID[1:]}, "app_id"),
        ("agora", {"certificate": "g" * 32}, "certificate"),
    ],
)
def test_a_fault_names_its_key(engine: str, change: dict[str, Any], key: str) -> None:
    assert [fault.key for fault in faults_of({**WHOLE[engine], **change})] == [key]


def test_all_faults_are_raised_together_and_quote_no_secret() -> None:
    with pytest.raises(ConfigurationError) as caught:
        issuer_of({"engine": "livekit", "secret": "hush", "url": "nowhere", "region": "eu"})
    error = caught.value
    assert isinstance(error, IssuerFaultsError)
    assert [fault.key for fault in error.faults] == ["key", "secret", "url", "region"]
    assert (error.key, error.reason) == ("key", "is missing")
    assert str(error) == (
        "key: is missing; secret: must have 32 characters or more; "
        "url: must be a ws://, wss://, http:// or https:// URL; region: unknown; livekit has key, secret, url"
    )


def test_a_development_issuer_makes_keys_up_each_time() -> None:
    one, other = development_issuer(), development_issuer("ws://media.test")
    assert one.secret != other.secret
    assert len(one.secret) >= 32
    assert one.issue(SEAT, now=1000, seconds=60).url == "ws://127.0.0.1:7880"
    assert other.url == "ws://media.test"
