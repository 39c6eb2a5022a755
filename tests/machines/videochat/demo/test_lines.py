"""Lines out of a stream of bytes."""

from trio.testing import memory_stream_one_way_pair

from machines.videochat.demo import lines


async def test_lines_come_whole_however_the_bytes_come() -> None:
    send, receive = memory_stream_one_way_pair()
    for part in (b"one\ntw", b"o\n\nthr", b"ee\nrest"):
        await send.send_all(part)
    await send.aclose()
    assert [line async for line in lines.Lines(receive)] == ["one", "two", "", "three"]


async def test_a_line_without_end_ends_the_reading() -> None:
    send, receive = memory_stream_one_way_pair()
    found = lines.Lines(receive)
    await send.send_all(b"one\n" + b"x" * (lines.LINE_MAX + 1))
    assert await anext(found) == "one"
    await send.send_all(b"\n")
    assert [line async for line in found] == []
