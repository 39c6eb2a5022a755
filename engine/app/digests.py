"""Secrets as SHA-256: one round protects what cannot be guessed, and nothing else."""

import hashlib
import hmac
import re

import attrs

from engine.errors import ConfigurationError
from engine.vocabulary import length

SECRET_CHARACTERS_MIN = 16
"""Of a secret in a configuration: a shorter one can be guessed."""

_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")

NOBODY = bytes(hashlib.sha256().digest_size)
"""Compared with what a stranger shows; no secret is known that has this digest."""


def digest_of(text: str) -> bytes:
    """SHA-256. A lone surrogate from outside must be a wrong text, not an exception."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def is_secret(shown: str, digest: bytes | None) -> bool:
    """Whether a text has this digest. None is a stranger's: it costs the same, and is never right."""
    return hmac.compare_digest(digest_of(shown), digest or NOBODY) and digest is not None


def _check_secret(_settings: object, _field: object, secret: str) -> None:
    if secret and len(secret) < SECRET_CHARACTERS_MIN:
        raise ConfigurationError("secret", f"must have {SECRET_CHARACTERS_MIN} characters or more")


def _check_sha256(_settings: object, _field: object, digits: str) -> None:
    if digits and not _SHA256.fullmatch(digits):
        raise ConfigurationError("secret_sha256", "must be 64 hexadecimal digits")
    if digits.lower() == digest_of("").hex():
        raise ConfigurationError("secret_sha256", "is the digest of an empty secret")


@attrs.frozen(kw_only=True)
class SecretSettings:
    """Base of a section with a secret that others show to us; it needs one of the two fields."""

    secret: str = attrs.field(default="", validator=_check_secret, repr=length)
    """16 characters or more; or instead of it:"""
    secret_sha256: str = attrs.field(default="", validator=_check_sha256, repr=length)
    """SHA-256 of the secret in UTF-8, as 64 hexadecimal digits."""

    @property
    def digest(self) -> bytes:
        """SHA-256 of the secret, for `is_secret`."""
        return bytes.fromhex(self.secret_sha256) or digest_of(self.secret)

    def secret_faults(self, key: str) -> list[ConfigurationError]:
        """What is wrong with both fields together; `key` is the section's."""
        if bool(self.secret) == bool(self.secret_sha256):
            return [ConfigurationError(key, "needs secret or secret_sha256, not both")]
        return []
