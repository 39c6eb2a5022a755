"""Commands from their arrival to their answer: who asked, what he learns, and in which order all are told."""

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

import attrs
import msgspec

from engine.effects import Reply
from engine.errors import CommandRefusedError, EngineError
from engine.machine.family import Decision
from engine.machine.step import Outcome
from engine.runtime.supervisor import contained
from engine.vocabulary import Address, Command, Message


class Answer(msgspec.Struct, frozen=True):
    """What the sender of a command learns."""

    outcome: Outcome
    reason: str = ""
    message: Message | None = None
    """What a `Reply` effect said."""
    error: EngineError | None = None
    """Set when the command could not be decided or journaled; then `outcome` says nothing."""
    stamp_at: float = 0.0

    def result(self) -> Message | None:
        """The message, of a command that was taken.

        Raises:
            CommandRefusedError: a rule says no; nothing was changed.
            EngineError: the command could not be decided or journaled.
        """
        if self.error is not None:
            raise self.error
        if self.outcome is Outcome.REFUSED:
            raise CommandRefusedError(self.reason)
        return self.message


Done: TypeAlias = Callable[[Answer], None]


@attrs.define(eq=False)
class Ticket:
    """One command, from its arrival to its answer."""

    number: int
    """Of its arrival."""
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


class Answers:
    """Answers that wait until nothing is half decided, and a count of all."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Ticket, Answer]] = deque()
        self._telling = False
        self.counts: dict[tuple[str, str, str], int] = {}
        """How many commands had each (kind, command, outcome)."""

    def count(self, ticket: Ticket, outcome: str) -> None:
        """Note what became of a command; `outcome` is an Outcome or another word."""
        key = (ticket.to.kind, type(ticket.command).__name__, outcome)
        self.counts[key] = self.counts.get(key, 0) + 1

    def add(self, ticket: Ticket, answer: Answer) -> None:
        """Have `ticket` answered by the next `tell`."""
        self._waiting.append((ticket, answer))

    def decided(self, ticket: Ticket, decision: Decision) -> None:
        """Count the command, and answer it with what was decided and is journaled."""
        self.count(ticket, decision.outcome)
        message = None
        for one in decision.performances:
            if isinstance(one.effect, Reply):
                message = one.effect.message
        self.add(ticket, Answer(decision.outcome, decision.reason, message, None, ticket.command.stamp.at))

    def failed(self, ticket: Ticket, error: EngineError, outcome: str = "failed") -> None:
        """Count the command, and answer it with why nothing became of it."""
        self.count(ticket, outcome)
        self.add(ticket, Answer(Outcome.REFUSED, error=error))

    def tell(self) -> None:
        """Answer in order, with nothing half decided: who is answered may send the next command at once."""
        if self._telling:
            return
        self._telling = True
        while self._waiting:
            ticket, answer = self._waiting.popleft()
            # Whoever asked may fail, and the journal's delivery must go on.
            with contained("answer_not_taken", member=str(ticket.to), command=type(ticket.command).__name__):
                ticket.done(answer)
        self._telling = False
