"""What the token endpoint is sent and what it answers (RFC 6749, sections 2.3.1, 4.4, 5 and 6)."""

import base64
from collections.abc import Mapping
from urllib.parse import unquote_plus

import attrs
import msgspec

from engine.app.forms import form_pairs
from engine.codec.wire import on_wire
from engine.errors import EngineError, RemoteProtocolError
from engine.transport.application import Request, Response
from engine.vocabulary import length

BODY_BYTES_MAX = 16_384
"""A longer token request is not looked at."""

NO_STORE = (("cache-control", "no-store"), ("pragma", "no-cache"))
CHALLENGE = ("www-authenticate", 'Basic realm="conference", charset="UTF-8"')


@attrs.frozen(kw_only=True)
class TokenForm:
    """Parameters of the token endpoint, as a form or in the query, for its documentation."""

    grant_type: str = attrs.field(metadata=on_wire("grant_type"))
    """`client_credentials` or `refresh_token`."""
    client_id: str | None = attrs.field(default=None, metadata=on_wire("client_id"))
    """Or by HTTP Basic."""
    client_secret: str | None = attrs.field(default=None, repr=False, metadata=on_wire("client_secret"))
    refresh_token: str | None = attrs.field(default=None, repr=False, metadata=on_wire("refresh_token"))
    user_id: str | None = attrs.field(default=None, metadata=on_wire("user_id"))
    """Ours: the user that a SERVICE or an AGENT wants a token for."""
    role: str | None = None
    """Ours: that user's role."""


@attrs.frozen(kw_only=True)
class TokenAnswer:
    """Answer of the token endpoint; its names are those of RFC 6749 and of the source."""

    access_token: str = attrs.field(repr=length, metadata=on_wire("access_token"))
    token_type: str = attrs.field(default="bearer", metadata=on_wire("token_type"))
    expires_in: int = attrs.field(metadata=on_wire("expires_in"))
    """Seconds."""
    refresh_token: str = attrs.field(repr=length, metadata=on_wire("refresh_token"))
    sub: str
    """The user that the token is for."""
    organization: str
    jti: str
    scope: str


@attrs.frozen(kw_only=True)
class OauthRefusal:
    """What is wrong, for every status but 200. The source calls it AnotherErrorResponse."""

    error: str
    error_description: str = attrs.field(metadata=on_wire("error_description"))


class GrantError(EngineError):
    """A token request is refused, with this status, error (RFC 6749, section 5.2) and headers."""

    def __init__(
        self, status: int, error: str, description: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(f"{error}: {description}")
        self.status = status
        self.error = error
        self.description = description
        self.headers = headers

    @property
    def response(self) -> Response:
        """The answer that tells it."""
        body = OauthRefusal(error=self.error, error_description=self.description)
        return Response(self.status, msgspec.json.encode(body), headers=(*NO_STORE, *self.headers))


def invalid_request(description: str) -> GrantError:
    """The request cannot be understood."""
    return GrantError(400, "invalid_request", description)


def invalid_client(*, by_header: bool) -> GrantError:
    """The client is not who it says, or says nothing. Which of them is not told."""
    # The challenge only where the header was used: browsers ask people for a password when they see one.
    headers = (CHALLENGE,) if by_header else ()
    return GrantError(401, "invalid_client", "client id or client secret is missing or wrong", headers)


@attrs.frozen(kw_only=True)
class TokenRequest:
    """The parameters of a token request, with the client's credentials taken out."""

    parameters: Mapping[str, str] = attrs.field(repr=False)
    """Without those that have no value, which count as omitted (section 3.2)."""
    client_id: str = attrs.field(repr=length)
    secret: str = attrs.field(repr=length)
    by_header: bool
    """The credentials came by HTTP Basic."""

    def get(self, name: str) -> str:
        """The value of a parameter; empty when it is omitted."""
        return self.parameters.get(name, "")

    def require(self, name: str) -> str:
        """The value of a parameter.

        Raises:
            GrantError: it is omitted.
        """
        if name not in self.parameters:
            raise invalid_request(f"{name} is missing")
        return self.parameters[name]


def read_token_request(request: Request) -> TokenRequest:
    """Read what was asked, by form, query or both, with HTTP Basic or without.

    Deviates from RFC 6749, section 2.3.1: the source's own programs send all parameters in the query.

    Raises:
        GrantError: it cannot be understood, or there are no credentials.
    """
    parameters = _parameters(request)
    header = request.headers.get("authorization")
    if header is None:
        client_id, secret = parameters.pop("client_id", ""), parameters.pop("client_secret", "")
    else:
        client_id, secret = _basic(header)
        if "client_secret" in parameters or parameters.pop("client_id", client_id) != client_id:
            raise invalid_request("there are credentials in the header and in the parameters")
    if not client_id:
        raise invalid_client(by_header=header is not None)
    return TokenRequest(
        parameters=parameters, client_id=client_id, secret=secret, by_header=header is not None
    )


def _parameters(request: Request) -> dict[str, str]:
    parameters: dict[str, str] = {}
    seen: set[str] = set()
    for name, value in (*request.query, *_form(request)):
        if name in seen:
            raise invalid_request("a parameter is sent twice")
        seen.add(name)
        if value:
            parameters[name] = value
    return parameters


def _form(request: Request) -> tuple[tuple[str, str], ...]:
    if not request.body:
        return ()
    if len(request.body) > BODY_BYTES_MAX:
        raise invalid_request(f"the body is longer than {BODY_BYTES_MAX} bytes")
    try:
        return form_pairs(request)
    except RemoteProtocolError as error:
        raise invalid_request(f"the {error.path} {error.reason}") from None


def _basic(header: str) -> tuple[str, str]:
    """Client id and secret, each percent-encoded before they were joined (section 2.3.1)."""
    scheme, _, encoded = header.partition(" ")
    try:
        joined = base64.b64decode(encoded.strip(), validate=True).decode()
        client_id, _, secret = joined.partition(":")
        client_id, secret = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError:
        raise invalid_client(by_header=True) from None
    if scheme.lower() != "basic":
        raise invalid_client(by_header=True)
    return client_id, secret
