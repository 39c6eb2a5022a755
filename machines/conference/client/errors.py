"""What a client of the conference API raises besides the errors of transport and media."""

from engine.errors import EngineError


class ConferenceRefusedError(EngineError):
    """The host says no. The conference is as it was."""

    def __init__(self, status: int, error: str = "", description: str = "") -> None:
        said = description or error
        super().__init__(f"{status}: {said}" if said else f"{status}")
        self.status = status
        """The HTTP status."""
        self.error = error
        """The host's key, such as `conference_not_found`; empty when it gave none."""
        self.description = description
        """The host's words."""


class TokenRefusedError(ConferenceRefusedError):
    """The host gives this client no token."""


class ConferenceOverError(EngineError):
    """The conference has ended for all."""


class FeedFailedError(EngineError):
    """What was published or viewed has ended, and does not come back by itself."""
