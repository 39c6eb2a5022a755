"""Access and refresh tokens of the conference API."""

import math
from collections.abc import Callable
from enum import StrEnum

import attrs

from engine.app.digests import digest_of
from engine.app.expiring import Expiring
from engine.app.tokens import KEY_BYTES_MIN, TokenError, TokenSigner
from engine.media.access.port import RANDOM, Randomness
from engine.vocabulary import length
from machines.conference.callers import Caller, Role
from machines.conference.oauth.settings import OauthSettings

AUDIENCE = "conference"

CACHE_MAX = 10_000
"""Verified tokens that are remembered; the one used longest ago is forgotten first.

To verify a token takes 40 us and to remember it 1 us; a remembered one has 440 bytes.
"""

JTI_BYTES = 16


class Use(StrEnum):
    """What a token is for."""

    ACCESS = "access"
    REFRESH = "refresh"


class UseFault(StrEnum):
    """A token is good, and for something else."""

    NOT_ACCESS = "the token is no access token"
    NOT_REFRESH = "the token is no refresh token"


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
    exp: int

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
        self._clock = clock
        self._random = random
        key = settings.signing_key or random(KEY_BYTES_MIN).hex()
        self._signer = TokenSigner(Claims, key=key, audience=AUDIENCE, clock=clock)
        self._verified: Expiring[bytes, tuple[int, Caller]] = Expiring(clock, cache_max)
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
            access=self._signer.sign(access),
            refresh=self._signer.sign(refresh),
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
        if verified is not None:
            return verified
        claims = self._signer.read(token)
        if claims.use is not Use.ACCESS:
            raise TokenError(UseFault.NOT_ACCESS)
        found = (claims.exp, claims.caller)
        self._verified.put(digest, found, claims.exp)
        return found

    def read_refresh(self, token: str) -> Claims:
        """What a refresh token says.

        Raises:
            TokenError: it is not one of ours, or not valid now.
        """
        claims = self._signer.read(token)
        if claims.use is not Use.REFRESH:
            raise TokenError(UseFault.NOT_REFRESH)
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
