"""A thread for the files of one source or sink: PyAV blocks, and a container bears one caller at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import av

from engine.errors import MediaError

T = TypeVar("T")


class OneThread:
    """Calls run in order, so that what closes a file never meets what still reads it, cancelled or not."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def call(self, work: Callable[[], T]) -> T:
        """Run it there.

        Raises:
            MediaError: PyAV or the file system says no.
        """
        return await self._result(self._pool.submit(work))

    async def finish(self, work: Callable[[], None]) -> None:
        """Run it as the last, and let the thread go; it runs even when nobody waits for it."""
        last = self._pool.submit(work)
        self._pool.shutdown(wait=False)
        await self._result(last)

    async def _result(self, asked: "Future[T]") -> T:
        try:
            # Without the shield a cancelled wait would take back what has not begun.
            return await asyncio.shield(asyncio.wrap_future(asked))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"the file cannot be used: {type(error).__name__}") from error
