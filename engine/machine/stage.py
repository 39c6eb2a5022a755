"""A family at play: streams in memory, a virtual clock, every timer fired in its order. Pure."""

import heapq
from typing import Any

import attrs

from engine.machine.family import (
    LATE,
    Decision,
    Draft,
    Family,
    StreamState,
    apply_change,
    prolong,
    split_index_name,
)
from engine.machine.step import Outcome, Snapshot, Step, choose
from engine.machine.table import timer_name
from engine.vocabulary import Address, Command, Stamp


class Stage:
    """Where transcripts and laws let a family play."""

    def __init__(self, family: Family, start_at: float = 1_000.0) -> None:
        self.family = family
        self.now = start_at
        self.streams: dict[str, StreamState] = _Streams()
        self.received: set[tuple[str, str, str]] = set()
        """(kind, state, command) of every cell that has decided something."""
        self.decided: set[tuple[str, str, str, int]] = set()
        """The same with the place of the entry that decided; steps that others refused do not count."""
        self._watched = _Watched(family)
        self._timers: list[tuple[float, int, str]] = []
        self._prolonged: dict[str, float] = {}
        self._count = 0

    def send(
        self, to: Address, command: Command, *, command_id: str = "", timer: str | None = None
    ) -> Decision:
        """Decide `command` and keep what it changed."""
        self._count += 1
        stamp = Stamp(at=self.now, id=command_id or f"command-{self._count}", entropy=f"{self._count:064x}")
        self._watched.steps.clear()
        draft = Draft(self._watched, self.streams, self._prolonged)
        decision = draft.decide(to, attrs.evolve(command, stamp=stamp), timer=timer)
        draft.accept(decision)
        for stream, change in draft.changes.items():
            if change.records:
                apply_change(self.family, self.streams.setdefault(stream, StreamState()), change)
            for name, due in change.timers.items():
                if due is not None:
                    heapq.heappush(self._timers, (due, self._count, name))
            prolong(self._prolonged, change)
        self._note(decision)
        return decision

    def snapshot(self, address: Address) -> Snapshot:
        """The snapshot of a machine."""
        stream = self.streams[self.family.stream_of(address)]
        return stream.members.get(address) or self.family.initial(address)

    def wait(self, seconds: float) -> list[Decision]:
        """Let time pass; what its timers did, in order, late ones left out."""
        end = self.now + seconds
        done: list[Decision] = []
        while self._timers and self._timers[0][0] <= end:
            due, count, name = heapq.heappop(self._timers)
            if self._prolonged.get(name, due) > due:
                heapq.heappush(self._timers, (self._prolonged[name], count, name))
                continue
            self.now = max(self.now, due)
            address, timer = split_index_name(name)
            table = self.family.kinds[address.kind].table
            command: Any = next((one.command for one in table.timers if timer_name(one) == timer), None)
            if command is None:
                # The index also holds what machines have asked for, which nothing here performs.
                continue
            decision = self.send(address, command(), timer=timer)
            if decision.reason != LATE:
                done.append(decision)
        self.now = end
        return done

    def _note(self, decision: Decision) -> None:
        steps = self._watched.steps
        for one in steps:
            address, now, command = one
            cell = (address.kind, now.state.name, type(command).__name__)
            self.received.add(cell)
            if decision.outcome is Outcome.REFUSED and one is not steps[-1]:
                continue
            table = self.family.kinds[address.kind].table
            chosen = choose(table, now, command)
            for place, entry in enumerate(table.cells[now.state].get(type(command), ())):
                if chosen in (entry.row, entry.aside):
                    self.decided.add((*cell, place))


class _Watched(Family):
    """A family that remembers what it was asked."""

    def __init__(self, family: Family) -> None:
        # Not made anew: compiling its tables takes longer than a scene.
        self.kinds = family.kinds
        self.steps: list[tuple[Address, Snapshot, Command]] = []
        self._family = family

    def step(self, address: Address, now: Snapshot, command: Command) -> Step:
        self.steps.append((address, now, command))
        return self._family.step(address, now, command)


class _Streams(dict[str, StreamState]):
    """Every stream exists, empty until something happens."""

    def __missing__(self, stream: str) -> StreamState:
        return StreamState()

    def get(self, stream: str, default: Any = None) -> Any:
        return super().get(stream, default) or StreamState()
