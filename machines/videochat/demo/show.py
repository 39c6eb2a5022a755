"""Runs the demonstration: sets the stage, plays the scenes, and looks whether the journal agrees."""

import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio
from rich.console import Console
from rich.text import Text

from engine.app.users import SqliteUsers
from engine.app.users import User as Person
from engine.board import INTERRUPTED, Board, UnmetError, watch_signals
from engine.errors import EngineError
from engine.journal.opening import open_journal
from machines.videochat import vocabulary as v
from machines.videochat.demo.cast import SERVE, Device, Server, User
from machines.videochat.demo.scenes import CAST, Stage, together
from machines.videochat.demo.story import TOLD, Told, announced, episodes_of, stories

TITLE = "switchhook demo videochat"
RING_SECONDS = 8
CONFIG = f"[videochat]\nring_seconds = {RING_SECONDS}\n[media]\ndriver = 'fake'\n"
"""Media of other APIs are not shown, and their workers would delay the restart by more than a ring."""
SECONDS_MAX = 60.0
"""For all of it; a machine that needs longer is too busy to show anything."""

HEARD = {
    "videochatRequested": "Requested",
    "directVideochatRequestAccepted": "DirectAccepted",
    "videochatAccepted": "Accepted",
    "videochatDeclined": "Declined",
}


def run(*, plain: bool, keep: bool = False) -> int:
    """Show it; 0 only if every expectation held. `keep` leaves its logs and journal, as a failure does."""
    console = Console(highlight=False)
    status = 1
    try:
        status = trio.run(_run, console, plain or not console.is_terminal, keep)
    except* SystemExit:
        # Whoever read our output has gone; rich ends the program by it.
        pass
    return status


async def _run(console: Console, plain: bool, keep: bool) -> int:
    directory = Path(tempfile.mkdtemp(prefix="switchhook-demo-"))
    status = 1
    try:
        async with trio.open_nursery() as nursery:
            interrupted = await nursery.start(watch_signals, nursery.cancel_scope)
            with trio.move_on_after(SECONDS_MAX):
                status = await _show(console, directory, plain=plain)
            nursery.cancel_scope.cancel()
        if interrupted.is_set():
            status = INTERRUPTED
    finally:
        if status in (0, INTERRUPTED) and not keep:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            console.print(f"Logs and journal are in {directory}", soft_wrap=True)
    return status


async def _show(console: Console, directory: Path, *, plain: bool) -> int:
    board = Board(console, TITLE, plain=plain)
    journal = f"sqlite:///{directory / 'calls.db'}"
    with board.shown():
        try:
            await _play(board, directory, journal)
        except EngineError:
            # The board says it.
            if not board.failed:
                raise
    console.print()
    try:
        await _draw(console, journal)
    except EngineError as error:
        console.print(Text(f"no call can be drawn: {error}"), soft_wrap=True)
    return board.sum_up()


async def _play(board: Board, directory: Path, journal: str) -> None:
    config = directory / "switchhook.toml"
    config.write_text(CONFIG)
    tokens = await _create_users(directory / "calls.db")
    async with trio.open_nursery() as nursery:
        server = Server(nursery, directory, journal, config)
        users = {name: User(name, devices, directory / f"{name}.log") for name, devices in CAST.items()}
        try:
            with board.expects("the server starts, four users connect five devices", scene="begin"):
                await server.start()
                await together(
                    *(partial(one.start, nursery, server.url, tokens[one.name]) for one in users.values())
                )
            stage = Stage(board, server, users)
            await stage.play()
            await _compare(board, server, stage.devices, journal)
            failure = None
        except EngineError as error:
            # Raised again outside of the nursery, which would wrap it in a group.
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _create_users(path: Path) -> dict[str, str]:
    users = SqliteUsers(str(path))
    tokens = {}
    for name in CAST:
        await users.set(Person(id=name, first_name=name.capitalize()))
        tokens[name] = await users.add_token(name)
    users.close()
    return tokens


async def _compare(board: Board, server: Server, devices: tuple[Device, ...], url: str) -> None:
    with board.expects("the server stops when it is asked to", scene="journal"):
        status = await server.stop()
        if status:
            raise UnmetError(f"its exit status is {status}; see {server.log}")
    async with open_journal(url, read_only=True) as journal:
        lines = await episodes_of(journal, v.LINE)
    text = (
        "each device heard what the journal says it was told, in that order, nothing twice and nothing lost"
    )
    with board.expects(text, scene="journal"):
        for device in devices:
            compare_device(device, [*announced(device.user.name, lines[device.user.name], device.name)])
    with board.expects(
        "every call is built again from its events: switchhook replay", scene="journal"
    ) as expected:
        expected.text = f"{expected.text} says {await replay_all(url)}"


def compare_device(device: Device, told: list[Told]) -> None:
    """Raises: UnmetError: the device did not hear exactly what the journal announced to it."""
    heard = [(event["heard"], event["version"]) for event in device.heard]
    announced_ = [(HEARD.get(TOLD.get(type(one.send.message), ""), "Notice"), one.version) for one in told]
    if heard != announced_:
        raise UnmetError(f"{device} heard {heard}, and was told {announced_}")


async def replay_all(url: str) -> str:
    """What `switchhook replay` says.

    Raises:
        UnmetError: it found a difference, or could not look.
    """
    done = await trio.run_process(
        [sys.executable, "-c", SERVE, "replay", url],
        capture_stdout=True,
        stderr=subprocess.DEVNULL,
        check=False,
        start_new_session=True,
    )
    last = done.stdout.decode().strip().rpartition("\n")[2]
    if done.returncode or not re.fullmatch(r"\d+ streams, \d+ events, 0 differences", last):
        raise UnmetError(f"it ends with {done.returncode}: {last}")
    return f'"{last}"'


async def _draw(console: Console, url: str) -> None:
    async with open_journal(url, read_only=True) as journal:
        for story in await stories(journal):
            console.print(Text(f"%% {story.title}"), soft_wrap=True)
            console.print(Text(story.diagram), soft_wrap=True)
