"""Secrets as digests."""

import hashlib

import pytest

from engine.app.digests import SECRET_CHARACTERS_MIN, SecretSettings, digest_of, is_secret
from engine.errors import ConfigurationError

SECRET = "a secret of any kind"


def test_a_secret_is_known_by_its_digest() -> None:
    assert is_secret("open", hashlib.sha256(b"open").digest())
    assert not is_secret("Open", digest_of("open"))


@pytest.mark.parametrize("shown", ["", "open", "\ud800"])
def test_a_stranger_has_no_secret(shown: str) -> None:
    assert not is_secret(shown, None)


def test_a_text_that_is_no_unicode_is_a_wrong_secret() -> None:
    assert not is_secret("\ud800", digest_of("open"))


def test_a_secret_is_set_as_itself_or_as_its_digest() -> None:
    digits = hashlib.sha256(SECRET.encode()).hexdigest()
    for settings in (
        SecretSettings(secret=SECRET),
        SecretSettings(secret_sha256=digits),
        SecretSettings(secret_sha256=digits.upper()),
    ):
        assert is_secret(SECRET, settings.digest)
        assert settings.secret_faults("keys.a") == []
        assert SECRET not in repr(settings)
        assert digits not in repr(settings).lower()


@pytest.mark.parametrize("settings", [{}, {"secret": SECRET, "secret_sha256": "ab" * 32}])
def test_a_secret_is_set_in_one_way(settings: dict[str, str]) -> None:
    (fault,) = SecretSettings(**settings).secret_faults("keys.a")
    assert str(fault) == "keys.a: needs secret or secret_sha256, not both"


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"secret": "x" * (SECRET_CHARACTERS_MIN - 1)}, "secret: must have 16 characters or more"),
        ({"secret_sha256": "0" * 63}, "secret_sha256: must be 64 hexadecimal digits"),
        ({"secret_sha256": "g" * 64}, "secret_sha256: must be 64 hexadecimal digits"),
        ({"secret_sha256": hashlib.sha256().hexdigest()}, "secret_sha256: is the digest of an empty secret"),
    ],
)
def test_what_is_no_secret_is_refused(settings: dict[str, str], fault: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        SecretSettings(**settings)
    assert str(refused.value) == fault
    assert SecretSettings(secret="x" * SECRET_CHARACTERS_MIN)
