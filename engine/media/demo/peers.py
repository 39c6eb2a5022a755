"""Peers of the demonstration, by aiortc, as a process: `python -m engine.media.demo.peers VIEWERS`.

Without viewers it is the publisher. Lines of JSON come in and go out: `{}` asks for fresh offers,
`{"answers": [...]}` answers them, and a report of what was sent or received goes out a few times a second.
The end of the input ends it.
"""

import asyncio
import json
import signal
import sys
import time
import zlib
from functools import partial
from typing import Any, Protocol

import attrs
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtp import RtpPacket

from engine.media.demo.tracks import STAMPS_MAX, Bars, Tone
from engine.media.router.dtls import take_packets_of

REPORT_SECONDS = 0.2
LINE_MAX = 4 * 1024 * 1024
CLOSE_SECONDS = 1.0
KINDS = ("audio", "video")


class Group(Protocol):
    """The peers of one process."""

    def connect(self) -> list[RTCPeerConnection]:
        """Fresh connections, without offers; the ones before are forgotten."""

    def report(self) -> dict[str, Any]:
        """What happened since the report before, and sums."""


class Publisher:
    """Sends bars and a tone."""

    def __init__(self) -> None:
        self._tone = Tone()

    def connect(self) -> list[RTCPeerConnection]:
        """See Group."""
        connection, self._tone = _connection(), Tone()
        connection.addTrack(self._tone)
        connection.addTrack(Bars())
        return [connection]

    def report(self) -> dict[str, Any]:
        """See Group."""
        stamps, self._tone.stamps = self._tone.stamps, []
        return {"sent": stamps}


@attrs.define(eq=False)
class Tally:
    """Packets of one track of one viewer."""

    count: int = 0
    first: int = 0
    highest: int = 0
    first_at: int = 0
    """Nanoseconds of the system's clock; 0 before the first packet."""

    def take(self, sequence: int) -> None:
        """Count a packet, by its number of 16 bits."""
        if not self.count:
            self.first = self.highest = sequence
            self.first_at = time.monotonic_ns()
        self.count += 1
        ahead = (sequence - self.highest) & 0xFFFF
        if ahead < 0x8000:
            self.highest += ahead

    @property
    def expected(self) -> int:
        """How many would have come if none were lost."""
        return self.highest - self.first + 1 if self.count else 0


class Viewers:
    """Count packets and decode nothing, so that the machine is the worker's."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._tallies: list[Tally] = []
        self._heard: list[tuple[int, int]] = []

    def connect(self) -> list[RTCPeerConnection]:
        """See Group."""
        self._tallies, self._heard = [], []
        return [self._viewer() for _ in range(self._count)]

    def report(self) -> dict[str, Any]:
        """See Group."""
        heard, self._heard = self._heard, []
        firsts = [one.first_at for one in self._tallies]
        return {
            "heard": heard,
            "packets": sum(one.count for one in self._tallies),
            "expected": sum(one.expected for one in self._tallies),
            "least": min((one.count for one in self._tallies), default=0),
            "all_flow_at": max(firsts) if firsts and all(firsts) else 0,
        }

    def _viewer(self) -> RTCPeerConnection:
        connection = _connection()
        for kind in KINDS:
            tally = Tally()
            self._tallies.append(tally)
            receiver = connection.addTransceiver(kind, direction="recvonly").receiver
            # Twenty decoders would need the processor that the worker is measured on.
            take_packets_of(receiver, partial(self._take, tally, stamped=kind == "audio"))
        return connection

    def _take(self, tally: Tally, packet: RtpPacket, *, stamped: bool) -> None:
        tally.take(packet.sequence_number)
        if stamped and len(self._heard) < STAMPS_MAX:
            self._heard.append((zlib.crc32(packet.payload), time.monotonic_ns()))


class Process:
    """Serves one group on standard input and output."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._round = 0
        self._connections: list[RTCPeerConnection] = []
        self._closing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the input ends."""
        lines = await _input()
        _say({"ready": True})
        reporting = asyncio.create_task(self._report())
        while line := await lines.readline():
            await self._hear(json.loads(line))
        reporting.cancel()
        self._close_all()
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_SECONDS)

    async def _hear(self, said: dict[str, Any]) -> None:
        if "answers" in said:
            for connection, answer in zip(self._connections, said["answers"], strict=True):
                await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
            return
        self._close_all()
        self._round += 1
        self._connections = self._group.connect()
        _say({"offers": [await _offer(one) for one in self._connections]})

    def _close_all(self) -> None:
        """Beside what comes next: the worker that had them may be gone, and goodbyes take time."""
        for one in self._connections:
            task = asyncio.create_task(one.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._connections = []

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            _say({"round": self._round, **self._group.report()})


async def _offer(connection: RTCPeerConnection) -> str:
    await connection.setLocalDescription(await connection.createOffer())
    return str(connection.localDescription.sdp)


def _connection() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))


async def _input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=LINE_MAX)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _say(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run until the input ends; an interrupt is for whoever started this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    viewers = int(sys.argv[1])
    asyncio.run(Process(Viewers(viewers) if viewers else Publisher()).run())


if __name__ == "__main__":
    main()
