"""Lines of text out of a stream of bytes."""

from collections import deque

import trio

LINE_MAX = 1024 * 1024
"""Our own processes write no longer ones; a longer one is a fault, and ends the reading."""


class Lines:
    """Iterates over the lines of a stream, without their ends; what stands behind the last end is none."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._whole: deque[bytes] = deque()
        self._rest = b""

    def __aiter__(self) -> "Lines":
        return self

    async def __anext__(self) -> str:
        while not self._whole:
            chunk = await self._stream.receive_some()
            if not chunk or len(self._rest) > LINE_MAX:
                raise StopAsyncIteration
            *whole, self._rest = (self._rest + bytes(chunk)).split(b"\n")
            self._whole.extend(whole)
        return self._whole.popleft().decode()
