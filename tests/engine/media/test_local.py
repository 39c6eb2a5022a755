"""The address by which this machine is reached."""

import socket

from engine.media.local import own_address

BROADCAST = "255.255.255.255"
"""The system refuses it to a socket that has not asked for it."""


def test_towards_loopback_it_is_loopback() -> None:
    assert own_address("127.0.0.1") == "127.0.0.1"


def test_without_a_way_there_is_none() -> None:
    assert own_address(BROADCAST) is None


def test_it_can_be_listened_on() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((own_address() or "127.0.0.1", 0))
