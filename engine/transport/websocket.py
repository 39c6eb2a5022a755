"""The client link over a WebSocket, by trio-websocket."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from urllib.parse import urlsplit

import attrs
import trio
import trio_websocket

from engine.errors import (
    ConfigurationError,
    TransportBrokenError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
)
from engine.transport.limits import Limits

TEXT_ONLY = 1003
ABNORMAL = 1006


class UpgradeRefusedError(TransportBrokenError):
    """The server answered the opening handshake with an HTTP status instead."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the server refused with status {status}")
        self.status = status


@attrs.frozen
class _Target:
    """Where a WebSocket URL points to. It does not print: queries carry tokens."""

    host: str
    port: int
    resource: str = attrs.field(repr=False)
    secure: bool

    @classmethod
    def parse(cls, url: str) -> "_Target":
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigurationError("url", "is not a URL") from error
        if parts.scheme not in ("ws", "wss") or not host:
            raise ConfigurationError(
                "url", "must be ws://HOST or wss://HOST, with a port and a path if need be"
            )
        secure = parts.scheme == "wss"
        resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(host, port or (443 if secure else 80), resource, secure)

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


class _OpeningStream(trio.abc.Stream):
    """Ends the opening handshake when the server hangs up.

    trio-websocket alone would wait for its deadline.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.opening = True

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            await self._check_opened(error)
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            await self._check_opened(error)
            raise
        if not data:
            await self._check_opened(None)
        return data

    async def _check_opened(self, cause: Exception | None) -> None:
        # The reader may have seen the handshake's end in the read before this one, and whoever waits for
        # it runs only now: what a server says before it hangs up must reach the application.
        await trio.lowlevel.checkpoint()
        if self.opening:
            raise TransportBrokenError("the server hung up during the opening handshake") from cause

    async def aclose(self) -> None:
        await self._stream.aclose()


class WebSocketLink:
    """An open WebSocket to a server. One task may send and another receive."""

    def __init__(
        self, connection: trio_websocket.WebSocketConnection, stream: trio.abc.Stream, limits: Limits
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._limits = limits
        self._sending = trio.Lock()
        self._closed = False
        self._failure: Callable[[], TransportError] | None = None

    async def send(self, text: str) -> None:
        """Send one message. Cancelled while the server takes only a part of it, it ends the link."""
        async with self._sending:
            if self._closed or self._failure is not None:
                raise self._lost(None)
            await trio.lowlevel.checkpoint_if_cancelled()
            whole = False
            try:
                await self._connection.send_message(text)
                whole = True
            except trio_websocket.ConnectionClosed as error:
                whole = True
                raise self._lost(error) from error
            finally:
                if not whole:
                    # Half a frame may be out, and anything after it would be read as its rest.
                    await self._abort(lambda: TransportBrokenError("a message was cut short", ABNORMAL))

    async def receive(self) -> str:
        """The next message."""
        if self._closed or self._failure is not None:
            await trio.lowlevel.checkpoint()
            raise self._lost(None)
        try:
            message = await self._connection.get_message()
        except trio_websocket.ConnectionClosed as error:
            raise self._lost(error) from error
        if isinstance(message, bytes):
            await self._abort(lambda: TransportBrokenError("the server sent bytes, not text", TEXT_ONLY))
            raise self._lost(None)
        return message

    async def aclose(self, code: int = 1000) -> None:
        """Close, and wait for the server's consent for `limits.close_seconds` at most."""
        self._closed = True
        try:
            with trio.move_on_after(self._limits.close_seconds):
                await self._connection.aclose(code)
        finally:
            await trio.aclose_forcefully(self._stream)

    async def keep_alive(self) -> None:
        """Ping until the link ends; without a pong, end it.

        Behind a full inbox pongs are not read, so an application that does not receive for
        `pong_seconds` loses the link as well.
        """
        while True:
            await trio.sleep(self._limits.ping_seconds)
            try:
                with trio.fail_after(self._limits.pong_seconds):
                    await self._connection.ping()
            except trio_websocket.ConnectionClosed:
                return
            except trio.TooSlowError:
                await self._abort(lambda: TransportTimeoutError("the server does not answer pings"))
                return

    async def _abort(self, failure: Callable[[], TransportError]) -> None:
        self._failure = self._failure or failure
        await trio.aclose_forcefully(self._stream)

    def _lost(self, error: trio_websocket.ConnectionClosed | None) -> TransportError:
        if self._failure is not None:
            return self._failure()
        if self._closed or error is None:
            return TransportClosedError("this link is closed")
        code = error.reason.code if error.reason is not None else ABNORMAL
        return TransportBrokenError(f"the WebSocket was closed with code {code}", code)


