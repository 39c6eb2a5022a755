"""One peer's way out: SRTP over the address that ICE has chosen. What cannot be sent now is dropped."""

from engine.media.router.dtls import Secured, SrtpError
from engine.media.router.ice_mux import Endpoint


class Link:
    """Sends plain RTP and RTCP to one peer."""

    def __init__(self, endpoint: Endpoint, secured: Secured) -> None:
        self.endpoint = endpoint
        self.secured = secured
        self.unsent = 0
        """Packets that could not be protected, or before there was a connection."""

    @property
    def ready(self) -> bool:
        """Whether media can be sent."""
        return self.endpoint.address is not None and self.secured.connected

    def send_rtp(self, packet: bytes) -> None:
        """Protect and send."""
        try:
            if self.ready:
                self.endpoint.send(self.secured.protect(packet))
                return
        except (SrtpError, ValueError):
            pass
        self.unsent += 1

    def send_rtcp(self, packet: bytes) -> None:
        """Protect and send a compound."""
        try:
            if self.ready:
                self.endpoint.send(self.secured.protect_rtcp(packet))
                return
        except (SrtpError, ValueError):
            pass
        self.unsent += 1
