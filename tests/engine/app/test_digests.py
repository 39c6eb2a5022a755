"""Secrets as digests."""

import hashlib

import pytest

from engine.app.digests import digest_of, is_secret


def test_a_secret_is_known_by_its_digest() -> None:
    assert is_secret("open", hashlib.sha256(b"open").digest())
    assert not is_secret("Open", digest_of("open"))


@pytest.mark.parametrize("shown", ["", "open", "\ud800"])
def test_a_stranger_has_no_secret(shown: str) -> None:
    assert not is_secret(shown, None)


def test_a_text_that_is_no_unicode_is_a_wrong_secret() -> None:
    assert not is_secret("\ud800", digest_of("open"))
