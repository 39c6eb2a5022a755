"""The runtime of one journal: dispatcher, timers, scopes, performers and followers, put together."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import attrs
import structlog
import trio

from engine.codec.records import RecordCodec
from engine.errors import (
    CallCrashedError,
    CodecError,
    JournalCorruptError,
    UnavailableError,
)
from engine.journal.fold import ask_again
from engine.journal.port import Journal
from engine.machine.family import LATE, OWED, Family, Performance, StreamState, split_index_name
from engine.machine.step import Outcome, Snapshot
from engine.machine.table import OnRestart, timer_name
from engine.nurseries import open_block_nursery
from engine.runtime.answers import Answer, Done
from engine.runtime.dispatcher import CLOSED, Committed, Dispatcher
from engine.runtime.followers import Followers
from engine.runtime.performers import Performer, Performers
from engine.runtime.scopes import Scopes
from engine.runtime.supervisor import described
from engine.runtime.timers import TimerHeap
from engine.runtime.world import World
from engine.vocabulary import Address, Command

DRAIN_SECONDS = 5.0
"""How long closing waits for what is on its way into the journal."""

RETRY_SECONDS = 1.0
"""How long a timer that could not be journaled waits before it fires again."""

AT_ONCE_MAX = 512
"""Commands of `ask_all` that are on their way at once: a batch of the journal's, far below what it queues."""

T = TypeVar("T")

log = structlog.get_logger("switchhook.runtime")


@attrs.define(eq=False)
class _Waiter:
    """Tasks that wait for the next change of one stream."""

    changed: trio.Event = attrs.field(factory=trio.Event)
    tasks: int = 0


