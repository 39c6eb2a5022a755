"""A canary for each name that aiortc and pylibsrtp keep private, and the profile that is chosen."""

import asyncio
import inspect
import logging

import pylibsrtp
import pylibsrtp._binding
import pytest
from aiortc import RTCCertificate, RTCDtlsTransport, RTCRtpReceiver
from OpenSSL import SSL

from engine.media.router.dtls import PROFILES, Identity, Pipe, Secured
from tests.engine.media.router.clients import until


class Wire:
    """A pipe to another one in memory."""

    role, state = "controlled", "completed"

    def __init__(self) -> None:
        self.other: Wire
        self.arrived: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def _recv(self) -> bytes:
        if (data := await self.arrived.get()) is None:
            raise ConnectionError
        return data

    async def _send(self, data: bytes) -> None:
        self.other.arrived.put_nowait(data)


def wires() -> tuple[Wire, Wire]:
    one, two = Wire(), Wire()
    one.other, two.other = two, one
    return one, two


async def secured(
    pipe: Pipe, identity: Identity, ended: list[BaseException | None], *, server: bool
) -> Secured:
    return Secured(identity, pipe, ended.append, server=server)


def prints(identity: Identity) -> tuple[tuple[str, str], ...]:
    name, _, digest = identity.fingerprint.partition(" ")
    return ((name, digest),)


@pytest.mark.parametrize("name", ["_set_role", "_recv_next"])
def test_the_transport_still_has(name: str) -> None:
    assert callable(getattr(RTCDtlsTransport, name))


@pytest.mark.parametrize("name", ["_srtp_profiles", "_rx_srtp", "_tx_srtp", "_task", "_transport"])
def test_a_new_transport_still_has(name: str) -> None:
    async def main() -> None:
        transport = RTCDtlsTransport(wires()[0], [RTCCertificate.generateCertificate()])  # type: ignore[arg-type] # what it asks of a transport, as in dtls.py
        assert name in vars(transport)

    asyncio.run(main())


def test_the_transport_still_asks_its_own_transport_for_no_more_than_a_pipe_has() -> None:
    text = inspect.getsource(RTCDtlsTransport)
    asked = {
        part.split("(")[0].split(")")[0].split()[0].rstrip(",") for part in text.split("self.transport.")[1:]
    }
    assert asked <= {"_recv", "_send", "role"}


def test_a_receiver_is_still_given_its_packets_where_we_take_them() -> None:
    assert list(inspect.signature(RTCRtpReceiver._handle_rtp_packet).parameters) == [
        "self",
        "packet",
        "arrival_time_ms",
    ]
    assert "receiver._handle_rtp_packet(packet, arrival_time_ms=" in inspect.getsource(RTCDtlsTransport)


def test_a_certificate_still_makes_its_context_where_we_share_it() -> None:
    assert list(inspect.signature(RTCCertificate._create_ssl_context).parameters) == ["self", "srtp_profiles"]
    identity = Identity.generateCertificate()
    context = identity._create_ssl_context(PROFILES)
    assert isinstance(context, SSL.Context)
    assert identity._create_ssl_context(PROFILES) is context


def test_a_session_still_has_its_handle_and_the_binding_its_names() -> None:
    policy = pylibsrtp.Policy(key=bytes(30), ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    session = pylibsrtp.Session(policy)
    ffi, lib = pylibsrtp._binding.ffi, pylibsrtp._binding.lib
    packet = b"\x80\x60\x00\x01" + bytes(8) + b"payload"
    memory, length = ffi.new("char[]", 200), ffi.new("int *", len(packet))
    ffi.buffer(memory)[0 : len(packet)] = packet
    assert lib.srtp_protect(session._srtp[0], memory, length) == 0
    assert bytes(ffi.buffer(memory)[0 : length[0]]) == pylibsrtp.Session(policy).protect(packet)


def test_aes_128_gcm_is_offered_first() -> None:
    assert PROFILES[0].openssl_profile == b"SRTP_AEAD_AES_128_GCM"


def test_two_sides_shake_hands_speak_and_hear_goodbye() -> None:
    async def main() -> None:
        wire, other = wires()
        one, two = Identity.generateCertificate(), Identity.generateCertificate()
        ended: list[BaseException | None] = []
        server = await secured(wire, one, ended, server=True)
        client = await secured(other, two, [], server=False)
        worked = await asyncio.gather(server.handshake(prints(two)), client.handshake(prints(one)))
        assert worked == [True, True]
        packet = b"\x80\x60\x00\x01" + bytes(8) + b"payload"
        assert server.unprotect(client.protect(packet)) == packet
        assert client.unprotect_rtcp(server.protect_rtcp(b"\x80\xc9\x00\x01" + bytes(4)))[:2] == b"\x80\xc9"
        assert server.outgoing_handle
        await client.stop()
        await until(lambda: ended)
        assert ended == [None]
        await server.stop()

    asyncio.run(main())


def test_a_stranger_s_certificate_is_no_handshake() -> None:
    async def main() -> None:
        wire, other = wires()
        one, two, three = (Identity.generateCertificate() for _ in range(3))
        server = await secured(wire, one, [], server=True)
        client = await secured(other, two, [], server=False)
        shaking = asyncio.ensure_future(client.handshake(prints(one)))
        assert not await server.handshake(prints(three))
        await shaking
        await asyncio.gather(server.stop(), client.stop())

    asyncio.run(main())


def test_what_aiortc_s_task_raises_is_told() -> None:
    async def main() -> None:
        # aiortc also logs it, with a stack; the logger is its own and stays out of this.
        logging.getLogger("aiortc").setLevel(logging.CRITICAL)
        wire, other = wires()
        one, two = Identity.generateCertificate(), Identity.generateCertificate()
        ended: list[BaseException | None] = []
        server = await secured(wire, one, ended, server=True)
        client = await secured(other, two, [], server=False)
        await asyncio.gather(server.handshake(prints(two)), client.handshake(prints(one)))
        wire.arrived.put_nowait(b"")
        await until(lambda: ended)
        assert isinstance(ended[0], IndexError)
        await asyncio.gather(server.stop(), client.stop())

    asyncio.run(main())
