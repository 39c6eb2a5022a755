"""How a client of the conference API behaves."""

from enum import StrEnum

import attrs


class WhenFull(StrEnum):
    """What happens when the program does not take the events that come."""

    DROP_OLDEST = "drop_oldest"
    """The oldest event is dropped and counted; `Seat.picture` has what it changed."""
    END = "end"
    """The seat ends with OverloadedError: nothing is lost unseen."""


@attrs.frozen(kw_only=True)
class ClientSettings:
    """Times in seconds."""

    request_seconds: float = 20.0
    """From a request to its whole answer; an offer waits for the media of the host."""
    poll_seconds: float = 60.0
    """How long a host may let a request for events wait; ours answers after 10 seconds."""
    media_seconds: float = 10.0
    """For one request to the media host, such as an offer with its candidates."""
    keep_alive_seconds: int = 15
    """Promised to the host; a keepalive is sent twice as often."""
    give_up_seconds: float = 300.0
    """How long a seat that is not inside goes on trying."""
    leave_seconds: float = 5.0
    """For everything that is said when a seat or the client is left."""
    hurried_seconds: float = 1.0
    """The same, when the program is cancelled."""
    first_delay_seconds: float = 0.5
    """Bound of the first delay before something is tried again; it doubles."""
    longest_delay_seconds: float = 30.0
    connections_max: int = 20
    """To the host; each seat that polls holds one."""
    events_max: int = 256
    """Events of one seat that the program has not taken."""
    when_full: WhenFull = WhenFull.DROP_OLDEST
