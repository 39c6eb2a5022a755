"""Sockets that are handed to a worker, within one process."""

import socket
from collections.abc import Iterator

import pytest

from engine.errors import MediaError
from engine.media.rights import Handed, hand, packet_pair


class Channel:
    """Both ends of one, and what is given through it."""

    def __init__(self) -> None:
        self.host, worker = packet_pair()
        self.handed = Handed(worker)
        self.given, self.other = packet_pair()

    def close(self) -> None:
        self.host.close()
        self.handed.close()
        self.given.close()
        self.other.close()


@pytest.fixture
def channel() -> Iterator[Channel]:
    channel = Channel()
    yield channel
    channel.close()


def test_a_socket_arrives_under_its_number_and_works(channel: Channel) -> None:
    hand(channel.host, 7, channel.given)
    with channel.handed.take(7) as taken:
        taken.send(b"one")
        taken.send(b"two")
        assert [channel.other.recv(100), channel.other.recv(100)] == [b"one", b"two"]
        assert not taken.get_inheritable()


def test_sockets_that_nobody_asked_for_are_closed(channel: Channel) -> None:
    for number in (1, 2):
        ours, theirs = packet_pair()
        hand(channel.host, number, theirs)
        theirs.close()
        if number == 1:
            forgotten = ours
        else:
            ours.close()
    channel.handed.take(2).close()
    with forgotten, pytest.raises(OSError, match="Broken pipe"):
        forgotten.send(b"to nobody")


def test_a_socket_that_was_not_handed_over_is_an_error(channel: Channel) -> None:
    with pytest.raises(MediaError, match="was not handed over"):
        channel.handed.take(1)
    channel.host.send(b"no socket")
    with pytest.raises(MediaError, match="was not handed over"):
        channel.handed.take(1)
    channel.host.close()
    with pytest.raises(MediaError, match="was not handed over"):
        channel.handed.take(1)


def test_a_worker_that_takes_nothing_holds_up_nobody(channel: Channel) -> None:
    with pytest.raises(BlockingIOError):  # noqa: PT012 # how many fit is the kernel's
        for number in range(10_000):
            hand(channel.host, number, channel.given)


def test_what_was_not_taken_goes_with_the_channel(channel: Channel) -> None:
    ours, theirs = packet_pair()
    hand(channel.host, 1, theirs)
    theirs.close()
    channel.handed.close()
    with ours, pytest.raises(OSError, match=r"Broken pipe|reset"):
        ours.send(b"to nobody")


def test_a_pair_keeps_packets_apart_and_never_waits() -> None:
    ours, theirs = packet_pair()
    with ours, theirs:
        ours.send(b"one")
        ours.send(b"two")
        assert theirs.recv(100) == b"one"
        assert theirs.recv(100) == b"two"
        with pytest.raises(BlockingIOError):
            theirs.recv(100)
        assert ours.type == socket.SOCK_SEQPACKET
