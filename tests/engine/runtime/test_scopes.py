"""What a call owns lives in its scope, and ends with it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from engine.runtime.scopes import Scopes


class Owned:
    """Tasks that say when they begin and end."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.stop = trio.Event()

    async def work(self) -> None:
        self.said.append("begins")
        try:
            await self.stop.wait()
        finally:
            self.said.append("ends")


@asynccontextmanager
async def scopes(failures: list[tuple[str, Exception]]) -> AsyncIterator[Scopes]:
    async with trio.open_nursery() as nursery:
        yield Scopes(nursery, lambda call, error: failures.append((call, error)))
        nursery.cancel_scope.cancel()


async def test_a_scope_ends_with_its_last_task() -> None:
    owned = Owned()
    async with scopes([]) as some:
        some.start("call", owned.work)
        some.start("call", owned.work)
        await trio.testing.wait_all_tasks_blocked()
        some.start("call", owned.work)
        await trio.testing.wait_all_tasks_blocked()
        assert len(some) == 1
        owned.stop.set()
        await trio.testing.wait_all_tasks_blocked()
        assert len(some) == 0
    assert owned.said == ["begins"] * 3 + ["ends"] * 3


async def test_ending_a_call_cancels_what_it_owns_and_nothing_else() -> None:
    mine, other = Owned(), Owned()
    async with scopes([]) as some:
        some.start("mine", mine.work)
        some.start("other", other.work)
        await trio.testing.wait_all_tasks_blocked()
        some.end("mine")
        some.end("mine")
        await trio.testing.wait_all_tasks_blocked()
        assert (mine.said, other.said) == (["begins", "ends"], ["begins"])
        assert len(some) == 1


async def test_a_call_that_ends_before_its_tasks_begin_runs_none_of_them() -> None:
    owned = Owned()
    async with scopes([]) as some:
        some.start("call", owned.work)
        some.end("call")
        await trio.testing.wait_all_tasks_blocked()
        assert owned.said[1:] in ([], ["ends"])
        assert len(some) == 0


async def test_a_call_may_own_again_in_the_very_moment_in_which_it_owned_nothing() -> None:
    owned = Owned()
    async with scopes([]) as some:

        async def last() -> None:
            await trio.lowlevel.checkpoint()

        class Again(trio.abc.Instrument):
            def task_exited(self, task: trio.lowlevel.Task) -> None:
                if task.name.endswith("_Scope._run"):
                    trio.lowlevel.remove_instrument(self)
                    some.start("call", owned.work)

        trio.lowlevel.add_instrument(Again())
        some.start("call", last)
        await trio.testing.wait_all_tasks_blocked()
        assert owned.said == ["begins"]
        assert len(some) == 1


async def test_a_task_that_fails_ends_its_scope_and_is_reported() -> None:
    async def fail() -> None:
        raise LookupError("a bug")

    owned = Owned()
    failures: list[tuple[str, Exception]] = []
    async with scopes(failures) as some:
        some.start("call", owned.work)
        some.start("call", fail)
        await trio.testing.wait_all_tasks_blocked()
        assert len(some) == 0
    assert owned.said[-1:] in ([], ["ends"])
    ((call, error),) = failures
    assert call == "call"
    assert isinstance(error, ExceptionGroup)
