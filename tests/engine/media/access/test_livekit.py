"""LiveKit tokens, read by LiveKit's own package."""

import datetime
import time

import attrs
import jwt
import pytest
from livekit.api import TokenVerifier, VideoGrants

from engine.media.access.livekit import LivekitIssuer
from tests.engine.media.access.seats import LISTENER, LIVEKIT, SEAT, SECRET


def rights(grant: VideoGrants) -> tuple[object, object, object]:
    return grant.can_publish, grant.can_subscribe, grant.can_publish_data


def test_livekit_reads_the_seat_out_of_the_token() -> None:
    seat = attrs.evolve(SEAT, is_admin=True)
    token = LIVEKIT.issue(seat, now=time.time(), seconds=60).token
    claims = TokenVerifier("devkey", SECRET).verify(token)
    assert (claims.identity, claims.name, claims.metadata) == ("ann", "Ann", '{"hat":"red"}')
    assert claims.video is not None
    assert (claims.video.room, claims.video.room_join) == (SEAT.room, True)
    assert (claims.video.can_publish, claims.video.can_subscribe, claims.video.can_publish_data) == (
        True,
    ) * 3
    assert claims.video.room_admin is True


def test_what_a_seat_may_not_do_is_denied_in_words() -> None:
    # A grant that is left out means yes to LiveKit.
    seat = attrs.evolve(LISTENER, can_subscribe=False)
    claims = TokenVerifier("devkey", SECRET).verify(LIVEKIT.issue(seat, now=time.time(), seconds=60).token)
    assert claims.video is not None
    assert (claims.video.can_publish, claims.video.can_subscribe, claims.video.can_publish_data) == (
        False,
    ) * 3
    assert claims.video.room_admin is False


def test_the_token_is_good_from_now_on_and_for_its_time() -> None:
    token = LIVEKIT.issue(SEAT, now=1000.9, seconds=60).token
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["nbf"], claims["exp"]) == (1000, 1060)


def test_livekit_refuses_a_token_of_another_secret_or_another_time() -> None:
    verifier = TokenVerifier("devkey", SECRET, leeway=datetime.timedelta(0))
    other = LivekitIssuer(key="devkey", secret="another" * 6, url="wss://media.example")
    for token, error in [
        (other.issue(SEAT, now=time.time(), seconds=60).token, jwt.InvalidSignatureError),
        (LIVEKIT.issue(SEAT, now=time.time() - 100, seconds=60).token, jwt.ExpiredSignatureError),
        (LIVEKIT.issue(SEAT, now=time.time() + 100, seconds=60).token, jwt.ImmatureSignatureError),
    ]:
        with pytest.raises(error):
            verifier.verify(token)
