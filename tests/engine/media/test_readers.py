"""Readers of events, what they miss and how they are told."""

import pytest
import trio

from engine.media import protocol as p
from engine.media.readers import Readers


def event(number: int) -> p.PeerConnected:
    return p.PeerConnected(peer_id="ann", milliseconds=number)


def drained(reader: trio.MemoryReceiveChannel[p.Batch]) -> list[p.Batch]:
    return [reader.receive_nowait() for _ in range(reader.statistics().current_buffer_used)]


async def test_numbers_go_up_by_one_an_event_for_all_readers() -> None:
    readers = Readers()
    readers.publish([event(0)])
    async with readers.open() as reader:
        readers.publish([event(1), event(2)])
        readers.publish([])
        readers.publish([event(3)])
        assert drained(reader) == [(1, (event(1), event(2))), (3, (event(3),))]


async def test_a_full_channel_loses_what_is_unread_and_keeps_the_newest() -> None:
    readers = Readers(limit=2)
    async with readers.open() as slow, readers.open() as quick:
        seen = []
        for number in range(4):
            readers.publish([event(number), event(10 + number)])
            seen += drained(quick)
        assert drained(slow) == [
            (0, (p.EventsLost(count=4), event(2), event(12))),
            (6, (event(3), event(13))),
        ]
        assert [number for number, _ in seen] == [0, 2, 4, 6]


async def test_losses_add_up() -> None:
    readers = Readers(limit=1)
    async with readers.open() as slow:
        readers.publish([p.EventsLost(count=5)])
        readers.publish([event(0)])
        readers.publish([event(1)])
        assert drained(slow) == [(0, (p.EventsLost(count=6), event(1)))]


async def test_a_reader_that_has_left_is_in_nobodys_way() -> None:
    readers = Readers(limit=1)
    async with readers.open() as reader:
        await reader.aclose()
        readers.publish([event(0)])
        readers.publish([event(1)])
    readers.publish([event(2)])


async def test_closing_ends_readers_after_what_is_unread() -> None:
    readers = Readers()
    async with readers.open() as reader:
        readers.publish([event(0)])
        readers.close()
        readers.publish([event(1)])
        assert [batch async for batch in reader] == [(0, (event(0),))]


def test_a_reader_has_room_for_something() -> None:
    with pytest.raises(ValueError, match="room"):
        Readers(0)
