"""Streams that are carried to a second worker, as the host does it: threads without media."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from engine.errors import MediaError
from engine.media import cascade
from engine.media import protocol as p
from engine.media.host import WorkersHost
from engine.media.placement import Cascade, Placement
from engine.media.process import open_process_host
from engine.media.thread import open_thread_host
from tests.engine.media.rigs import events_until, figure, held, publish, settings, view, wait_event

LINGER_SECONDS = 0.05


@asynccontextmanager
async def open_two(
    workers: int = 2, linger_seconds: float = LINGER_SECONDS, **config: Any
) -> AsyncIterator[WorkersHost]:
    """Workers with room for one viewer each, and a stream on the first."""
    host_settings = settings(
        workers=workers, viewers_per_worker=1, linger_seconds=linger_seconds, config=config
    )
    async with open_thread_host(host_settings) as host:
        await host.request(publish())
        yield host


async def homes(host: WorkersHost, peer_id: str = "ann") -> float:
    answer = await host.request(p.GetStatistics(peer_id=peer_id))
    assert isinstance(answer, p.Statistics)
    return answer.values["homes_count"]


async def wait_figure(host: WorkersHost, name: str, value: float) -> None:
    with trio.fail_after(10):
        while await figure(host, name) != value:  # noqa: ASYNC110 # workers set no event
            await trio.sleep(0.005)


async def test_the_next_viewer_is_put_on_another_worker_and_the_stream_is_carried_there() -> None:
    async with open_two() as host:
        await host.request(view("bob"))
        assert (await homes(host), await figure(host, "cascades_count")) == (1, 0)
        assert isinstance(await host.request(view("eve")), p.Answered)
        assert (await homes(host), await homes(host, "eve")) == (2, 2)
        # One end on each worker.
        assert await figure(host, "pipes_count") == 2
        assert await figure(host, "cascades_count") == 1


async def test_a_pipe_ends_a_while_after_its_last_viewer_and_the_next_one_goes_home() -> None:
    async with open_two() as host:
        await host.request(view("bob"))
        await host.request(view("eve"))
        await host.request(p.ClosePeer(peer_id="bob"))
        await host.request(p.ClosePeer(peer_id="eve"))
        await wait_figure(host, "pipes_count", 0)
        assert await homes(host) == 1
        await host.request(view("bob"))
        assert await figure(host, "cascades_count") == 0


async def test_a_viewer_who_is_soon_back_finds_the_pipe_still_there() -> None:
    async with open_two(linger_seconds=0.3) as host:
        await host.request(view("bob"))
        for _ in range(4):
            await host.request(view("eve"))
            await host.request(p.ClosePeer(peer_id="eve"))
            assert await figure(host, "pipes_count") == 2
        await host.request(view("eve"))
        # Longer than the pipe would linger, so that a forgotten deadline shows.
        await trio.sleep(0.4)
        assert await figure(host, "pipes_count") == 2
        await host.request(p.ClosePeer(peer_id="eve"))
        await wait_figure(host, "pipes_count", 0)


async def test_viewers_who_come_at_once_share_one_pipe() -> None:
    async with open_two() as host:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(host.request, view(f"viewer-{number}"))
        assert await figure(host, "peers_count") == 21
        assert await figure(host, "pipes_count") == 2


async def test_with_the_publisher_end_viewers_everywhere() -> None:
    async with open_two() as host, host.events() as reader:
        await host.request(view("bob"))
        await host.request(view("eve"))
        await host.request(p.ClosePeer(peer_id="ann"))
        ended = p.CloseReason.SOURCE_ENDED
        await events_until(reader, p.PeerClosed(peer_id="eve", reason=ended))
        assert await figure(host, "pipes_count") == 0
        # And it may begin anew at once, on whichever worker.
        await host.request(publish("second"))
        await host.request(view("bob"))


async def test_a_stream_may_begin_anew_on_the_worker_that_it_was_carried_to() -> None:
    async with open_two() as host:
        await host.request(view("bob"))
        await host.request(view("eve"))
        # The first worker has more peers now than the second, so that is where it begins anew.
        await host.request(publish("x", "another"))
        await host.request(p.ClosePeer(peer_id="ann"))
        for number in range(3):
            await host.request(publish("ann"))
            await host.request(view(f"viewer-{number}"))
            await host.request(p.ClosePeer(peer_id="ann"))


async def test_a_home_that_refuses_is_relieved_by_another_worker() -> None:
    async with open_two(busy={"View": [0]}) as host:
        assert isinstance(await host.request(view("bob")), p.Answered)
        assert await homes(host) == 2


async def test_when_everybody_refuses_so_does_the_host() -> None:
    async with open_two(busy={"View": [0, 1]}) as host:
        with pytest.raises(p.HostBusyError, match="overloaded"):
            await host.request(view("bob"))
        assert await figure(host, "peers_count") == 1
        await wait_figure(host, "pipes_count", 0)


async def test_a_publisher_is_refused_by_one_and_taken_by_another() -> None:
    async with open_two(busy={"Publish": [1]}) as host:
        assert isinstance(await host.request(publish("bob", "second")), p.Answered)
        assert await figure(host, "peers_count") == 2


@pytest.mark.parametrize("odd", [{}, {"odd_home": True}])
async def test_a_pipe_that_cannot_be_opened_fails_its_viewers_and_leaves_nothing(
    odd: dict[str, bool],
) -> None:
    async with open_two(**odd) as host:
        await host.request(publish("x", "broken-stream"))
        await host.request(view("bob", "broken-stream"))
        for _ in range(2):
            with pytest.raises(MediaError, match="the media side failed: ValueError"):
                await host.request(view("eve", "broken-stream"))
        await wait_figure(host, "pipes_count", 0)
        assert await homes(host, "x") == 1


async def test_a_viewer_who_gives_up_leaves_the_pipe_to_the_others() -> None:
    async with open_two() as host:
        await host.request(publish("x", "slow-stream"))
        await host.request(view("bob", "slow-stream"))
        with pytest.raises(p.MediaTimeoutError):
            await host.request(view("eve", "slow-stream"), seconds=0.05)
        # The far worker is still asked, and nobody waits for it.
        assert await homes(host, "x") == 2
        await wait_figure(host, "cascades_count", 0)


@pytest.mark.parametrize("home", [True, False])
async def test_a_stream_that_ends_while_its_pipe_is_opened_is_unknown(home: bool) -> None:
    errors: list[type[MediaError]] = []

    async def ask() -> None:
        try:
            await host.request(view("eve", "slow-stream"))
        except MediaError as error:
            errors.append(type(error))

    async with open_two(odd_home=home) as host:
        await host.request(publish("x", "slow-stream"))
        await host.request(view("bob", "slow-stream"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await host.request(p.ClosePeer(peer_id="x"))
        await wait_figure(host, "pipes_count", 0)
    assert errors == [p.UnknownStreamError]


async def test_who_waits_for_a_pipe_when_the_host_leaves_is_told() -> None:
    errors: list[type[MediaError]] = []

    async def ask() -> None:
        try:
            await host.request(view("eve", "slow-stream"), seconds=60)
        except MediaError as error:
            errors.append(type(error))

    async with trio.open_nursery() as nursery, open_two() as host:
        await host.request(publish("x", "slow-stream"))
        await host.request(view("bob", "slow-stream"))
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
    assert errors == [p.WorkerGoneError]


async def test_without_sockets_viewers_stay_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(24, "Too many open files")

    async with open_two() as host:
        await host.request(view("bob"))
        monkeypatch.setattr(cascade, "packet_pair", fail)
        assert isinstance(await host.request(view("eve")), p.Answered)
        assert (await homes(host), await figure(host, "cascades_count")) == (1, 0)


async def test_50_cascades_leave_no_descriptor() -> None:
    async with open_two(linger_seconds=0) as host:
        await host.request(view("bob"))
        before = len(held()[0])
        for _ in range(50):
            await host.request(view("eve"))
            await host.request(p.ClosePeer(peer_id="eve"))
            await wait_figure(host, "pipes_count", 0)
        assert len(held()[0]) == before


async def test_leaving_with_pipes_leaves_nothing() -> None:
    before = held()
    async with open_two(workers=3) as host:
        for name in ("bob", "eve", "joe"):
            await host.request(view(name))
        assert await figure(host, "pipes_count") == 4
    assert held() == before


async def test_a_stream_that_ends_while_its_pipe_lingers_takes_it_along() -> None:
    async with open_two(linger_seconds=60) as host:
        await host.request(view("bob"))
        await host.request(view("eve"))
        await host.request(p.ClosePeer(peer_id="eve"))
        assert await figure(host, "pipes_count") == 2
        await host.request(p.ClosePeer(peer_id="ann"))
        assert await figure(host, "pipes_count") == 0


# -- workers that die


@pytest.mark.slow
@pytest.mark.parametrize("home", [True, False])
async def test_a_worker_that_dies_when_it_is_given_a_pipe_fails_the_viewer(home: bool) -> None:
    host_settings = settings(workers=2, viewers_per_worker=1, config={"odd_home": home})
    async with open_process_host(host_settings) as host, host.events() as reader:
        await host.request(publish("x", "deadly-stream"))
        await host.request(view("bob", "deadly-stream"))
        with pytest.raises(p.WorkerGoneError):
            await host.request(view("eve", "deadly-stream"))
        died = await wait_event(reader, p.WorkerGone)
        assert isinstance(died, p.WorkerGone)
        assert died.worker == (0 if home else 1)
        await wait_figure(host, "workers_count", 2)
        assert (await figure(host, "pipes_count"), await figure(host, "cascades_count")) == (0, 0)
        assert await figure(host, "peers_count") == (0 if home else 2)


# -- without workers


@pytest.fixture
async def alone() -> AsyncIterator[tuple[cascade.Cascades, Cascade]]:
    """Cascades that find no worker, and one of them that the placement has made."""
    placement = Placement(1)
    for worker in range(2):
        placement.add_worker(worker)
    for request in (publish(), view("bob")):
        placement.seat(request)
    seat = placement.seat(view("eve"))
    assert seat is not None
    assert seat.cascade is not None
    async with trio.open_nursery() as nursery:
        yield cascade.Cascades(placement, {}, nursery), seat.cascade
        nursery.cancel_scope.cancel()


async def test_between_workers_that_have_died_there_is_no_pipe(
    alone: tuple[cascade.Cascades, Cascade],
) -> None:
    cascades, one = alone
    with pytest.raises(p.WorkerGoneError):
        await cascades.wait_open(one)
    assert one.ended is p.CloseReason.WORKER_GONE


async def test_a_cascade_that_nobody_has_waited_for_ends_without_a_pipe(
    alone: tuple[cascade.Cascades, Cascade],
) -> None:
    cascades, one = alone
    cascades.look([one])
    assert one.ended is p.CloseReason.REQUESTED
    cascades.look([one])


async def test_a_cascade_that_has_ended_is_not_opened_for_who_asks_again(
    alone: tuple[cascade.Cascades, Cascade],
) -> None:
    cascades, one = alone
    cascades.look([one])
    with trio.fail_after(1):
        await cascades.wait_open(one)
