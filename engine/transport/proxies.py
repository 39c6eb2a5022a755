"""Who a client is behind proxies: `X-Forwarded-For`, believed from those alone that are trusted."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Ip: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

HOPS_MAX = 16
"""Addresses of one header that are looked at; a longer chain of trusted proxies ends there."""


def network_of(text: str) -> Network:
    """An address, or a network such as `10.0.0.0/8`.

    Raises:
        ValueError: it is neither.
    """
    return ip_network(text)


class Proxies:
    """The proxies that are trusted to say for whom they ask."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = tuple(network_of(one) for one in trusted)

    def client_of(self, peer: str, headers: Mapping[str, str]) -> str:
        """The address of the client: `peer`, or whom a trusted one asks for.

        Each proxy puts at the end whom it heard, so that the last address that is not trusted is what a
        trusted one saw. What stands before it anybody may have written. A value that is no address ends
        the search at the proxy that handed it on.
        """
        client = peer
        if self._networks and self._trusts(_ip_of(peer)):
            for text in reversed(headers.get("x-forwarded-for", "").rsplit(",", HOPS_MAX)[-HOPS_MAX:]):
                found = _ip_of(text.strip())
                if found is None:
                    break
                client = str(found)
                if not self._trusts(found):
                    break
        return client

    def _trusts(self, ip: Ip | None) -> bool:
        return ip is not None and any(ip in network for network in self._networks)


def _ip_of(text: str) -> Ip | None:
    """IPv4 inside of IPv6 is IPv4. A zone (`%eth0`) may be any text, and has no place in a header."""
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    if isinstance(ip, IPv4Address):
        return ip
    return None if ip.scope_id is not None else ip.ipv4_mapped or ip
