"""The trio side of the demonstration's peers: their processes, and what those report."""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from engine.errors import MediaError
from engine.nurseries import open_block_nursery

LINE_MAX = 4 * 1024 * 1024
END_SECONDS = 2.0
"""What a process gets to say goodbye before it is killed."""
STAMPS_MAX = 2000
"""Sound packets that are remembered to be known again: 40 s."""
LATENCIES_MAX = 20_000


@attrs.define
class Received:
    """What the viewers of one process have, since they connected."""

    packets: int = 0
    expected: int = 0
    least: int = 0
    """Packets of the track that has the fewest."""
    all_flow_at: int = 0
    """Nanoseconds of the system's clock when the last track of the last viewer began; 0 until then."""


class Ledger:
    """Joins what the publisher says it sent and what viewers say they heard."""

    def __init__(self) -> None:
        self.received: dict[str, Received] = {}
        """By the name of the process."""
        self.latencies_ms: deque[float] = deque(maxlen=LATENCIES_MAX)
        self._sent: dict[int, int] = {}
        self._early: deque[tuple[int, int]] = deque(maxlen=LATENCIES_MAX)

    def begin(self) -> None:
        """Everybody connects anew."""
        self.received.clear()
        self.latencies_ms.clear()
        self._early.clear()
        self._sent.clear()

    def take(self, name: str, said: dict[str, Any]) -> None:
        """A report of a process."""
        if "sent" in said:
            self._sent.update(said["sent"])
            while len(self._sent) > STAMPS_MAX:
                del self._sent[next(iter(self._sent))]
            heard, self._early = self._early, deque(maxlen=LATENCIES_MAX)
            self._join(heard, late=True)
            return
        self.received[name] = Received(said["packets"], said["expected"], said["least"], said["all_flow_at"])
        self._join(said["heard"], late=False)

    @property
    def packets(self) -> int:
        """That all viewers have."""
        return sum(one.packets for one in self.received.values())

    @property
    def least(self) -> int:
        """Of the track that has the fewest."""
        return min((one.least for one in self.received.values()), default=0)

    @property
    def lost(self) -> int:
        """Packets that a later one overtook for good."""
        return max(0, sum(one.expected for one in self.received.values()) - self.packets)

    def _join(self, heard: Any, *, late: bool) -> None:
        for crc, at in heard:
            sent_at = self._sent.get(crc)
            if sent_at is not None:
                self.latencies_ms.append((at - sent_at) / 1e6)
            elif not late:
                # The publisher reports at other moments than viewers do.
                self._early.append((crc, at))


class Peers:
    """A process with peers. Made by `open_peers`."""

    def __init__(self, name: str, count: int, ledger: Ledger) -> None:
        self.name, self.count = name, count
        self.ready = False
        self._ledger = ledger
        self._round = 0
        self._offers: list[str] | None = None
        self._changed = trio.Event()
        self.process: trio.Process | None = None
        """None until it has begun."""

    def begin(self) -> None:
        """What it reports is of no interest until it has made fresh offers."""
        self._offers = None
        self._round += 1

    async def ask_offers(self) -> None:
        """Let it make fresh offers; once after each `begin`."""
        await self._say({})

    async def offers(self) -> list[str]:
        """Those that it was asked for, one for each of its peers."""
        await self.wait(lambda: self._offers is not None)
        assert self._offers is not None
        return self._offers

    async def answer(self, answers: list[str]) -> None:
        """Answers to the offers, in their order."""
        await self._say({"answers": answers})

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Until a report of this process makes it true.

        Raises:
            MediaError: the process has ended.
        """
        while not condition():
            if self.process is not None and self.process.returncode is not None:
                raise MediaError(f"{self.name} has ended with {self.process.returncode}")
            await self._changed.wait()

    async def run(self) -> None:
        """Have the process and hear it until cancelled; nothing of it is left then."""
        self.process = await _spawn(self.count)
        try:
            await self._listen(self.process)
            await self.process.wait()
            self._wake()
        finally:
            with trio.CancelScope(shield=True):
                await _end(self.process)

    async def _listen(self, process: trio.Process) -> None:
        assert process.stdout is not None
        rest = b""
        async for chunk in process.stdout:
            *lines, rest = (rest + bytes(chunk)).split(b"\n")
            for line in lines:
                self._hear(json.loads(line))
            if len(rest) > LINE_MAX:
                # Our own process writes no such line.
                return

    def _hear(self, said: dict[str, Any]) -> None:
        if "offers" in said:
            self._offers = said["offers"]
        elif "ready" in said:
            self.ready = True
        elif said["round"] == self._round:
            self._ledger.take(self.name, said)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _say(self, said: dict[str, Any]) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        try:
            await self.process.stdin.send_all(json.dumps(said).encode() + b"\n")
        except trio.BrokenResourceError as error:
            raise MediaError(f"{self.name} has ended") from error


@asynccontextmanager
async def open_peers(viewers: list[int], ledger: Ledger) -> AsyncIterator[list[Peers]]:
    """The publisher's process, then one for each number of viewers; leaving ends them.

    Raises:
        MediaError: one has ended too early.
    """
    everybody = [Peers("the publisher", 0, ledger)]
    everybody += [Peers(f"viewers {n}", count, ledger) for n, count in enumerate(viewers, 1)]
    async with open_block_nursery() as nursery:
        for one in everybody:
            nursery.start_soon(one.run)
        yield everybody
        nursery.cancel_scope.cancel()


async def _spawn(count: int) -> trio.Process:
    # In sessions of their own, so that an interrupt at the terminal reaches only whoever ends them.
    return await trio.lowlevel.open_process(
        [sys.executable, "-P", "-m", "engine.media.demo.peers", str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(each or str(Path.cwd()) for each in sys.path)},
    )


async def _end(process: trio.Process) -> None:
    assert process.stdin is not None
    await process.stdin.aclose()
    with trio.move_on_after(END_SECONDS):
        await process.wait()
    if process.returncode is None:
        # Such as one that was writing offers, which nobody reads any more.
        process.kill()
        await process.wait()
    assert process.stdout is not None
    await process.stdout.aclose()
