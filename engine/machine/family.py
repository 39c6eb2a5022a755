"""Several machines that step as one: a command runs to completion over all of them, or over none."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

import attrs
import msgspec

from engine.effects import Ask, ProlongTimer, Send, StartTimer, StopTimer, Tell
from engine.errors import TableError
from engine.machine.compiled import Stepper, compile_table
from engine.machine.step import CommandDeferred, Outcome, Snapshot, Step, initial_snapshot
from engine.machine.table import OnRestart, Table, timer_name
from engine.vocabulary import Address, Command, Effect, Event, Stamp

TELLS_MAX = 10_000
"""Commands that one step may send to other machines; more is a table that tells in a circle."""

SEEN_MAX = 1_000
"""Command ids that a stream remembers, so that a repeated command is answered and not done again."""

DUPLICATE = "duplicate"
"""The reason of a command whose id the stream has seen."""

OWED = "!"
"""Begins the name of an asked effect in the journal's timer index; no timer may be called so."""

LATE = "late"
"""The reason of a timer that is not pending, or not yet due."""


class AbsentError(LookupError):
    """A stream must be read before the step can be decided."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.stream = stream


class RuleError(Exception):
    """A guard or a reaction of `address` raised; the cause is chained."""

    def __init__(self, address: Address) -> None:
        super().__init__(f"a rule of {address} raised")
        self.address = address


@attrs.frozen
class TimerMoved(Event):
    """A restart gave the timer another deadline (UTC seconds), or none."""

    name: str
    due: float | None


def own_stream(kind: str) -> Callable[[str], str]:
    """Each machine of `kind` has a stream of its own."""
    return lambda key: f"{kind}:{key}"


@attrs.frozen(kw_only=True, eq=False)
class Kind:
    """A sort of machine in a family."""

    name: str
    """`<api>.<noun>`, unique over all APIs."""
    table: Table[Any, Any]
    """What decides its commands; several kinds may share one."""
    stream: Callable[[str], str] = attrs.field(
        default=attrs.Factory(lambda self: own_stream(self.name), takes_self=True)
    )
    """The stream that holds the machine with this key; machines that share one share its version."""
    indexed: bool = False
    """Its stream belongs to the topic `live:<kind>` from its first event until it is final."""
    announce: Callable[[Address, Event], tuple[Send, ...]] | None = None
    """What followers of the stream are told by an event, at most one message a device.

    It is a function of the event alone, so that a device that was away is told the same from the journal.
    """


class Record(msgspec.Struct, frozen=True):
    """One journaled event."""

    member: Address
    state: str
    """Name of the machine's state after the step."""
    entries: int
    event: Event
    cause: Command | None = None
    """The command, on the first event of a machine's step only."""


class StreamState(msgspec.Struct):
    """A stream, folded."""

    version: int = 0
    members: dict[Address, Snapshot] = {}
    seen: dict[str, int] = {}
    """Version of the first event of each remembered command, oldest first."""


class Performance(msgspec.Struct, frozen=True):
    """An effect that is to be performed once its events are journaled."""

    key: str
    """`stream:version:index`; a performer that has done the key does nothing.

    Without an event the command's id stands in for a version of its own: `stream:version+id:index`.
    """
    stream: str
    version: int
    member: Address
    effect: Effect
    stamp: Stamp


class Change(msgspec.Struct):
    """What a decision, or a draft of several, does to one stream."""

    base: int
    """The version that was read."""
    records: list[Record] = []
    members: dict[Address, Snapshot] = {}
    seen: list[tuple[str, int]] = []
    timers: dict[str, float | None] = {}
    prolonged: dict[str, float] = {}
    """Timers that run and fire later than the journal has it, by their name in its index; UTC seconds."""
    born: list[Address] = []
    """Machines with their first event."""
    ended: list[Address] = []
    """Machines that entered a final state."""

    @property
    def version(self) -> int:
        """The version after the change."""
        return self.base + len(self.records)


class Decision(msgspec.Struct, frozen=True):
    """What became of one command, with everything it touched."""

    outcome: Outcome
    reason: str
    decided_by: Address
    changes: dict[str, Change]
    performances: tuple[Performance, ...] = ()
    seen_at: int = 0
    """For a duplicate: the version at which the stream has the command."""


