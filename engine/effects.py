"""The closed set of effects."""

import attrs

from engine.vocabulary import Address, Command, Effect, Message


@attrs.frozen
class Reply(Effect):
    """Answer whoever sent the command that is being handled."""

    message: Message


@attrs.frozen(kw_only=True)
class Send(Effect):
    """Tell every socket of `to`, in the order of the versions of the stream that says so."""

    to: str
    message: Message
    only: str | None = None
    """Device that alone is told; None tells every device."""
    skip: str | None = None
    """Device that is not told."""


@attrs.frozen
class Tell(Effect):
    """Command another machine inside the same atomic step; its refusal refuses the whole step."""

    to: Address
    command: Command
    fresh: bool = False
    """The key was just cut from entropy: take the stream as empty without reading the journal."""


@attrs.frozen
class StartTimer(Effect):
    """Fire `name` at `due` (UTC seconds) unless the state is left before. Made by the stepper."""

    name: str
    due: float


@attrs.frozen
class StopTimer(Effect):
    """The state that owned `name` was left. Made by the stepper."""

    name: str


@attrs.frozen
class ProlongTimer(Effect):
    """Fire `name`, which runs, no sooner than `due` (UTC seconds). Said by a reaction without an event.

    It is not journaled: a restart forgets it, so that the timer has to be one that a restart arms anew.
    """

    name: str
    due: float


@attrs.frozen
class Request:
    """What a port is asked to do; each port has its own subclasses."""


@attrs.frozen(kw_only=True)
class Push(Request):
    """Tell the devices of `to` that sleep; what a push port is asked, whatever the API."""

    type: str
    to: str
    message: Message
    """What the devices get. It goes through other people's servers: no token, no key."""


@attrs.frozen
class Ask(Effect):
    """Have `port` do `request`, in the call's own scope; what it learns comes back as commands."""

    port: str
    """`<api>.<noun>`; `open_engine(performers=...)` and `Api.crew` have its performer."""
    request: Request
    """It is not journaled: after a crash, the command that led to it says it again."""
