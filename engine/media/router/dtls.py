"""DTLS-SRTP by aiortc and pylibsrtp: the only file that uses names which they keep private.

Each one is asserted by a canary test, so that a release that lacks it fails there and not in a call.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, cast

import pylibsrtp
from aiortc import RTCCertificate, RTCDtlsTransport, RTCRtpReceiver
from aiortc.rtcdtlstransport import (
    SRTP_PROFILES,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    SRTPProtectionProfile,
)
from aiortc.rtcicetransport import RTCIceTransport
from aiortc.rtp import RtpPacket
from OpenSSL import SSL
from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found] # compiled, without a stub

SrtpError = pylibsrtp.Error
protect_in_place: Callable[[Any, Any, Any], int] = lib.srtp_protect
"""(session handle, `char *` packet with room behind it, `int *` length): 0 when it worked."""
native = ffi
"""The foreign memory that `protect_in_place` works on."""

SRTP_OVERHEAD_BYTES = 144
"""What libsrtp may write behind a packet."""
SRTP_PACKET_BYTES_MAX = 1500 - SRTP_OVERHEAD_BYTES
"""A longer packet does not fit into a pylibsrtp session's buffer."""

_PROFILE_ORDER = (b"SRTP_AEAD_AES_128_GCM", b"SRTP_AEAD_AES_256_GCM", b"SRTP_AES128_CM_SHA1_80")
"""As the server we choose; AES-128-GCM is the cheapest per packet."""
PROFILES = sorted(SRTP_PROFILES, key=lambda profile: _PROFILE_ORDER.index(profile.openssl_profile))


def take_packets_of(receiver: RTCRtpReceiver, take: Callable[[RtpPacket], None]) -> None:
    """Give its packets to `take`, and none to the receiver itself: it decodes all of them, read or not."""

    async def hear(packet: RtpPacket, arrival_time_ms: int) -> None:  # noqa: ARG001 # aiortc passes it
        take(packet)

    receiver._handle_rtp_packet = hear  # type: ignore[method-assign] # nothing public stands in between


class Pipe(Protocol):
    """What aiortc's DTLS asks of an ICE transport."""

    role: str
    state: str

    async def _recv(self) -> bytes: ...

    async def _send(self, data: bytes) -> None: ...


class Identity(RTCCertificate):
    """Our certificate, with one OpenSSL context for every peer (aiortc makes one each, about 20 kB)."""

    _context: SSL.Context | None = None

    def _create_ssl_context(self, srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
        return self._context

    @property
    def fingerprint(self) -> str:
        """As SDP has it: algorithm and value."""
        [one] = [each for each in self.getFingerprints() if each.algorithm == "sha-256"]
        return f"{one.algorithm} {one.value}"


class Secured:
    """The DTLS connection of one peer and its two SRTP sessions."""

    def __init__(
        self,
        identity: Identity,
        pipe: Pipe,
        on_ended: Callable[[BaseException | None], None],
        *,
        server: bool = True,
    ) -> None:
        """`on_ended` is told when the other side has said goodbye, or with what aiortc's task raised."""
        self._transport = RTCDtlsTransport(cast(RTCIceTransport, pipe), [identity])
        self._transport._srtp_profiles = PROFILES
        self._transport._set_role("server" if server else "client")
        self._on_ended = on_ended
        self._pump: asyncio.Future[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether media can be protected."""
        return self._transport.state == "connected"

    async def handshake(self, fingerprints: tuple[tuple[str, str], ...]) -> bool:
        """Shake hands with whoever holds a certificate with these (algorithm, value); whether it worked."""
        accepted = [RTCDtlsFingerprint(algorithm=name, value=value) for name, value in fingerprints]
        await self._transport.start(RTCDtlsParameters(fingerprints=accepted))
        if not self.connected:
            return False
        self._pump = self._transport._task
        if self._pump is not None:
            self._pump.add_done_callback(self._ended)
        return True

    def unprotect(self, packet: bytes) -> bytes:
        """Plain RTP. Raises: SrtpError when it is not what the peer sent, or sent before."""
        return self._transport._rx_srtp.unprotect(packet)

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """Plain RTCP. Raises: SrtpError as `unprotect`."""
        return self._transport._rx_srtp.unprotect_rtcp(packet)

    def protect(self, packet: bytes) -> bytes:
        """Protected RTP. Raises: SrtpError; ValueError above SRTP_PACKET_BYTES_MAX."""
        return self._transport._tx_srtp.protect(packet)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Protected RTCP."""
        return self._transport._tx_srtp.protect_rtcp(packet)

    @property
    def outgoing_handle(self) -> Any:
        """Of the outgoing SRTP session, for `protect_in_place`; valid as long as this object lives."""
        return self._transport._tx_srtp._srtp[0]

    async def stop(self) -> None:
        """Say goodbye and wait until aiortc's task has ended."""
        pump = self._pump
        await self._transport.stop()
        if pump is not None and not pump.done():
            await asyncio.wait({pump})

    def _ended(self, pump: "asyncio.Future[None]") -> None:
        if not pump.cancelled():
            self._on_ended(pump.exception())
