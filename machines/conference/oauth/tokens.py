"""Access and refresh tokens: JWTs signed with HS256 by a key that nobody else has (RFC 7519, RFC 8725)."""

import math
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum

import attrs
import jwt
import msgspec

from engine.errors import EngineError
from engine.media.access.port import RANDOM, Randomness
from engine.vocabulary import length
from machines.conference.callers import Caller, Role
from machines.conference.oauth.settings import KEY_BYTES_MIN, OauthSettings, digest_of

ALGORITHM = "HS256"
"""The only one; what a token's header says about it decides nothing (RFC 8725, section 3.1)."""

ISSUER = "switchhook"
AUDIENCE = "conference"

TOKEN_CHARACTERS_MAX = 8192
"""More than a token with the longest names has; a longer text is not looked at."""

SKEW_SECONDS = 60
"""How far ahead the clock may have been that stamped a token."""

CACHE_MAX = 10_000
"""Verified tokens that are remembered; the one used longest ago is forgotten first.

To verify a token takes 40 us and to remember it 1 us; a remembered one has 440 bytes.
"""

JTI_BYTES = 16


class Use(StrEnum):
    """What a token is for."""

    ACCESS = "access"
    REFRESH = "refresh"


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
    NOT_ACCESS = "the token is no access token"
    NOT_REFRESH = "the token is no refresh token"


_FAULTS: tuple[tuple[type[jwt.PyJWTError], TokenFault], ...] = (
    (jwt.InvalidSignatureError, TokenFault.SIGNATURE),
    (jwt.InvalidAlgorithmError, TokenFault.SIGNATURE),
    (jwt.InvalidIssuerError, TokenFault.ISSUER),
    (jwt.InvalidAudienceError, TokenFault.AUDIENCE),
)


class TokenError(EngineError):
    """A token is refused."""

    def __init__(self, fault: TokenFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@attrs.frozen(kw_only=True)
class Claims:
    """What we write into a token, besides issuer and audience."""

    sub: str
    organization: str
    role: Role
    client_id: str
    use: Use
    jti: str
    iat: int
    """UTC seconds, rounded down."""
    exp: int
    """UTC seconds, rounded up: a token lives for as long as was said, or for a moment more."""

    @property
    def caller(self) -> Caller:
        """Whom the token is for."""
        return Caller(user=self.sub, organization=self.organization, role=self.role)


@attrs.frozen(kw_only=True)
class Tokens:
    """What a client is given."""

    access: str = attrs.field(repr=length)
    refresh: str = attrs.field(repr=length)
    jti: str
    """The access token's."""
    seconds: int
    """How long the access token lives."""


class TokenMaker:
    """Signs tokens, and reads them again. Access tokens that were right are remembered until they expire."""

    def __init__(
        self,
        settings: OauthSettings,
        *,
        clock: Callable[[], float],
        random: Randomness = RANDOM,
        cache_max: int = CACHE_MAX,
    ) -> None:
        self._settings = settings
        self._key = settings.signing_key or random(KEY_BYTES_MIN).hex()
        self._clock = clock
        self._random = random
        self._cache_max = cache_max
        self._verified: OrderedDict[bytes, tuple[int, Caller]] = OrderedDict()
        """Expiry and caller, by the token's digest."""

    @property
    def remembered(self) -> int:
        """How many verified tokens are in memory."""
        return len(self._verified)

    def issue(self, caller: Caller, client_id: str) -> Tokens:
        """A pair of tokens for `caller`, who asks by this client."""
        access = self._claims(caller, client_id, Use.ACCESS, self._settings.access_seconds)
        refresh = self._claims(caller, client_id, Use.REFRESH, self._settings.refresh_seconds)
        return Tokens(
            access=self._sign(access),
            refresh=self._sign(refresh),
            jti=access.jti,
            seconds=self._settings.access_seconds,
        )

    def read_access(self, token: str) -> Caller:
        """Whom an access token is for.

        Raises:
            TokenError: it is not one of ours, or not valid now.
        """
        return self.read_access_until(token)[1]

    def read_access_until(self, token: str) -> tuple[int, Caller]:
        """The same, with the UTC second in which the token expires before it.

        Raises:
            TokenError: it is not one of ours, or not valid now.
        """
        digest = digest_of(token)
        verified = self._verified.get(digest)
        if verified is not None and self._clock() < verified[0]:
            self._verified.move_to_end(digest)
            return verified
        claims = self._read(token)
        if claims.use is not Use.ACCESS:
            raise TokenError(TokenFault.NOT_ACCESS)
        found = (claims.exp, claims.caller)
        self._remember(digest, found)
        return found

    def read_refresh(self, token: str) -> Claims:
        """What a refresh token says.

        Raises:
            TokenError: it is not one of ours, or not valid now.
        """
        claims = self._read(token)
        if claims.use is not Use.REFRESH:
            raise TokenError(TokenFault.NOT_REFRESH)
        return claims

    def _claims(self, caller: Caller, client_id: str, use: Use, seconds: int) -> Claims:
        now = self._clock()
        return Claims(
            sub=caller.user,
            organization=caller.organization,
            role=caller.role,
            client_id=client_id,
            use=use,
            jti=self._random(JTI_BYTES).hex(),
            iat=math.floor(now),
            exp=math.ceil(now + seconds),
        )

    def _sign(self, claims: Claims) -> str:
        payload = attrs.asdict(claims) | {"iss": ISSUER, "aud": AUDIENCE}
        return jwt.encode(payload, self._key, algorithm=ALGORITHM)

    def _read(self, token: str) -> Claims:
        claims = self._verify(token)
        now = self._clock()
        if now >= claims.exp:
            raise TokenError(TokenFault.EXPIRED)
        if now + SKEW_SECONDS < claims.iat:
            raise TokenError(TokenFault.EARLY)
        return claims

    def _verify(self, token: str) -> Claims:
        if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
            raise TokenError(TokenFault.MALFORMED)
        # The library would look at a clock of its own: both times are checked by ours.
        options: jwt.types.Options = {"verify_exp": False, "verify_iat": False, "strict_aud": True}
        try:
            payload = jwt.decode(
                token, self._key, algorithms=[ALGORITHM], issuer=ISSUER, audience=AUDIENCE, options=options
            )
            return msgspec.convert(payload, Claims)
        except jwt.PyJWTError as error:
            raise TokenError(_fault(error)) from error
        except (msgspec.ValidationError, RecursionError) as error:
            # Older versions of the library let a deeply nested header raise RecursionError.
            raise TokenError(TokenFault.MALFORMED) from error

    def _remember(self, digest: bytes, found: tuple[int, Caller]) -> None:
        self._verified[digest] = found
        self._verified.move_to_end(digest)
        if len(self._verified) > self._cache_max:
            self._verified.popitem(last=False)


def _fault(error: jwt.PyJWTError) -> TokenFault:
    return next((fault for kind, fault in _FAULTS if isinstance(error, kind)), TokenFault.MALFORMED)
