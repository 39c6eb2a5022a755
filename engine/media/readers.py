"""Readers of a host's events: each has a bounded channel of its own, and the slow ones lose the oldest."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TypeAlias

import trio

from engine.media.protocol import Batch, EventsLost, MediaEvent, numbers_of

BATCHES_MAX = 1000
"""Batches that wait for a reader."""

_Channel: TypeAlias = tuple[trio.MemorySendChannel[Batch], trio.MemoryReceiveChannel[Batch]]


class Readers:
    """Numbers events and hands them to every reader, without waiting for any."""

    def __init__(self, limit: int = BATCHES_MAX) -> None:
        if limit < 1:
            raise ValueError("a reader needs room for at least one batch")
        self._limit = limit
        self._number = 0
        # A dict and not a set: readers are served in the order in which they came.
        self._channels: dict[_Channel, None] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[trio.MemoryReceiveChannel[Batch]]:
        """A channel of what is published from now on; it ends when the host does."""
        sender, receiver = trio.open_memory_channel[Batch](self._limit)
        # The reader has its own end, so that closing it does not break the one that is emptied here.
        channel = sender, receiver.clone()
        self._channels[channel] = None
        try:
            with receiver:
                yield receiver
        finally:
            self._channels.pop(channel, None)
            _close(channel)

    def publish(self, events: Sequence[MediaEvent]) -> None:
        """Hand events over, in order."""
        if not events:
            return
        batch = self._number, tuple(events)
        self._number += numbers_of(events)
        for channel in self._channels:
            _hand(channel, batch)

    def close(self) -> None:
        """End every channel after what is unread."""
        for channel in self._channels:
            _close(channel)
        self._channels.clear()


@contextmanager
def open_readers(given: Readers | None, limit: int) -> Iterator[Readers]:
    """The given readers, which stay open, or fresh ones, which end with the block."""
    readers = given if given is not None else Readers(limit)
    try:
        yield readers
    finally:
        if given is None:
            readers.close()


def _hand(channel: _Channel, batch: Batch) -> None:
    sender, unread = channel
    try:
        sender.send_nowait(batch)
    except trio.WouldBlock:
        number, events = batch
        first, _ = unread.receive_nowait()
        for _ in range(unread.statistics().current_buffer_used):
            unread.receive_nowait()
        sender.send_nowait((first, (EventsLost(count=number - first), *events)))


def _close(channel: _Channel) -> None:
    for end in channel:
        end.close()
