"""The processes of the demonstration: a server that can be killed, and users with their devices."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import attrs
import trio

from engine.board import UnmetError
from machines.videochat.client import VideochatError
from machines.videochat.demo.lines import Lines

T = TypeVar("T")

WAIT_SECONDS = 15.0
"""Longer than a ring; what has not come by then does not come."""

SERVE = "from engine.app.cli import main; main()"


async def launch(nursery: trio.Nursery, arguments: Sequence[str], log: Path) -> trio.Process:
    """Run Python as a process that ends with `nursery`; its standard error goes to `log`."""
    with log.open("ab") as errors:
        run = partial(
            trio.run_process,
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
            deliver_cancel=_kill,
            # Ctrl-C is for the demonstration, which then ends its processes itself.
            start_new_session=True,
        )
        process: trio.Process = await nursery.start(run)
    return process


async def _kill(process: trio.Process) -> None:
    process.kill()


class Server:
    """`switchhook serve` on one port and one file, for as many lives as it is given."""

    def __init__(self, nursery: trio.Nursery, directory: Path, journal: str, config: Path) -> None:
        self.url = ""
        self.log = directory / "server.log"
        self._nursery = nursery
        self._journal = journal
        self._config = config
        self._listen = "127.0.0.1:0"
        self._process: trio.Process

    async def start(self) -> None:
        """Start it, and wait until it serves; from the second time on, at the port that it had.

        Raises:
            UnmetError: it does not come up.
        """
        options = ["--listen", self._listen, "--journal", self._journal, "--config", str(self._config)]
        self._process = await launch(self._nursery, ["-c", SERVE, "serve", *options], self.log)
        assert self._process.stdout is not None
        with trio.move_on_after(WAIT_SECONDS):
            async for line in Lines(self._process.stdout):
                (address,) = json.loads(line)["listening"]
                self._listen = address.removeprefix("http://")
                self.url = f"ws://{self._listen}/videochat"
                return
        raise UnmetError(f"the server does not come up; see {self.log}")

    async def kill(self) -> None:
        """SIGKILL: it writes nothing and tells nobody."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self._process.terminate()
        with trio.move_on_after(WAIT_SECONDS):
            return await self._process.wait()
        raise UnmetError(f"the server does not stop; see {self.log}")


@attrs.define(eq=False)
class Device:
    """A device of a user, as the demonstration sees it."""

    user: "User"
    name: str
    state: str = ""
    heard: list[dict[str, Any]] = attrs.field(factory=list)
    """Everything that it heard, in order."""
    taken: set[int] = attrs.field(factory=set)
    """Places in `heard` that an expectation has asked for."""

    def __str__(self) -> str:
        return f"{self.user.name}'s {self.name}"

    async def do(self, what: str, *arguments: str) -> Any:
        """Have the client's method `what` called.

        Raises:
            VideochatError: the server said no.
            UnmetError: there is no answer.
        """
        return await self.user.do(self.name, what, arguments)

    async def hears(self, kind: str, **fields: object) -> dict[str, Any]:
        """Wait for an event of this kind with these fields that no one has asked for before.

        Raises:
            UnmetError: it does not come.
        """

        def find() -> int | None:
            for place, event in enumerate(self.heard):
                fits = all(event.get(name) == value for name, value in fields.items())
                if event["heard"] == kind and fits and place not in self.taken:
                    return place
            return None

        place = await self.user.wait(find, f"{self} does not hear {kind}")
        self.taken.add(place)
        return self.heard[place]

    async def is_in(self, state: str) -> None:
        """Wait until the link is in `state`.

        Raises:
            UnmetError: it does not come there.
        """
        await self.user.wait(lambda: self.state == state or None, f"{self} is not {state}")


class User:
    """A user in a process of his own."""

    def __init__(self, name: str, devices: Sequence[str], log: Path) -> None:
        self.name = name
        self.log = log
        self.devices = {device: Device(self, device) for device in devices}
        self._numbers = count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._changed = trio.Event()
        self._gone = False
        self._process: trio.Process

    async def start(self, nursery: trio.Nursery, url: str, token: str) -> None:
        """Start the process and connect all devices."""
        self._process = await launch(nursery, ["-m", "machines.videochat.demo.user"], self.log)
        nursery.start_soon(self._listen)
        # On its standard input, because arguments of processes are for everybody to read.
        await self._write({"url": url, "token": token, "devices": [*self.devices]})
        for device in self.devices.values():
            await device.is_in("ready")

    async def do(self, device: str, what: str, arguments: Sequence[str]) -> Any:
        """See `Device.do`."""
        number = next(self._numbers)
        await self._write({"id": number, "device": device, "do": what, "with": list(arguments)})
        return await self.answer_to(number, what)

    async def answer_to(self, number: int, what: str) -> Any:
        """Wait for an answer.

        Raises:
            VideochatError: the server said no.
            UnmetError: there is none.
        """

        def find() -> dict[str, Any] | None:
            return self._answers.pop(number, None)

        answer = await self.wait(find, f"{self.name} has no answer to {what}")
        if "error" in answer:
            raise VideochatError(*answer["error"])
        return answer["answer"]

    async def wait(self, find: Callable[[], T | None], otherwise: str) -> T:
        """Wait until `find` finds something.

        Raises:
            UnmetError: with `otherwise`, when it does not.
        """
        with trio.move_on_after(WAIT_SECONDS):
            while True:
                found = find()
                if found is not None:
                    return found
                if self._gone:
                    raise UnmetError(f"the process of {self.name} has ended; see {self.log}")
                await self._changed.wait()
        raise UnmetError(f"{otherwise}; see {self.log}")

    async def _write(self, words: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        try:
            await self._process.stdin.send_all(json.dumps(words).encode() + b"\n")
        except trio.BrokenResourceError as error:
            raise UnmetError(f"the process of {self.name} has ended; see {self.log}") from error

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in Lines(self._process.stdout):
            self.take(line)
        self._gone = True
        self._wake()

    def take(self, line: str) -> None:
        """A line that the process said."""
        said = json.loads(line)
        if "id" in said:
            self._answers[said["id"]] = said
        elif "state" in said:
            self.devices[said["device"]].state = said["state"]
        else:
            self.devices[said["device"]].heard.append(said)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
