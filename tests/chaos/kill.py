"""SIGKILL under load: `python -m tests.chaos.kill [--kills N] [--seed N]`.

Users call each other over real sockets; the server is killed at random moments and started again on the same
port and file. Afterwards: nothing acknowledged is lost, no version gap, no ring stuck, and each device has
heard each event of its log exactly once.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from engine.app.discovery import installed_apis
from engine.app.engine import codec_of, family_of
from engine.app.users import SqliteUsers, User
from engine.errors import TransportError
from engine.journal.fold import episodes, fold
from engine.journal.opening import open_journal
from engine.journal.replay import replay
from engine.transport.websocket import WebSocketLink, connect
from engine.vocabulary import Address
from machines.videochat.line import announce
from machines.videochat.vocabulary import LINE, RING

USERS = 16
RING_SECONDS = 5.0
SETTLE_SECONDS = 9.0
"""Longer than a ring and the grace for a lost socket need to end by themselves."""

ANSWER_SECONDS = 20.0


@attrs.define(eq=False)
class Device:
    """One device of one user: it keeps its cursor, and everything that it was told."""

    user: str
    token: str = attrs.field(repr=False)
    url: str
    name: str = "d1"
    since: int = 0
    heard: list[tuple[int, str, str]] = attrs.field(factory=list)
    """(version, type, request id)"""
    acknowledged: list[tuple[str, str, str]] = attrs.field(factory=list)
    """(type, request id, event id) of requests that the server confirmed."""
    rung: list[str] = attrs.field(factory=list)
    answers: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    link: WebSocketLink | None = None
    count: int = 0
    reconnects: int = 0
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def stay_connected(self) -> None:
        while True:
            with suppress(TransportError):
                async with connect(self.url, connect_seconds=2.0) as link:
                    hello = {"token": self.token, "device": self.name, "since": self.since}
                    await link.send(json.dumps({"type": "authenticate", "data": hello}))
                    info = json.loads(await link.receive())
                    assert info["type"] == "user_info", info
                    assert info["data"]["since"] == self.since, "the server lost history"
                    self.link = link
                    self._change()
                    while True:
                        self._take(json.loads(await link.receive()))
            self.link = None
            self.reconnects += 1
            await trio.sleep(0.05)

    def _take(self, frame: dict[str, Any]) -> None:
        event_id = frame["event"]["id"]
        if event_id in self.answers or event_id.startswith("ask-"):
            self.answers[event_id] = frame
        else:
            request = frame["data"].get("videochatRequestId", "")
            self.since = int(event_id)
            self.heard.append((self.since, frame["type"], request))
            if frame["type"] == "videochat:videochatRequested":
                self.rung.append(request)
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def ask(self, kind: str, data: Mapping[str, str]) -> dict[str, Any]:
        """Send a request until it is answered, each time with the same `event.id`."""
        self.count += 1
        event_id = f"ask-{self.user}-{self.count}"
        frame = json.dumps({"type": f"videochat:{kind}", "data": data, "event": {"id": event_id}})
        with trio.fail_after(ANSWER_SECONDS):
            sent_on: WebSocketLink | None = None
            while event_id not in self.answers:
                changed = self._changed
                if self.link is not None and self.link is not sent_on:
                    sent_on = self.link
                    with suppress(TransportError):
                        await sent_on.send(frame)
                await changed.wait()
        return self.answers.pop(event_id)

    async def place_calls(self, others: list[str], chance: random.Random) -> None:
        while True:
            target = chance.choice([one for one in others if one != self.user])
            answer = await self.ask("requestDirectVideochat", {"targetUser": target})
            request = answer["data"].get("videochatRequestId")
            if request is not None:
                self.acknowledged.append(("requested", request, answer["event"]["id"]))
                if chance.random() < 0.3:
                    await trio.sleep(chance.random() * 0.1)
                    await self._end("declineVideochatRequest", request)
            await trio.sleep(chance.random() * 0.2)

    async def answer_calls(self, chance: random.Random) -> None:
        while True:
            while not self.rung:
                await self._changed.wait()
            request = self.rung.pop(0)
            await trio.sleep(chance.random() * 0.1)
            what = chance.random()
            if what < 0.6:
                await self._end("acceptVideochatRequest", request)
            elif what < 0.9:
                await self._end("declineVideochatRequest", request)

    async def _end(self, kind: str, request: str) -> None:
        answer = await self.ask(kind, {"videochatRequestId": request})
        if not answer["error"]["status"]:
            self.acknowledged.append((kind, request, answer["event"]["id"]))


class Server:
    """`switchhook serve` as a process that may be killed."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.journal = f"sqlite:///{folder}/calls.db"
        self.config = folder / "switchhook.toml"
        # No media flows here, so that no worker has to start each time.
        self.config.write_text(f'[media]\ndriver = "fake"\n[videochat]\nring_seconds = {RING_SECONDS}\n')
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.url = f"ws://127.0.0.1:{self.port}/videochat"

    async def start(self) -> None:
        command = [sys.executable, "-c", "from engine.app.cli import main; main()", "serve"]
        command += ["--listen", f"127.0.0.1:{self.port}", "--journal", self.journal]
        command += ["--config", str(self.config)]
        with self.log.open("ab") as log:
            # It returns at once; only what it prints is waited for.
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)  # noqa: ASYNC220
        assert self.process.stdout is not None
        line = await trio.to_thread.run_sync(self.process.stdout.readline)
        if not line:
            raise RuntimeError(f"the server did not start: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    async def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        status = await trio.to_thread.run_sync(self.process.wait)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


async def run(kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """Run the load, kill, check; figures, with every fault found under `faults`."""
    chance = random.Random(seed)
    server = Server(folder)
    users = SqliteUsers(folder / "calls.db")
    names = [f"u{number}" for number in range(USERS)]
    devices = []
    await server.start()
    for name in names:
        await users.set(User(id=name))
        token = await users.add_token(name)
        devices += [Device(name, token, server.url)]
        if len(devices) % 3 == 0:
            devices.append(Device(name, token, server.url, "d2"))
    async with trio.open_nursery() as nursery:
        for device in devices:
            nursery.start_soon(device.stay_connected)
        async with trio.open_nursery() as load:
            for number, device in enumerate(devices):
                load.start_soon(device.place_calls, names, random.Random(seed * 1000 + number))
                load.start_soon(device.answer_calls, random.Random(seed * 2000 + number))
            for _ in range(kills):
                await trio.sleep(0.3 + chance.random())
                server.kill()
                await server.start()
            await trio.sleep(1.0)
            load.cancel_scope.cancel()
        await trio.sleep(SETTLE_SECONDS)
        nursery.cancel_scope.cancel()
    status = await server.stop()
    faults = [] if status == 0 else [f"the graceful stop ended with {status}"]
    figures = await check(server.journal, devices, faults)
    return {"kills": kills, "seed": seed, **figures, "faults": faults}


async def check(journal_url: str, devices: list[Device], faults: list[str]) -> dict[str, int]:
    """Compare what devices saw with what the journal says."""
    apis = installed_apis()
    family = family_of(apis)
    codec = codec_of(apis, family)
    events = streams = 0
    async with open_journal(journal_url, read_only=True) as journal:
        faults += await journal.check()
        async for replayed in replay(journal, family, codec):
            streams, events = streams + 1, events + replayed.events
            faults += [f"{one.stream}@{one.version}: {one.reason}" for one in replayed.differences]
        faults += [f"stuck ring: {stream}" for stream, _ in await journal.heads([f"live:{RING}"])]
        for device in devices:
            stream = family.stream_of(Address(LINE, device.user))
            loaded = await journal.load(stream, snapshot=False)
            told = [
                episode.version + offset
                for episode in episodes(codec, stream, loaded)
                for offset, record in enumerate(episode.records)
                for send in announce(record.member, record.event)
                if send.only in (None, device.name) and send.skip != device.name
            ]
            heard = [version for version, _, _ in device.heard]
            if heard != told:
                missed = sorted({*told} - {*heard})[:5]
                twice = sorted({one for one in heard if heard.count(one) > 1})[:5]
                faults.append(f"{device.user}/{device.name}: missed {missed}, twice {twice}")
            for kind, request, event_id in device.acknowledged:
                ring = Address(RING, request)
                state = fold(family, codec, str(ring), await journal.load(f"{RING}:{request}"))
                found = state.members[ring].state.name if ring in state.members else "nothing"
                wanted = {
                    "acceptVideochatRequest": ("ACCEPTED",),
                    "declineVideochatRequest": ("DECLINED", "CANCELED"),
                }.get(kind)
                if found == "nothing" or (wanted is not None and found not in wanted):
                    faults.append(f"{kind} {event_id} was acknowledged, and {ring} is {found}")
    return {
        "streams": streams,
        "events": events,
        "acknowledged": sum(len(device.acknowledged) for device in devices),
        "heard": sum(len(device.heard) for device in devices),
        "reconnects": sum(device.reconnects for device in devices),
    }


def main() -> int:
    """Print the figures as JSON; 1 when something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = trio.run(partial(run, options.kills, options.seed, Path(folder)))
    print(json.dumps(figures, indent=2))
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
