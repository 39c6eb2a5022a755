"""Runs the demonstration: an engine, a publisher of a file, two who record it, and a look at the result."""

import logging
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import attrs
import av.error
import trio
from rich.console import Console

from engine.app.configuration import Configuration
from engine.app.engine import open_engine
from engine.app.logs import configure_logs
from engine.board import INTERRUPTED, Board, UnmetError, watch_signals
from engine.errors import EngineError
from engine.media.frames import Limits
from engine.media.host import HostSettings
from engine.media.open import open_media
from engine.media.protocol import FileSink, FileSource
from engine.media.settings import MediaSettings
from engine.nurseries import open_block_nursery
from machines.conference.client.client import (
    ConferenceClient,
    FeedState,
    PublishedStream,
    Seat,
    ViewedStream,
    open_conference_client,
)
from machines.conference.demo.films import SECONDS, TONE_HZ, Film, look_at, make_film
from machines.conference.oauth.service import ClientSettings, OauthSettings
from machines.conference.settings import ConferenceSettings

TITLE = "switchhook demo conference"
ROOM = "demo"
PUBLISHER, VIEWERS = "ann", ("bob", "eve")
SECONDS_MAX = 60.0
"""For all of it; a machine that needs longer is too busy to show anything."""
STEP_SECONDS = 20.0
"""For one expectation."""

PICTURES_ARRIVED, SOUND_ARRIVED = 0.5, 0.8
"""Of what was played: a recording begins at a key frame, and a busy machine drops pictures before sound."""
TONE_BAND_HZ = 25.0

CALM = Limits(lag_max_milliseconds=60_000, cpu_max_fraction=100)
"""Encoders, decoders and router share the machine, and admission would take that for overload."""


def run(*, plain: bool, keep: bool = False) -> int:
    """Show it; 0 only if every expectation held. `keep` leaves the film, the recordings and the journal."""
    console = Console(highlight=False)
    configure_logs(logging.ERROR)
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
            board = Board(console, TITLE, plain=plain)
            with trio.move_on_after(SECONDS_MAX), board.shown():
                try:
                    await _play(board, directory)
                except EngineError as error:
                    # Mostly the board says it already.
                    if not board.failed:
                        board.fail("the stage is set", str(error))
            if not interrupted.is_set():
                status = board.sum_up()
            nursery.cancel_scope.cancel()
        if interrupted.is_set():
            status = INTERRUPTED
    finally:
        if keep:
            console.print(f"The film, the recordings and the journal are in {directory}", soft_wrap=True)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return status


@attrs.define(eq=False)
class Stage:
    """The seats of three workers, and what they have open."""

    board: Board
    directory: Path
    film: Film
    seats: dict[str, Seat]
    views: dict[str, ViewedStream] = attrs.field(factory=dict)

    async def play(self) -> None:
        """Everything between joining and leaving."""
        expects = self.board.expects
        publisher = self.seats[PUBLISHER]
        with (
            expects(f"{PUBLISHER} publishes the film, by a media worker of her own", scene="publish"),
            _soon(),
        ):
            stream = await publisher.publish(FileSource(str(self.directory / "film.webm"), loop=True))
        with expects("both hear of it, view it, and record", scene="view"), _soon():
            for name in VIEWERS:
                await self._view(name)
        with expects(f"{SECONDS} seconds of it flow, and nobody is lost", scene="view"):
            await trio.sleep(SECONDS)
            self._check_live(stream)
        with expects("the viewers stop; their recordings are complete", scene="record"), _soon():
            for view in self.views.values():
                await view.stop()
        for name in VIEWERS:
            await self._look(name)
        with expects(f"{PUBLISHER} unpublishes: both hear it, at the same version", scene="leave"), _soon():
            await stream.unpublish()
            await self._hear_the_end(stream)

    async def _view(self, name: str) -> None:
        seat = self.seats[name]
        seen = await seat.wait_stream(user_id=PUBLISHER)
        self.views[name] = await seat.view(seen.stream_id, FileSink(str(self._recording(name))))

    def _check_live(self, stream: PublishedStream) -> None:
        states = [stream.state, *(view.state for view in self.views.values())]
        if states != [FeedState.LIVE] * len(states):
            raise UnmetError(f"they are {', '.join(states)}")

    async def _look(self, name: str) -> None:
        with self.board.expects(f"{name}'s recording decodes, picture and sound", scene="record") as expected:
            found = await look_at_recording(self._recording(name))
            expected.text += (
                f": {found.pictures} pictures, {found.seconds_of_sound:.1f} s of {found.tone_hz:.0f} Hz"
            )
            check_film(found, self.film)

    async def _hear_the_end(self, stream: PublishedStream) -> None:
        for seat in self.seats.values():
            await seat.wait_for(lambda picture: stream.stream_id not in picture.streams or None)
        versions = {seat.picture.version for seat in self.seats.values()}
        if len(versions) != 1:
            raise UnmetError(f"they are at the versions {sorted(versions)}")

    def _recording(self, name: str) -> Path:
        return self.directory / f"{name}.webm"


