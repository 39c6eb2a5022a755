"""A client's token: asked for with its secret, renewed before it is old, put on every request (RFC 6749)."""

from collections.abc import AsyncGenerator

import attrs
import httpx
import trio

from engine.codec.wire import WireCodec, on_wire
from engine.errors import RemoteProtocolError
from engine.transport.http import HttpAnswer, HttpClient
from engine.vocabulary import length
from machines.conference.client.errors import TokenRefusedError
from machines.conference.wire_answers import AnotherErrorResponse

EARLY_SECONDS = 60.0
"""How long before its end a token is renewed; of one that lives less than twice that, at half of its life."""

LIFE_SECONDS = 3600
"""Of a token whose host does not say; RFC 6749 leaves that to the documentation."""

_CODEC = WireCodec()


@attrs.frozen(kw_only=True)
class Credentials:
    """Who asks for tokens."""

    client_id: str
    client_secret: str = attrs.field(repr=length)
    user_id: str = ""
    """The user to act for, where the host lets this client choose one; empty for its own."""


@attrs.frozen(kw_only=True)
class Grant:
    """What the token endpoint answers. A host that says less than ours is understood."""

    access_token: str = attrs.field(repr=length, metadata=on_wire("access_token"))
    refresh_token: str | None = attrs.field(default=None, repr=False, metadata=on_wire("refresh_token"))
    expires_in: float = attrs.field(default=LIFE_SECONDS, metadata=on_wire("expires_in"))
    """Seconds."""
    sub: str = ""
    """The user that the token is for."""


class Tokens:
    """The token of one client; any number of tasks may ask for it."""

    def __init__(self, http: HttpClient, url: str, credentials: Credentials) -> None:
        self._http = http
        self._url = url
        self._credentials = credentials
        self._grant: Grant | None = None
        self._renew_at = 0.0
        # One task renews it; the others want what it gets.
        self._renewing = trio.Lock()

    async def grant(self) -> Grant:
        """A token that is good for a while.

        Raises:
            TokenRefusedError: the host gives none.
            TransportError: it cannot be asked.
            RemoteProtocolError: what it answers is no token.
        """
        async with self._renewing:
            if self._grant is None or trio.current_time() >= self._renew_at:
                self._grant = await self._renewed(self._grant)
                life = self._grant.expires_in
                self._renew_at = trio.current_time() + max(life - EARLY_SECONDS, life / 2)
            return self._grant

    def forget(self, access_token: str) -> None:
        """The host does not take this one any more; a newer one stays."""
        if self._grant is not None and self._grant.access_token == access_token:
            self._renew_at = 0.0

    async def _renewed(self, old: Grant | None) -> Grant:
        if old is not None and old.refresh_token:
            try:
                return await self._ask({"grant_type": "refresh_token", "refresh_token": old.refresh_token})
            except TokenRefusedError:
                # Too old, or of a host that has forgotten: the secret still says who this is.
                pass
        wanted = {"user_id": self._credentials.user_id} if self._credentials.user_id else {}
        return await self._ask({"grant_type": "client_credentials", **wanted})

    async def _ask(self, form: dict[str, str]) -> Grant:
        who = self._credentials
        secrets = {"client_id": who.client_id, "client_secret": who.client_secret}
        answer = await self._http.request("POST", self._url, form={**form, **secrets})
        if answer.status != 200:
            problem = problem_of(answer)
            raise TokenRefusedError(answer.status, problem.error, problem.error_description)
        return _CODEC.decode(answer.body, Grant)


class BearerAuth(httpx.Auth):
    """Puts the token on each request; one that is refused is renewed, once."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """See httpx.Auth."""
        access_token = await self._put_on(request)
        response = yield request
        if response.status_code == 401:
            self._tokens.forget(access_token)
            await self._put_on(request)
            yield request

    async def _put_on(self, request: httpx.Request) -> str:
        access_token = (await self._tokens.grant()).access_token
        request.headers["authorization"] = f"Bearer {access_token}"
        return access_token


def problem_of(answer: HttpAnswer) -> AnotherErrorResponse:
    """What a refusal says, or nothing, if it is not in the form of the source."""
    try:
        return _CODEC.decode(answer.body, AnotherErrorResponse)
    except RemoteProtocolError:
        return AnotherErrorResponse()
