"""Cancelled at every await: the journal is sound, the timers are true, nothing that a call owned lives on."""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import trio

from engine.errors import EngineError
from engine.journal.memory import MemoryJournal
from engine.journal.port import Journal
from engine.journal.replay import replay
from engine.journal.sqlite import SqliteJournal
from engine.runtime.performers import Asked
from engine.runtime.runtime import Runtime, open_runtime
from engine.vocabulary import Address
from tests.engine.runtime import doorbell as d

FRONT, HALL = Address(d.BELL, "front"), Address(d.BOARD, "hall")
STREAM = str(FRONT)

AWAITS_MAX = 500
"""Far more than a scenario has; without it a scenario that never ends would go on for ever."""


class CancelAt(trio.abc.Instrument):
    """Cancels the scope after so many steps of any task under it."""

    def __init__(self, scope: trio.CancelScope, nursery: trio.Nursery, steps: int) -> None:
        self._scope = scope
        self._nursery = nursery
        self._left = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._left and self._is_mine(task):
            self._left -= 1
            if not self._left:
                self._scope.cancel()

    def _is_mine(self, task: trio.lowlevel.Task) -> bool:
        nursery = task.parent_nursery
        while nursery is not None and nursery is not self._nursery:
            nursery = nursery.parent_task.parent_nursery
        return nursery is self._nursery


async def cancelled_after(steps: int, scenario: Callable[[], Awaitable[None]]) -> bool:
    """Run the scenario and cancel it after so many steps; False when it has ended before."""
    ended = False

    async def run() -> None:
        nonlocal ended
        await scenario()
        ended = True

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            instrument = CancelAt(scope, nursery, steps)
            trio.lowlevel.add_instrument(instrument)
            nursery.start_soon(run)
    trio.lowlevel.remove_instrument(instrument)
    return not ended


class Owned:
    """A performer that says when it begins and ends."""

    def __init__(self) -> None:
        self.alive = 0
        self.begun = trio.Event()

    async def perform(self, asked: Asked) -> None:
        self.alive += 1
        self.begun.set()
        try:
            await trio.sleep_forever()
        finally:
            self.alive -= 1


async def a_call(runtime: Runtime, owned: Owned) -> None:
    """Everything that has an await: asking, reading, waiting, owning, following, leaving."""
    heard: list[int] = []
    runtime.followers.follow(STREAM, 0, lambda version, at, send: heard.append(version))
    await runtime.ask(FRONT, d.Press(board="hall"), command_id="once")
    await runtime.ask(FRONT, d.Press(board="hall"), command_id="once")
    await runtime.ask(FRONT, d.Wire())
    await owned.begun.wait()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runtime.ask, FRONT, d.Answer("ann"))
        nursery.start_soon(runtime.ask, HALL, d.Count())
        while (await runtime.snapshot(FRONT)).state is not d.S.ANSWERED:
            await runtime.wait_change(STREAM)


async def assert_sound(journal: Journal) -> None:
    """No difference, and the index of timers is what the folded machines have."""
    family, codec = d.doorbell()
    assert [one for one in [found async for found in replay(journal, family, codec)] if one.differences] == []
    assert await journal.check() == []
    indexed = {one.name for one in await journal.timers() if "/!" not in one.name}
    async with open_runtime(journal, codec, family, performers={"tone": nothing}) as runtime:
        snapshot = await runtime.snapshot(FRONT)
        assert indexed == {f"{STREAM}/{timer.name}" for timer in snapshot.timers}
        board = (await runtime.snapshot(HALL)).data.count
        assert board >= (snapshot.state is not d.S.IDLE), "a call and its board change together"


async def nothing(_asked: Asked) -> None:
    """Done at once."""


async def at_every_await(open_journal: Callable[[], Journal]) -> int:
    """How many awaits the scenario has."""
    family, codec = d.doorbell()
    for steps in count(1):
        assert steps < AWAITS_MAX
        owned = Owned()

        async def scenario(owned: Owned, journal: Journal) -> None:
            async with (
                journal as opened,  # type: ignore[attr-defined]  # every journal is opened by `async with`
                open_runtime(opened, codec, family, performers={"tone": owned.perform}) as runtime,
            ):
                await a_call(runtime, owned)

        journal = open_journal()
        cancelled = await cancelled_after(steps, partial(scenario, owned, journal))
        assert owned.alive == 0
        async with journal:  # type: ignore[attr-defined]
            await assert_sound(journal)
        if not cancelled:
            return steps
    raise AssertionError("unreachable")


async def test_a_cancelled_runtime_leaves_a_sound_journal_and_nothing_alive() -> None:
    with trio.fail_after(30):
        assert await at_every_await(MemoryJournal) > 30


@pytest.mark.slow
async def test_a_cancelled_runtime_leaves_a_sound_file_and_nothing_alive(tmp_path: Path) -> None:
    numbers = count()
    with trio.fail_after(60):
        assert await at_every_await(lambda: SqliteJournal(tmp_path / f"{next(numbers)}.db")) > 30


async def test_a_cancelled_opening_leaves_the_journal_open_for_the_next() -> None:
    family, codec = d.doorbell()
    async with MemoryJournal() as journal:
        with trio.CancelScope() as scope:
            scope.cancel()
            async with open_runtime(journal, codec, family):
                raise AssertionError("not reached")
        async with open_runtime(journal, codec, family) as runtime:
            assert (await runtime.ask(FRONT, d.Press())).error is None


async def test_a_cancelled_ask_is_decided_all_the_same() -> None:
    family, codec = d.doorbell()
    async with MemoryJournal() as journal, open_runtime(journal, codec, family) as runtime:
        with trio.move_on_after(0):
            await runtime.ask(FRONT, d.Press())
        try:
            await runtime.ask(FRONT, d.Answer("ann"))
        except EngineError as error:
            raise AssertionError from error
        assert (await runtime.snapshot(FRONT)).state is d.S.ANSWERED
