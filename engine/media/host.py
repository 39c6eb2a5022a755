"""Media workers behind one port: starts them, spreads peers over them, and starts anew what dies."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import structlog
import trio

from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.cascade import LINGER_SECONDS, Cascades
from engine.media.frames import Limits, Measured, Start, Stop
from engine.media.link import Link
from engine.media.placement import VIEWERS_PER_WORKER, Placement, Seat
from engine.media.readers import BATCHES_MAX, Readers, open_readers
from engine.media.recruits import Recruit, Recruits, Running, Spawn, backoff
from engine.nurseries import open_block_nursery

START_SECONDS = 20.0
"""Imports of a media library take most of a second on an idle machine."""
STABLE_SECONDS = 10.0
"""A worker that lived so long has not died at once."""

log = structlog.get_logger("switchhook.media")


@attrs.frozen(kw_only=True)
class HostSettings:
    """Of a host of real workers."""

    workers: int = 1
    router: str = "engine.media.routing:open_router"
    """`module:callable`, called inside each worker with `config` and a function that takes events."""
    config: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    """For the router; plain values. Each worker's has its number under `worker` besides."""
    limits: Limits = attrs.field(factory=Limits)
    batches_max: int = BATCHES_MAX
    """Event batches that wait for one reader."""
    viewers_per_worker: int = VIEWERS_PER_WORKER
    """Where so many view, the next one is put on another worker, to which his stream is carried. All workers
    full, viewers are taken in as long as load permits.
    """
    linger_seconds: float = LINGER_SECONDS
    """How long a stream is still carried to a worker whose last viewer of it has gone."""
    spare: bool = False
    """Whether one more worker has loaded everything and waits, to take the place of one that ends."""
    close_seconds: float = 2.0
    """What workers get to close when the host leaves."""
    silent_seconds: float = 5.0
    """A worker that has shown no sign of life for so long is killed."""


