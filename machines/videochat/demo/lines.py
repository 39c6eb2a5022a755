"""Lines of text out of a stream of bytes."""

from collections.abc import AsyncIterator

import trio

LINE_MAX = 1024 * 1024
"""Our own processes write no longer ones; a longer one is a fault, and ends the reading."""


async def lines_of(stream: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    """Every line without its end; what stands behind the last one is none."""
    rest = b""
    while chunk := await stream.receive_some():
        *lines, rest = (rest + bytes(chunk)).split(b"\n")
        for line in lines:
            yield line.decode()
        if len(rest) > LINE_MAX:
            return
