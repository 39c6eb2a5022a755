"""The tasks of one peer: each is known, and what it raises is told."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any


class Tasks:
    """Its own tasks, by name, and those that aiortc begins and keeps nowhere."""

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Begin one of ours."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._keep(task)
        return task

    def watch(self, tasks: Iterable["asyncio.Task[Any]"]) -> None:
        """Know those of aiortc."""
        for task in tasks:
            if task not in self._tasks:
                task.set_name("connect")
                self._keep(task)

    def named(self, name: str) -> "set[asyncio.Task[Any]]":
        """Those that run."""
        return {task for task in self._tasks if task.get_name() == name}

    async def cancel_all(self, seconds: float) -> int:
        """Cancel what is left; how many have not ended in time."""
        left = {*self._tasks}
        for task in left:
            task.cancel()
        if not left:
            return 0
        _, late = await asyncio.wait(left, timeout=seconds)
        return len(late)

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failed(task.get_name(), error)
