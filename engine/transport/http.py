"""The HTTP client: httpx on trio, with a total time and a pool that survives cancellation."""

import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

import attrs
import httpx
import trio

from engine.errors import (
    ConfigurationError,
    TransportBrokenError,
    TransportClosedError,
    TransportTimeoutError,
)
from engine.transport.limits import MIB


@attrs.frozen
class HttpAnswer:
    """A complete response. Only the status prints: headers and bodies carry tokens."""

    status: int
    headers: httpx.Headers = attrs.field(repr=False)
    """Case-insensitive."""
    body: bytes = attrs.field(repr=False)


class _Body(httpx.AsyncByteStream):
    """A body that is there whole, sent in one piece.

    httpx sends its own by an asynchronous generator, which a request that is cancelled while it is sent
    leaves to the garbage collector.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces(self._content)


class _Pieces(AsyncIterator[bytes]):
    def __init__(self, content: bytes) -> None:
        self._left = [content] if content else []

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class HttpClient:
    """A pool of connections, open inside `async with`.

    A limiter of the pool's size stands in front of the pool, because httpcore loses a connection for good
    when a request is cancelled while it waits for one (encode/httpcore issues 961 and 1093): behind the
    limiter no request ever waits there.
    """

    def __init__(
        self,
        *,
        connections_max: int = 20,
        total_seconds: float = 10.0,
        body_bytes_max: int = 8 * MIB,
        ssl_context: ssl.SSLContext | None = None,
        auth: httpx.Auth | None = None,
    ) -> None:
        self._total_seconds = total_seconds
        self._body_bytes_max = body_bytes_max
        self._limiter = trio.CapacityLimiter(connections_max)
        self._open = False
        self._client = httpx.AsyncClient(
            verify=ssl_context or True,
            auth=auth,
            # One deadline for all of it is ours, by trio.
            timeout=httpx.Timeout(None),
            limits=httpx.Limits(max_connections=connections_max, max_keepalive_connections=connections_max),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        self._open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        await self._client.__aexit__(kind, error, trace)

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        total_seconds: float | None = None,
    ) -> HttpAnswer:
        """Ask and read the whole answer, within `total_seconds` from now, waiting for a connection included.

        The body is one of `json`, `form` and `content`; the last is sent as it is, with no type of its own.

        Raises: TransportTimeoutError, TransportBrokenError, TransportClosedError (outside `async with`),
        ConfigurationError: the URL is wrong.
        """
        if not self._open:
            raise TransportClosedError("this client is closed")
        seconds = self._total_seconds if total_seconds is None else total_seconds
        try:
            request = self._client.build_request(
                method, url, json=json, data=form, content=content, headers=headers
            )
            request.stream = _Body(request.content)
            with trio.fail_after(seconds):
                async with self._limiter:
                    return await self._exchange(request)
        except trio.TooSlowError as error:
            raise TransportTimeoutError(f"no complete answer to {method} within {seconds} s") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigurationError("url", "must be http://HOST or https://HOST") from error
        except httpx.RequestError as error:
            # Its text may quote the URL, and URLs carry tokens.
            raise TransportBrokenError(f"{method} failed: {type(error).__name__}") from error

    async def _exchange(self, request: httpx.Request) -> HttpAnswer:
        response = await self._client.send(request, stream=True)
        body = bytearray()
        try:
            # httpx reads through a chain of asynchronous generators, which only an exception from the inside
            # closes all: to leave the loop would leave them to the garbage collector.
            with trio.CancelScope() as reading:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > self._body_bytes_max:
                        reading.cancel()
        finally:
            await response.aclose()
        if len(body) > self._body_bytes_max:
            raise TransportBrokenError(f"an answer of more than {self._body_bytes_max} bytes")
        return HttpAnswer(response.status_code, response.headers, bytes(body))
