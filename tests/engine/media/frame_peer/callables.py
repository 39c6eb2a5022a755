"""What tests let workers call."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

from av import VideoFrame

from engine.media.frame_peer.queues import Frame

no_function = 7


async def pictures(*, width: int = 64, height: int = 48, count: int | None = None) -> AsyncIterator[Frame]:
    """Grey ones, twenty-five a second."""
    for number in itertools.count() if count is None else range(count):
        await asyncio.sleep(0.04)
        frame = VideoFrame(width, height, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes([number % 256]) * plane.buffer_size)
        frame.pts, frame.time_base = number, Fraction(1, 25)
        yield frame


async def broken_pictures() -> AsyncIterator[Frame]:
    """One, and then none any more."""
    async for frame in pictures():
        yield frame
        raise ZeroDivisionError


async def ignore(frames: AsyncIterator[Frame]) -> None:
    """Take them all."""
    async for _ in frames:
        pass


async def count(frames: AsyncIterator[Frame], *, path: str) -> None:
    """Say in a file how many there were."""
    number = 0
    async for _ in frames:
        number += 1
    await asyncio.to_thread(Path(path).write_text, str(number), encoding="utf-8")


async def broken(frames: AsyncIterator[Frame]) -> None:
    """Take one, and then none any more."""
    async for _ in frames:
        raise ZeroDivisionError


async def later() -> None:
    """Not what a source is."""


def plain() -> list[Frame]:
    """Not what a source is either."""
    return []


async def stuck(frames: AsyncIterator[Frame]) -> None:
    """Take none, for ever."""
    await asyncio.Event().wait()
