"""Performers: they do what `Ask` effects say, in the call's scope, and tell the machine what they learned."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeAlias

import attrs
import structlog

from engine.effects import Ask, Request
from engine.machine.family import Performance
from engine.machine.table import Crash
from engine.runtime.scopes import Scopes
from engine.vocabulary import Address, Command

DONE_KEYS_MAX = 10_000
"""Effect keys remembered, so that a repeated effect is done once."""

log = structlog.get_logger("switchhook.performers")


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
    ) -> None:
        self._performers = performers
        self._scopes = scopes
        self._tell = tell
        self._done: OrderedDict[str, None] = OrderedDict()

    def perform(self, performance: Performance) -> None:
        """Start what an `Ask` says, unless its key was started before."""
        ask = performance.effect
        if not isinstance(ask, Ask) or performance.key in self._done:
            return
        self._done[performance.key] = None
        if len(self._done) > DONE_KEYS_MAX:
            self._done.popitem(last=False)
        performer = self._performers.get(ask.port)
        if performer is None:
            log.error("no_performer", port=ask.port, member=str(performance.member))
            self._tell(performance.member, Crash(f"nobody performs {ask.port}"))
            return
        asked = Asked(
            key=performance.key,
            member=performance.member,
            request=ask.request,
            tell=partial(self._tell, performance.member),
        )
        self._scopes.start(performance.stream, partial(self._run, performer, asked))

    async def _run(self, performer: Performer, asked: Asked) -> None:
        try:
            await performer(asked)
        except Exception as error:
            # The supervisor's place: one performer's failure ends one call, with its reason journaled.
            log.error("performer_failed", port_key=asked.key, member=str(asked.member), exc_info=error)
            self._tell(asked.member, Crash(type(error).__name__))
