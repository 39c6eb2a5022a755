"""The address by which this machine is reached."""

import socket

_OUTSIDE = "203.0.113.1"
"""Of documentation (RFC 5737): in no network of anybody."""


def own_address(towards: str = _OUTSIDE) -> str | None:
    """The IPv4 address that others see; None without a network. Nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Of UDP, this only looks up the way there.
            probe.connect((towards, 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return address
