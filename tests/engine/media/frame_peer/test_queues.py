"""Bounded queues of frames, and what they lose."""

import asyncio

from av import AudioFrame, VideoFrame

from engine.media.frame_peer.queues import FrameQueue
from engine.media.protocol import Kind

LIMITS = {Kind.VIDEO: 2, Kind.AUDIO: 2}


def picture(pts: int) -> VideoFrame:
    frame = VideoFrame(16, 16, "yuv420p")
    frame.pts = pts
    return frame


def sound(pts: int) -> AudioFrame:
    frame = AudioFrame("s16", "mono", 16)
    frame.pts = pts
    return frame


async def _all(queue: FrameQueue) -> list[tuple[str, int | None]]:
    queue.end()
    found = []
    while (frame := await queue.get()) is not None:
        found.append((type(frame).__name__[0], frame.pts))
    return found


def test_a_full_queue_loses_the_oldest_picture_and_the_newest_sound() -> None:
    async def main() -> None:
        queue = FrameQueue(LIMITS)
        for pts in range(3):
            queue.put(sound(pts))
            queue.put(picture(pts))
        assert len(queue) == 4
        assert queue.dropped == {Kind.AUDIO: 1, Kind.VIDEO: 1}
        assert queue.taken == {Kind.AUDIO: 3, Kind.VIDEO: 3}
        assert await _all(queue) == [("A", 0), ("A", 1), ("V", 1), ("V", 2)]

    asyncio.run(main())


def test_a_queue_at_its_limit_has_lost_nothing() -> None:
    async def main() -> None:
        queue = FrameQueue(LIMITS)
        for pts in range(2):
            queue.put(picture(pts))
        assert sum(queue.dropped.values()) == 0
        assert await _all(queue) == [("V", 0), ("V", 1)]

    asyncio.run(main())


def test_what_comes_after_the_end_is_lost_and_counted() -> None:
    async def main() -> None:
        queue = FrameQueue(LIMITS)
        waiting = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        queue.end()
        assert await waiting is None
        queue.put(sound(0))
        assert queue.dropped[Kind.AUDIO] == 1
        assert len(queue) == 0

    asyncio.run(main())


def test_a_reader_waits_for_a_frame() -> None:
    async def main() -> None:
        queue = FrameQueue(LIMITS)
        waiting = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0)
        frame = sound(7)
        queue.put(frame)
        assert await waiting is frame

    asyncio.run(main())
