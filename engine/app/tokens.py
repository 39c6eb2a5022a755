"""Tokens of our own: JWTs signed with HS256 by a key that nobody else has (RFC 7519, RFC 8725)."""

from collections.abc import Callable
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import attrs
import jwt
import msgspec

from engine.errors import ConfigurationError, EngineError

ALGORITHM = "HS256"
"""The only one; what a token's header says about it decides nothing (RFC 8725, section 3.1)."""

ISSUER = "switchhook"

KEY_BYTES_MIN = 32
"""RFC 7518, section 3.2: a key of HS256 has 256 bits or more."""

TOKEN_CHARACTERS_MAX = 8192
"""More than a token with the longest names has; a longer text is not looked at."""

SKEW_SECONDS = 60
"""How far ahead the clock may have been that stamped a token."""


class TokenFault(StrEnum):
    """Why a token is refused. The texts are for clients, and quote nothing."""

    MISSING = "there is no token"
    SEVERAL = "there is more than one token"
    MALFORMED = "the token is malformed"
    SIGNATURE = "the token is not signed by us"
    ISSUER = "the token is of another issuer"
    AUDIENCE = "the token is for another audience"
    EXPIRED = "the token has expired"
    EARLY = "the token is not valid yet"


_FAULTS: tuple[tuple[type[jwt.PyJWTError], TokenFault], ...] = (
    (jwt.InvalidSignatureError, TokenFault.SIGNATURE),
    (jwt.InvalidAlgorithmError, TokenFault.SIGNATURE),
    (jwt.InvalidIssuerError, TokenFault.ISSUER),
    (jwt.InvalidAudienceError, TokenFault.AUDIENCE),
)


class TokenError(EngineError):
    """A token is refused."""

    def __init__(self, fault: StrEnum) -> None:
        super().__init__(fault.value)
        self.fault = fault
        """A `TokenFault`, or one of the API that the token is for."""


class Timed(attrs.AttrsInstance, Protocol):
    """Claims as an attrs class, with the time in which they hold."""

    @property
    def iat(self) -> int:
        """UTC seconds, rounded down."""

    @property
    def exp(self) -> int:
        """UTC seconds, rounded up: a token lives for as long as was said, or for a moment more."""


C = TypeVar("C", bound=Timed)


class TokenSigner(Generic[C]):
    """Signs claims of one class for one audience, and reads them again."""

    def __init__(self, claims: type[C], *, key: str, audience: str, clock: Callable[[], float]) -> None:
        """`clock` gives UTC seconds."""
        self._claims = claims
        self._key = key
        self._audience = audience
        self._clock = clock

    def sign(self, claims: C) -> str:
        """The token that says so, besides issuer and audience."""
        payload = attrs.asdict(claims) | {"iss": ISSUER, "aud": self._audience}
        return jwt.encode(payload, self._key, algorithm=ALGORITHM)

    def read(self, token: str) -> C:
        """What a token says; takes 40 us.

        Raises:
            TokenError: it is not one of ours, or not valid now.
        """
        claims = self._verify(token)
        now = self._clock()
        if now >= claims.exp:
            raise TokenError(TokenFault.EXPIRED)
        if now + SKEW_SECONDS < claims.iat:
            raise TokenError(TokenFault.EARLY)
        return claims

    def _verify(self, token: str) -> C:
        if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
            raise TokenError(TokenFault.MALFORMED)
        # The library would look at a clock of its own: both times are checked by ours.
        options: jwt.types.Options = {"verify_exp": False, "verify_iat": False, "strict_aud": True}
        try:
            payload = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=self._audience,
                options=options,
            )
            return msgspec.convert(payload, self._claims)
        except jwt.PyJWTError as error:
            raise TokenError(_fault(error)) from error
        except (msgspec.ValidationError, RecursionError) as error:
            # Older versions of the library let a deeply nested header raise RecursionError.
            raise TokenError(TokenFault.MALFORMED) from error


def check_key(_settings: object, field: "attrs.Attribute[str]", key: str) -> None:
    """Validator of a field with a signing key; an empty one is left to whoever makes one up.

    Raises:
        ConfigurationError: it is too short, or no secret text.
    """
    if not key:
        return
    if len(key.encode()) < KEY_BYTES_MIN:
        raise ConfigurationError(field.name, f"must have {KEY_BYTES_MIN} bytes or more")
    try:
        jwt.encode({}, key, algorithm=ALGORITHM)
    except jwt.InvalidKeyError as error:
        raise ConfigurationError(field.name, "must be a secret text, and is a key of a pair") from error


def _fault(error: jwt.PyJWTError) -> TokenFault:
    return next((fault for kind, fault in _FAULTS if isinstance(error, kind)), TokenFault.MALFORMED)
