"""A live server on a dynamic port, and a client that sends exactly the bytes it is told to."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import attrs
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode

from engine.transport.application import Pending
from engine.transport.limits import Limits
from engine.transport.poller import Poller
from engine.transport.server import Request, Response, Server, Socket, SocketApp

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
)


class Sample:
    """Echoes, waits, fails and refuses, by path; remembers what it was told."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.sockets: list[Socket] = []
        self.messages: list[str] = []
        self.codes: list[int] = []
        self.changed = trio.Event()
        self.go = trio.Event()
        self.waiting = 0
        self.cancelled = 0

    def note(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def until(self, condition) -> None:
        while not condition():
            await self.changed.wait()

    def respond(self, request: Request) -> Response | Pending:
        self.requests.append(request)
        match request.path:
            case "/wait" | "/late-boom" | "/bad-cleanup":
                return partial(self._respond, request)
            case "/boom":
                raise ValueError("a secret detail")
            case "/big":
                return Response(200, b"x" * 4_000_000)
            case "/bad-header":
                return Response(200, headers=(("x", "a\r\nb"),))
            case "/empty":
                return Response(204)
        return Response(200, request.body, "text/plain")

    async def _respond(self, request: Request) -> Response:
        self.waiting += 1
        self.note()
        try:
            await self.go.wait()
            if request.path == "/late-boom":
                raise ValueError("a secret detail")
        except trio.Cancelled:
            self.cancelled += 1
            self.note()
            if request.path == "/bad-cleanup":
                raise ValueError("failed while cleaning up") from None
            raise
        finally:
            self.waiting -= 1
        return Response(200, request.body)

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        match socket.path:
            case "/refused":
                return Response(403, b"{}")
            case "/boom":
                raise ValueError("a secret detail")
            case "/close-early":
                socket.close()
            case "/greet":
                socket.send("welcome")
        self.sockets.append(socket)
        self.note()
        return self

    def on_message(self, socket: Socket, text: str) -> None:
        self.messages.append(text)
        self.note()
        match text:
            case "boom":
                raise ValueError("a secret detail")
            case "close":
                socket.close(4001, "enough")
            case "pause":
                socket.pause()
            case "mute":
                return
            case _:
                socket.send(text)

    def on_close(self, socket: Socket, code: int) -> None:
        self.codes.append(code)
        self.note()


def descriptors() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def none_left(before: int) -> None:
    """Until no more files are open than `before`.

    Not at once: the look-up of a name goes on in its thread after it was cancelled, and a connection that was
    cut may still wait to be accepted.
    """
    with trio.move_on_after(10):
        while descriptors() > before:  # noqa: ASYNC110 # a closed file sets no event
            await trio.sleep(0.01)
    assert descriptors() <= before


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One connection, byte for byte."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = bytearray()

    async def send(self, data: bytes | str) -> None:
        await self.stream.send_all(data.encode() if isinstance(data, str) else data)

    async def _fill(self) -> None:
        data = await self.stream.receive_some(65536)
        if not data:
            raise EOFError
        self.buffer += data

    async def take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            await self._fill()
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    async def line(self) -> str:
        while (end := self.buffer.find(b"\r\n")) < 0:
            await self._fill()
        return (await self.take(end + 2))[:-2].decode("latin-1")

    async def answer(self, *, bare: bool = False) -> Answer:
        status = int((await self.line()).split(" ")[1])
        headers: dict[str, str] = {}
        while line := await self.line():
            name, _, value = line.partition(": ")
            assert name not in headers
            headers[name.lower()] = value
        size = 0 if bare or status in (100, 101, 204) else int(headers["content-length"])
        return Answer(status, headers, await self.take(size))

    async def ask(self, request: bytes | str) -> Answer:
        await self.send(request)
        return await self.answer()

    async def upgrade(self, path: str = "/ws", *, more: bytes = b"") -> None:
        await self.send(UPGRADE.format(path=path).encode() + more)
        assert (await self.answer()).status == 101

    async def say(self, text: str) -> None:
        await self.send(text_frame(text))

    async def frame(self) -> tuple[Opcode, bytes]:
        head, size = await self.take(2)
        if size == 126:
            size = int.from_bytes(await self.take(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.take(8), "big")
        return Opcode(head & 15), await self.take(size)

    async def hear(self) -> str:
        opcode, data = await self.frame()
        assert opcode is Opcode.TEXT
        return data.decode()

    async def close_code(self) -> int:
        opcode, data = await self.frame()
        assert opcode is Opcode.CLOSE
        return int.from_bytes(data[:2], "big")

    async def ended(self) -> bytes:
        """What comes until the server closes its side."""
        with contextlib.suppress(EOFError, trio.BrokenResourceError):
            while True:
                await self._fill()
        return bytes(self.buffer)


async def pass_time(clock: MockClock, seconds: int) -> None:
    """Second by second, and each only when everybody has come to rest: deadlines are swept every second."""
    for _ in range(seconds):
        await wait_all_tasks_blocked()
        clock.jump(1)
    await wait_all_tasks_blocked()


def raw_frame(opcode: int, data: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bool = True) -> bytes:
    """A frame with any opcode and bits, masked with zeros."""
    size = len(data)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    if size > 65535:
        length = b"\x7f" + size.to_bytes(8, "big")
    second = bytes([length[0] | (128 if mask else 0)]) + length[1:]
    return bytes([(128 if fin else 0) | rsv << 4 | opcode]) + second + (bytes(4) if mask else b"") + data


def text_frame(text: str) -> bytes:
    return WireFrame(Opcode.TEXT, text.encode()).serialize(mask=True)


def close_frame(code: int | None = None) -> bytes:
    return raw_frame(8, b"" if code is None else code.to_bytes(2, "big"))


@attrs.define(eq=False)
class Running:
    """A server that runs, and the connections made to it."""

    app: Sample
    server: Server
    urls: tuple[str, ...]
    stop: trio.Event
    ended: trio.Event
    nursery: trio.Nursery
    wires: contextlib.AsyncExitStack

    @property
    def port(self) -> int:
        return int(self.urls[0].rpartition(":")[2])

    async def wire(self, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Wire:
        stream: trio.abc.Stream = await trio.open_tcp_stream(host, self.port)
        if context is not None:
            stream = trio.SSLStream(stream, context, server_hostname="localhost", https_compatible=True)
        return Wire(await self.wires.enter_async_context(stream))

    async def socket(self, path: str = "/ws") -> Wire:
        wire = await self.wire()
        await wire.upgrade(path)
        return wire


@contextlib.asynccontextmanager
async def running(
    *,
    app: Sample | None = None,
    listen: str | list[str] = "127.0.0.1:0",
    context: ssl.SSLContext | None = None,
    poller: Poller | None = None,
    **limits: float,
) -> AsyncIterator[Running]:
    """Serve inside of the block; everything is closed at its end."""
    app, stop, ended = app or Sample(), trio.Event(), trio.Event()
    server = Server(app, ssl_context=context, limits=Limits(**limits), poller=poller)

    async def run(task_status: trio.TaskStatus[tuple[str, ...]]) -> None:
        try:
            await server.run(listen, stop, task_status=task_status)
        finally:
            ended.set()

    async with contextlib.AsyncExitStack() as wires, trio.open_nursery() as nursery:
        urls = await nursery.start(run)
        yield Running(app, server, urls, stop, ended, nursery, wires)
        nursery.cancel_scope.cancel()
