"""The words that all machines share: commands, events, effects, messages, addresses."""

import hashlib

import attrs


def length(text: str) -> str:
    """Repr of a secret field: its size and nothing else (`attrs.field(repr=length)`)."""
    return f"<{len(text)} characters>"


@attrs.frozen(kw_only=True)
class Stamp:
    """What a command needs from the world, put on it once by the runtime."""

    at: float = 0.0
    """UTC seconds at which the command was taken in."""
    id: str = ""
    """Names the command for ever; a second one with the same id is the same command."""
    entropy: str = attrs.field(default="", repr=length)
    """64 hexadecimal digits from a CSPRNG; ids and secrets are cut from it."""

    def cut(self, label: str, digits: int) -> str:
        """`digits` (up to 64) hexadecimal digits for `label`; one label's say nothing about another's."""
        return hashlib.blake2b(self.entropy.encode(), person=label.encode()[:16], digest_size=32).hexdigest()[
            :digits
        ]


UNSTAMPED = Stamp()


@attrs.frozen
class Command:
    """A request to a machine; it may be refused."""

    stamp: Stamp = attrs.field(default=UNSTAMPED, kw_only=True, repr=False)

    @property
    def at(self) -> float:
        """UTC seconds at which the command was taken in."""
        return self.stamp.at


@attrs.frozen
class Event:
    """A fact. It is journaled, and data changes by it alone."""


@attrs.frozen
class Message:
    """What a party is told; each API gives it a wire form."""


@attrs.frozen
class Effect:
    """An instruction outward, performed after the journal has the step's events."""


@attrs.frozen(order=True)
class Address:
    """One machine instance: which table (`kind`) and which one of them (`key`)."""

    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"
