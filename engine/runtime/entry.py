"""Entries: how an embedding program's first command becomes a call."""

from collections.abc import Callable

import attrs

from engine.vocabulary import Address, Command, Message


@attrs.frozen(kw_only=True, eq=False)
class Entry:
    """A way to begin a call."""

    command: type[Command]
    """What `engine.start` takes with it."""
    to: Callable[[Command], Address]
    """The machine that decides the first command."""
    call: Callable[[Message | None], Address]
    """The machine that the answer names: the call."""
