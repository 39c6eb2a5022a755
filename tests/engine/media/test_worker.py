"""The asyncio side, in a thread and spoken to by raw frames, and what only its settings bring about."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import msgspec
import pytest
from structlog.testing import capture_logs

from engine.errors import MediaError
from engine.media import frames
from engine.media import protocol as p
from engine.media.host import HostSettings, WorkersHost, open_workers
from engine.media.rights import packet_pair
from engine.media.thread import WorkerThread, open_thread_host
from tests.engine.media.rigs import CALM, REAL, STAND_IN, events_until, publish, settings, view, wait_event


class Wire:
    """A worker in a thread, and a plain socket to it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = frames.FrameBuffer()
        self._heard: list[frames.Frame] = []

    def say(self, *said: frames.Frame) -> None:
        self._sock.sendall(b"".join(frames.encode(each) for each in said))

    def hear(self) -> frames.Frame | None:
        """The next frame but for measures; None at the end."""
        while not self._heard:
            data = self._sock.recv(1 << 20)
            if not data:
                return None
            heard = self._buffer.feed(data)
            self._heard += [each for each in heard if not isinstance(each, frames.Measured)]
        return self._heard.pop(0)

    def hear_measured(self) -> frames.Measured:
        """The next measures; everything else is dropped."""
        while True:
            for frame in self._buffer.feed(self._sock.recv(1 << 20)):
                if isinstance(frame, frames.Measured):
                    return frame

    def hear_rest(self) -> list[frames.Frame]:
        return list(iter(self.hear, None))


@asynccontextmanager
async def open_wire() -> AsyncIterator[Wire]:
    ours, theirs = socket.socketpair()
    rights, their_rights = packet_pair()
    worker = WorkerThread(theirs, their_rights)
    ours.settimeout(10)
    with ours, rights:
        yield Wire(ours)
    await worker.end()


def start(config: dict[str, Any] | None = None) -> frames.Start:
    return frames.Start(0, STAND_IN, config or {}, CALM)


def ask(number: int, request: p.MediaRequest) -> frames.Ask:
    return frames.Ask(number, frames.seal(request))


async def test_each_request_is_answered_once_even_when_it_is_cancelled_twice() -> None:
    async with open_wire() as wire:
        wire.say(start())
        assert wire.hear() == frames.Ready()
        wire.say(ask(1, publish("slow")), frames.Cancel(1), frames.Cancel(1), frames.Cancel(77))
        assert wire.hear() == frames.Unwound(1)
        wire.say(frames.Cancel(1), ask(2, p.ClosePeer(peer_id="slow")))
        assert wire.hear() == frames.Answer(2, frames.seal(p.Done()))
        wire.say(frames.Stop(1.0))
        assert wire.hear_rest() == []


async def test_what_happened_before_an_answer_is_told_before_it() -> None:
    async with open_wire() as wire:
        wire.say(start())
        wire.hear()
        wire.say(ask(1, publish()))
        assert isinstance(wire.hear(), frames.Happened)
        assert isinstance(wire.hear(), frames.Answer)


async def test_a_stop_unwinds_requests_closes_peers_and_tells_it() -> None:
    async with open_wire() as wire:
        wire.say(start())
        wire.hear()
        wire.say(ask(1, publish("quiet")))
        wire.hear()
        # The answer to the third says that the second has begun.
        wire.say(ask(2, view("slow")), ask(3, p.GetStatistics()))
        wire.hear()
        wire.say(frames.Stop(1.0))
        unwound, closed = wire.hear_rest()
    assert unwound == frames.Unwound(2)
    assert isinstance(closed, frames.Happened)
    assert frames.events_of(closed) == (p.PeerClosed(peer_id="quiet", reason=p.CloseReason.REQUESTED),)


async def test_a_stop_right_behind_the_start_is_heard() -> None:
    async with open_wire() as wire:
        wire.say(start({"open": "hang"}), frames.Stop(1.0))
        assert wire.hear_rest() == []


@pytest.mark.parametrize("said", [frames.Stop(1.0), frames.Ready(), None])
async def test_a_worker_whose_host_begins_with_something_else_ends(said: frames.Frame | None) -> None:
    async with open_wire() as wire:
        if said is not None:
            wire.say(said)
            assert wire.hear_rest() == []


@pytest.mark.parametrize("said", [frames.Ready(), start()])
async def test_a_worker_whose_host_talks_nonsense_ends(said: frames.Frame) -> None:
    async with open_wire() as wire:
        wire.say(start())
        wire.hear()
        wire.say(said)
        assert wire.hear_rest() == []


