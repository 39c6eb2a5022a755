"""Hands open sockets to a worker, over a socket pair beside the one for frames.

A worker in a process has other descriptors than we have, so the kernel carries them (SCM_RIGHTS), each under
a number that the request names which is sent right behind it.
"""

import socket
import sys
from typing import TypeAlias

from engine.errors import MediaError

_NUMBER_BYTES = 8

Pair: TypeAlias = tuple[socket.socket, socket.socket]


def packet_pair() -> Pair:
    """Two sockets that keep packets apart, neither of which waits.

    On Linux the kind that is bounded by bytes and tells when the other end is gone; a pair of datagram
    sockets takes no more than ten packets there.
    """
    kind = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    for each in (ours, theirs):
        each.settimeout(0)
    return ours, theirs


def hand(channel: socket.socket, number: int, given: socket.socket) -> None:
    """Give the worker at the other end of `channel` a copy of a socket.

    Raises:
        OSError: it has not taken those before, or is gone.
    """
    socket.send_fds(channel, [number.to_bytes(_NUMBER_BYTES, "big")], [given.fileno()])


class Handed:
    """The worker's end of such a channel."""

    def __init__(self, channel: socket.socket) -> None:
        channel.settimeout(0)
        self._channel = channel

    def take(self, number: int) -> socket.socket:
        """The socket of this number; those of numbers before it are closed, for nobody has asked for them.

        Raises:
            MediaError: it was not handed over.
        """
        while True:
            told, taken = self._receive()
            if told == number:
                return taken
            taken.close()

    def _receive(self) -> tuple[int, socket.socket]:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._channel, _NUMBER_BYTES, 1)
        except OSError:
            data, descriptors = b"", []
        if not descriptors:
            raise MediaError("a socket was not handed over")
        taken = socket.socket(fileno=descriptors[0])
        # What comes from the kernel would go on to every program that is started here.
        taken.set_inheritable(False)
        return int.from_bytes(data, "big"), taken

    def close(self) -> None:
        """Close the channel, and with it what was not taken."""
        self._channel.close()
