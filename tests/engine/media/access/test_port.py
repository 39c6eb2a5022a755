"""What every issuer keeps to."""

import attrs
import pytest

from engine.errors import MediaError
from engine.media.access.agora import AgoraIssuer
from engine.media.access.port import DAY_SECONDS, AccessIssuer
from engine.media.access.twilio import TwilioIssuer
from tests.engine.media.access.seats import (
    ACCOUNT_SID,
    AGORA,
    APP_ID,
    CERTIFICATE,
    ISSUERS,
    KEY_SID,
    LIVEKIT,
    SEAT,
    SECRET,
    TWILIO,
)

every_issuer = pytest.mark.parametrize("issuer", ISSUERS, ids=lambda issuer: issuer.engine)


@every_issuer
def test_the_same_input_and_the_same_salt_make_the_same_token(issuer: AccessIssuer) -> None:
    first = issuer.issue(SEAT, now=1000.5, seconds=60)
    assert issuer.issue(SEAT, now=1000.5, seconds=60) == first
    assert issuer.issue(SEAT, now=1001.5, seconds=60).token != first.token
    assert first.engine == issuer.engine


@every_issuer
def test_no_secret_and_no_token_is_in_a_repr(issuer: AccessIssuer) -> None:
    access = issuer.issue(SEAT, now=1000, seconds=60)
    assert access.token not in repr(access)
    for secret in (SECRET, CERTIFICATE):
        assert secret not in repr(issuer)


@every_issuer
@pytest.mark.parametrize(
    ("change", "seconds"),
    [({"room": ""}, 60.0), ({"identity": ""}, 60.0), ({}, 0.0), ({}, -5.0), ({}, float("nan"))],
)
def test_a_seat_without_a_place_or_a_time_is_refused(
    issuer: AccessIssuer, change: dict[str, str], seconds: float
) -> None:
    with pytest.raises(MediaError, match=issuer.engine):
        issuer.issue(attrs.evolve(SEAT, **change), now=1000, seconds=seconds)  # type: ignore[arg-type]  # strings only


@pytest.mark.parametrize("issuer", [TWILIO, AGORA], ids=lambda issuer: issuer.engine)
def test_a_token_may_live_for_a_day_and_not_longer(issuer: AccessIssuer) -> None:
    assert issuer.issue(SEAT, now=1000, seconds=DAY_SECONDS).token
    with pytest.raises(MediaError, match="86400 seconds at most"):
        issuer.issue(SEAT, now=1000, seconds=DAY_SECONDS + 1)


def test_two_tokens_of_one_moment_differ_by_their_salt() -> None:
    twilio = TwilioIssuer(account_sid=ACCOUNT_SID, key=KEY_SID, secret=SECRET)
    agora = AgoraIssuer(app_id=APP_ID, certificate=CERTIFICATE)
    for issuer in (twilio, agora):
        assert issuer.issue(SEAT, now=1, seconds=60).token != issuer.issue(SEAT, now=1, seconds=60).token


def test_only_what_a_client_needs_is_given_beside_the_token() -> None:
    given = [issuer.issue(SEAT, now=1000, seconds=60) for issuer in (LIVEKIT, TWILIO, AGORA)]
    assert [(one.app_id, one.url) for one in given] == [("", "wss://media.example"), ("", ""), (APP_ID, "")]