async def test_a_request_while_the_router_closes_is_refused() -> None:
    async with open_wire() as wire:
        wire.say(start({"close": "hang"}))
        wire.hear()
        # The answer to the second says that the first has begun.
        wire.say(ask(1, publish("slow")), ask(7, p.GetStatistics()))
        wire.hear()
        wire.say(frames.Stop(0.2))
        assert wire.hear() == frames.Unwound(1)
        wire.say(ask(2, publish()))
        assert wire.hear() == frames.Refusal(2, "WorkerGoneError", "the worker is ending")


@pytest.mark.parametrize(("config", "reason"), [("refuse", "the port is taken"), ("crash", "ValueError")])
async def test_a_router_that_does_not_open_ends_the_worker_with_its_reason(config: str, reason: str) -> None:
    async with open_wire() as wire:
        wire.say(start({"open": config}))
        assert wire.hear_rest() == [frames.Failed(reason)]


async def test_a_host_that_does_not_read_gets_its_events_in_order_when_it_does() -> None:
    # So long that what one request brings about is more than the socket holds.
    peer_id = "quiet" + "x" * 200
    asked = range(2, 7)
    told: list[frames.Happened] = []
    async with open_wire() as wire:
        wire.say(start())
        wire.hear()
        wire.say(ask(1, publish(peer_id)))
        for number in asked:
            wire.say(ask(number, p.LimitBitrate(peer_id=peer_id, bitrate_max_bps=9_000)))
        answered = 0
        while answered <= len(asked):
            frame = wire.hear()
            if isinstance(frame, frames.Happened):
                told.append(frame)
            answered += isinstance(frame, frames.Answer)
    expected = 0
    for each in told:
        assert each.number == expected
        expected += p.numbers_of(frames.events_of(each))
    assert expected == 9_000 * len(asked)


async def test_a_request_that_is_none_is_refused() -> None:
    async with open_wire() as wire:
        wire.say(start())
        wire.hear()
        wire.say(frames.Ask(1, frames.seal(p.Done())))
        assert wire.hear() == frames.Refusal(1, "MediaError", "a value of an unknown kind")


@pytest.mark.parametrize(
    ("peer_id", "error", "reason"),
    [
        ("own", p.BadOfferError, "a reason"),
        ("selfish", MediaError, "the media side failed: CancelledError"),
        ("large", MediaError, "the limit is"),
    ],
)
async def test_errors_of_the_router_arrive_as_the_protocols(
    peer_id: str, error: type[Exception], reason: str
) -> None:
    async with open_thread_host(settings()) as host:
        with pytest.raises(error, match=reason):
            await host.request(publish(peer_id))


async def test_a_router_that_finishes_although_it_is_cancelled_has_answered() -> None:
    async with open_thread_host(settings()) as host:
        # The deadline passes, and the answer is there all the same.
        assert isinstance(await host.request(publish("deaf"), seconds=0.05), p.Answered)


async def test_a_task_that_nobody_awaits_is_reported_by_its_name() -> None:
    async with open_thread_host(settings()) as host, host.events() as reader:
        await host.request(publish())
        await host.request(p.Mute(peer_id="ann", kind=p.Kind.AUDIO, muted=True))
        assert await wait_event(reader, p.MediaFault) == p.MediaFault(where="_fail", error="KeyError")
        await host.request(p.SelectLayer(peer_id="ann", layer="callback"))
        assert await wait_event(reader, p.MediaFault) == p.MediaFault(where="callback", error="KeyError")


@pytest.mark.parametrize(("close", "error"), [("crash", "ValueError"), ("hang", "TimeoutError")])
async def test_a_router_that_cannot_close_is_reported(close: str, error: str) -> None:
    async with open_wire() as wire:
        wire.say(start({"close": close}))
        wire.hear()
        wire.say(frames.Stop(0.02))
        (told,) = wire.hear_rest()
    assert isinstance(told, frames.Happened)
    assert frames.events_of(told) == (p.MediaFault(where="close", error=error),)


@contextmanager
def refused_as(reason: str) -> Iterator[None]:
    with pytest.raises(p.HostBusyError, match=reason):
        yield


def limited(config: dict[str, Any] | None = None, **limits: Any) -> HostSettings:
    return settings(config=config or {}, limits=msgspec.structs.replace(CALM, measure_seconds=0.05, **limits))


