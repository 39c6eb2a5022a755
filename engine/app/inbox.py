"""The inbox of one socket: its messages are taken in their order, one at a time."""

from collections import deque
from collections.abc import Callable

from engine.transport.sockets import Socket

INBOX_MAX = 64
"""Messages that wait for the one in hand; then the socket is not read until half of them are taken."""


class Inbox:
    """What a socket has received and nobody has taken.

    `take` gets each message. It may `hold` the others back until what it has begun is done, so that answers
    come in the order of requests; then `go_on`.
    """

    def __init__(self, socket: Socket, take: Callable[[str], None]) -> None:
        self._socket = socket
        self._take = take
        self._waiting: deque[str] = deque()
        self._held = False
        self._paused = False

    def put(self, text: str) -> None:
        """A message has come."""
        self._waiting.append(text)
        if len(self._waiting) >= INBOX_MAX and not self._paused:
            self._paused = True
            self._socket.pause()
        self._next()

    def hold(self) -> None:
        """Have no other message taken until `go_on`."""
        self._held = True

    def go_on(self) -> None:
        """What was in hand is done; called before or after `take` has returned."""
        self._held = False
        self._next()

    def clear(self) -> None:
        """Nobody wants what waits: the socket is closed, or will be."""
        self._waiting.clear()

    def _next(self) -> None:
        while self._waiting and not self._held:
            text = self._waiting.popleft()
            if self._paused and len(self._waiting) <= INBOX_MAX // 2:
                self._paused = False
                self._socket.resume()
            self._take(text)