async def _play(board: Board, directory: Path) -> None:
    with board.expects(f"a film of {SECONDS} seconds with a tone is made", scene="begin"):
        film = await trio.to_thread.run_sync(make_film, directory / "film.webm")
    async with AsyncExitStack() as stack:
        with board.expects("an engine serves, with a media worker, and another for clients", scene="begin"):
            journal = f"sqlite:///{directory / 'calls.db'}"
            url, keys = await stack.enter_async_context(_served(journal))
            media = await stack.enter_async_context(
                open_media("process", workers=1, settings=HostSettings(limits=CALM))
            )
        clients = {
            name: await stack.enter_async_context(
                open_conference_client(url, client_id=name, client_secret=key, media=media)
            )
            for name, key in keys.items()
        }
        await _meet(board, directory, film, clients)
        with board.expects("all have left: the conference is empty", scene="leave"), _soon():
            left = await clients[PUBLISHER].conference(ROOM)
            if left.participants or not left.empty:
                raise UnmetError(f"{len(left.participants)} are inside")


async def _meet(board: Board, directory: Path, film: Film, clients: Mapping[str, ConferenceClient]) -> None:
    async with AsyncExitStack() as stack:
        seats: dict[str, Seat] = {}
        with board.expects("three workers join one conference", scene="begin"):
            await clients[PUBLISHER].create(ROOM)
            for name, client in clients.items():
                joined = client.join(ROOM, name=name.capitalize())
                seats[name] = await stack.enter_async_context(joined)
        async with open_block_nursery() as nursery:
            for name, seat in seats.items():
                nursery.start_soon(_tell, board, name, seat)
            await Stage(board, directory, film, seats).play()
            nursery.cancel_scope.cancel()


async def _tell(board: Board, name: str, seat: Seat) -> None:
    """Note what a worker hears."""
    async for event in seat.events():
        board.note(f"{name} hears {event.type}, version {event.conference_version}")


@asynccontextmanager
async def _served(journal: str) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """An address, and the secrets of clients."""
    keys = {name: secrets.token_urlsafe(16) for name in (PUBLISHER, *VIEWERS)}
    registered = {name: ClientSettings(secret=key, organization="demo") for name, key in keys.items()}
    oauth = OauthSettings(signing_key=secrets.token_urlsafe(32))
    configuration = Configuration(
        settings={"conference": ConferenceSettings(clients=registered, oauth=oauth)},
        media=MediaSettings(
            workers=1,
            lag_max_milliseconds=CALM.lag_max_milliseconds,
            cpu_max_fraction=CALM.cpu_max_fraction,
        ),
    )
    async with open_engine(journal, configuration=configuration) as engine, open_block_nursery() as nursery:
        (address,) = await nursery.start(engine.serve, "127.0.0.1:0")
        yield address, keys
        nursery.cancel_scope.cancel()


async def look_at_recording(path: Path) -> Film:
    """What a recording has.

    Raises:
        UnmetError: it cannot be decoded.
    """
    try:
        return await trio.to_thread.run_sync(look_at, path)
    except (av.error.FFmpegError, OSError) as error:
        raise UnmetError(f"{path.name} cannot be decoded: {type(error).__name__}") from error


def check_film(found: Film, played: Film) -> None:
    """Raises: UnmetError: too much is missing, or it is something else."""
    if found.pictures < PICTURES_ARRIVED * played.pictures:
        raise UnmetError(f"{found.pictures} of {played.pictures} pictures")
    if found.shades < played.shades / 2:
        raise UnmetError(f"{found.shades} shades of {played.shades}: the picture stands still")
    if found.seconds_of_sound < SOUND_ARRIVED * played.seconds_of_sound:
        raise UnmetError(f"{found.seconds_of_sound:.1f} of {played.seconds_of_sound:.1f} seconds of sound")
    if abs(found.tone_hz - TONE_HZ) > TONE_BAND_HZ:
        raise UnmetError(f"a tone of {found.tone_hz:.0f} Hz, not {TONE_HZ}")


@contextmanager
def _soon() -> Iterator[None]:
    """Raises: UnmetError: it takes too long."""
    with trio.move_on_after(STEP_SECONDS) as scope:
        yield
    if scope.cancelled_caught:
        raise UnmetError(f"not within {STEP_SECONDS:g} seconds")
