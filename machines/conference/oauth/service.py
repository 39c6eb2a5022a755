"""Authentication of the conference API: the token endpoint, and who calls the others.

Source: "Authentication" (OAuth 2.0, flow clientCredentials). Ours: a client may ask for a token of another
user of its organization, by the parameters `user_id` and `role`.
"""

from collections.abc import Callable, Mapping

import msgspec
import structlog

from engine.app.bearer import bearer_of
from engine.app.failures import Failures
from engine.app.tokens import TokenError, TokenFault
from engine.media.access.port import RANDOM, Randomness
from engine.transport.application import Request, Response
from machines.conference.callers import Caller, Role, is_name
from machines.conference.oauth.clients import Client, Clients
from machines.conference.oauth.requests import (
    NO_STORE,
    GrantError,
    OauthRefusal,
    TokenAnswer,
    TokenRequest,
    invalid_client,
    invalid_request,
    read_token_request,
)
from machines.conference.oauth.settings import ClientSettings, OauthSettings, check_clients
from machines.conference.oauth.tokens import TokenMaker

__all__ = [
    "TOKEN_PATH",
    "Caller",
    "ClientSettings",
    "Oauth",
    "OauthRefusal",
    "OauthSettings",
    "Role",
    "TokenAnswer",
    "check_clients",
    "unauthorized",
]

TOKEN_PATH = "/security/oauth/token"  # noqa: S105 - a path is no secret

SCOPE = "conference"
"""The only one: a scope that is asked for changes nothing (RFC 6749, section 3.3)."""

log = structlog.get_logger("switchhook.conference")


class Oauth:
    """Gives tokens to clients, and says whose token a request carries. Nothing in it waits."""

    def __init__(
        self,
        settings: OauthSettings,
        clients: Mapping[str, ClientSettings],
        *,
        clock: Callable[[], float],
        random: Randomness = RANDOM,
    ) -> None:
        """`clock` gives UTC seconds.

        Raises:
            ConfigurationFaultsError: a client has no secret or no organization.
        """
        check_clients(self, None, clients)
        self.tokens = TokenMaker(settings, clock=clock, random=random)
        self._clients = Clients(clients)
        self._failures = Failures(
            failures_max=settings.failures_max, seconds=settings.failure_seconds, clock=clock
        )

    def respond_nowait(self, request: Request) -> Response:
        """Answer `POST /security/oauth/token`."""
        try:
            answer = self._grant(read_token_request(request), request.peer)
        except GrantError as error:
            return error.response
        return Response(200, msgspec.json.encode(answer), headers=NO_STORE)

    def caller_of(self, request: Request) -> Caller:
        """Whom an HTTP request comes from.

        Raises:
            TokenError: it carries no access token, or none that is valid now.
        """
        return self.tokens.read_access(bearer_of(request.headers))

    def _grant(self, asked: TokenRequest, peer: str) -> TokenAnswer:
        grant = asked.require("grant_type")
        if grant not in ("client_credentials", "refresh_token"):
            raise GrantError(
                400, "unsupported_grant_type", "grant_type is client_credentials or refresh_token"
            )
        client = self._authenticate(asked, peer)
        caller = _wanted(client, asked) if grant == "client_credentials" else self._refreshed(client, asked)
        return self._answer(caller, client)

    def _authenticate(self, asked: TokenRequest, peer: str) -> Client:
        seconds = self._failures.seconds_to_wait(asked.client_id, peer)
        if seconds:
            raise _slow_down(seconds)
        client = self._clients.authenticate(asked.client_id, asked.secret)
        if client is not None:
            return client
        self._failures.note(asked.client_id, peer)
        if self._failures.seconds_to_wait(asked.client_id, peer):
            # The id is named only where it is one: people paste secrets into the wrong field.
            known = self._clients.get(asked.client_id)
            log.warning("client_blocked", client="" if known is None else known.id, peer=peer)
        raise invalid_client(by_header=asked.by_header)

    def _refreshed(self, client: Client, asked: TokenRequest) -> Caller:
        try:
            claims = self.tokens.read_refresh(asked.require("refresh_token"))
        except TokenError as error:
            raise _invalid_grant(str(error)) from error
        if claims.client_id != client.id:
            raise _invalid_grant("the token was given to another client")
        if not client.may_be(claims.caller):
            raise _invalid_grant("the client may not have such a token any more")
        return claims.caller

    def _answer(self, caller: Caller, client: Client) -> TokenAnswer:
        tokens = self.tokens.issue(caller, client.id)
        return TokenAnswer(
            access_token=tokens.access,
            expires_in=tokens.seconds,
            refresh_token=tokens.refresh,
            sub=caller.user,
            organization=caller.organization,
            jti=tokens.jti,
            scope=SCOPE,
        )


def unauthorized(error: TokenError) -> Response:
    """The answer to a request without a valid access token (RFC 6750, section 3)."""
    refusal = OauthRefusal(error="invalid_token", error_description=str(error))
    # Who has shown no token is told the scheme, and no error (section 3.1).
    detail = (
        "" if error.fault is TokenFault.MISSING else f', error="invalid_token", error_description="{error}"'
    )
    challenge = ("www-authenticate", f'Bearer realm="conference"{detail}')
    return Response(401, msgspec.json.encode(refusal), headers=(challenge,))


def _wanted(client: Client, asked: TokenRequest) -> Caller:
    """Whom the client wants to be: itself, or a user whom it names."""
    user, role = asked.get("user_id"), _role(asked)
    if not user:
        if role is not None:
            raise invalid_request("role is for a user_id")
        return client.caller
    if not is_name(user):
        raise invalid_request("user_id must be 1 to 128 printable characters")
    wanted = Caller(user=user, organization=client.caller.organization, role=role or Role.USER)
    if not client.may_speak_for(wanted.role):
        raise GrantError(
            400, "unauthorized_client", f"the client may not speak for a user of role {wanted.role}"
        )
    return wanted


def _role(asked: TokenRequest) -> Role | None:
    name = asked.get("role")
    if not name:
        return None
    if name not in [*Role]:
        raise invalid_request(f"role must be one of {', '.join(Role)}")
    return Role(name)


def _invalid_grant(description: str) -> GrantError:
    return GrantError(400, "invalid_grant", description)


def _slow_down(seconds: int) -> GrantError:
    headers = (("retry-after", str(seconds)),)
    return GrantError(429, "slow_down", "too many wrong secrets for this client id", headers)