@contextlib.asynccontextmanager
async def connect(
    url: str,
    *,
    limits: Limits | None = None,
    connect_seconds: float = 10.0,
    ssl_context: ssl.SSLContext | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> AsyncIterator[WebSocketLink]:
    """Open a WebSocket; it is closed when the block ends.

    Raises: ConfigurationError: the URL is wrong. TransportTimeoutError: not open within `connect_seconds`.
    TransportBrokenError: no connection; UpgradeRefusedError: the server refused, with a status.
    """
    limits = limits or Limits()
    target = _Target.parse(url)
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(connect_seconds):
                link = await _open(nursery, target, limits, ssl_context, headers)
            nursery.start_soon(link.keep_alive)
            try:
                yield link
            except Exception as error:
                # Raised again outside of the nursery, which would wrap it in a group.
                failure = error
            finally:
                await link.aclose()
            nursery.cancel_scope.cancel()
    except ExceptionGroup as group:
        # Ours to unwrap: the caller sees one link, not the tasks it is made of.
        cause = _first_leaf(group)
        failure = failure or _translate(cause)
        if failure is not cause:
            raise failure from cause
    if failure is not None:
        raise failure


async def _open(
    nursery: trio.Nursery,
    target: _Target,
    limits: Limits,
    ssl_context: ssl.SSLContext | None,
    headers: Sequence[tuple[str, str]],
) -> WebSocketLink:
    stream = _OpeningStream(await _open_stream(target, ssl_context))
    # Closed by the nursery's reader only when that fails: a cancellation here would leave it open.
    opened = False
    try:
        connection = await trio_websocket.wrap_client_stream(
            nursery,
            # Any stream will do, but the annotation names trio's own two.
            stream,  # type: ignore[arg-type]
            target.authority,
            target.resource,
            extra_headers=[(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            message_queue_size=limits.inbox_messages_max,
            max_message_size=limits.message_bytes_max,
            receive_buffer_size=None,
        )
        opened = True
    finally:
        if not opened:
            await trio.aclose_forcefully(stream)
    stream.opening = False
    return WebSocketLink(connection, stream, limits)


async def _open_stream(target: _Target, ssl_context: ssl.SSLContext | None) -> trio.abc.Stream:
    tcp = await trio.open_tcp_stream(target.host, target.port)
    if not target.secure:
        return tcp
    stream = trio.SSLStream(
        tcp,
        ssl_context or ssl.create_default_context(),
        server_hostname=target.host,
        https_compatible=True,
    )
    opened = False
    try:
        await stream.do_handshake()
        opened = True
    finally:
        if not opened:
            await trio.aclose_forcefully(stream)
    return stream


def _first_leaf(group: BaseExceptionGroup[Exception]) -> Exception:
    error: Exception | BaseExceptionGroup[Exception] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _translate(error: Exception) -> Exception:
    match error:
        case TransportError():
            return error
        case trio.TooSlowError():
            return TransportTimeoutError("the server did not open the WebSocket in time")
        case trio_websocket.ConnectionRejected():
            return UpgradeRefusedError(error.status_code)
        case OSError() | trio.BrokenResourceError():
            return TransportBrokenError("no connection to the server")
        case _:
            return TransportBrokenError(f"the WebSocket failed: {type(error).__name__}", ABNORMAL)


def backoff(
    draw: Callable[[], float], *, first_seconds: float = 0.5, ceiling_seconds: float = 30.0
) -> Iterator[float]:
    """Delays before the first, second, ... reconnect: doubling to the ceiling, the upper half of each drawn.

    `draw` gives numbers in [0, 1), such as `random.Random(seed).random`; a whole fleet that lost its server
    must not come back at once.
    """
    bound = first_seconds
    while True:
        yield bound * (0.5 + draw() / 2)
        bound = min(2 * bound, ceiling_seconds)
