"""What is particular to workers in threads."""

import threading

import pytest
import trio

from engine.media import protocol as p
from engine.media.thread import open_thread_host
from tests.engine.media.rigs import publish, settings, view


def media_threads() -> int:
    return sum(each.name == "media worker" for each in threading.enumerate())


async def test_there_is_a_thread_for_each_worker_while_the_host_is_open() -> None:
    async with open_thread_host(settings(workers=3)) as host:
        assert media_threads() == 3
        for number in range(3):
            await host.request(publish(f"peer-{number}", f"stream-{number}"))
        statistics = await host.request(p.GetStatistics())
        assert isinstance(statistics, p.Statistics)
        assert statistics.values["peers_count"] == 3
    assert media_threads() == 0


async def test_an_error_of_one_worker_is_the_hosts() -> None:
    async with open_thread_host(settings(workers=2, config={"statistics": "refuse"})) as host:
        with pytest.raises(p.HostBusyError, match="not now"):
            await host.request(p.GetStatistics())


async def test_a_host_without_workers_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="needs a worker"):
        async with open_thread_host(settings(workers=0)):
            pass


@pytest.mark.slow
async def test_leaving_waits_for_a_thread_that_is_stuck_for_a_while() -> None:
    stuck = settings(close_seconds=0.05, config={"stuck_seconds": 2.5})
    async with open_thread_host(stuck) as host:
        await host.request(publish())
        with trio.move_on_after(0.01):
            await host.request(view("stuck"))
    assert media_threads() == 0


@pytest.mark.slow
async def test_a_thread_that_is_stuck_for_good_is_left_behind() -> None:
    stuck = settings(close_seconds=0.05, config={"stuck_seconds": 5.0})
    async with open_thread_host(stuck) as host:
        await host.request(publish())
        with trio.move_on_after(0.01):
            await host.request(view("stuck"))
    left = [each for each in threading.enumerate() if each.name == "media worker"]
    assert len(left) == 1
    assert left[0].daemon
    # Other tests count threads.
    left[0].join()
