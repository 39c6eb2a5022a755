"""A machine that is stepped by hand, for the tables of clients."""

from typing import Generic, Self

import attrs

from engine.effects import Ask, Request, StartTimer, StopTimer
from engine.machine.compiled import compile_table
from engine.machine.step import Outcome, Snapshot, initial_snapshot
from engine.machine.table import D, S, Table
from engine.vocabulary import Command, Stamp


class Stepped(Generic[S, D]):
    """One machine; nothing but requests and timers may come of it."""

    def __init__(self, table: Table[S, D], key: str) -> None:
        self.now: Snapshot = initial_snapshot(table, key)
        self.asked: list[Request] = []
        self.outcome = Outcome.MOVED
        self._step = compile_table(table)

    def tell(self, command: Command, at: float = 0.0) -> Self:
        """Step once."""
        done = self._step(self.now, attrs.evolve(command, stamp=Stamp(at=at)))
        self.now, self.outcome = done.after, done.outcome
        self.asked = [effect.request for effect in done.effects if isinstance(effect, Ask)]
        assert all(isinstance(effect, Ask | StartTimer | StopTimer) for effect in done.effects)
        return self

    @property
    def state(self) -> S:
        """Where it stands."""
        state: S = self.now.state
        return state

    @property
    def data(self) -> D:
        """What it remembers."""
        data: D = self.now.data
        return data

    @property
    def timers(self) -> dict[str, float]:
        """When each timer is due."""
        return {timer.name: timer.due for timer in self.now.timers}
