"""Call scopes: what a call owns lives in its scope, and ends with it."""

from collections.abc import Awaitable, Callable
from functools import partial

import trio


class Scopes:
    """One cancel scope and nursery for each call that owns something alive, under one nursery.

    A call without peers, nodes or outbound sockets has none: most calls cost nothing here.
    """

    def __init__(self, nursery: trio.Nursery, on_failure: Callable[[str, Exception], None]) -> None:
        self._nursery = nursery
        self._on_failure = on_failure
        self._scopes: dict[str, _Scope] = {}

    def __len__(self) -> int:
        return len(self._scopes)

    def start(self, call: str, task: Callable[[], Awaitable[None]]) -> None:
        """Run `task` in the scope of `call`; an exception of it ends the scope and is reported."""
        scope = self._scopes.get(call)
        if scope is None:
            scope = self._scopes[call] = _Scope(partial(self._forget, call))
            self._nursery.start_soon(self._own, call, scope)
        scope.put(task)

    def end(self, call: str) -> None:
        """Cancel everything that `call` owns."""
        scope = self._scopes.pop(call, None)
        if scope is not None:
            scope.cancel_scope.cancel()

    async def _own(self, call: str, scope: "_Scope") -> None:
        try:
            with scope.cancel_scope:
                await scope.run()
        except* Exception as failures:
            self._on_failure(call, failures)
        finally:
            self._forget(call, scope)

    def _forget(self, call: str, scope: "_Scope") -> None:
        if self._scopes.get(call) is scope:
            del self._scopes[call]


class _Scope:
    """The tasks of one call; it closes itself when the last of them has ended."""

    def __init__(self, on_empty: Callable[["_Scope"], None]) -> None:
        self.cancel_scope = trio.CancelScope()
        self._on_empty = on_empty
        self._tasks: list[Callable[[], Awaitable[None]]] = []
        self._nursery: trio.Nursery | None = None
        self._running = 0

    def put(self, task: Callable[[], Awaitable[None]]) -> None:
        self._running += 1
        if self._nursery is None:
            self._tasks.append(task)
        else:
            self._nursery.start_soon(self._run, task)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for task in self._tasks:
                nursery.start_soon(self._run, task)
            self._nursery = nursery

    async def _run(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        finally:
            self._running -= 1
            if not self._running:
                # At once: a nursery whose last task has ended takes no other, though it is not left yet.
                self._on_empty(self)
