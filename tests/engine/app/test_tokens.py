"""Claims of any API, signed and read again; every other attack is in the tests of the conference's tokens."""

import attrs
import jwt
import pytest

from engine.app.tokens import TokenError, TokenFault, TokenSigner, check_key
from engine.errors import ConfigurationError

KEY = "a signing key of more than 32 bytes"
NOON = 1_700_000_000


@attrs.frozen(kw_only=True)
class Seat:
    """A chair, for a while."""

    room: str
    may_speak: bool = False
    iat: int = NOON
    exp: int = NOON + 60


@attrs.frozen
class Settings:
    """With a key."""

    key: str = attrs.field(default="", validator=check_key)


def signer(*, now: float = NOON, key: str = KEY, audience: str = "hall") -> TokenSigner[Seat]:
    return TokenSigner(Seat, key=key, audience=audience, clock=lambda: now)


def fault(token: str, **of: object) -> object:
    with pytest.raises(TokenError) as caught:
        signer(**of).read(token)  # type: ignore[arg-type]
    return caught.value.fault


def test_claims_come_back_as_they_were() -> None:
    seat = Seat(room="blue", may_speak=True)
    assert signer().read(signer().sign(seat)) == seat


def test_other_programs_find_issuer_audience_and_claims() -> None:
    said = jwt.decode(signer().sign(Seat(room="blue")), options={"verify_signature": False})
    assert said == {"iss": "switchhook", "aud": "hall", **attrs.asdict(Seat(room="blue"))}


def test_a_token_of_another_key_or_audience_is_refused() -> None:
    token = signer().sign(Seat(room="blue"))
    assert fault(token, key="another key of more than 32 bytes.") is TokenFault.SIGNATURE
    assert fault(token, audience="yard") is TokenFault.AUDIENCE


def test_claims_of_another_class_are_malformed() -> None:
    payload = {"iss": "switchhook", "aud": "hall", "iat": NOON, "exp": NOON + 60}
    assert fault(jwt.encode(payload, KEY)) is TokenFault.MALFORMED


@pytest.mark.parametrize(
    ("now", "expected"), [(NOON + 60, TokenFault.EXPIRED), (NOON - 61, TokenFault.EARLY)]
)
def test_the_clock_that_was_given_decides(now: float, expected: TokenFault) -> None:
    token = signer().sign(Seat(room="blue"))
    assert fault(token, now=now) is expected
    inside = now - 1 if expected is TokenFault.EXPIRED else now + 1
    assert signer(now=inside).read(token).room == "blue"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("x" * 31, "must have 32 bytes or more"),
        ("ssh-rsa " + "A" * 64, "must be a secret text, and is a key of a pair"),
    ],
)
def test_a_key_that_signs_badly_is_a_fault_of_its_field(key: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"key: {reason}") as caught:
        Settings(key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("key", ["", "x" * 32, "é" * 16])
def test_a_long_key_or_none_is_taken(key: str) -> None:
    assert Settings(key).key == key
