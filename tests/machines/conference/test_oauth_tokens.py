"""Tokens: what they say, and every way in which one is refused."""

import base64
import hmac
import json
from enum import StrEnum
from typing import Any

import attrs
import jwt
import pytest

from engine.app.tokens import TokenError, TokenFault
from machines.conference.callers import Caller, Role
from machines.conference.oauth.settings import OauthSettings
from machines.conference.oauth.tokens import TokenMaker, UseFault
from tests.machines.conference.tokenshop import KEY, NOON, counted

ANN = Caller(user="ann", organization="acme", role=Role.AGENT)
BOB = Caller(user="bob", organization="acme", role=Role.USER)
OTHER_KEY = "another key of more than 32 bytes."


@attrs.define
class Clock:
    """Set by hand; counts how often it is looked at."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


def maker(clock: Clock | None = None, *, key: str = KEY, **limits: int) -> TokenMaker:
    settings = OauthSettings(signing_key=key)
    return TokenMaker(settings, clock=clock or Clock(), random=counted(), **limits)


def claims(**changed: Any) -> dict[str, Any]:
    """What an access token of ann says; None takes a claim out."""
    said = {
        "iss": "switchhook",
        "aud": "conference",
        "sub": "ann",
        "organization": "acme",
        "role": "AGENT",
        "client_id": "desk",
        "use": "access",
        "jti": "j1",
        "iat": int(NOON),
        "exp": int(NOON) + 60,
    } | changed
    return {name: value for name, value in said.items() if value is not None}


def signed(said: dict[str, Any], key: str = KEY, algorithm: str = "HS256", **header: Any) -> str:
    return jwt.encode(said, key, algorithm=algorithm, headers=header or None)


def part(value: Any) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def hand_made(header: Any, payload: Any) -> str:
    """A token whose signature is right, whatever its parts are."""
    body = f"{part(header)}.{part(payload)}"
    return f"{body}.{part(hmac.digest(KEY.encode(), body.encode(), 'sha256'))}"


def fault(token: str, read: TokenMaker | None = None) -> StrEnum:
    with pytest.raises(TokenError) as caught:
        (read or maker()).read_access(token)
    assert str(caught.value) == caught.value.fault.value
    return caught.value.fault


# -- what a token says


def test_an_access_token_says_who_calls() -> None:
    tokens = maker()
    assert tokens.read_access(tokens.issue(ANN, "desk").access) == ANN


def test_a_token_says_what_other_programs_may_rely_on() -> None:
    issued = maker().issue(ANN, "desk")
    assert jwt.get_unverified_header(issued.access) == {"alg": "HS256", "typ": "JWT"}
    said = jwt.decode(issued.access, options={"verify_signature": False})
    assert said == claims(jti=issued.jti, exp=int(NOON) + 3601)


def test_two_tokens_are_never_the_same() -> None:
    tokens = maker()
    issued = [tokens.issue(ANN, "desk") for _ in range(2)]
    assert len({text for one in issued for text in (one.access, one.refresh)}) == 4


def test_a_refresh_token_says_whose_it_is() -> None:
    tokens = maker()
    said = tokens.read_refresh(tokens.issue(ANN, "desk").refresh)
    assert (said.caller, said.client_id) == (ANN, "desk")


def test_the_longest_names_still_make_a_token_that_is_read() -> None:
    longest = Caller(user="\U0001f600" * 128, organization="\U0001f600" * 128, role=Role.SERVICE)
    tokens = maker()
    issued = tokens.issue(longest, "x" * 128)
    assert tokens.read_access(issued.access) == longest
    assert tokens.read_refresh(issued.refresh).caller == longest


def test_tokens_do_not_print() -> None:
    issued = maker().issue(ANN, "desk")
    assert issued.access not in repr(issued)
    assert issued.refresh not in repr(issued)


# -- time


@pytest.mark.parametrize(("later", "live"), [(3600.0, True), (3600.7, True), (3600.75, False), (9999, False)])
def test_an_access_token_lives_for_its_time_and_less_than_a_second_more(later: float, live: bool) -> None:
    clock = Clock()
    tokens = maker(clock)
    remembered, fresh = tokens.issue(ANN, "desk").access, tokens.issue(BOB, "desk").access
    tokens.read_access(remembered)
    clock.now += later
    if live:
        assert (tokens.read_access(remembered), tokens.read_access(fresh)) == (ANN, BOB)
    else:
        assert [fault(remembered, tokens), fault(fresh, tokens)] == [TokenFault.EXPIRED] * 2


@pytest.mark.parametrize(("ahead", "live"), [(60, True), (61, False)])
def test_a_token_may_come_from_a_clock_that_is_a_minute_ahead(ahead: int, live: bool) -> None:
    clock = Clock(float(int(NOON)))
    token = signed(claims(iat=int(NOON) + ahead, exp=int(NOON) + 3600))
    if live:
        assert maker(clock).read_access(token) == ANN
    else:
        assert fault(token, maker(clock)) is TokenFault.EARLY


def test_no_other_clock_is_looked_at() -> None:
    clock = Clock(4_000_000_000.0)
    tokens = maker(clock)
    assert tokens.read_access(tokens.issue(ANN, "desk").access) == ANN


# -- tokens that are not ours


def test_every_changed_character_makes_a_token_wrong() -> None:
    tokens = maker()
    token = tokens.issue(ANN, "desk").access
    for place, character in enumerate(token):
        changed = token[:place] + ("A" if character != "A" else "B") + token[place + 1 :]
        assert fault(changed, tokens) in (TokenFault.SIGNATURE, TokenFault.MALFORMED)


def test_claims_cannot_be_changed_under_the_signature() -> None:
    header, _, signature = signed(claims(role="USER")).split(".")
    assert fault(f"{header}.{part(claims(role='SERVICE'))}.{signature}") is TokenFault.SIGNATURE


def test_a_token_of_another_key_is_refused() -> None:
    assert fault(maker(key=OTHER_KEY).issue(ANN, "desk").access) is TokenFault.SIGNATURE


@pytest.mark.parametrize(
    "name", ["none", "None", "NONE", "HS384", "HS512", "RS256", "hs256", "", None, 5, []]
)
def test_the_algorithm_of_the_header_is_not_believed(name: Any) -> None:
    unsigned = f"{part({'alg': name, 'typ': 'JWT'})}.{part(claims())}."
    assert fault(unsigned) in (TokenFault.SIGNATURE, TokenFault.MALFORMED)
    assert fault(hand_made({"alg": name, "typ": "JWT"}, claims())) is TokenFault.SIGNATURE


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_our_key_with_another_algorithm_is_refused(algorithm: str) -> None:
    # Longer than what these algorithms ask for, so that the library has nothing to warn of.
    key = KEY * 2
    assert fault(signed(claims(), key, algorithm), maker(key=key)) is TokenFault.SIGNATURE


def test_a_token_without_an_algorithm_is_refused() -> None:
    assert fault(hand_made({"typ": "JWT"}, claims())) is TokenFault.SIGNATURE


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"aud": "other"}, TokenFault.AUDIENCE),
        ({"aud": ["conference"]}, TokenFault.AUDIENCE),
        ({"aud": "conferences"}, TokenFault.AUDIENCE),
        ({"aud": None}, TokenFault.MALFORMED),
        ({"iss": "other"}, TokenFault.ISSUER),
        ({"iss": "switch"}, TokenFault.ISSUER),
        ({"iss": None}, TokenFault.MALFORMED),
        ({"use": "refresh"}, UseFault.NOT_ACCESS),
        ({"use": "other"}, TokenFault.MALFORMED),
        ({"use": None}, TokenFault.MALFORMED),
        ({"sub": None}, TokenFault.MALFORMED),
        ({"sub": 5}, TokenFault.MALFORMED),
        ({"organization": None}, TokenFault.MALFORMED),
        ({"role": "KING"}, TokenFault.MALFORMED),
        ({"role": None}, TokenFault.MALFORMED),
        ({"client_id": None}, TokenFault.MALFORMED),
        ({"jti": None}, TokenFault.MALFORMED),
        ({"exp": None}, TokenFault.MALFORMED),
        ({"exp": str(int(NOON) + 60)}, TokenFault.MALFORMED),
        ({"exp": True}, TokenFault.MALFORMED),
        ({"exp": 1e400}, TokenFault.MALFORMED),
        ({"exp": int(NOON)}, TokenFault.EXPIRED),
        ({"iat": None}, TokenFault.MALFORMED),
    ],
)
def test_a_wrong_claim_is_refused_though_the_signature_is_right(
    changed: dict[str, Any], expected: StrEnum
) -> None:
    assert fault(signed(claims(**changed))) is expected


def test_a_refresh_token_is_no_access_token() -> None:
    tokens = maker()
    assert fault(tokens.issue(ANN, "desk").refresh, tokens) is UseFault.NOT_ACCESS


def test_an_access_token_is_no_refresh_token() -> None:
    tokens = maker()
    with pytest.raises(TokenError, match="the token is no refresh token"):
        tokens.read_refresh(tokens.issue(ANN, "desk").access)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "é",
        "\ud800",
        "\x00",
        "x" * 8193,
        hand_made(b"[]", claims()),
        hand_made(b"[" * 2000, claims()),
        hand_made(b"\xff", claims()),
        hand_made({"alg": "HS256"}, b"[]"),
        hand_made({"alg": "HS256"}, b"[" * 2000),
        hand_made({"alg": "HS256"}, b"9" * 5000),
        hand_made({"alg": "HS256"}, b"\xff"),
        hand_made({"alg": "HS256"}, b'{"exp":' + b"9" * 5000 + b"}"),
    ],
)
def test_what_is_no_token_is_malformed(token: str) -> None:
    assert fault(token) is TokenFault.MALFORMED


@pytest.mark.parametrize(("length", "read"), [(8192, True), (8193, False)])
def test_a_text_that_is_too_long_is_not_looked_at(length: int, read: bool) -> None:
    # Some lengths are of no base64 text: the header is made longer as well until both together fit.
    sizes = ((size, spare) for size in range(5800, 6000) for spare in ("", "x", "xx"))
    tokens = (hand_made({"alg": "HS256", "kid": kid}, claims(padding="x" * size)) for size, kid in sizes)
    token = next(one for one in tokens if len(one) == length)
    if read:
        assert maker().read_access(token) == ANN
    else:
        assert fault(token) is TokenFault.MALFORMED


def test_a_token_with_a_critical_extension_is_refused() -> None:
    token = hand_made({"alg": "HS256", "crit": ["moon"], "moon": 1}, claims())
    assert fault(token) is TokenFault.MALFORMED


def test_a_refusal_quotes_nothing() -> None:
    with pytest.raises(TokenError) as caught:
        maker().read_access(signed(claims(role="sentinel")))
    assert "sentinel" not in str(caught.value) + repr(caught.value)


# -- what is remembered


def test_a_token_that_was_right_is_verified_once() -> None:
    tokens = maker()
    token = tokens.issue(ANN, "desk").access
    assert tokens.read_access(token) is tokens.read_access(token)


def test_only_as_many_tokens_are_remembered_as_allowed_and_those_used_last() -> None:
    tokens = maker(cache_max=2)
    first, second, third = (tokens.issue(ANN, "desk").access for _ in range(3))
    remembered = tokens.read_access(first)
    dropped = tokens.read_access(second)
    tokens.read_access(first)
    tokens.read_access(third)
    assert tokens.read_access(first) is remembered
    assert tokens.remembered == 2
    assert tokens.read_access(second) is not dropped


def test_tokens_that_are_refused_are_not_remembered() -> None:
    tokens = maker()
    for _ in range(2):
        fault(tokens.issue(ANN, "desk").refresh, tokens)
        fault(signed(claims(), OTHER_KEY), tokens)
        fault(signed(claims(exp=1)), tokens)
    assert tokens.remembered == 0
