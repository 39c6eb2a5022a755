"""A WebSocket of the events without a network: what is sent to it is kept, and read when a test wants it."""

import json
from types import SimpleNamespace
from typing import Any, cast

import attrs
from trio.testing import wait_all_tasks_blocked

from engine.transport.application import Response
from engine.transport.sockets import Frame, Socket
from machines.conference.listener import Listener
from tests.machines.conference.studio import Studio


@attrs.define(eq=False)
class StillSocket:
    """Obeys as much of `Socket` as listeners use."""

    headers: dict[str, str]
    query: tuple[tuple[str, str], ...] = ()
    sent: list[str] = attrs.field(factory=list)
    closed: int | None = None
    unread: int = 0
    """What its client has not read yet, as the server counts it."""
    paused: bool = False

    def send(self, frame: Frame | str) -> None:
        self.sent.append(frame if isinstance(frame, str) else _text_of(frame))

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = code if self.closed is None else self.closed

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def statistics(self) -> Any:
        return SimpleNamespace(outbox_messages=self.unread)


@attrs.define(eq=False)
class Ear:
    """A client's side of it."""

    socket: StillSocket
    app: Listener

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a frame, and let it take effect."""
        self.say_nowait(json.dumps({"type": kind, **fields}))
        await wait_all_tasks_blocked()

    def say_nowait(self, text: str) -> None:
        self.app.on_message(cast(Socket, self.socket), text)

    def hang_up(self, code: int = 1001) -> None:
        self.app.on_close(cast(Socket, self.socket), code)

    def take(self) -> list[Any]:
        """What was heard since the last look."""
        heard = [json.loads(text) for text in self.socket.sent]
        self.socket.sent.clear()
        return heard


def knock(
    stage: Studio, user: str, query: tuple[tuple[str, str], ...] = (), organization: str = "acme"
) -> tuple[StillSocket, Any]:
    """Open a socket; what the service says to it."""
    socket = StillSocket(stage.token(user, organization), query)
    return socket, stage.service.open_socket(cast(Socket, socket))


def listening(
    stage: Studio, user: str, query: tuple[tuple[str, str], ...] = (), organization: str = "acme"
) -> Ear:
    """Somebody's open socket."""
    socket, app = knock(stage, user, query, organization)
    assert not isinstance(app, Response), app.body
    return Ear(socket, app)


def _text_of(frame: Frame) -> str:
    """Behind the frame's header."""
    return frame.data[frame.data.index(b"{") :].decode()
