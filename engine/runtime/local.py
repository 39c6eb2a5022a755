"""A machine in memory, such as a client's: nothing of it is journaled, and its clock need not be UTC."""

from collections.abc import Callable
from typing import Generic

import attrs
import msgspec
import trio

from engine.effects import Ask, Request
from engine.machine.compiled import compile_table
from engine.machine.step import Snapshot, initial_snapshot
from engine.machine.table import D, S, Table, timer_name
from engine.vocabulary import Command, Stamp


class LocalMachine(Generic[S, D]):
    """One machine, stepped by whoever made it, with trio's time.

    `perform` is called with what it asks for, in order, and `end` once, when it is over; neither waits.
    """

    def __init__(
        self,
        table: Table[S, D],
        key: str,
        perform: Callable[[Request], None],
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self._table = table
        self._step = compile_table(table)
        self._now: Snapshot = initial_snapshot(table, key)
        self._perform = perform
        self._end = end
        self._changed = trio.Event()
        self._command_of = {timer_name(timer): timer.command for timer in table.timers}

    @property
    def state(self) -> S:
        """Where it stands."""
        state: S = self._now.state
        return state

    @property
    def data(self) -> D:
        """What it remembers."""
        data: D = self._now.data
        return data

    @property
    def is_over(self) -> bool:
        """Whether it stands where nothing comes after."""
        return self.state in self._table.final

    def tell(self, command: Command) -> None:
        """Step it, and do what it asks for."""
        was_over = self.is_over
        done = self._step(self._now, attrs.evolve(command, stamp=Stamp(at=trio.current_time())))
        self._now = done.after
        self.wake()
        for effect in done.effects:
            # Timers are effects too; `fire_timers` reads them from the snapshot.
            if isinstance(effect, Ask):
                self._perform(effect.request)
        if self.is_over and not was_over:
            self._end()

    async def wait(self) -> None:
        """Until something may have changed."""
        await self._changed.wait()

    def wake(self) -> None:
        """Let who waits look again: what he looks at is not the machine's alone."""
        self._changed.set()
        self._changed = trio.Event()

    async def fire_timers(self) -> None:
        """Fire its timers when they are due, until it is over."""
        while not self.is_over:
            timer = min(self._now.timers, key=lambda one: one.due, default=None)
            with trio.move_on_at(float("inf") if timer is None else timer.due):
                await self._changed.wait()
                continue
            assert timer is not None, "what never comes is not over"
            left = tuple(one for one in self._now.timers if one is not timer)
            self._now = msgspec.structs.replace(self._now, timers=left)
            self.tell(self._command_of[timer.name]())
