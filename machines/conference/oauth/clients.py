"""The clients of the token endpoint, and how one shows that it is one."""

from collections.abc import Mapping

import attrs

from engine.app.digests import is_secret
from machines.conference.callers import Caller, Role
from machines.conference.oauth.settings import ClientSettings

_MAY_SPEAK_FOR = {
    Role.SERVICE: frozenset({Role.AGENT, Role.USER}),
    Role.AGENT: frozenset({Role.USER}),
    Role.USER: frozenset[Role](),
}


@attrs.frozen(kw_only=True)
class Client:
    """A program that may ask for tokens."""

    id: str
    caller: Caller
    """What it is by itself."""
    digest: bytes = attrs.field(repr=False)
    """SHA-256 of its secret."""

    def may_speak_for(self, role: Role) -> bool:
        """Whether it gets tokens for other users of its organization that have this role."""
        return role in _MAY_SPEAK_FOR[self.caller.role]

    def may_be(self, caller: Caller) -> bool:
        """Whether it would get a token for this caller if it asked for one now."""
        if caller == self.caller:
            return True
        return caller.organization == self.caller.organization and self.may_speak_for(caller.role)


class Clients:
    """All clients, by id."""

    def __init__(self, settings: Mapping[str, ClientSettings]) -> None:
        self._by_id = {client_id: _client(client_id, one) for client_id, one in settings.items()}

    def get(self, client_id: str) -> Client | None:
        """The client with this id."""
        return self._by_id.get(client_id)

    def authenticate(self, client_id: str, secret: str) -> Client | None:
        """The client, if that is its secret. A stranger costs the same work as a wrong secret."""
        client = self._by_id.get(client_id)
        return client if is_secret(secret, None if client is None else client.digest) else None


def _client(client_id: str, settings: ClientSettings) -> Client:
    return Client(
        id=client_id,
        caller=Caller(
            user=settings.user or client_id, organization=settings.organization, role=settings.role
        ),
        digest=settings.digest,
    )