class WorkersHost:
    """The media port over workers that each have a link. Made by `open_workers`."""

    def __init__(self, spawn: Spawn, settings: HostSettings, readers: Readers, nursery: trio.Nursery) -> None:
        self._settings = settings
        self._readers = readers
        self._nursery = nursery
        self._placement = Placement(settings.viewers_per_worker)
        self._links: dict[int, Link] = {}
        self._recruits = Recruits(spawn, settings.router, nursery, self._heard, self._measured)
        self._cascades = Cascades(self._placement, self._links, nursery, settings.linger_seconds)
        self._changed = trio.Event()
        self._drain: p.Drain | None = None
        self._closed = False
        self._figures = p.Figures()
        self._trouble = ""
        """Why the last worker that could not start could not."""
        self.running: dict[int, Running] = {}
        """Where each worker runs, by its number."""

    async def request(self, request: p.MediaRequest, *, seconds: float = 5.0) -> p.MediaAnswer:
        """See MediaHost. A request that is done as the deadline passes is answered all the same."""
        try:
            return await self._request(request, seconds)
        except MediaError as error:
            self._figures.refused(request, error)
            raise

    @property
    def figures(self) -> p.Figures:
        """See MediaHost."""
        self._figures.workers = len(self._links)
        self._figures.spares = self._recruits.spares_count
        self._figures.cascades = self._placement.cascades_count
        return self._figures

    async def _request(self, request: p.MediaRequest, seconds: float) -> p.MediaAnswer:
        with trio.move_on_after(seconds):
            return await self._route(request)
        why = f"; no worker runs, {self._trouble}" if self._trouble and not self._links else ""
        raise p.MediaTimeoutError(f"{type(request).__name__} was not answered within {seconds:g} s{why}")

    def events(self) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[p.Batch]]:
        """See MediaHost."""
        return self._readers.open()

    # -- requests

    async def _route(self, request: p.MediaRequest) -> p.MediaAnswer:
        match request:
            case p.Publish() | p.View() | p.FramePeerRequest():
                return await self._take_in(request)
            case p.GetStatistics(peer_id=None):
                return self._with_own_figures(_sum(await self._ask_all(request)))
            case p.GetStatistics(peer_id=str(peer_id)):
                return self._with_homes(peer_id, await self._link_of(peer_id).ask(request))
            case p.Drain():
                self._drain = request
                await self._ask_all(request)
                return p.Done()
            case p.ClosePeer(peer_id=peer_id) if self._placement.worker_of(peer_id) is None:
                await trio.lowlevel.checkpoint()
                return p.Done()
        return await self._link_of(_peer_of(request)).ask(request)

    async def _take_in(self, request: p.Publish | p.View | p.FramePeerRequest) -> p.MediaAnswer:
        refused: set[int] = set()
        while True:
            seat = await self._seat(request, refused)
            try:
                return await self._ask_at(seat, request)
            except p.HostBusyError:
                refused.add(seat.worker)
                if not self._placement.has_another(request, refused):
                    raise

    async def _ask_at(self, seat: Seat, request: p.Publish | p.View | p.FramePeerRequest) -> p.MediaAnswer:
        taken = False

        def take() -> None:
            nonlocal taken
            taken = True
            self._settle(request.peer_id, seat, taken=True)

        try:
            if seat.cascade is not None:
                await self._cascades.wait_open(seat.cascade)
            # Not when this task runs again: the worker may have said by then that the peer is closed.
            return await self._link_at(seat.worker).ask(request, take)
        finally:
            if not taken:
                self._settle(request.peer_id, seat, taken=False)

    def _settle(self, peer_id: str, seat: Seat, *, taken: bool) -> None:
        self._cascades.look(self._placement.settle(peer_id, seat, taken=taken))

    async def _seat(self, request: p.Publish | p.View | p.FramePeerRequest, refused: set[int]) -> Seat:
        while (seat := self._placement.seat(request, refused)) is None:
            if self._closed:
                raise p.WorkerGoneError("the host is closed")
            # Every worker has died; the deadline of the request is how long it may take.
            await self._changed.wait()
        return seat

    async def _ask_all(self, request: p.MediaRequest) -> list[p.MediaAnswer]:
        """Of those that live; a worker that dies meanwhile has nothing to say, and nothing to drain."""
        answers: list[p.MediaAnswer] = []
        errors: list[MediaError] = []

        async def ask(link: Link) -> None:
            try:
                answers.append(await link.ask(request))
            except p.WorkerGoneError:
                pass
            except MediaError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for link in self._links.values():
                nursery.start_soon(ask, link)
        if errors:
            raise errors[0]
        return answers

    def _link_of(self, peer_id: str) -> Link:
        worker = self._placement.worker_of(peer_id)
        if worker is None:
            raise p.UnknownPeerError("there is no such peer")
        return self._links[worker]

    def _link_at(self, worker: int) -> Link:
        link = self._links.get(worker)
        if link is None:
            raise p.WorkerGoneError("the worker has ended")
        return link

    def _with_homes(self, peer_id: str, answer: p.MediaAnswer) -> p.MediaAnswer:
        assert isinstance(answer, p.Statistics)
        homes = float(self._placement.homes_count(peer_id))
        return p.Statistics(values={**answer.values, "homes_count": homes})

    def _with_own_figures(self, answer: p.Statistics) -> p.Statistics:
        own = {
            "workers_count": float(len(self._links)),
            "spares_count": float(self._recruits.spares_count),
            "cascades_count": float(self._placement.cascades_count),
        }
        return p.Statistics(values={**answer.values, **own})

    # -- workers

    async def start_all(self) -> None:
        """Start every worker at once, and return when all are ready.

        Raises:
            MediaError: one cannot start.
        """
        workers = self._settings.workers
        sender, receiver = trio.open_memory_channel[MediaError | None](workers)
        for worker in range(workers):
            self._nursery.start_soon(self._keep, worker, sender)
        for _ in range(workers):
            error = await receiver.receive()
            if error is not None:
                raise error
        if self._settings.spare:
            self._nursery.start_soon(self._recruits.keep_spare)

    async def _keep(self, worker: int, first: trio.MemorySendChannel[MediaError | None]) -> None:
        """Keep one worker running for ever. Tells `first` how its first start went."""
        died_at_once = 0
        on_ready: Callable[[], None] = lambda: first.send_nowait(None)  # noqa: E731 # of a declared type
        while True:
            began = trio.current_time()
            try:
                reason = await self._live(worker, on_ready)
            except MediaError as error:
                if on_ready is not _nothing:
                    first.send_nowait(error)
                    return
                reason = self._trouble = str(error)
                self._readers.publish([p.MediaFault(where="start", error=type(error).__name__)])
            on_ready = _nothing
            self._figures.died(worker)
            lived_seconds = trio.current_time() - began
            died_at_once = 0 if lived_seconds > STABLE_SECONDS else died_at_once + 1
            seconds = backoff(died_at_once)
            log.warning(
                "media_worker_gone",
                worker=worker,
                reason=reason,
                lived_seconds=round(lived_seconds, 1),
                again_in_seconds=seconds,
            )
            await trio.sleep(seconds)

    async def _live(self, worker: int, on_ready: Callable[[], None]) -> str:
        """One worker from its start to its death, and what it died of.

        Raises:
            MediaError: it cannot start.
        """
        began, waited = trio.current_time(), bool(self._recruits.spares_count)
        recruit = self._recruits.take(worker)
        self.running[worker] = recruit.running
        link = recruit.link
        try:
            await self._wait_ready(worker, link)
            if self._drain is not None:
                await link.ask(self._drain)
            self._links[worker] = link
            self._placement.add_worker(worker)
            self._wake()
            self._recruits.settle()
            if on_ready is _nothing:
                self._figures.restarts += 1
                seconds = round(trio.current_time() - began, 3)
                log.info("media_worker_replaced", worker=worker, by_spare=waited, seconds=seconds)
            on_ready()
            reason = await self._wait_death(link)
            self._mourn(worker)
        finally:
            self._links.pop(worker, None)
            self._placement.remove_worker(worker)
            await self._part(recruit)
        return reason or recruit.ending

    async def _wait_ready(self, worker: int, link: Link) -> None:
        settings = self._settings
        config = {**settings.config, "worker": worker}
        link.tell(Start(worker, settings.router, config, settings.limits))
        with trio.move_on_after(START_SECONDS):
            await link.ready.wait()
        if link.failure is not None or link.ended.is_set() or not link.ready.is_set():
            raise MediaError(f"media worker {worker} cannot start: {link.failure or 'it ended or is silent'}")

    async def _wait_death(self, link: Link) -> str | None:
        """Until it has ended, or is as good as dead: no sign of life between two looks, nor after that.
        The reason, if there is one to be known.
        """
        while not link.ended.is_set():
            beats = link.beats
            for seconds in (self._settings.silent_seconds, self._settings.limits.measure_seconds):
                # The second look is for a trio that was itself stuck: what came meanwhile is still unread.
                if link.beats == beats:
                    with trio.move_on_after(seconds):
                        await link.ended.wait()
            if link.beats == beats and not link.ended.is_set():
                return "it gave no sign of life"
        return link.leaving

    def _mourn(self, worker: int) -> None:
        self._links.pop(worker, None)
        loss = self._placement.remove_worker(worker)
        gone = p.CloseReason.WORKER_GONE
        self._readers.publish(
            [
                p.WorkerGone(worker=worker, peer_ids=loss.peer_ids),
                *(p.PeerClosed(peer_id=peer_id, reason=gone) for peer_id in loss.peer_ids),
            ]
        )
        # Those who view on another worker what was published here are closed by that one, with this reason.
        self._cascades.look(loss.cascades)

    async def _part(self, recruit: Recruit) -> None:
        """Let the worker close what it has, then make sure that it is gone."""
        with trio.CancelScope(shield=True):
            if not recruit.link.ended.is_set():
                with trio.move_on_after(self._settings.close_seconds):
                    await self._stop(recruit.link)
            await recruit.dismiss()

    async def _stop(self, link: Link) -> None:
        try:
            link.tell(Stop(self._settings.close_seconds))
        except MediaError:
            # It does not read, so it will not close anything either.
            return
        await link.ended.wait()

    def close(self) -> None:
        """Let nobody wait for a worker any more."""
        self._closed = True
        self._wake()

    # -- what workers say

    def _heard(self, events: tuple[p.MediaEvent, ...]) -> None:
        for event in events:
            match event:
                case p.PeerClosed(peer_id=peer_id):
                    self._cascades.look(self._placement.closed(peer_id))
                case p.MediaFault(where=where, error=error):
                    self._figures.faults += 1
                    log.warning("media_fault", where=where, raised=error)
                case p.WorkerOverloaded():
                    # Once for each time that it becomes so, and not while it lasts.
                    log.warning(
                        "media_worker_overloaded",
                        worker=event.worker,
                        lag_milliseconds=round(event.lag_milliseconds, 1),
                        cpu_fraction=round(event.cpu_fraction, 2),
                    )
        self._readers.publish(events)

    def _measured(self, worker: int, said: Measured) -> None:
        self._figures.measured(worker, said.figures)
        self._placement.measured(worker, cpu_fraction=said.cpu_fraction, accepting=said.accepting)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_workers(
    spawn: Spawn, settings: HostSettings, readers: Readers | None = None
) -> AsyncIterator[WorkersHost]:
    """A host whose workers all run. Leaving closes them, kills what does not close, and leaves nothing.

    Given `readers` outlive the host.

    Raises:
        MediaError: a worker cannot start.
    """
    if settings.workers < 1:
        raise ValueError("a media host needs a worker")
    # Left last, so that readers hear what the workers said when they closed.
    with open_readers(readers, settings.batches_max) as readers:
        async with open_block_nursery() as nursery:
            host = WorkersHost(spawn, settings, readers, nursery)
            try:
                await host.start_all()
                yield host
            finally:
                nursery.cancel_scope.cancel()
                host.close()


def _nothing() -> None:
    """For a worker whose readiness nobody waits for."""


def _peer_of(request: p.MediaRequest) -> str:
    peer_id = getattr(request, "peer_id", None)
    assert isinstance(peer_id, str), "every other request names its peer"
    return peer_id


def _sum(answers: Iterable[p.MediaAnswer]) -> p.Statistics:
    """Of all workers: times and shares are the worst one's, everything else is added up."""
    values: dict[str, float] = {}
    for answer in answers:
        assert isinstance(answer, p.Statistics)
        for name, value in answer.values.items():
            worst = name.endswith(("_seconds", "_milliseconds", "_fraction"))
            values[name] = max(values.get(name, value), value) if worst else values.get(name, 0.0) + value
    return p.Statistics(values=values)
