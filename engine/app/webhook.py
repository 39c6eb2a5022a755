"""Pushes as signed webhooks ("Standard Webhooks" 1.0): a service of the operator's sends them to phones."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum

import attrs
import msgspec

from engine.app.configuration import ConfigurationFaultsError
from engine.app.push import PUSH_SECONDS, PushNotice
from engine.app.users import User
from engine.errors import ConfigurationError, PushRefusedError, TransportBrokenError
from engine.transport.http import HttpClient

SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret begins with is none
SECRET_BYTES = range(24, 65)
"""Length of a secret ("Signature scheme": 192 to 512 bits)."""

_URL = re.compile(r"https?://[^/\s]+(/\S*)?")
_AGAIN = frozenset({408, 425, 429})
"""Answers below 500 after which the same request may succeed."""


class Reach(StrEnum):
    """Users that the webhook reaches."""

    MARKED = "marked"
    """Those with the push mark: `switchhook users add ann --push`."""
    ALL = "all"
    """Everybody; the receiver knows who has a phone."""


@attrs.frozen(kw_only=True)
class WebhookSettings:
    """Where pushes go."""

    url: str = attrs.field(repr=False)
    secret: bytes = attrs.field(repr=False)
    users: Reach = Reach.MARKED


def read_webhook(values: Mapping[str, str]) -> WebhookSettings:
    """The settings in a section of the configuration: `url`, `secret`, and `users` if not the marked ones.

    Raises:
        ConfigurationFaultsError: with one error for each fault; none of them quotes a value.
    """
    faults = webhook_faults(values)
    if faults:
        raise ConfigurationFaultsError(faults)
    return WebhookSettings(
        url=values["url"],
        secret=_secret(values["secret"]),
        users=Reach(values.get("users", Reach.MARKED)),
    )


def webhook_faults(values: Mapping[str, str]) -> list[ConfigurationError]:
    """What is wrong with such a section; empty when nothing is."""
    known = ("url", "secret", "users")
    faults = [ConfigurationError(key, "is missing") for key in ("url", "secret") if key not in values]
    unknown = f"unknown; there are {', '.join(known)}"
    faults += [ConfigurationError(key, unknown) for key in values if key not in known]
    if "url" in values and not _URL.fullmatch(values["url"]):
        faults.append(ConfigurationError("url", "must be an https:// or http:// URL"))
    if "secret" in values and len(_secret(values["secret"])) not in SECRET_BYTES:
        limits = f"{SECRET_BYTES.start} to {SECRET_BYTES.stop - 1}"
        faults.append(ConfigurationError("secret", f"must be {SECRET_PREFIX} and {limits} bytes in base64"))
    if "users" in values and values["users"] not in [*Reach]:
        faults.append(ConfigurationError("users", f"must be one of {', '.join(Reach)}"))
    return faults


def _secret(text: str) -> bytes:
    """The key in its written form; empty when that is wrong."""
    if not text.startswith(SECRET_PREFIX):
        return b""
    try:
        return base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""


class Webhook:
    """A push port that posts each notice to the operator's service, signed."""

    def __init__(self, settings: WebhookSettings, client: HttpClient, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock

    async def reaches(self, user: User) -> bool:
        """Whether pushes of this user are posted."""
        return user.push or self._settings.users is Reach.ALL

    async def push(self, notice: PushNotice) -> None:
        """Post it; any 2xx is a yes.

        Raises:
            PushRefusedError: the answer is one that the same request would get again.
            TransportError: there is no answer, or one that may change.
        """
        body = msgspec.json.encode(
            {"type": notice.type, "key": notice.key, "user": notice.user, "data": notice.data}
        )
        headers = self._signed(notice.key, body) | {"content-type": "application/json"}
        answer = await self._client.request("POST", self._settings.url, content=body, headers=headers)
        if 200 <= answer.status < 300:
            return
        if answer.status >= 500 or answer.status in _AGAIN:
            raise TransportBrokenError(f"the webhook answered {answer.status}")
        raise PushRefusedError(f"the webhook answered {answer.status}")

    def _signed(self, key: str, body: bytes) -> dict[str, str]:
        at = str(int(self._clock()))
        content = b".".join((key.encode(), at.encode(), body))
        signature = base64.b64encode(hmac.digest(self._settings.secret, content, hashlib.sha256))
        return {
            "webhook-id": key,
            "webhook-timestamp": at,
            "webhook-signature": f"v1,{signature.decode()}",
        }


@asynccontextmanager
async def open_webhook(settings: WebhookSettings, *, clock: Callable[[], float]) -> AsyncIterator[Webhook]:
    """A webhook with a pool of connections, until the block is left."""
    async with HttpClient(total_seconds=PUSH_SECONDS) as client:
        yield Webhook(settings, client, clock)
