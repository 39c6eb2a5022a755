"""The requests of a client: paths and shapes of the source, with the host's refusals as errors."""

from typing import Any, TypeVar
from urllib.parse import quote

from engine.codec.text import parse
from engine.codec.wire import WireCodec
from engine.errors import RemoteProtocolError
from engine.transport.http import HttpAnswer, HttpClient
from machines.conference import endpoints, wire
from machines.conference import wire_answers as answers
from machines.conference.client.errors import ConferenceRefusedError
from machines.conference.client.tokens import problem_of

T = TypeVar("T")
JSON_TYPE = {"content-type": "application/json"}


class Calls:
    """Requests to one host.

    Raises, from each:
        ConferenceRefusedError: the host says no.
        TransportError: it was not reached, or did not answer in time; it may have done what was asked.
        RemoteProtocolError: the answer is not as the source says.
        LocalProtocolError: what is asked has no form in JSON.
    """

    def __init__(self, http: HttpClient, base_url: str) -> None:
        self.codec = WireCodec(wire.LIMITS)
        self._http = http
        self._base_url = base_url.rstrip("/")

    async def do(self, path: str, body: object) -> None:
        """Ask for what has no answer: 204, and 200 of hosts that say more than that."""
        await self._request("POST", path, self._json(body))

    async def ask(self, path: str, body: object, shape: type[T]) -> T:
        """Ask for what has an answer."""
        return self._read(await self._request("POST", path, self._json(body)), shape)

    async def read(self, path: str, shape: type[T]) -> T:
        """Ask for what is."""
        return self._read(await self._request("GET", path), shape)

    async def register(self, endpoint_id: str, keep_alive_seconds: int) -> str:
        """Register a user endpoint, under this id if it is not empty: the id that it has."""
        body = wire.CreateUserEndpoint(
            keep_alive_seconds=keep_alive_seconds, user_endpoint_id=endpoint_id or None
        )
        answer = await self._request("POST", endpoints.REGISTER_BARE.path, self._json(body))
        said = parse(answer.body, self.codec.limits)
        # The id alone, says the source; some hosts answer an object here.
        if isinstance(said, str):
            return said
        return self.codec.decode_value(said, answers.RegisteredUserEndpoint).id

    async def simple_view(self, conference_id: str) -> answers.ConferenceSimpleView:
        """A conference by users."""
        path = path_of(endpoints.SIMPLE_VIEW.path, conference_id)
        return await self.read(path, answers.ConferenceSimpleView)

    async def events(self, conference_id: str, since: int, total_seconds: float) -> tuple[Any, ...]:
        """The events from version `since` on, unread; the host waits while there are none."""
        path = f"{path_of(endpoints.EVENTS.path, conference_id)}?v={since}"
        return self._read(await self._request("GET", path, total_seconds=total_seconds), tuple[Any, ...])

    async def _request(
        self, method: str, path: str, body: bytes | None = None, total_seconds: float | None = None
    ) -> HttpAnswer:
        answer = await self._http.request(
            method,
            f"{self._base_url}{path}",
            content=body,
            headers=None if body is None else JSON_TYPE,
            total_seconds=total_seconds,
        )
        if not 200 <= answer.status < 300:
            problem = problem_of(answer)
            raise ConferenceRefusedError(answer.status, problem.error, problem.error_description)
        return answer

    def _json(self, body: object) -> bytes:
        value: dict[str, Any] = self.codec.to_value(body)
        # Left out rather than null, because a host may know only one of the two.
        return self.codec.encode({name: one for name, one in value.items() if one is not None})

    def _read(self, answer: HttpAnswer, shape: type[T]) -> T:
        if answer.status == 204:
            raise RemoteProtocolError("$", "there is no answer, only 204")
        return self.codec.decode(answer.body, shape)


def path_of(path: str, conference_id: str) -> str:
    """The path of one conference."""
    return path.replace("{id}", quote(conference_id, safe=""))
