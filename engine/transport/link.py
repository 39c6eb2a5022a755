"""The client's end of a connection that carries texts, whatever it is made of."""

from typing import Protocol


class Link(Protocol):
    """Both directions keep the order of messages, unless they are simulated not to.

    Methods raise TransportClosedError after we closed, TransportBrokenError(code) when the other side or
    the network ended it, and TransportTimeoutError when the other side stopped answering.
    """

    async def send(self, text: str) -> None:
        """Send one message; waits while the other side is slow."""
        ...

    async def receive(self) -> str:
        """The next message. What came before the end is still received."""
        ...

    async def aclose(self) -> None:
        """Close. Idempotent."""
        ...
