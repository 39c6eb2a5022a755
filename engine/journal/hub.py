"""Hints for subscribers of one process: bounded, lossy, and never in the way of an append."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import trio

from engine.journal.port import Gap, Hint, Write

_Channel: TypeAlias = tuple[
    trio.MemorySendChannel[Hint | Gap],
    trio.MemoryReceiveChannel[Hint | Gap],
]


class Hub:
    """Tells every subscriber that a stream has moved."""

    def __init__(self) -> None:
        # A dict and not a set: subscribers are told in the order in which they came.
        self._channels: dict[_Channel, None] = {}

    @asynccontextmanager
    async def subscribe(self, limit: int) -> AsyncIterator[trio.MemoryReceiveChannel[Hint | Gap]]:
        """Yield a channel that holds `limit` hints; it ends when the hub is closed."""
        if limit < 1:
            raise ValueError("a subscriber needs room for at least one hint")
        sender, receiver = trio.open_memory_channel[Hint | Gap](limit)
        # The subscriber has its own end, so that closing it does not break the one that is emptied here.
        channel = sender, receiver.clone()
        self._channels[channel] = None
        try:
            with receiver:
                yield receiver
        finally:
            self._channels.pop(channel, None)
            _close(channel)

    def publish(self, writes: Sequence[Write], heads: Sequence[int]) -> None:
        """Hint what has been stored; an assertion moved nothing and is silent unless it names topics."""
        if not self._channels:
            return
        for write, head in zip(writes, heads, strict=True):
            own = (write.stream,) if write.events else ()
            for topic in dict.fromkeys(own + write.topics):
                hint = Hint(topic, write.stream, head)
                for channel in self._channels:
                    _tell(channel, hint)

    def close(self) -> None:
        """End every subscription after what is unread."""
        for channel in self._channels:
            _close(channel)
        self._channels.clear()


def _tell(channel: _Channel, hint: Hint) -> None:
    sender, unread = channel
    try:
        sender.send_nowait(hint)
    except trio.WouldBlock:
        for _ in range(unread.statistics().current_buffer_used):
            unread.receive_nowait()
        sender.send_nowait(Gap())


def _close(channel: _Channel) -> None:
    for end in channel:
        end.close()
