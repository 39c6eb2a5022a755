"""Who a client is behind proxies: trusted ones are believed about whom they heard, and nobody else."""

import pytest

from engine.app.configuration import ConfigurationFaultsError, read_configuration
from engine.transport.proxies import HOPS_MAX, Proxies
from tests.engine.transport.support import running

PROXY = "10.0.0.1"


def client(said: str | None, *, trusted: tuple[str, ...] = ("10.0.0.0/8",), peer: str = PROXY) -> str:
    headers = {} if said is None else {"x-forwarded-for": said}
    return Proxies(trusted).client_of(peer, headers)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("203.0.113.9,198.51.100.7 , 10.0.0.2", "198.51.100.7"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9"),
    ],
)
def test_the_last_address_that_is_not_trusted_is_the_clients(said: str, found: str) -> None:
    assert client(said) == found


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        ",",
        "unknown",
        "203.0.113.9,",
        "_x",
        "203.0.113.9:80",
        "[2001:db8::1]",
        "fe80::1%a",
        "1.2.3.04",
    ],
)
def test_what_is_no_address_leaves_the_proxys(said: str | None) -> None:
    assert client(said) == PROXY


def test_what_is_no_address_ends_the_search_at_the_proxy_that_handed_it_on() -> None:
    assert client("203.0.113.9, unknown, 10.0.0.2") == "10.0.0.2"


def test_others_are_not_believed() -> None:
    assert client("203.0.113.9", trusted=()) == PROXY
    assert client("203.0.113.9", peer="198.51.100.7") == "198.51.100.7"
    assert client("203.0.113.9", peer="no address") == "no address"


def test_addresses_of_both_families_and_networks_are_trusted() -> None:
    trusted = ("2001:db8::/32", "127.0.0.1")
    assert client("2001:db8::7, 203.0.113.9, 127.0.0.1", trusted=trusted, peer="2001:db8::1") == "203.0.113.9"
    assert client("203.0.113.9", trusted=trusted, peer="127.0.0.2") == "127.0.0.2"


def test_a_chain_is_followed_so_far_and_no_further() -> None:
    assert client("203.0.113.9" + ", 10.0.0.2" * (HOPS_MAX - 1)) == "203.0.113.9"
    assert client("203.0.113.9" + ", 10.0.0.2" * HOPS_MAX) == "10.0.0.2"


@pytest.mark.parametrize("wrong", ["localhost", "10.0.0.1/8", "", "10.0.0.0/33"])
def test_a_proxy_is_an_address_or_a_network(wrong: str) -> None:
    with pytest.raises(ConfigurationFaultsError) as caught:
        read_configuration({"server": {"trusted_proxies": ["127.0.0.1", wrong]}})
    assert "server.trusted_proxies: must be addresses or networks, such as 127.0.0.1" in str(caught.value)


@pytest.mark.parametrize(
    ("trusted", "peer"), [((), "127.0.0.1"), (("127.0.0.0/8",), "203.0.113.9")], ids=["nobody", "it"]
)
async def test_a_server_tells_its_application_who_asks(trusted: tuple[str, ...], peer: str) -> None:
    async with running(trusted_proxies=trusted) as run:
        wire = await run.wire()
        for path in ("/a", "/b"):
            await wire.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n")
        assert [request.peer for request in run.app.requests] == [peer, peer]
