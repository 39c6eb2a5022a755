"""Both ways of sending one packet to many: the same bytes, and what happens when something refuses."""

import errno
import socket
import struct
from collections.abc import Iterator
from typing import Any, cast

import pylibsrtp
import pytest

from engine.media.router import fanout
from engine.media.router.dtls import SrtpError
from engine.media.router.fanout import (
    BODY_BYTES_MAX,
    CHUNK,
    BatchedFanout,
    Fanout,
    Outlet,
    PortableFanout,
    Slots,
    batching_is_possible,
)

pytestmark = pytest.mark.skipif(not batching_is_possible(), reason="both are compared here")
POLICY = pylibsrtp.Policy(key=bytes(range(30)), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
INBOUND = pylibsrtp.Policy(key=bytes(range(30)), ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND)


class _Secured:
    def __init__(self) -> None:
        self.session = pylibsrtp.Session(POLICY)
        self.breaks = False

    def protect(self, packet: bytes) -> bytes:
        if self.breaks:
            raise SrtpError("broken")
        return self.session.protect(packet)

    @property
    def outgoing_handle(self) -> Any:
        return self.session._srtp[0]


class _Link:
    def __init__(self, sender: socket.socket, address: Any) -> None:
        self.secured = _Secured()
        self.ready = True
        self.endpoint = self
        self.socket, self.address, self.transmit = sender, address, sender.sendto


class Copy:
    """A viewer's outlet, the socket behind it, and the session that reads it."""

    def __init__(self, sender: socket.socket, number: int) -> None:
        family = sender.family
        self.receiver = socket.socket(family, socket.SOCK_DGRAM)
        self.receiver.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.receiver.settimeout(2)
        self.link = cast(Any, _Link(sender, self.receiver.getsockname()))
        self.ssrc, self.payload_type = 100 + number, 96 + number
        self.sequence_offset, self.timestamp_offset = 65530 + number, 0xFFFFFFF0
        self._session = pylibsrtp.Session(INBOUND)

    def read(self) -> bytes:
        return self._session.unprotect(self.receiver.recv(2048))


@pytest.fixture
def senders() -> Iterator[tuple[socket.socket, socket.socket]]:
    four, six = (socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6))
    four.bind(("127.0.0.1", 0))
    six.bind(("::1", 0))
    with four, six:
        yield four, six


@pytest.fixture
def copies(senders: tuple[socket.socket, socket.socket]) -> Iterator[list[Copy]]:
    made = [Copy(senders[number % 2], number) for number in range(5)]
    yield made
    for one in made:
        one.receiver.close()


@pytest.fixture(params=["batched", "portable"])
def way(request: pytest.FixtureRequest) -> Fanout:
    return BatchedFanout(Slots()) if request.param == "batched" else PortableFanout()


def test_each_viewer_gets_the_packet_under_its_own_numbers(way: Fanout, copies: list[Copy]) -> None:
    way.changed(cast(list[Outlet], copies))
    for sequence, body in ((5, b"first"), (6, b"x" * 1200), (7, b"")):
        way.send(0x80, sequence, 32, body)
        for number, one in enumerate(copies):
            expected = (0x80, 0x80 | 96 + number, (sequence + 65530 + number) & 0xFFFF, 16, 100 + number)
            packet = one.read()
            assert struct.unpack("!BBHLL", packet[:12]) == expected
            assert packet[12:] == body
    assert way.dropped == 0


def test_nobody_is_no_reason_to_fail(way: Fanout) -> None:
    way.send(0, 1, 2, b"x")
    way.changed([])
    way.send(0, 1, 2, b"x")
    assert way.dropped == 0


def test_whoever_is_not_ready_is_left_out(way: Fanout, copies: list[Copy]) -> None:
    copies[0].link.ready = False
    way.changed(cast(list[Outlet], copies[:2]))
    way.send(0, 1, 2, b"x")
    assert copies[1].read()[12:] == b"x"
    assert (way.dropped, copies[0].receiver.gettimeout()) == (0, 2.0)


def test_one_that_cannot_be_reached_does_not_stop_those_behind(way: Fanout, copies: list[Copy]) -> None:
    # Port zero is refused by the kernel at once.
    copies[0].link.address = ("127.0.0.1", 0)
    copies[2].link.address = ("127.0.0.1", 0)
    way.changed(cast(list[Outlet], copies))
    way.send(0, 1, 2, b"x")
    assert [one.read()[12:] for one in (copies[1], copies[3], copies[4])] == [b"x"] * 3
    assert way.dropped == 2


def test_what_is_too_long_to_protect_is_dropped(way: Fanout, copies: list[Copy]) -> None:
    way.changed(cast(list[Outlet], copies))
    way.send(0, 1, 2, bytes(BODY_BYTES_MAX + 1))
    assert way.dropped == 5


def test_what_cannot_be_encrypted_never_leaves(
    way: Fanout, copies: list[Copy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "protect_in_place", lambda *_: 7)
    for one in copies:
        one.link.secured.breaks = True
    way.changed(cast(list[Outlet], copies))
    way.send(0, 1, 2, b"plain")
    copies[0].receiver.settimeout(0)
    try:
        assert copies[0].receiver.recv(2048) == b""
    except BlockingIOError:
        assert way.dropped == 5


@pytest.mark.parametrize(("number", "dropped"), [(errno.EAGAIN, 3), (errno.ENOBUFS, 3), (errno.EPERM, 3)])
def test_a_full_kernel_drops_all_that_is_left_and_a_refusal_one_each(
    number: int, dropped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def refuse(*_: object) -> int:
        calls.append(1)
        fanout.ctypes.set_errno(number)
        return -1

    monkeypatch.setattr(fanout, "_sendmmsg", refuse)
    assert fanout._send_messages(1, 0, 0, 3) == dropped
    assert len(calls) == (3 if number == errno.EPERM else 1)


def test_a_call_that_sends_a_part_is_made_again_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def send_two(descriptor: int, at: int, count: int, flags: int) -> int:
        asked.append(count)
        return min(2, count)

    monkeypatch.setattr(fanout, "_sendmmsg", send_two)
    assert fanout._send_messages(1, 0, 0, 5) == 0
    assert asked == [5, 3, 1]


def test_other_systems_get_the_portable_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout.sys, "platform", "darwin")
    assert not batching_is_possible()


@pytest.mark.parametrize("count", [CHUNK - 1, CHUNK, CHUNK + 1])
def test_more_viewers_than_a_chunk_each_get_their_own_packet(
    way: Fanout, senders: tuple[socket.socket, socket.socket], count: int
) -> None:
    copies = [Copy(senders[0], number % 20) for number in range(count)]
    way.changed(cast(list[Outlet], copies))
    for sequence, body in ((1, b"long" * 100), (2, b"short")):
        way.send(0, sequence, 2, body)
        assert {one.read()[12:] for one in copies} == {body}
    for one in copies:
        one.receiver.close()
    assert way.dropped == 0


def test_one_that_cannot_be_encrypted_does_not_stop_the_others(
    copies: list[Copy], monkeypatch: pytest.MonkeyPatch
) -> None:
    way, handle = BatchedFanout(Slots()), copies[2].link.secured.outgoing_handle
    protect = fanout.protect_in_place
    monkeypatch.setattr(fanout, "protect_in_place", lambda *it: 7 if it[0] == handle else protect(*it))
    way.changed(cast(list[Outlet], copies))
    way.send(0, 1, 2, b"x")
    assert [one.read()[12:] for number, one in enumerate(copies) if number != 2] == [b"x"] * 4
    assert copies[2].receiver.recv(2048) == b""
