"""Commands in, decisions out: stepped where they arrive, journaled together, performed afterwards."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs
import msgspec
import structlog
import trio

from engine.codec.records import RecordCodec
from engine.effects import Reply
from engine.errors import (
    CallCrashedError,
    CodecError,
    ConflictError,
    EngineError,
    HistoryLostError,
    JournalError,
    OverloadedError,
    UnavailableError,
    UnknownOutcomeError,
)
from engine.journal.fold import answer_again, encoded, fold
from engine.journal.port import Journal, NewEvent, Write
from engine.machine.family import (
    DUPLICATE,
    AbsentError,
    Change,
    Decision,
    Draft,
    Family,
    Performance,
    RuleError,
    StreamState,
    apply_change,
)
from engine.machine.step import Outcome
from engine.machine.table import Crash, RebuildOnCrash
from engine.runtime.supervisor import contained, described
from engine.runtime.world import World
from engine.vocabulary import Address, Command, Message

PARKED_MAX = 1_024
"""Commands that may wait for one stream; one more is answered with OverloadedError."""

RETRIES_MAX = 50
"""How often a command is decided anew after another writer was faster."""

SNAPSHOT_EVERY = 200
"""Events between two snapshots of a stream; below that a fold is faster than reading a snapshot."""

CLOSED = "the engine was left"

log = structlog.get_logger("switchhook.runtime")


class Answer(msgspec.Struct, frozen=True):
    """What the sender of a command learns."""

    outcome: Outcome
    reason: str = ""
    message: Message | None = None
    """What a `Reply` effect said."""
    error: EngineError | None = None
    """Set when the command could not be decided or journaled; then `outcome` says nothing."""
    stamp_at: float = 0.0


Done: TypeAlias = Callable[[Answer], None]


class Committed(msgspec.Struct, frozen=True):
    """What an append made true, for listeners."""

    changes: dict[str, Change]
    performances: tuple[Performance, ...]
    at: float


@attrs.define(eq=False)
class _Ticket:
    """One command, from its arrival to its answer."""

    number: int
    to: Address
    command: Command
    done: Done
    timer: str | None = None
    restart: bool = False
    settles: str = ""
    """The owed effect that is done."""
    fresh: bool = False
    tries: int = 0
    alone: bool = False
    """It gets an append of its own: one of those it was appended with cannot be journaled."""


@attrs.frozen(eq=False)
class _Batch:
    """Tickets that are journaled by one append."""

    draft: Draft
    decided: list[tuple[_Ticket, Decision]]


class Dispatcher:
    """The only writer of its family's streams in this process.

    A command is decided at once when nothing it touches is on its way into the journal; otherwise it waits,
    in order of arrival, and what has gathered is decided together and appended once.
    """

    def __init__(
        self,
        journal: Journal,
        codec: RecordCodec,
        family: Family,
        world: World,
        nursery: trio.Nursery,
        on_commit: Callable[[Committed], None],
        *,
        streams_max: int = 200_000,
    ) -> None:
        self._journal = journal
        self._codec = codec
        self._family = family
        self._world = world
        self._nursery = nursery
        self._on_commit = on_commit
        self._streams_max = streams_max
        self._streams: dict[str, StreamState] = {}
        self._busy: set[str] = set()
        self._parked: dict[str, deque[_Ticket]] = {}
        self._loading: set[str] = set()
        self._reading: Counter[str] = Counter()
        self._crashed: set[Address] = set()
        self._rebuilt: Counter[Address] = Counter()
        self._answers: deque[tuple[_Ticket, Answer]] = deque()
        self._answering = False
        self._closed = False
        self._number = 0
        self._idle = trio.Event()
        self.in_flight = 0
        self.counts: dict[tuple[str, str, str], int] = {}
        """How many commands had each (kind, command, outcome)."""

    def submit(
        self,
        to: Address,
        command: Command,
        done: Done,
        *,
        command_id: str = "",
        timer: str | None = None,
        fresh: bool = False,
    ) -> None:
        """Stamp and decide `command`; `done` is called once, after the journal has what it changed.

        Never blocks. `done` may be called before `submit` returns only with an error.
        """
        stamped = attrs.evolve(command, stamp=self._world.stamp(command_id))
        self._number += 1
        self._take([_Ticket(self._number, to, stamped, done, timer, fresh=fresh)])

    def submit_restart(self, to: Address, done: Done) -> None:
        """Apply the restart policies of `to`'s timers."""
        self._number += 1
        stamped = Command(stamp=self._world.stamp())
        self._take([_Ticket(self._number, to, stamped, done, restart=True)])

    def submit_settled(self, to: Address, owed: str, done: Done) -> None:
        """Note that an asked effect of `to` is done and need not be asked again after a crash."""
        self._number += 1
        stamped = Command(stamp=self._world.stamp())
        self._take([_Ticket(self._number, to, stamped, done, settles=owed)])

    def close(self) -> None:
        """Decide nothing any more, and tell whoever waits.

        What is on its way into the journal is still answered, and not performed: that is owed, and asked
        again by the next engine.
        """
        self._closed = True
        for ticket in [one for queue in self._parked.values() for one in queue]:
            self._fail(ticket, UnavailableError(CLOSED))
        self._parked.clear()
        self._tell_answers()

    async def wait_idle(self) -> None:
        """Wait until nothing is on its way into the journal."""
        while self.in_flight:
            self._idle = trio.Event()
            await self._idle.wait()

    def peek(self, stream: str) -> StreamState | None:
        """The committed state of a loaded stream; not to be changed."""
        return self._streams.get(stream)

    async def read(self, stream: str) -> StreamState:
        """The committed state of `stream`, read from the journal if need be; not to be changed."""
        state = self._streams.get(stream)
        if state is not None:
            return state
        self._reading[stream] += 1
        try:
            loaded = await self._journal.load(stream)
        except UnicodeEncodeError as error:
            raise CodecError("the name of a stream has to be UTF-8") from error
        finally:
            self._reading -= Counter((stream,))
        state = self._streams.setdefault(stream, fold(self._family, self._codec, stream, loaded))
        self._evict(keep=stream)
        return state

    def statistics(self) -> dict[str, int]:
        """Sizes for metrics."""
        return {
            "streams": len(self._streams),
            "busy": len(self._busy),
            "parked": sum(len(queue) for queue in self._parked.values()),
        }

    # -- deciding

    def _take(self, tickets: Sequence[_Ticket]) -> None:
        batch = self._empty()
        for ticket in tickets:
            if self._closed:
                self._fail(ticket, UnavailableError(CLOSED))
                continue
            if ticket.alone:
                batch = self._sent(batch)
            self._decide(batch, ticket)
            if ticket.alone:
                batch = self._sent(batch)
        self._sent(batch)
        self._tell_answers()

    def _empty(self) -> _Batch:
        return _Batch(Draft(self._family, self._streams), [])

    def _sent(self, batch: _Batch) -> _Batch:
        """Append the batch, and begin another."""
        if batch.decided:
            self._append(batch)
        return self._empty()

    def _decide(self, batch: _Batch, ticket: _Ticket) -> None:
        try:
            decision = self._decision(batch.draft, ticket)
        except AbsentError as absent:
            self._park(ticket, absent.stream)
            self._load_soon(absent.stream)
            return
        except RuleError as crash:
            self._crash(batch, ticket, crash)
            return
        waits_for = next((stream for stream in decision.changes if stream in self._busy), None)
        if waits_for is not None:
            self._park(ticket, waits_for)
            return
        batch.draft.accept(decision)
        batch.decided.append((ticket, decision))

    def _decision(self, draft: Draft, ticket: _Ticket) -> Decision:
        if ticket.to in self._crashed:
            raise RuleError(ticket.to)
        if ticket.settles:
            return draft.decide_settled(ticket.to, ticket.settles, ticket.command.stamp)
        if ticket.restart:
            return draft.decide_restart(ticket.to, ticket.command.stamp)
        return draft.decide(ticket.to, ticket.command, timer=ticket.timer, fresh=ticket.fresh)

    def _park(self, ticket: _Ticket, stream: str) -> None:
        queue = self._parked.setdefault(stream, deque())
        if len(queue) >= PARKED_MAX:
            self._fail(ticket, OverloadedError(f"{len(queue)} commands wait for {stream}"))
            return
        queue.append(ticket)

    # -- a rule that raises

    def _crash(self, batch: _Batch, ticket: _Ticket, crash: RuleError) -> None:
        address = crash.address
        command = type(ticket.command).__name__
        log.error("rule_raised", member=str(address), command=command, raised=described(crash))
        self._fail(ticket, CallCrashedError(f"a rule of {address} raised; it has ended"), "crashed")
        policy = self._family.kinds[address.kind].table.crash
        if isinstance(ticket.command, Crash) or policy is None:
            # Its crash reaction raises too: nothing can be journaled about it, so it only stops.
            self._crashed.add(address)
            return
        if isinstance(policy, RebuildOnCrash) and self._rebuilt[address] < policy.limit:
            self._rebuilt[address] += 1
            self._forget(batch, self._family.stream_of(address))
            return
        self._number += 1
        reason = type(crash.__cause__).__name__ if crash.__cause__ is not None else "unknown"
        ended = Crash(reason, stamp=self._world.stamp())
        self._decide(batch, _Ticket(self._number, address, ended, _nobody_asked))

    def _forget(self, batch: _Batch, stream: str) -> None:
        """Have `stream` read from the journal again, unless what was decided on it is on its way there."""
        if stream not in self._busy and stream not in batch.draft.changes:
            self._streams.pop(stream, None)

    # -- journaling

    def _append(self, batch: _Batch) -> None:
        touched: dict[str, int] = {}
        for _, decision in batch.decided:
            for stream, change in decision.changes.items():
                touched.setdefault(stream, change.base)
        try:
            writes = [self._write(stream, batch.draft.changes[stream], batch.decided) for stream in touched]
            self._journal.submit(writes, lambda result: self._appended(batch, result))
        except (CodecError, ValueError) as error:
            self._not_journalable(batch, error)
            return
        self._busy.update(touched)
        self.in_flight += 1

    def _not_journalable(self, batch: _Batch, error: CodecError | ValueError) -> None:
        """A word that no journal can hold is our fault, and fails its own command. Nothing has happened."""
        tickets = [ticket for ticket, _ in batch.decided]
        if len(tickets) > 1:
            for ticket in tickets:
                ticket.alone = True
            self._take(tickets)
            return
        log.error("not_journalable", command=type(tickets[0].command).__name__, reason=str(error))
        own = error if isinstance(error, CodecError) else CodecError(f"no journal can hold this: {error}")
        self._fail(tickets[0], own)

    def _write(self, stream: str, change: Change, decided: list[tuple[_Ticket, Decision]]) -> Write:
        if not change.records:
            return Write(stream, change.base, timers=tuple(change.timers.items()))
        at = decided[-1][0].command.stamp.at
        events = []
        for record in change.records:
            if record.cause is not None:
                at = record.cause.stamp.at
            events.append(NewEvent(self._codec.tag_of(type(record.event)), at, self._codec.encode(record)))
        return Write(
            stream,
            change.base,
            tuple(events),
            tuple(change.timers.items()),
            self._memberships(change),
            snapshot=self._snapshot(stream, change),
        )

    def _memberships(self, change: Change) -> tuple[tuple[str, bool], ...]:
        topics: dict[str, bool] = {}
        for addresses, on in ((change.born, True), (change.ended, False)):
            for address in addresses:
                if self._family.kinds[address.kind].indexed:
                    topics[f"live:{address.kind}"] = on
        return tuple(topics.items())

    def _snapshot(self, stream: str, change: Change) -> bytes | None:
        if change.version // SNAPSHOT_EVERY == change.base // SNAPSHOT_EVERY:
            return None
        old = self._streams.get(stream) or StreamState()
        state = StreamState(old.version, dict(old.members), dict(old.seen))
        apply_change(state, change)
        return encoded(self._codec, state)

    def _appended(self, batch: _Batch, result: Sequence[int] | JournalError) -> None:
        self.in_flight -= 1
        streams = batch.draft.changes
        if isinstance(result, JournalError):
            self._not_appended(batch, result)
        else:
            for stream, change in streams.items():
                self._apply(stream, change)
            for ticket, decision in batch.decided:
                self._answer(ticket, decision)
        self._tell_answers()
        if not isinstance(result, JournalError) and not self._closed:
            performances = tuple(one for _, decision in batch.decided for one in decision.performances)
            self._on_commit(Committed(streams, performances, batch.decided[-1][0].command.stamp.at))
        # Only now: what those who were told have sent at once waits behind what had come before it.
        self._busy.difference_update(streams)
        self._release(streams)
        if not self.in_flight:
            self._idle.set()

    def _apply(self, stream: str, change: Change) -> None:
        state = self._own(stream)
        if state.version == change.base:
            apply_change(state, change)
        elif state.version < change.version:
            # Read from the journal in the middle of others' appends: read it again when it is needed.
            del self._streams[stream]
        # Otherwise a reader was faster and has read what this append made.

    def _own(self, stream: str) -> StreamState:
        state = self._streams.get(stream)
        if state is None:
            state = self._streams[stream] = StreamState()
            self._evict()
        return state

    def _not_appended(self, batch: _Batch, error: JournalError) -> None:
        again = isinstance(error, ConflictError | UnknownOutcomeError | HistoryLostError)
        if again:
            for stream in batch.draft.changes:
                self._streams.pop(stream, None)
        for ticket, _ in batch.decided:
            ticket.tries += 1
            if again and not self._closed and ticket.tries <= RETRIES_MAX:
                self._park(ticket, self._family.stream_of(ticket.to))
            else:
                self._fail(ticket, error)

    def _release(self, streams: Sequence[str] | dict[str, Change]) -> None:
        waiting: list[_Ticket] = []
        for stream in streams:
            waiting += self._parked.pop(stream, ())
        if waiting:
            waiting.sort(key=lambda ticket: ticket.number)
            self._take(waiting)

    # -- answering

    def _answer(self, ticket: _Ticket, decision: Decision) -> None:
        if decision.reason == DUPLICATE:
            if self._closed:
                self._fail(ticket, UnavailableError(CLOSED))
                return
            self._count(ticket, DUPLICATE)
            self._nursery.start_soon(self._answer_again, ticket, decision)
            return
        self._count(ticket, decision.outcome)
        message = None
        for one in decision.performances:
            if isinstance(one.effect, Reply):
                message = one.effect.message
        answer = Answer(decision.outcome, decision.reason, message, None, ticket.command.stamp.at)
        self._answers.append((ticket, answer))

    async def _answer_again(self, ticket: _Ticket, decision: Decision) -> None:
        """Answer a repeated command by stepping the journaled one again; nothing is changed or performed."""
        stream = self._family.stream_of(ticket.to)
        answer = Answer(Outcome.REFUSED, error=UnavailableError(CLOSED))
        try:
            loaded = await self._journal.load(stream, snapshot=False)
            message = answer_again(self._family, self._codec, stream, loaded, decision.seen_at)
            answer = Answer(Outcome.MOVED, DUPLICATE, message, None, ticket.command.stamp.at)
        except JournalError as error:
            answer = Answer(Outcome.REFUSED, error=error)
        finally:
            # Also when the engine is left meanwhile: whoever waits has to hear of it.
            self._answers.append((ticket, answer))
            self._tell_answers()

    def _fail(self, ticket: _Ticket, error: EngineError, outcome: str = "failed") -> None:
        self._count(ticket, outcome)
        self._answers.append((ticket, Answer(Outcome.REFUSED, error=error)))

    def _tell_answers(self) -> None:
        """Answer in order, with nothing half decided: who is answered may send the next command at once."""
        if self._answering:
            return
        self._answering = True
        while self._answers:
            ticket, answer = self._answers.popleft()
            # Whoever asked may fail, and the journal's delivery must go on.
            with contained("answer_not_taken", member=str(ticket.to), command=type(ticket.command).__name__):
                ticket.done(answer)
        self._answering = False

    def _count(self, ticket: _Ticket, outcome: str) -> None:
        key = (ticket.to.kind, type(ticket.command).__name__, outcome)
        self.counts[key] = self.counts.get(key, 0) + 1

    # -- loading and forgetting

    def _load_soon(self, stream: str) -> None:
        if stream not in self._loading:
            self._loading.add(stream)
            self._nursery.start_soon(self._load, stream)

    async def _load(self, stream: str) -> None:
        try:
            await self.read(stream)
        except EngineError as error:
            log.error("stream_unreadable", stream=stream, reason=str(error))
            for ticket in self._parked.pop(stream, ()):
                self._fail(ticket, error)
            self._tell_answers()
        finally:
            self._loading.discard(stream)
        if stream not in self._busy:
            self._release((stream,))

    def _evict(self, keep: str = "") -> None:
        """Drop the streams loaded longest ago; the journal has them."""
        excess = len(self._streams) - self._streams_max
        if excess <= 0:
            return
        # What is being read is kept as well: an older reading must not come in its place.
        used = (self._busy, self._reading, (keep,))
        idle = (one for one in self._streams if not any(one in some for some in used))
        for stream in [name for name, _ in zip(idle, range(excess), strict=False)]:
            del self._streams[stream]


def _nobody_asked(_answer: Answer) -> None:
    """A command of the engine's own needs no answer."""
