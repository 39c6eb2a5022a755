"""The clock, the chance and the names that the runtime puts on commands."""

import secrets
import time
from collections.abc import Callable

import attrs

from engine.vocabulary import Stamp


def fresh_entropy() -> str:
    """64 hexadecimal digits from the system's CSPRNG."""
    return secrets.token_hex(32)


def fresh_id() -> str:
    """A new command id: 24 hexadecimal digits."""
    return secrets.token_hex(12)


@attrs.frozen(kw_only=True)
class World:
    """Where stamps come from; tests pass a virtual one."""

    clock: Callable[[], float] = time.time
    """UTC seconds."""
    entropy: Callable[[], str] = fresh_entropy
    """64 hexadecimal digits, other ones each time; `Stamp.cut` makes ids and secrets of them."""
    ids: Callable[[], str] = fresh_id
    """The id of a command that came without one, other ones each time."""

    def stamp(self, command_id: str = "") -> Stamp:
        """The stamp of a command that is taken in now."""
        return Stamp(at=self.clock(), id=command_id or self.ids(), entropy=self.entropy())