class Family:
    """The kinds that may tell each other, compiled."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.kinds: dict[str, Kind] = {}
        for kind in kinds:
            if kind.name in self.kinds:
                raise TableError(f"two kinds are called {kind.name}")
            _check_names(kind)
            self.kinds[kind.name] = kind
        self._steppers: dict[str, Stepper] = {
            name: compile_table(kind.table) for name, kind in self.kinds.items()
        }

    def stream_of(self, address: Address) -> str:
        """The stream that holds `address`."""
        return self.kinds[address.kind].stream(address.key)

    def announced(self, address: Address, event: Event) -> tuple[Send, ...]:
        """What followers of the stream of `address` are told by `event`.

        Raises:
            RuleError: the rule raised.
        """
        announce = self.kinds[address.kind].announce
        if announce is None or isinstance(event, CommandDeferred | TimerMoved):
            return ()
        try:
            return announce(address, event)
        except Exception as error:
            raise RuleError(address) from error

    def states(self) -> Mapping[str, type[Enum]]:
        """The enumeration of each kind's states."""
        return {name: type(kind.table.initial) for name, kind in self.kinds.items()}

    def initial(self, address: Address) -> Snapshot:
        """The snapshot of a machine that nothing has happened to."""
        return initial_snapshot(self.kinds[address.kind].table, address.key)

    def is_untouched(self, address: Address, now: Snapshot) -> bool:
        """Whether only its count of entries tells the machine from one that nothing has happened to."""
        if now.state is not self.kinds[address.kind].table.initial or now.timers or now.deferred:
            return False
        return bool(now.data == self.initial(address).data)

    def kept(self, address: Address, now: Snapshot) -> Snapshot:
        """`now`, or the initial snapshot where they are alike: such a machine begins anew."""
        return self.initial(address) if self.is_untouched(address, now) else now

    def is_over(self, stream: str, state: StreamState) -> bool:
        """Whether nobody needs what happened in `stream`.

        The machine that it is named after has ended, or all of its machines are as at their beginning, and it
        has nothing to tell followers; and no timer runs.
        """
        if any(now.timers for now in state.members.values()):
            return False
        kind, _, key = stream.partition(":")
        root = state.members.get(Address(kind, key))
        if root is not None:
            return root.state in self.kinds[kind].table.final
        # Followers come back with the version that they had: begun anew, its versions would mean others.
        return not state.members and self.kinds[kind].announce is None

    def step(self, address: Address, now: Snapshot, command: Command) -> Step:
        """One machine's step; what it tells others is among the effects.

        Raises:
            RuleError: a guard or a reaction raised.
        """
        try:
            return self._steppers[address.kind](now, command)
        except Exception as error:
            raise RuleError(address) from error


