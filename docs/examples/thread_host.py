"""An engine in a thread of its own, for programs that are synchronous."""

import threading
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import trio

from engine import Engine, open_engine
from machines import videochat

T = TypeVar("T")


class EngineInThread:
    """Open it by `with`; `host.run(function, ...)` then runs functions that take the engine."""

    def __init__(self, journal: str) -> None:
        self._journal = journal
        self._opened = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="switchhook", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._opened.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_exception: object) -> None:
        trio.from_thread.run_sync(self._stop.set, trio_token=self._token)
        self._thread.join()

    def run(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run `function(engine, *arguments)` in the engine's thread, and wait. Any thread may call it."""
        return trio.from_thread.run(function, self._engine, *arguments, trio_token=self._token)

    def _main(self) -> None:
        try:
            trio.run(self._live)
        except BaseException as failure:
            self._failure = failure
        finally:
            self._opened.set()

    async def _live(self) -> None:
        async with open_engine(self._journal) as self._engine:
            self._stop, self._token = trio.Event(), trio.lowlevel.current_trio_token()
            self._opened.set()
            await self._stop.wait()


async def place_call(engine: Engine, initiator: str, opponent: str) -> str:
    """This runs in the engine's thread."""
    request = videochat.RequestCall(initiator=initiator, opponent=opponent)
    call = await engine.start(videochat.REQUEST, request)
    await call.send(videochat.AcceptCall(sender=opponent))
    return str((await call.snapshot()).state)


if __name__ == "__main__":
    with EngineInThread("sqlite:///calls.db") as host:
        print(host.run(place_call, "ann", "bob"))