async def test_an_overloaded_worker_takes_nobody_new_and_keeps_whom_it_has() -> None:
    # Whatever the processor time is, it is above this.
    overloaded = limited(cpu_max_fraction=-1.0)
    with capture_logs() as logs:
        await _takes_nobody_new(overloaded)
    assert [(line["event"], line["worker"]) for line in logs] == [("media_worker_overloaded", 0)]


async def _takes_nobody_new(overloaded: HostSettings) -> None:
    async with open_thread_host(overloaded) as host, host.events() as reader:
        first = await host.request(publish())
        told = await wait_event(reader, p.WorkerOverloaded)
        assert isinstance(told, p.WorkerOverloaded)
        assert told.worker == 0
        with refused_as("overloaded"):
            await host.request(view())
        assert await host.request(publish()) == first
        assert await host.request(p.ClosePeer(peer_id="ann")) == p.Done()
        with refused_as("overloaded"):
            await host.request(publish())


async def test_the_work_of_starting_is_no_overload() -> None:
    limits = limited(cpu_max_fraction=0.7).limits
    async with open_wire() as wire:
        wire.say(frames.Start(0, STAND_IN, {"open": "busy"}, limits))
        assert wire.hear() == frames.Ready()
        assert wire.hear_measured().accepting


@asynccontextmanager
async def open_watched(
    config: dict[str, Any] | None = None, drain_seconds: float = 60
) -> AsyncIterator[WorkersHost]:
    """Threads whose memory is watched; it is the whole program's, and above any small limit."""
    watched = limited(config, rss_max_bytes=1, drain_seconds=drain_seconds)
    async with open_workers(WorkerThread, watched) as host:
        yield host


async def test_a_worker_above_its_memory_drains_and_ends() -> None:
    async with open_watched(drain_seconds=0.05) as host, host.events() as reader:
        await host.request(publish())
        closed = await wait_event(reader, p.PeerClosed)
        assert closed == p.PeerClosed(peer_id="ann", reason=p.CloseReason.DRAINED)
        assert await wait_event(reader, p.WorkerGone) == p.WorkerGone(worker=0, peer_ids=())


async def test_who_is_closed_at_the_end_of_a_drain_is_told_so_and_no_fault_is() -> None:
    watched = attrs.evolve(limited(rss_max_bytes=1, drain_seconds=0.05), router=REAL)
    async with open_workers(WorkerThread, watched) as host, host.events() as reader:
        await host.request(publish())
        gone = p.WorkerGone(worker=0, peer_ids=())
        seen = [event for _, event in await events_until(reader, gone)]
    assert p.PeerClosed(peer_id="ann", reason=p.CloseReason.DRAINED) in seen
    assert not [event for event in seen if isinstance(event, p.MediaFault)]


async def test_a_worker_without_peers_need_not_drain() -> None:
    async with open_watched() as host, host.events() as reader:
        await wait_event(reader, p.WorkerGone)


async def test_a_worker_whose_peers_do_not_end_ends_all_the_same() -> None:
    async with open_watched({"drain": "never"}, drain_seconds=0.05) as host, host.events() as reader:
        await host.request(publish())
        assert await wait_event(reader, p.MediaFault) == p.MediaFault(where="drain", error="TimeoutError")
        await wait_event(reader, p.WorkerGone)


async def test_a_drain_that_fails_is_reported_and_ends_the_worker() -> None:
    with capture_logs() as logs:
        async with open_watched({"drain": "crash"}) as host, host.events() as reader:
            assert await wait_event(reader, p.MediaFault) == p.MediaFault(where="worker", error="ValueError")
            await wait_event(reader, p.WorkerGone)
            await host.request(publish(), seconds=30)
    gone = next(line for line in logs if line["event"] == "media_worker_gone")
    assert gone["reason"] == "a task of its own raised ValueError"


async def test_a_worker_may_load_its_router_before_it_is_started() -> None:
    async with open_wire() as wire:
        wire.say(frames.Prepare(STAND_IN))
        assert wire.hear() == frames.Prepared()
        wire.say(start())
        assert wire.hear() == frames.Ready()
        wire.say(frames.Stop(1.0))
        assert wire.hear_rest() == []


@pytest.mark.parametrize("behind", [(), (start(),)])
async def test_a_worker_that_cannot_load_its_router_says_so_and_ends(
    behind: tuple[frames.Frame, ...],
) -> None:
    async with open_wire() as wire:
        wire.say(frames.Prepare("tests.engine.media.standin:Missing"), *behind)
        assert wire.hear_rest() == [frames.Failed("AttributeError")]
