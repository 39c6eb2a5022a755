"""Twilio tokens, read and compared with those of Twilio's own package."""

import time
from typing import Any

import jwt
import pytest
from twilio.jwt import JwtDecodeError  # type: ignore[import-untyped]  # it has no stubs
from twilio.jwt.access_token import AccessToken  # type: ignore[import-untyped]  # it has no stubs
from twilio.jwt.access_token.grants import VideoGrant  # type: ignore[import-untyped]  # it has no stubs

from tests.engine.media.access.seats import ACCOUNT_SID, KEY_SID, SEAT, SECRET, TWILIO


def test_twilio_reads_the_seat_out_of_the_token() -> None:
    token = TWILIO.issue(SEAT, now=time.time(), seconds=60).token
    read: Any = AccessToken.from_jwt(token, SECRET)
    assert (read.issuer, read.subject) == (KEY_SID, ACCOUNT_SID)
    assert read.payload["grants"] == {"identity": "ann", "video": {"room": SEAT.room}}
    assert read.payload["jti"] == f"{KEY_SID}-{'01' + '00' * 15}"


def test_the_token_says_what_twilios_own_says() -> None:
    now = int(time.time())
    theirs: Any = AccessToken(ACCOUNT_SID, KEY_SID, SECRET, identity="ann", nbf=now, valid_until=now + 60)
    theirs.add_grant(VideoGrant(room=SEAT.room))
    mine = TWILIO.issue(SEAT, now=now, seconds=60).token
    claims = [jwt.decode(token, options={"verify_signature": False}) for token in (theirs.to_jwt(), mine)]
    for one in claims:
        del one["jti"]
    assert claims[0] == claims[1]
    assert jwt.get_unverified_header(mine) == jwt.get_unverified_header(theirs.to_jwt())


def test_twilio_refuses_a_token_of_another_secret_or_another_time() -> None:
    now = time.time()
    for token, secret in [
        (TWILIO.issue(SEAT, now=now, seconds=60).token, "another" * 6),
        (TWILIO.issue(SEAT, now=now - 100, seconds=60).token, SECRET),
    ]:
        with pytest.raises(JwtDecodeError):
            AccessToken.from_jwt(token, secret)
