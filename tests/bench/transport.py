"""The server's processor time per message and its memory per idle socket, beside other servers on trio.

Each server runs in a process of its own and says what it used; the client is this process.
"""

import contextlib
import resource
import selectors
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import attrs

from tests.bench.report import Figure
from tests.bench.transport_servers import FAN

SOCKETS = 50
ECHOES = 20_000
POSTS = 20_000
FANS = 200
IDLE = 10_000
ROUNDS = 3
"""The best of so many counts: other work on the machine only ever adds."""

HANDSHAKE = (
    b"GET /api/calls/socket HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    b"Origin: https://calls.example.org\r\nAccept-Language: en\r\nCache-Control: no-cache\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
BODY = b'{"initiator":"ann","opponent":"bob","sdpOffer":"' + b"v" * 125 + b'"}'
POST = (
    b"POST /call HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Accept: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


def frame(text: bytes) -> bytes:
    """A masked text frame of 126 to 65535 bytes, or of fewer."""
    size = bytes([128 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + text


ECHO = frame(b"e" * 150)
ECHO_BYTES = len(ECHO) - 4
"""The answer is not masked."""


@attrs.define(eq=False)
class Child:
    """A server in its own process."""

    process: "subprocess.Popen[str]"
    port: int

    def ask(self, question: str) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))

    def upgrade(self) -> socket.socket:
        sock = self.connect()
        sock.sendall(HANDSHAKE)
        answer = sock.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        return sock


@contextlib.contextmanager
def child(name: str) -> Iterator[Child]:
    """Run one of `transport_servers.SERVERS`."""
    command = [sys.executable, "-m", "tests.bench.transport_servers", name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Child(process, int(process.stdout.readline()))
        process.stdin.close()


def read_exact(sock: socket.socket, size: int) -> None:
    while size:
        size -= len(sock.recv(size))


def play(socks: list[socket.socket], request: bytes, is_whole: Callable[[bytes], bool], count: int) -> None:
    """Ask on all sockets at once, and on each again as soon as it has been answered, `count` times in all."""
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ, bytearray())
            sock.sendall(request)
        asked, answered = len(socks), 0
        while answered < count:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                key.data.extend(key.fileobj.recv(65536))
                if not is_whole(key.data):
                    continue
                key.data.clear()
                answered += 1
                if asked < count:
                    asked += 1
                    key.fileobj.sendall(request)


def microseconds(server: Child, count: int, work: Callable[[], None]) -> float:
    before = server.ask("cpu")
    work()
    return (server.ask("cpu") - before) / count * 1e6


def echo(name: str, count: int = ECHOES) -> float:
    with child(name) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(server.upgrade()) for _ in range(SOCKETS)]
        return microseconds(
            server, count, lambda: play(socks, ECHO, lambda data: len(data) == ECHO_BYTES, count)
        )


def post(name: str, count: int = POSTS) -> float:
    with child(name) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(server.connect()) for _ in range(SOCKETS)]
        return microseconds(
            server, count, lambda: play(socks, POST, lambda data: data.endswith(b'{"ok":true}'), count)
        )


def fan(name: str) -> float:
    """One message to each of the sockets; per receiver."""
    with child(name) as server, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(server.upgrade()) for _ in range(SOCKETS)]

        def broadcast() -> None:
            for _ in range(FANS):
                socks[0].sendall(frame(FAN.encode()))
                for sock in socks:
                    read_exact(sock, 154)

        return microseconds(server, FANS * SOCKETS, broadcast)


def idle_kb(name: str, count: int) -> float:
    with child(name) as server, contextlib.ExitStack() as stack:
        # The first ones pay for code that is loaded late.
        for _ in range(100):
            stack.enter_context(server.upgrade())
        before = server.ask("memory")
        for _ in range(count):
            stack.enter_context(server.upgrade())
        return (server.ask("memory") - before) / count


def allowed_sockets() -> int:
    """As many as the limit on open files leaves room for."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(IDLE, hard - 500)


def best(measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(ROUNDS))


def figures() -> Iterator[Figure]:
    """All of them, each beside its rival in the same run."""
    ours, rival = best(lambda: echo("ours")), best(lambda: echo("trio_websocket", ECHOES // 4))
    yield Figure("WebSocket echo, server CPU", ours, "us", ours / rival, "<= 0.5", "of trio-websocket's")
    tasks = best(lambda: echo("tasks"))
    yield Figure(
        "WebSocket echo, a task a connection", tasks, "us", tasks / ours, "", "of the nested epoll's"
    )
    ours, rival = best(lambda: post("ours")), best(lambda: post("hypercorn", POSTS // 5))
    yield Figure(
        "POST, server CPU", ours, "us", ours / rival, "<= 0.25", "of Hypercorn and Starlette's on trio"
    )
    ours, rival = best(lambda: fan("ours")), best(lambda: fan("trio_websocket"))
    yield Figure("fan-out, each receiver, server CPU", ours, "us", ours / rival, "", "of trio-websocket's")
    count = allowed_sockets()
    note = "of a task a connection's" if count == IDLE else f"{count} sockets only: the limit on open files"
    ours, tasks = idle_kb("ours", count), idle_kb("tasks", count)
    yield Figure(f"idle WebSocket, {count} of them", ours, "KB", ours / tasks, "", note)