class Runtime:
    """Machines at work. Open it with `open_runtime`."""

    def __init__(
        self,
        journal: Journal,
        codec: RecordCodec,
        family: Family,
        world: World,
        performers: Mapping[str, Performer],
        nursery: trio.Nursery,
    ) -> None:
        self.journal = journal
        self.codec = codec
        self.family = family
        self.world = world
        self.recovered = False
        """Whether every timer of the journal is known and every restart policy was applied."""
        self.dispatcher = Dispatcher(journal, codec, family, world, nursery, self._committed)
        self.followers = Followers(journal, codec, family, self.dispatcher, nursery)
        self.timers = TimerHeap(world.clock, self._fire)
        self.scopes = Scopes(nursery, self._scope_failed)
        self._performers = Performers(performers, self.scopes, self.tell, self._settle)
        self._waiters: dict[str, _Waiter] = {}
        self._closed = False

    def submit(self, to: Address, command: Command, done: Done, *, command_id: str = "") -> None:
        """Command `to` without waiting; `done` gets the answer."""
        self.dispatcher.submit(to, command, done, command_id=command_id)

    def tell(self, to: Address, command: Command) -> None:
        """Command `to` and do not ask what becomes of it."""
        self.dispatcher.submit(to, command, _ignore)

    async def ask(self, to: Address, command: Command, *, command_id: str = "") -> Answer:
        """Command `to` and wait for the answer.

        Cancelling the wait does not take the command back: it may be journaled already.
        """
        arrived = trio.Event()
        answers: list[Answer] = []

        def done(answer: Answer) -> None:
            answers.append(answer)
            arrived.set()

        self.submit(to, command, done, command_id=command_id)
        await arrived.wait()
        return answers[0]

    async def ask_all(self, asked: Sequence[tuple[Address, Command]]) -> list[Answer]:
        """Command many, sharing appends and never filling the journal; the answers in that order."""
        return await _all(asked, lambda one, done: self.submit(*one, done))

    async def read(self, stream: str) -> StreamState:
        """The committed state of `stream`; not to be changed."""
        return await self.dispatcher.read(stream)

    async def snapshot(self, address: Address) -> Snapshot:
        """The committed snapshot of one machine."""
        state = await self.read(self.family.stream_of(address))
        return state.members.get(address) or self.family.initial(address)

    async def forget(self, streams: Sequence[str]) -> Sequence[str]:
        """Erase those of `streams` that are over and that nobody follows; the answer says which they were.

        A stream that cannot be read stays, and the log says so. A call of the same name may begin again.

        Raises:
            JournalError: the journal does not erase them.
        """
        readable = []
        for stream in streams:
            try:
                await self.read(stream)
            except (CodecError, JournalCorruptError) as error:
                log.warning("not_forgotten", stream=stream, reason=str(error))
            else:
                readable.append(stream)
        # No await between this look and the next one at each of them.
        return await self.dispatcher.forget(
            [one for one in readable if one not in self.followers and one not in self._waiters]
        )

    async def wait_change(self, stream: str) -> None:
        """Wait until the next append to `stream`.

        Raises:
            UnavailableError: the engine was left.
        """
        if not self._closed:
            waiter = self._waiters.setdefault(stream, _Waiter())
            waiter.tasks += 1
            try:
                await waiter.changed.wait()
            finally:
                waiter.tasks -= 1
                if not waiter.tasks and self._waiters.get(stream) is waiter:
                    del self._waiters[stream]
        if self._closed:
            raise UnavailableError(CLOSED)

    def close(self) -> None:
        """Tell everybody who waits that nothing will come."""
        self._closed = True
        self.dispatcher.close()
        for waiter in self._waiters.values():
            waiter.changed.set()

    # -- inside

    def _committed(self, committed: Committed) -> None:
        for stream, change in committed.changes.items():
            for name, due in change.timers.items():
                address, timer = split_index_name(name)
                if due is None:
                    self.timers.stop(address, timer)
                elif not timer.startswith(OWED):
                    self.timers.start(address, timer, due)
            waiter = self._waiters.pop(stream, None) if change.records else None
            if waiter is not None:
                waiter.changed.set()
        self.followers.committed(committed)
        for stream, change in committed.changes.items():
            for address in change.ended:
                if f"{address.kind}:{address.key}" == stream:
                    self._performers.call_ended(stream)
        # Behind the end of the scopes: what a last step asks for, such as telling somebody, is still done.
        for performance in committed.performances:
            self._performers.perform(performance)

    def _fire(self, address: Address, name: str) -> None:
        kind = self.family.kinds.get(address.kind)
        timers = kind.table.timers if kind is not None else ()
        command = next((one.command for one in timers if timer_name(one) == name), None)
        if command is None:
            log.error("timer_unknown", member=str(address), timer=name)
            return
        self.dispatcher.submit(address, command(), partial(self._fired, address, name), timer=name)

    def _fired(self, address: Address, name: str, answer: Answer) -> None:
        if answer.error is None and answer.outcome is not Outcome.REFUSED:
            if answer.reason == LATE:
                self._fire_again(address, name)
            return
        reason = str(answer.error or answer.reason)
        log.warning("timer_not_fired", member=str(address), timer=name, reason=reason)
        if not isinstance(answer.error, CallCrashedError | CodecError | JournalCorruptError):
            # The deadline stands in the journal; firing again later is the at-least-once half of the promise.
            self._start_again(address, name, self.world.clock() + RETRY_SECONDS)

    def _fire_again(self, address: Address, name: str) -> None:
        """Put back a timer that still runs: it was prolonged, or the clock was set back before its step."""
        state = self.dispatcher.peek(self.family.stream_of(address))
        snapshot = state.members.get(address) if state is not None else None
        for timer in snapshot.timers if snapshot is not None else ():
            if timer.name == name:
                self._start_again(address, name, max(timer.due, self.dispatcher.may_fire(address, name)))

    def _start_again(self, address: Address, name: str, due: float) -> None:
        # It may have been started anew while it was being fired, and then fires when that is due.
        if not self.timers.is_started(address, name):
            self.timers.start(address, name, due)

    def _scope_failed(self, call: str, failures: Exception) -> None:
        log.error("call_scope_failed", call=call, raised=described(failures))

    async def recover(self) -> None:
        """Take over the timers that the journal knows."""
        restarts: set[Address] = set()
        owed: list[tuple[Address, str]] = []
        for due in await self.journal.timers():
            address, name = split_index_name(due.name)
            if name.startswith(OWED):
                owed.append((address, name))
                continue
            kind = self.family.kinds.get(address.kind)
            if kind is None:
                log.warning("timer_of_unknown_kind", member=str(address), timer=name)
                continue
            self._start_again(address, name, due.due)
            if any(
                timer_name(one) == name and one.on_restart is not OnRestart.KEEP for one in kind.table.timers
            ):
                restarts.add(address)
        await self._apply_restarts(restarts)
        for address, name in owed:
            await self._ask_again(address, name)
        self.recovered = True

    async def _ask_again(self, address: Address, owed: str) -> None:
        """Perform what was asked before a crash and is not known to be done, under the same key."""
        kind = self.family.kinds.get(address.kind)
        if kind is None:
            log.warning("owed_by_unknown_kind", member=str(address), owed=owed)
            return
        stream = self.family.stream_of(address)
        version, _, index = owed.removeprefix(OWED).partition(":")
        try:
            loaded = await self.journal.load(stream, snapshot=False)
            asked = ask_again(self.family, self.codec, stream, loaded, int(version), int(index))
            final = (await self.snapshot(address)).state in kind.table.final
        except JournalCorruptError as error:
            # One call's damage keeps no other from going on.
            log.error("stream_unreadable", stream=stream, reason=str(error))
            return
        if asked is None or (final and asked[2] not in {state.name for state in kind.table.final}):
            # The tables ask nothing there any more, or the machine that wanted it has ended since.
            self._settle(address, owed)
            return
        ask, stamp, _ = asked
        key = f"{stream}:{version}:{index}"
        self._performers.perform(Performance(key, stream, int(version), address, ask, stamp))

    def _settle(self, address: Address, owed: str) -> None:
        self.dispatcher.submit_settled(address, owed, _ignore)

    async def _apply_restarts(self, addresses: set[Address]) -> None:
        for answer in await _all(sorted(addresses), self.dispatcher.submit_restart):
            if answer.error is not None:
                log.error("restart_policy_not_applied", reason=str(answer.error))

    async def drain(self) -> None:
        """Wait for what is on its way into the journal."""
        await self.dispatcher.wait_idle()


