"""The real router, for tests of leaks and for figures: it tells what its worker holds, and can be blocked."""

import asyncio
import ctypes
import gc
import re
import signal
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from engine.media import protocol as p
from engine.media.routing import open_router as open_real
from engine.media.switchboard import Switchboard

NAME = "tests.engine.media.watched:open_router"
BLOCK_SIGNAL = signal.SIGUSR1
"""The worker's loop stands still for BLOCK_SECONDS when its process gets this."""
BLOCK_SECONDS = 0.5
PROBE_SECONDS = 0.002


class Watched:
    """Adds to the statistics: memory after a trim, threads, descriptors, tasks, lateness of the loop."""

    def __init__(self, router: Switchboard, *, probes: bool) -> None:
        self._router = router
        self._probes = probes
        self._probe: asyncio.Task[None] | None = None
        self._lags: list[float] = []

    async def open(self) -> None:
        """See worker.Router."""
        await self._router.open()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(BLOCK_SIGNAL, time.sleep, BLOCK_SECONDS)
        if self._probes:
            self._probe = loop.create_task(self._measure_lags())

    async def close(self) -> None:
        """See worker.Router."""
        asyncio.get_running_loop().remove_signal_handler(BLOCK_SIGNAL)
        if self._probe is not None:
            self._probe.cancel()
        await self._router.close()

    def figures(self) -> Mapping[str, float]:
        """See worker.Router."""
        return self._router.figures()

    async def handle(self, request: p.MediaRequest) -> p.MediaAnswer:
        """See worker.Router."""
        answer = await self._router.handle(request)
        if isinstance(answer, p.Statistics) and request == p.GetStatistics():
            return p.Statistics(values={**answer.values, **self._held()})
        return answer

    def _held(self) -> Mapping[str, float]:
        lags, self._lags = sorted(self._lags), []
        gc.collect()
        # Freed memory stays in malloc's arenas and would pass for a leak.
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)
        return {
            "anonymous_bytes": float(anonymous_bytes()),
            "objects_count": float(len(gc.get_objects())),
            "threads_count": float(threading.active_count()),
            "descriptors_count": float(len(list(Path("/proc/self/fd").iterdir()))),
            "loop_tasks_count": float(len(asyncio.all_tasks())),
            "loop_lag_p99_milliseconds": statistics.quantiles(lags, n=100)[98] if len(lags) > 1 else 0.0,
            "loop_lag_worst_milliseconds": lags[-1] if lags else 0.0,
        }

    async def _measure_lags(self) -> None:
        while True:
            asked = time.monotonic()
            await asyncio.sleep(PROBE_SECONDS)
            self._lags.append(1000 * (time.monotonic() - asked - PROBE_SECONDS))


def anonymous_bytes(process: int | str = "self") -> int:
    """Memory of a process that no file backs; Linux only.

    Not all of its memory: it has a share of the libraries that others have loaded too, which grows when those
    end.
    """
    found = re.search(
        r"^Pss_Anon:\s+(\d+) kB", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE
    )
    assert found is not None, "the kernel always tells it"
    return 1024 * int(found[1])


def open_router(config: Mapping[str, Any], emit: Callable[[p.MediaEvent], None]) -> Watched:
    """As routing.open_router; `probes` in `config` measures the loop's lateness every two milliseconds."""
    settings = dict(config)
    probes = settings.pop("probes", False)
    return Watched(open_real(settings, emit), probes=probes)
