"""Commands in, decisions out: stepped where they arrive, journaled together, performed afterwards."""

from collections import Counter, deque
from collections.abc import Callable, Sequence

import attrs
import msgspec
import structlog
import trio

from engine.codec.records import RecordCodec
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
from engine.journal.fold import answer_again
from engine.journal.port import Journal
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
    index_name,
)
from engine.machine.step import Outcome
from engine.machine.table import Crash, RebuildOnCrash
from engine.runtime.answers import Answer, Answers, Done, Ticket
from engine.runtime.streams import Streams
from engine.runtime.supervisor import described
from engine.runtime.world import World
from engine.runtime.writes import Writer
from engine.vocabulary import Address, Command

PARKED_MAX = 1_024
"""Commands that may wait for one stream; one more is answered with OverloadedError."""

RETRIES_MAX = 50
"""How often a command is decided anew after another writer was faster."""

CLOSED = "the engine was left"

log = structlog.get_logger("switchhook.runtime")


class Committed(msgspec.Struct, frozen=True):
    """What an append made true, for listeners."""

    changes: dict[str, Change]
    performances: tuple[Performance, ...]
    at: float


@attrs.frozen(eq=False)
class _Batch:
    """Tickets that are journaled by one append."""

    draft: Draft
    decided: list[tuple[Ticket, Decision]]


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
    ) -> None:
        self._journal = journal
        self._codec = codec
        self._family = family
        self._world = world
        self._nursery = nursery
        self._on_commit = on_commit
        self._streams = Streams(journal, codec, family)
        self._writer = Writer(codec, family, self._streams.after)
        self._answers = Answers()
        self._parked: dict[str, deque[Ticket]] = {}
        self._loading: set[str] = set()
        self._crashed: set[Address] = set()
        self._rebuilt: Counter[Address] = Counter()
        self._closed = False
        self._number = 0
        self._idle = trio.Event()
        self.in_flight = 0
        self.counts = self._answers.counts
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
        self._take([Ticket(self._number, to, stamped, done, timer, fresh=fresh)])

    def submit_restart(self, to: Address, done: Done) -> None:
        """Apply the restart policies of `to`'s timers."""
        self._number += 1
        stamped = Command(stamp=self._world.stamp())
        self._take([Ticket(self._number, to, stamped, done, restart=True)])

    def submit_settled(self, to: Address, owed: str, done: Done) -> None:
        """Note that an asked effect of `to` is done and need not be asked again after a crash."""
        self._number += 1
        stamped = Command(stamp=self._world.stamp())
        self._take([Ticket(self._number, to, stamped, done, settles=owed)])

    def close(self) -> None:
        """Decide nothing any more, and tell whoever waits.

        What is on its way into the journal is still answered, and not performed: that is owed, and asked
        again by the next engine.
        """
        self._closed = True
        for ticket in [one for queue in self._parked.values() for one in queue]:
            self._answers.failed(ticket, UnavailableError(CLOSED))
        self._parked.clear()
        self._answers.tell()

    async def wait_idle(self) -> None:
        """Wait until nothing is on its way into the journal."""
        while self.in_flight:
            self._idle = trio.Event()
            await self._idle.wait()

    def peek(self, stream: str) -> StreamState | None:
        """The committed state of a loaded stream; not to be changed."""
        return self._streams.loaded.get(stream)

    def may_fire(self, address: Address, timer: str) -> float:
        """From when on a running timer may fire (UTC seconds); 0 unless it was prolonged."""
        return self._streams.prolonged.get(index_name(address, timer), 0.0)

    async def read(self, stream: str) -> StreamState:
        """The committed state of `stream`, read from the journal if need be; not to be changed."""
        return await self._streams.read(stream)

    async def forget(self, streams: Sequence[str]) -> Sequence[str]:
        """Erase those of `streams` that are loaded and over, for good; the answer says which.

        What is commanded meanwhile waits, and finds a stream in which nothing has happened yet.

        Raises:
            JournalError: perhaps they were erased.
        """
        over = [stream for stream in streams if self._is_over(stream)]
        if not over:
            return ()
        self._streams.busy.update(over)
        self.in_flight += 1
        try:
            await self._journal.forget(over)
        finally:
            # Erased or not: whoever needs one of them reads it again.
            self.in_flight -= 1
            self._streams.forget(over)
            self._streams.busy.difference_update(over)
            self._release(over)
            if not self.in_flight:
                self._idle.set()
        return over

    def statistics(self) -> dict[str, int]:
        """Sizes for metrics."""
        return {
            "streams": len(self._streams.loaded),
            "busy": len(self._streams.busy),
            "parked": sum(len(queue) for queue in self._parked.values()),
        }

    def _is_over(self, stream: str) -> bool:
        """Whether it can be erased: nothing runs in it, and nothing is on its way to it or from it."""
        state = self._streams.loaded.get(stream)
        if state is None or stream in self._streams.busy or stream in self._parked:
            return False
        # An older reading would bring back what was erased.
        return not self._streams.is_read(stream) and self._family.is_over(stream, state)

    # -- deciding

    def _take(self, tickets: Sequence[Ticket]) -> None:
        batch = self._empty()
        for ticket in tickets:
            if self._closed:
                self._answers.failed(ticket, UnavailableError(CLOSED))
                continue
            if ticket.alone:
                batch = self._sent(batch)
            self._decide(batch, ticket)
            if ticket.alone:
                batch = self._sent(batch)
        self._sent(batch)
        self._answers.tell()

    def _empty(self) -> _Batch:
        return _Batch(Draft(self._family, self._streams.loaded, self._streams.prolonged), [])

    def _sent(self, batch: _Batch) -> _Batch:
        """Append the batch, and begin another."""
        if batch.decided:
            self._append(batch)
        return self._empty()

    def _decide(self, batch: _Batch, ticket: Ticket) -> None:
        try:
            decision = self._decision(batch.draft, ticket)
        except AbsentError as absent:
            self._park(ticket, absent.stream)
            self._load_soon(absent.stream)
            return
        except RuleError as crash:
            self._crash(batch, ticket, crash)
            return
        waits_for = next((stream for stream in decision.changes if stream in self._streams.busy), None)
        if waits_for is not None:
            self._park(ticket, waits_for)
            return
        batch.draft.accept(decision)
        batch.decided.append((ticket, decision))

    def _decision(self, draft: Draft, ticket: Ticket) -> Decision:
        if ticket.to in self._crashed:
            raise RuleError(ticket.to)
        if ticket.settles:
            return draft.decide_settled(ticket.to, ticket.settles, ticket.command.stamp)
        if ticket.restart:
            return draft.decide_restart(ticket.to, ticket.command.stamp)
        return draft.decide(ticket.to, ticket.command, timer=ticket.timer, fresh=ticket.fresh)

    def _park(self, ticket: Ticket, stream: str) -> None:
        queue = self._parked.setdefault(stream, deque())
        if len(queue) >= PARKED_MAX:
            self._answers.failed(ticket, OverloadedError(f"{len(queue)} commands wait for {stream}"))
            return
        queue.append(ticket)

    # -- a rule that raises

    def _crash(self, batch: _Batch, ticket: Ticket, crash: RuleError) -> None:
        address = crash.address
        command = type(ticket.command).__name__
        log.error("rule_raised", member=str(address), command=command, raised=described(crash))
        self._answers.failed(ticket, CallCrashedError(f"a rule of {address} raised; it has ended"), "crashed")
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
        self._decide(batch, Ticket(self._number, address, ended, _nobody_asked))

    def _forget(self, batch: _Batch, stream: str) -> None:
        """Have `stream` read from the journal again, unless what was decided on it is on its way there."""
        if stream not in self._streams.busy and stream not in batch.draft.changes:
            self._streams.drop((stream,))

    # -- journaling

    def _append(self, batch: _Batch) -> None:
        changes, at = batch.draft.changes, batch.decided[-1][0].command.stamp.at
        try:
            writes = [self._writer.write(stream, change, at) for stream, change in changes.items()]
            self._journal.submit(writes, lambda result: self._appended(batch, result))
        except (CodecError, ValueError) as error:
            self._not_journalable(batch, error)
            return
        self._streams.busy.update(changes)
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
        self._answers.failed(tickets[0], own)

    def _appended(self, batch: _Batch, result: Sequence[int] | JournalError) -> None:
        self.in_flight -= 1
        streams = batch.draft.changes
        if isinstance(result, JournalError):
            self._not_appended(batch, result)
        else:
            for stream, change in streams.items():
                self._streams.apply(stream, change)
            for ticket, decision in batch.decided:
                self._answer(ticket, decision)
        self._answers.tell()
        if not isinstance(result, JournalError) and not self._closed:
            performances = tuple(one for _, decision in batch.decided for one in decision.performances)
            self._on_commit(Committed(streams, performances, batch.decided[-1][0].command.stamp.at))
        # Only now: what those who were told have sent at once waits behind what had come before it.
        self._streams.busy.difference_update(streams)
        self._release(streams)
        if not self.in_flight:
            self._idle.set()

    def _not_appended(self, batch: _Batch, error: JournalError) -> None:
        again = isinstance(error, ConflictError | UnknownOutcomeError | HistoryLostError)
        if again:
            self._streams.drop(batch.draft.changes)
        for ticket, _ in batch.decided:
            ticket.tries += 1
            if again and not self._closed and ticket.tries <= RETRIES_MAX:
                self._park(ticket, self._family.stream_of(ticket.to))
            else:
                self._answers.failed(ticket, error)

    def _release(self, streams: Sequence[str] | dict[str, Change]) -> None:
        waiting: list[Ticket] = []
        for stream in streams:
            waiting += self._parked.pop(stream, ())
        if waiting:
            waiting.sort(key=lambda ticket: ticket.number)
            self._take(waiting)

    # -- answering

    def _answer(self, ticket: Ticket, decision: Decision) -> None:
        if decision.reason != DUPLICATE:
            self._answers.decided(ticket, decision)
        elif self._closed:
            self._answers.failed(ticket, UnavailableError(CLOSED))
        else:
            self._answers.count(ticket, DUPLICATE)
            self._nursery.start_soon(self._answer_again, ticket, decision)

    async def _answer_again(self, ticket: Ticket, decision: Decision) -> None:
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
            self._answers.add(ticket, answer)
            self._answers.tell()

    # -- loading

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
                self._answers.failed(ticket, error)
            self._answers.tell()
        finally:
            self._loading.discard(stream)
        if stream not in self._streams.busy:
            self._release((stream,))


def _nobody_asked(_answer: Answer) -> None:
    """A command of the engine's own needs no answer."""
