"""STUN and the way to each peer: who is answered, who is met with silence, and which path is used."""

import asyncio
import socket
import struct
from typing import Any, cast

import pytest
from aioice import stun

from engine.media.protocol import PeerConnected
from engine.media.router.ice_mux import (
    ADDRESSES_MAX,
    HANDSHAKE_QUEUE_MAX,
    HANDSHAKES_AT_ONCE,
    Endpoint,
    Listening,
    Mux,
)
from tests.engine.media.router.clients import VP8_KEY, publish, trial, until, view

HERE, THERE = ("192.0.2.1", 5000), ("192.0.2.2", 6000)
RTP = b"\x80\x60" + bytes(10)
RTCP = b"\x80\xc9" + bytes(10)
DTLS = b"\x16\xfe\xfd" + bytes(10)


class Bound:
    """A socket that keeps what it is given, until it is full."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self.full = False

    def sendto(self, data: bytes, address: Any) -> int:
        if self.full:
            raise BlockingIOError
        self.sent.append((data, address))
        return len(data)

    def answers(self) -> list[stun.Message]:
        return [stun.parse_message(data) for data, _ in self.sent]


class Taken:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_path(self) -> None:
        self.told.append("path")

    def on_handshake(self) -> None:
        self.told.append("handshake")

    def on_rtp(self, packet: bytes, now: float) -> None:
        self.told.append("rtp")

    def on_rtcp(self, packet: bytes, now: float) -> None:
        self.told.append("rtcp")


class Scene:
    """A mux without a loop, and one peer of it."""

    def __init__(self) -> None:
        self.mux = Mux((), lambda: 0.0, self._fault)
        self.bound, self.taken = Bound(), Taken()
        self.endpoint = self.mux.add("them", self.taken)

    def _fault(self, where: str, error: BaseException) -> None:
        raise AssertionError(where) from error

    def take(self, data: bytes, address: Any = HERE, now: float = 1.0) -> None:
        self.mux.take(data, address, cast(socket.socket, self.bound), now)

    def check(
        self, address: Any = HERE, *, endpoint: Endpoint | None = None, now: float = 1.0, **changes: Any
    ) -> None:
        self.take(request(endpoint or self.endpoint, **changes), address, now)


def request(endpoint: Endpoint, **changes: Any) -> bytes:
    message = stun.Message(
        message_method=changes.get("method", stun.Method.BINDING),
        message_class=changes.get("kind", stun.Class.REQUEST),
    )
    if changes.get("username", True):
        message.attributes["USERNAME"] = (
            f"{changes.get('ufrag', endpoint.ufrag)}:{changes.get('remote', 'them')}"
        )
    message.attributes[changes.get("role", "ICE-CONTROLLING")] = 1
    if changes.get("nominate", True):
        message.attributes["USE-CANDIDATE"] = None
    if changes.get("signed", True):
        message.add_message_integrity(changes.get("password", endpoint.password).encode())
    return bytes(message)


def test_a_check_is_answered_with_the_address_it_came_from() -> None:
    scene = Scene()
    scene.check()
    [answer] = scene.bound.answers()
    assert answer.message_class is stun.Class.RESPONSE
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == HERE
    assert answer.check_message_integrity(scene.endpoint.password.encode())
    assert (scene.endpoint.address, scene.endpoint.nominated, scene.taken.told) == (HERE, True, ["path"])


def test_the_scope_of_an_ipv6_address_is_not_told() -> None:
    scene = Scene()
    scene.check(("fe80::1%lo", 5000, 0, 1))
    assert scene.bound.answers()[0].attributes["XOR-MAPPED-ADDRESS"] == ("fe80::1", 5000)


@pytest.mark.parametrize(
    "changes",
    [
        {"signed": False},
        {"password": "x" * 24},
        {"ufrag": "nobody"},
        {"remote": "somebody"},
        {"username": False},
        {"kind": stun.Class.INDICATION},
        {"kind": stun.Class.RESPONSE},
        {"method": stun.Method.ALLOCATE},
    ],
)
def test_what_is_not_a_peer_s_check_meets_silence(changes: dict[str, Any]) -> None:
    scene = Scene()
    scene.check(**changes)
    assert scene.bound.sent == []
    assert (scene.mux.strangers, scene.mux.address_count, scene.endpoint.address) == (1, 0, None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x00\x01\x00\x00" + bytes(16),
        b"\x00\x01\x00\x08" + struct.pack("!I", 0x2112A442) + bytes(12) + b"\x00\x24\x00\x01x\x00\x00\x00",
        b"\x05hello",
        b"\x13",
        b"\x40",
        b"\x7f",
        b"\xc0",
        RTP,
        RTCP,
        DTLS,
    ],
)
def test_a_stranger_meets_silence_whatever_it_sends(data: bytes) -> None:
    scene = Scene()
    scene.take(data)
    assert (scene.bound.sent, scene.taken.told, scene.mux.strangers) == ([], [], 1)


def test_a_peer_s_datagrams_go_where_they_belong() -> None:
    scene = Scene()
    scene.check()
    for data in (RTP, RTCP, DTLS, DTLS, RTP[:11]):
        scene.take(data)
    assert scene.taken.told == ["path", "rtp", "rtcp", "handshake"]


def test_before_a_nomination_the_first_path_that_works_is_used() -> None:
    scene = Scene()
    scene.check(HERE, nominate=False)
    scene.check(THERE, nominate=False)
    assert (scene.endpoint.address, scene.endpoint.nominated) == (HERE, False)
    scene.check(THERE)
    assert (scene.endpoint.address, scene.endpoint.nominated) == (THERE, True)
    scene.check(HERE, nominate=False)
    assert scene.endpoint.address == THERE


def test_a_path_that_stays_is_told_once() -> None:
    scene = Scene()
    for now in (1.0, 2.0, 3.0):
        scene.check(now=now)
    assert scene.taken.told == ["path"]
    assert scene.endpoint.heard_at == 3.0


def test_packets_from_a_former_path_still_count() -> None:
    scene = Scene()
    scene.check(HERE)
    scene.check(THERE)
    scene.take(RTP, HERE)
    assert scene.taken.told == ["path", "path", "rtp"]


def test_a_peer_that_thinks_it_is_controlled_is_told_to_take_control() -> None:
    scene = Scene()
    scene.check(role="ICE-CONTROLLED")
    [answer] = scene.bound.answers()
    assert answer.error_code == 487
    assert answer.check_message_integrity(scene.endpoint.password.encode())
    assert (scene.endpoint.address, scene.mux.address_count) == (None, 0)
    scene.check()
    assert scene.endpoint.address == HERE


def test_an_address_goes_to_the_peer_that_proves_it_last() -> None:
    scene = Scene()
    other_taken = Taken()
    other = scene.mux.add("them", other_taken)
    scene.check()
    scene.check(endpoint=other)
    scene.take(RTP)
    assert (scene.taken.told, other_taken.told) == (["path"], ["path", "rtp"])
    scene.endpoint.close()
    scene.take(RTP)
    assert other_taken.told == ["path", "rtp", "rtp"]


def test_a_peer_has_a_limited_number_of_addresses_and_keeps_the_one_in_use() -> None:
    scene = Scene()
    scene.check(HERE)
    for port in range(ADDRESSES_MAX + 5):
        scene.check(("192.0.2.9", port), nominate=False)
    assert scene.mux.address_count == len(scene.endpoint.addresses) == ADDRESSES_MAX
    assert HERE in scene.endpoint.addresses


def test_a_closed_peer_is_nobody() -> None:
    scene = Scene()
    scene.check()
    scene.take(DTLS)
    password = scene.endpoint.password
    scene.endpoint.close()
    scene.endpoint.close()
    scene.bound.sent.clear()
    scene.check(password=password)
    scene.take(RTP)
    scene.endpoint.take_dtls(DTLS)
    scene.endpoint.send(b"late")
    assert (scene.bound.sent, scene.mux.endpoint_count, scene.mux.address_count) == ([], 0, 0)
    assert (scene.endpoint.transmit, scene.endpoint.dropped) == (None, 1)


def test_whoever_waits_for_a_closed_peer_is_told() -> None:
    async def main() -> None:
        scene = Scene()
        waiting = asyncio.ensure_future(scene.endpoint._recv())
        await asyncio.sleep(0)
        scene.endpoint.close()
        with pytest.raises(ConnectionError):
            await waiting
        with pytest.raises(ConnectionError):
            await scene.endpoint._recv()

    asyncio.run(main())


def test_the_handshake_s_queue_has_a_limit() -> None:
    scene = Scene()
    scene.check()
    for _ in range(HANDSHAKE_QUEUE_MAX + 3):
        scene.take(DTLS)
    assert scene.endpoint.dropped == 3


def test_one_host_begins_a_limited_number_of_handshakes() -> None:
    scene = Scene()
    begun = 0
    for number in range(HANDSHAKES_AT_ONCE + 10):
        taken = Taken()
        endpoint = scene.mux.add("them", taken)
        scene.check(("192.0.2.7", number), endpoint=endpoint)
        scene.take(DTLS, ("192.0.2.7", number))
        begun += "handshake" in taken.told
    assert begun == HANDSHAKES_AT_ONCE
    scene.check(HERE)
    scene.take(DTLS, HERE)
    assert "handshake" in scene.taken.told


def test_what_the_kernel_does_not_take_is_dropped_and_counted() -> None:
    scene = Scene()
    scene.check()
    scene.bound.full = True
    scene.endpoint.send(b"x")
    asyncio.run(scene.endpoint._send(b"x"))
    assert scene.mux.sends_dropped == 2


def test_a_gate_stands_in_both_directions() -> None:
    scene = Scene()
    scene.check()
    assert scene.endpoint.transmit == scene.bound.sendto
    assert scene.mux.endpoint_at(HERE) is scene.endpoint
    scene.mux.gate = lambda data, address: (data, address) != (b"no", HERE)
    scene.endpoint.send(b"no")
    assert scene.endpoint.transmit is not None
    scene.endpoint.transmit(b"no", HERE)
    scene.endpoint.transmit(b"yes", HERE)
    assert [data for data, _ in scene.bound.sent[1:]] == [b"yes"]


def test_an_error_from_the_network_does_not_end_reading() -> None:
    scene = Scene()
    faults: list[str] = []
    mux = Mux((), lambda: 0.0, lambda where, error: faults.append(type(error).__name__))
    script: list[Any] = [
        ConnectionResetError(),
        (b"\xff", HERE),
        (DTLS, ["not", "hashable"]),
        BlockingIOError(),
    ]

    class Reading(Bound):
        def recvfrom(self, _: int) -> Any:
            step = script.pop(0)
            if isinstance(step, Exception):
                raise step
            return step

    mux._readable(cast(socket.socket, Reading()))
    assert (script, mux.strangers, faults) == ([], 1, ["TypeError"])
    script[:] = [(b"\xff", HERE)] * 100
    mux._readable(cast(socket.socket, Reading()))
    assert len(script) == 100 - 64
    mux.gate = lambda *_: False
    script[1:] = [BlockingIOError()]
    mux._readable(cast(socket.socket, Reading()))
    assert mux.strangers == 65
    assert scene.mux.strangers == 0


@pytest.mark.slow
@pytest.mark.parametrize("batched", [True, False])
def test_media_follow_a_viewer_to_another_address(batched: bool) -> None:
    async def main() -> None:
        async with trial(batched=batched) as the:
            publisher, viewer = await publish(the), await view(the)
            await the.event(PeerConnected, "view")
            publisher.send_rtp(1, 0, VP8_KEY)
            await until(lambda: len(viewer.media()) == 1)
            viewer.vanish()
            await viewer.open_socket()
            viewer.stun_answers.clear()
            viewer.check()
            await until(lambda: viewer.stun_answers)
            publisher.send_rtp(2, 0, VP8_KEY)
            await until(lambda: len(viewer.media()) == 2)

    asyncio.run(main())


def test_a_second_socket_on_a_taken_port_is_refused_and_the_first_is_closed() -> None:
    async def main() -> None:
        first = Mux((Listening(host="127.0.0.1"),), lambda: 0.0, lambda *_: None)
        await first.open()
        port = int(first.candidates[0].candidate.split()[5])
        second = Mux(
            (Listening(host="127.0.0.1"), Listening(host="127.0.0.1", port=port)),
            lambda: 0.0,
            lambda *_: None,
        )
        with pytest.raises(Exception, match="cannot be bound"):
            await second.open()
        assert second.candidates == ()
        first.close()

    asyncio.run(main())
