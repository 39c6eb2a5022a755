"""A token endpoint with a clock that is set by hand, and requests to it."""

import base64
import itertools
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

import attrs

from engine.transport.application import Request, Response
from machines.conference.oauth.service import TOKEN_PATH, ClientSettings, Oauth, OauthSettings, Role

NOON = 1_700_000_000.25
KEY = "a signing key of more than 32 bytes"
SECRETS = {"hall": "hall opens every door", "desk": "desk serves everybody", "kiosk": "kiosk stands alone"}
ROLES = {"hall": Role.SERVICE, "desk": Role.AGENT, "kiosk": Role.USER}
CLIENTS = {
    name: ClientSettings(secret=SECRETS[name], organization="acme", role=role) for name, role in ROLES.items()
}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def counted() -> Any:
    """Bytes that are different each time and the same in each run."""
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size)


@attrs.define
class Shop:
    """An endpoint and the time at it."""

    clients: Mapping[str, ClientSettings] = attrs.field(factory=lambda: dict(CLIENTS))
    settings: OauthSettings = attrs.field(factory=lambda: OauthSettings(signing_key=KEY))
    now: float = NOON
    oauth: Oauth = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        """Start again with the settings as they are now."""
        self.oauth = Oauth(self.settings, self.clients, clock=lambda: self.now, random=counted())

    def ask(self, *, peer: str = "192.0.2.1", **parameters: str) -> Response:
        """Send parameters as a form."""
        return self.oauth.respond_nowait(request(body=urlencode(parameters), headers=FORM, peer=peer))

    def tokens(self, client: str, **parameters: str) -> Any:
        """What a client is given for its secret."""
        answer = self.ask(
            grant_type="client_credentials", client_id=client, client_secret=SECRETS[client], **parameters
        )
        assert answer.status == 200, answer.body
        return told(answer)

    def refresh(self, client: str, token: str) -> Response:
        """Ask for new tokens for a refresh token."""
        return self.ask(
            grant_type="refresh_token", client_id=client, client_secret=SECRETS[client], refresh_token=token
        )


def request(
    *,
    body: str | bytes = b"",
    headers: Mapping[str, str] = {},
    query: tuple[tuple[str, str], ...] = (),
    peer: str = "192.0.2.1",
) -> Request:
    """A request to the token endpoint."""
    return Request(
        method="POST",
        path=TOKEN_PATH,
        raw_path=TOKEN_PATH,
        query=query,
        headers=dict(headers),
        body=body if isinstance(body, bytes) else body.encode(),
        peer=peer,
        secure=True,
    )


def basic(client_id: str, secret: str) -> dict[str, str]:
    """The header of RFC 6749, section 2.3.1."""
    joined = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"authorization": "Basic " + base64.b64encode(joined.encode()).decode()}


def told(answer: Response) -> Any:
    """The body of an answer."""
    return json.loads(answer.body)


def problem(answer: Response) -> tuple[int, str, str]:
    """(status, error, description) of a refusal."""
    body = told(answer)
    assert set(body) == {"error", "error_description"}
    return answer.status, body["error"], body["error_description"]
