"""Performers: they do what `Ask` effects say, in the call's scope, and tell the machine what they learned."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeAlias

import attrs

from engine.effects import Ask, Request
from engine.errors import ConfigurationError
from engine.machine.family import Performance, owed_name
from engine.machine.table import Crash
from engine.runtime.scopes import Scopes
from engine.runtime.supervisor import contained
from engine.vocabulary import Address, Command

DONE_KEYS_MAX = 10_000
"""Effect keys remembered, so that a repeated effect is done once."""


@attrs.frozen(kw_only=True, eq=False)
class Asked:
    """One request to a port."""

    key: str
    """`stream:version:index`: hand it on as idempotency key to what lies outside."""
    member: Address
    """Who asks."""
    request: Request
    tell: Callable[[Command], None]
    """Command the asking machine with what was learned."""


Performer: TypeAlias = Callable[[Asked], Awaitable[None]]


class Performers:
    """The performers of an engine by the name of their port."""

    def __init__(
        self,
        performers: Mapping[str, Performer],
        scopes: Scopes,
        tell: Callable[[Address, Command], None],
        settle: Callable[[Address, str], None],
    ) -> None:
        self._performers = performers
        self._scopes = scopes
        self._tell = tell
        self._settle = settle
        self._done: OrderedDict[str, None] = OrderedDict()
        self._pending: dict[str, set[tuple[Address, str]]] = {}
        """What each stream's machines asked and is not done."""

    def perform(self, performance: Performance) -> None:
        """Start what an `Ask` says, unless its key was started before."""
        ask = performance.effect
        if not isinstance(ask, Ask) or performance.key in self._done:
            return
        self._done[performance.key] = None
        if len(self._done) > DONE_KEYS_MAX:
            self._done.popitem(last=False)
        performer = self._performers.get(ask.port, partial(_nobody, ask.port))
        asked = Asked(
            key=performance.key,
            member=performance.member,
            request=ask.request,
            tell=partial(self._tell, performance.member),
        )
        version, index = performance.key.rsplit(":", 2)[1:]
        owed = (performance.member, owed_name(int(version), int(index)))
        self._pending.setdefault(performance.stream, set()).add(owed)
        run = partial(self._run, performer, ask.port, asked, performance.stream, owed)
        self._scopes.start(performance.stream, run)

    def call_ended(self, stream: str) -> None:
        """Cancel what the call owned; nobody wants it any more, after a crash either."""
        self._scopes.end(stream)
        for member, owed in self._pending.pop(stream, ()):
            self._settle(member, owed)

    async def _run(
        self, performer: Performer, port: str, asked: Asked, stream: str, owed: tuple[Address, str]
    ) -> None:
        def crash(error: Exception) -> None:
            self._tell(asked.member, Crash(type(error).__name__))

        # One performer's failure ends one call, with its reason journaled.
        with contained("performer_failed", crash, key=asked.key, member=str(asked.member), port=port):
            await performer(asked)
        # Not reached when cancelled: an engine that stops asks again when it is back.
        pending = self._pending.get(stream, set())
        pending.discard(owed)
        if not pending:
            self._pending.pop(stream, None)
        self._settle(*owed)


async def _nobody(port: str, asked: Asked) -> None:
    # Where the code of the reactions tells, `open_engine` has refused it already.
    reason = f"nobody performs the port {port!r}, which {asked.member.kind} asks: pass it to open_engine"
    raise ConfigurationError("performers", reason)
