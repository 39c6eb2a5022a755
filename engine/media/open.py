"""Opens a media host by the name of its driver."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from engine.media.fake import open_fake_host
from engine.media.host import HostSettings
from engine.media.process import open_process_host
from engine.media.protocol import MediaHost
from engine.media.readers import Readers
from engine.media.settings import Driver
from engine.media.thread import open_thread_host


@asynccontextmanager
async def open_media(
    driver: Driver = "process",
    *,
    workers: int | None = None,
    settings: HostSettings | None = None,
    readers: Readers | None = None,
) -> AsyncIterator[MediaHost]:
    """A media host that is ready; leaving closes it, and leaves nothing behind.

    `workers`, when None, is one for each core that we may use; in threads, which share a core, it is one.
    Given `readers` outlive the host.

    Raises:
        MediaError: a worker cannot start.
        ValueError: there is no such driver.
    """
    settings = settings or HostSettings()
    if driver == "process":
        async with open_process_host(attrs.evolve(settings, workers=workers or _cores()), readers) as host:
            yield host
    elif driver == "thread":
        async with open_thread_host(attrs.evolve(settings, workers=workers or 1), readers) as host:
            yield host
    elif driver == "fake":
        async with open_fake_host(batches_max=settings.batches_max, readers=readers) as fake:
            yield fake
    else:
        raise ValueError(f"no media driver {driver!r}; there are process, thread and fake")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
