"""How far a client has heard its user's log."""


class Cursor:
    """Events come once, and a new link begins where the old one ended."""

    def __init__(self, since: int | None) -> None:
        self.resume = since
        """The version to ask for; None until a log begun without one is known to be heard in full."""
        self._heard = since or 0
        self._start = 0

    def begin(self, start: int | None) -> None:
        """A link begins at `start`; what a device without a cursor has missed still comes, before it."""
        if start is None:
            return
        if start < self._heard:
            # The server knows less than we do: a restored backup counts from there anew.
            self._heard = 0 if self.resume is None else start
            self.resume = None if self.resume is None else start
        self._start = start

    def is_new(self, version: int | None) -> bool:
        """Whether an event has not been heard; it is from now on."""
        if version is None:
            return True
        if version <= self._heard:
            return False
        self._heard = version
        if self.resume is not None or version > self._start:
            self.resume = version
        return True

    def prove(self) -> None:
        """Something came that comes behind all that was missed."""
        if self.resume is None:
            self.resume = max(self._start, self._heard)