async def _all(asked: Sequence[T], submit: Callable[[T, Done], None]) -> list[Answer]:
    """Submit all, so many at once as the journal takes, and wait for the answers in their order."""
    answers: list[Answer] = []
    for start in range(0, len(asked), AT_ONCE_MAX):
        answers += await _answers(asked[start : start + AT_ONCE_MAX], submit)
    return answers


async def _answers(asked: Sequence[T], submit: Callable[[T, Done], None]) -> list[Answer]:
    told: dict[int, Answer] = {}
    finished = trio.Event()

    def done(place: int, answer: Answer) -> None:
        told[place] = answer
        if len(told) == len(asked):
            finished.set()

    for place, one in enumerate(asked):
        submit(one, partial(done, place))
    await finished.wait()
    return [told[place] for place in range(len(asked))]


def _ignore(_answer: Answer) -> None:
    """Nobody waits for the answer."""


@asynccontextmanager
async def open_runtime(
    journal: Journal,
    codec: RecordCodec,
    family: Family,
    *,
    world: World | None = None,
    performers: Mapping[str, Performer] | None = None,
    made: Callable[[Runtime], None] | None = None,
) -> AsyncIterator[Runtime]:
    """Run the machines of `family` on an open journal until the block is left.

    `made` hears of the runtime before anything is taken up again, and so before any performer is asked.

    Raises:
        EngineError: the journal cannot be read.
    """
    async with open_block_nursery() as nursery:
        runtime = Runtime(journal, codec, family, world or World(), performers or {}, nursery)
        if made is not None:
            made(runtime)
        try:
            await runtime.recover()
            nursery.start_soon(runtime.timers.run)
            yield runtime
        finally:
            with trio.move_on_after(DRAIN_SECONDS, shield=True):
                await runtime.drain()
            runtime.close()
            nursery.cancel_scope.cancel()
