"""The servers that `transport.py` measures, each a process: `python -m tests.bench.transport_servers ours`.

Says its port, then answers `cpu` with its seconds of processor time and `memory` with its resident KB.
"""

import gc
import os
import resource
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
import trio_websocket

from engine.transport.limits import Limits
from engine.transport.poller import Poller, TaskPoller, best_poller
from engine.transport.server import Frame, Request, Response, Server, Socket

FAN = "fan"
"""Asks for a message to every socket."""
NEWS = "n" * 150
ANSWER = b'{"ok":true}'


class Application:
    """Echoes, and broadcasts when asked."""

    def __init__(self) -> None:
        self._sockets: set[Socket] = set()

    def respond(self, request: Request) -> Response:
        return Response(200, ANSWER)

    def open_socket(self, socket: Socket) -> "Application":
        self._sockets.add(socket)
        return self

    def on_message(self, socket: Socket, text: str) -> None:
        if text != FAN:
            socket.send(text)
            return
        frame = Frame(NEWS)
        for other in self._sockets:
            other.send(frame)

    def on_close(self, socket: Socket, code: int) -> None:
        self._sockets.discard(socket)


async def serve_ours(started: Callable[[int], None], poller: Poller) -> None:
    limits = Limits(sockets_max=100_000, connections_max=100_000, ping_seconds=3600)
    server = Server(Application(), ssl_context=None, limits=limits, poller=poller)
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[tuple[str, ...]]) -> None:
            await server.run("127.0.0.1:0", trio.Event(), task_status=task_status)

        (url,) = await nursery.start(run)
        started(int(url.rpartition(":")[2]))


async def serve_trio_websocket(started: Callable[[int], None]) -> None:
    sockets: set[trio_websocket.WebSocketConnection] = set()

    async def talk(request: trio_websocket.WebSocketRequest) -> None:
        socket = await request.accept()
        sockets.add(socket)
        try:
            while True:
                text = await socket.get_message()
                for other in list(sockets) if text == FAN else [socket]:
                    await other.send_message(NEWS if text == FAN else text)
        except trio_websocket.ConnectionClosed:
            sockets.discard(socket)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(trio_websocket.serve_websocket, talk, "127.0.0.1", 0, None)
        started(server.port)


async def serve_hypercorn(started: Callable[[int], None]) -> None:
    from hypercorn.config import Config
    from hypercorn.trio import serve
    from starlette import applications, requests, responses, routing

    async def take(request: requests.Request) -> responses.Response:
        await request.body()
        return responses.Response(ANSWER, media_type="application/json")

    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = config.errorlog = None
    config.keep_alive_max_requests = 10_000_000
    application = applications.Starlette(routes=[routing.Route("/call", take, methods=["POST"])])
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(serve, application, config)
        started(int(url.rpartition(":")[2]))


SERVERS: dict[str, Callable[[Callable[[int], None]], Awaitable[None]]] = {
    "ours": lambda started: serve_ours(started, best_poller()),
    "tasks": lambda started: serve_ours(started, TaskPoller()),
    "trio_websocket": serve_trio_websocket,
    "hypercorn": serve_hypercorn,
}


def resident_kb() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() // 1024


async def obey(port: int, scope: trio.CancelScope) -> None:
    """Answer the questions of the measuring process until it closes the pipe."""
    print(port, flush=True)
    while True:
        await trio.lowlevel.wait_readable(0)
        question = os.read(0, 100).decode().strip()
        if question == "cpu":
            times = os.times()
            print(times.user + times.system, flush=True)
        elif question == "memory":
            print(resident_kb(), flush=True)
        elif not question:
            scope.cancel()
            return


async def main(name: str) -> None:
    async with trio.open_nursery() as nursery:

        def started(port: int) -> None:
            nursery.start_soon(obey, port, nursery.cancel_scope)

        await SERVERS[name](started)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    trio.run(main, sys.argv[1])
