"""An engine inside an asyncio program, in the same thread, by trio's guest mode."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from engine import Engine, open_engine
from machines import videochat

T = TypeVar("T")


class EngineInAsyncio:
    """Open it by `async with`; `await host.run(function, ...)` then runs functions that take the engine."""

    def __init__(self, journal: str) -> None:
        self._journal = journal

    async def __aenter__(self) -> "EngineInAsyncio":
        loop = asyncio.get_running_loop()
        self._loop, self._opened, self._ended = loop, loop.create_future(), loop.create_future()
        trio.lowlevel.start_guest_run(
            self._live,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=loop.call_soon,
            done_callback=self._end,
            host_uses_signal_set_wakeup_fd=True,
        )
        await asyncio.wait([self._opened, self._ended], return_when=asyncio.FIRST_COMPLETED)
        if self._ended.done():
            self._ended.result()  # the journal could not be opened: raise why
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._token.run_sync_soon(self._stop.set)
        await self._ended

    async def run(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run `function(engine, *arguments)` under trio, and wait for it under asyncio."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._token.run_sync_soon(self._nursery.start_soon, self._run, function, arguments, future)
        return await future

    async def _live(self) -> None:
        async with open_engine(self._journal) as self._engine, trio.open_nursery() as self._nursery:
            self._stop, self._token = trio.Event(), trio.lowlevel.current_trio_token()
            self._opened.set_result(None)
            await self._stop.wait()
            self._nursery.cancel_scope.cancel()

    async def _run(self, function: Any, arguments: tuple[Any, ...], future: "asyncio.Future[Any]") -> None:
        with trio.CancelScope() as scope:
            # Whoever gives up waiting under asyncio cancels the work under trio.
            future.add_done_callback(lambda _: scope.cancel())
            try:
                answer = await function(self._engine, *arguments)
            except Exception as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(answer)
        if not future.done():
            future.cancel()  # the engine is being closed

    def _end(self, result: Any) -> None:
        try:
            self._ended.set_result(result.unwrap())
        except BaseException as error:
            self._ended.set_exception(error)


async def place_call(engine: Engine, initiator: str, opponent: str) -> str:
    """This runs under trio; what it returns goes back to asyncio."""
    request = videochat.RequestCall(initiator=initiator, opponent=opponent)
    call = await engine.start(videochat.REQUEST, request)
    await call.send(videochat.AcceptCall(sender=opponent))
    return str((await call.snapshot()).state)


async def main() -> None:
    async with EngineInAsyncio("sqlite:///calls.db") as host:
        print(await host.run(place_call, "ann", "bob"))
        print(await asyncio.gather(*(host.run(place_call, "ann", name) for name in ("eve", "joe"))))


if __name__ == "__main__":
    asyncio.run(main())