class Draft:
    """Commands decided one after another on top of a world, none of it journaled yet.

    `world` maps the names of loaded streams to their states, `prolonged` the names of timers to when they
    may fire; they are read, never changed.
    """

    def __init__(
        self,
        family: Family,
        world: Mapping[str, StreamState],
        prolonged: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._family = family
        self._world = world
        self._prolonged = prolonged
        self._mine: set[str] = set()
        self.changes: dict[str, Change] = {}
        """By stream, in the order of first touch; a stream that was only read has no records."""

    def decide(
        self, to: Address, command: Command, *, timer: str | None = None, fresh: bool = False
    ) -> Decision:
        """Run `command` to completion; nothing is kept until `accept`.

        `timer` names the timer of `to` that `command` is the firing of. `fresh` takes the stream of `to` as
        empty when it is not loaded.

        Raises:
            AbsentError: a stream must be loaded first.
            RuleError: a rule raised; nothing is kept.
        """
        return self._turn(command.stamp).run(to, command, timer, fresh)

    def decide_restart(self, to: Address, stamp: Stamp) -> Decision:
        """Give the timers of `to` what their restart policies say; nothing is kept until `accept`."""
        return self._turn(stamp).restart(to)

    def decide_settled(self, to: Address, owed: str, stamp: Stamp) -> Decision:
        """Note that what `to` had asked under the name `owed` is done; nothing is kept until `accept`."""
        return self._turn(stamp).settle(to, owed)

    def _turn(self, stamp: Stamp) -> "_Turn":
        return _Turn(self._family, self._world, self._prolonged, self.changes, stamp)

    def accept(self, decision: Decision) -> None:
        """Keep what `decision` changed; later decisions build on it."""
        for stream, change in decision.changes.items():
            mine = self.changes.get(stream)
            if mine is None:
                self.changes[stream] = change
                continue
            if stream not in self._mine:
                # Until a second decision touches the stream, its change is lent by the first.
                mine = self.changes[stream] = _copy(mine)
                self._mine.add(stream)
            mine.records += change.records
            mine.members |= change.members
            mine.seen += change.seen
            mine.timers |= change.timers
            prolong(mine.prolonged, change)
            mine.born += change.born
            mine.ended += change.ended


class _Turn:
    """One command on its way through the family."""

    def __init__(
        self,
        family: Family,
        world: Mapping[str, StreamState],
        prolonged: Mapping[str, float],
        drafted: Mapping[str, Change],
        stamp: Stamp,
    ) -> None:
        self._family = family
        self._world = world
        self._prolonged = prolonged
        self._drafted = drafted
        self._stamp = stamp
        self._changes: dict[str, Change] = {}
        self._performances: list[Performance] = []
        self._indexes: dict[str, int] = {}

    def run(self, to: Address, command: Command, timer: str | None, fresh: bool) -> Decision:
        seen_at = self._seen(self._family.stream_of(to), command.stamp.id, fresh)
        if seen_at:
            return Decision(Outcome.IGNORED, DUPLICATE, to, self._untouched(), (), seen_at)
        first: Step | None = None
        waiting = deque([(to, command, fresh)])
        tells = 0
        while waiting:
            address, told, is_fresh = waiting.popleft()
            step = self._step(address, told, timer if first is None else None, is_fresh)
            if step is None:
                return Decision(Outcome.IGNORED, LATE, to, self._untouched())
            if step.outcome is Outcome.REFUSED:
                return Decision(Outcome.REFUSED, step.reason, address, self._untouched())
            if first is None:
                first = step
            for tell in step.effects:
                if isinstance(tell, Tell):
                    if tell.to.kind not in self._family.kinds:
                        raise RuleError(address) from TableError(f"there is no machine {tell.to} to tell")
                    tells += 1
                    waiting.append((tell.to, self._stamped(tell.command), tell.fresh))
            if tells > TELLS_MAX:
                raise RuleError(to) from TableError(f"{to} tells other machines without end")
        assert first is not None
        return Decision(first.outcome, first.reason, to, self._changes, tuple(self._performances))

    def restart(self, to: Address) -> Decision:
        kind = self._family.kinds[to.kind]
        change, now = self._change(self._family.stream_of(to), fresh=False), self._snapshot(to)
        policies = {timer_name(timer): timer for timer in kind.table.timers_of[now.state]}
        moved: list[TimerMoved] = []
        for pending in now.timers:
            timer = policies.get(pending.name)
            if timer is None or timer.on_restart is OnRestart.KEEP:
                continue
            if timer.on_restart is OnRestart.DROP:
                moved.append(TimerMoved(pending.name, None))
            elif timer.seconds is not None:
                seconds = timer.seconds(now.data) if callable(timer.seconds) else timer.seconds
                moved.append(TimerMoved(pending.name, self._stamp.at + seconds))
        for event in moved:
            now = move_timer(now, event)
            change.timers[index_name(to, event.name)] = event.due
            change.records.append(Record(to, now.state.name, now.entries, event))
            change.members[to] = self._family.kept(to, now)
        return Decision(Outcome.MOVED, "", to, self._changes)

    def settle(self, to: Address, owed: str) -> Decision:
        self._change(self._family.stream_of(to), fresh=False).timers[index_name(to, owed)] = None
        return Decision(Outcome.MOVED, "", to, self._changes)

    def _step(self, address: Address, command: Command, timer: str | None, fresh: bool) -> Step | None:
        stream = self._family.stream_of(address)
        change = self._change(stream, fresh)
        now = self._snapshot(address)
        if timer is not None:
            pending = next((one for one in now.timers if one.name == timer), None)
            if pending is None or command.stamp.at < max(pending.due, self._may_fire(address, timer)):
                return None
            now = without_timer(now, timer)
            change.timers[index_name(address, timer)] = None
        step = self._family.step(address, now, command)
        if step.outcome is Outcome.REFUSED:
            return step
        if timer is not None and step.after.entries == now.entries:
            # It has fired and the state goes on without it: only a note of its own says so in the journal,
            # because the same command may come from elsewhere while the timer runs.
            gone = TimerMoved(timer, None)
            change.records.append(Record(address, now.state.name, now.entries, gone))
            change.members[address] = self._family.kept(address, now)
        self._note(stream, change, address, command, now, step)
        return step

    def _note(
        self, stream: str, change: Change, address: Address, command: Command, now: Snapshot, step: Step
    ) -> None:
        after, table = step.after, self._family.kinds[address.kind].table
        if step.events and self._known(address) is None:
            change.born.append(address)
        if after.state in table.final and now.state not in table.final:
            change.ended.append(address)
        if step.events:
            change.members[address] = self._family.kept(address, after)
        cause: Command | None = command
        for event in step.events:
            change.records.append(Record(address, after.state.name, after.entries, event, cause))
            cause = None
        first = change.version - len(step.events) + 1
        if step.events and command.stamp.id:
            change.seen.append((command.stamp.id, first))
        for effect in step.effects:
            if isinstance(effect, StartTimer):
                change.timers[index_name(address, effect.name)] = effect.due
            elif isinstance(effect, StopTimer):
                change.timers[index_name(address, effect.name)] = None
            elif isinstance(effect, ProlongTimer):
                self._prolong(change, address, after, effect)
            elif not isinstance(effect, Tell):
                self._perform(stream, change.version, address, effect, versioned=bool(step.events))
        for version, event in enumerate(step.events, first):
            for send in self._family.announced(address, event):
                self._perform(stream, version, address, send)

    def _prolong(self, change: Change, address: Address, after: Snapshot, effect: ProlongTimer) -> None:
        timers = self._family.kinds[address.kind].table.timers_of[after.state]
        rearmed = [timer_name(one) for one in timers if one.on_restart is OnRestart.REARM and one.seconds]
        if effect.name not in rearmed:
            raise RuleError(address) from TableError(
                f"{effect.name} is no timer of {after.state.name} that a restart arms anew"
            )
        change.prolonged[index_name(address, effect.name)] = effect.due

    def _may_fire(self, address: Address, timer: str) -> float:
        """From when on; a timer that was started or stopped since is not prolonged."""
        name, drafted = index_name(address, timer), self._drafted.get(self._family.stream_of(address))
        if drafted is not None and (name in drafted.prolonged or name in drafted.timers):
            return drafted.prolonged.get(name, 0.0)
        return self._prolonged.get(name, 0.0)

    def _perform(
        self, stream: str, version: int, address: Address, effect: Effect, *, versioned: bool = True
    ) -> None:
        place = f"{stream}:{version}" if versioned else f"{stream}:{version}+{self._stamp.id}"
        index = self._indexes.get(place, 0)
        self._indexes[place] = index + 1
        key = f"{place}:{index}"
        if isinstance(effect, Ask):
            if not versioned:
                raise RuleError(address) from TableError(
                    "an effect that is asked needs an event to be known by"
                )
            self._changes[stream].timers[index_name(address, owed_name(version, index))] = self._stamp.at
        self._performances.append(Performance(key, stream, version, address, effect, self._stamp))

    def _change(self, stream: str, fresh: bool) -> Change:
        change = self._changes.get(stream)
        if change is None:
            before = self._drafted.get(stream) or self._world.get(stream)
            if before is None and not fresh:
                raise AbsentError(stream)
            change = self._changes[stream] = Change(0 if before is None else before.version)
        return change

    def _snapshot(self, address: Address) -> Snapshot:
        return self._known(address) or self._family.initial(address)

    def _known(self, address: Address) -> Snapshot | None:
        stream = self._family.stream_of(address)
        for state in (self._changes.get(stream), self._drafted.get(stream), self._world.get(stream)):
            if state is not None and address in state.members:
                return state.members[address]
        return None

    def _seen(self, stream: str, command_id: str, fresh: bool) -> int:
        if not command_id:
            return 0
        self._change(stream, fresh)
        drafted, loaded = self._drafted.get(stream), self._world.get(stream)
        if drafted is not None:
            for seen, version in drafted.seen:
                if seen == command_id:
                    return version
        return loaded.seen.get(command_id, 0) if loaded is not None else 0

    def _untouched(self) -> dict[str, Change]:
        """What was read, so that even a refusal asserts the versions it was decided on."""
        return {stream: Change(change.base) for stream, change in self._changes.items()}

    def _stamped(self, command: Command) -> Command:
        return attrs.evolve(command, stamp=self._stamp)


def _check_names(kind: Kind) -> None:
    """Names are put together to the names of streams and of timers, and taken apart again."""
    if not kind.name or ":" in kind.name or "/" in kind.name:
        raise TableError(f"a kind cannot be called {kind.name!r}")
    for timer in kind.table.timers:
        name = timer_name(timer)
        if "/" in name or name.startswith(OWED):
            raise TableError(f"{kind.name}: a timer cannot be called {name!r}")


def _copy(change: Change) -> Change:
    return Change(
        change.base,
        [*change.records],
        {**change.members},
        [*change.seen],
        {**change.timers},
        {**change.prolonged},
        [*change.born],
        [*change.ended],
    )


def move_timer(now: Snapshot, event: TimerMoved) -> Snapshot:
    """`now` with the timer's new deadline, or without it."""
    if event.due is None:
        return without_timer(now, event.name)
    timers = (
        msgspec.structs.replace(timer, due=event.due) if timer.name == event.name else timer
        for timer in now.timers
    )
    return msgspec.structs.replace(now, timers=tuple(timers))


def without_timer(now: Snapshot, name: str) -> Snapshot:
    """`now` with the timer gone."""
    return msgspec.structs.replace(now, timers=tuple(timer for timer in now.timers if timer.name != name))


def prolong(prolonged: dict[str, float], change: Change) -> None:
    """Bring what is known of prolonged timers behind `change`, in place."""
    for name in change.timers:
        prolonged.pop(name, None)
    prolonged |= change.prolonged


def apply_change(family: Family, state: StreamState, change: Change) -> None:
    """Bring a folded stream to the version after `change`, in place."""
    assert state.version == change.base, "a change is applied to the version it was decided on"
    state.version = change.version
    for address, now in change.members.items():
        put(family, state, address, now)
    for command_id, version in change.seen:
        remember(state, command_id, version)


def put(family: Family, state: StreamState, address: Address, now: Snapshot) -> None:
    """Note how a machine is. One that is as at its beginning is dropped, so that places which are taken and
    left again, such as seats, do not pile up in a stream that lives long.
    """
    if family.is_untouched(address, now):
        state.members.pop(address, None)
    else:
        state.members[address] = now


def remember(state: StreamState, command_id: str, version: int) -> None:
    """Note that the command's first event has `version`; the oldest of too many ids is forgotten."""
    state.seen.setdefault(command_id, version)
    if len(state.seen) > SEEN_MAX:
        del state.seen[next(iter(state.seen))]


def index_name(address: Address, timer: str) -> str:
    """The timer's name in the journal's index; `split_index_name` takes it apart."""
    return f"{address}/{timer}"


def owed_name(version: int, index: int) -> str:
    """The name in the journal's timer index of an effect that was asked and is not known to be done."""
    return f"{OWED}{version}:{index}"


def split_index_name(name: str) -> tuple[Address, str]:
    """(machine, timer) of a name in the journal's timer index."""
    member, _, timer = name.rpartition("/")
    kind, _, key = member.partition(":")
    return Address(kind, key), timer
