"""Figures for whoever watches a host: sums that only go up, whatever workers do."""

import os
import signal
from typing import Any

import msgspec
import pytest
import trio
from structlog.testing import capture_logs

from engine.media import protocol as p
from engine.media.fake import open_fake_host
from engine.media.figures import COUNTERS, GAUGES, OF_WORKERS, Figures
from engine.media.host import HostSettings, WorkersHost
from engine.media.ondemand import open_on_demand
from engine.media.process import WorkerProcess, open_process_host
from engine.media.thread import open_thread_host
from tests.engine.media.rigs import CALM, REAL, publish, settings, view, wait_event

POLL_SECONDS = 0.01
QUICK = msgspec.structs.replace(CALM, measure_seconds=0.05)


async def wait_measured(host: WorkersHost, **wanted: float) -> Figures:
    """Until the workers have told so much."""
    with trio.fail_after(30):
        while any(host.figures.total(name) != value for name, value in wanted.items()):  # noqa: ASYNC110
            # A worker tells without being asked, and sets no event.
            await trio.sleep(POLL_SECONDS)
    return host.figures


def test_sums_are_of_all_workers_and_what_was_counted_stays() -> None:
    figures = Figures()
    figures.measured(0, {"peers_count": 2.0, "received_packets": 10.0})
    figures.measured(1, {"peers_count": 3.0, "received_packets": 5.0})
    figures.measured(1, {"peers_count": 4.0, "received_packets": 6.0})
    assert (figures.total("peers_count"), figures.total("received_packets")) == (6, 16)
    figures.died(1)
    assert (figures.total("peers_count"), figures.total("received_packets")) == (2, 16)
    figures.measured(1, {"peers_count": 0.0, "received_packets": 1.0})
    assert (figures.total("received_packets"), figures.deaths) == (17, 1)


def test_a_worker_that_dies_before_it_has_told_anything_is_a_death_all_the_same() -> None:
    figures = Figures()
    figures.died(0)
    assert (figures.deaths, figures.total("received_packets")) == (1, 0)


async def test_every_name_is_one_that_a_worker_tells() -> None:
    host_settings = HostSettings(limits=QUICK, router=REAL)
    async with open_thread_host(host_settings) as host:
        await host.request(publish())
        figures = await wait_measured(host, publishers_count=1, peers_count=1)
        assert set(COUNTERS) | set(GAUGES) | set(OF_WORKERS) <= set(figures.by_worker[0])
        assert (figures.workers, figures.spares, figures.cascades) == (1, 0, 0)


async def test_refusals_are_counted_by_what_was_asked_and_why() -> None:
    async with open_thread_host(settings()) as host:
        await host.request(publish())
        for offer in ("one", "two"):
            with pytest.raises(p.BadOfferError):
                await host.request(publish("eve", "other", offer))
        with pytest.raises(p.UnknownStreamError):
            await host.request(view("bob", "nobody's"))
        await host.request(view("bob"))
        assert host.figures.refusals == {
            ("Publish", "BadOfferError"): 2,
            ("View", "UnknownStreamError"): 1,
        }


async def test_faults_of_the_media_side_are_counted_and_logged_without_their_text() -> None:
    with capture_logs() as logs:
        async with open_thread_host(settings()) as host, host.events() as reader:
            await host.request(publish())
            await host.request(p.SelectLayer(peer_id="ann", layer="callback"))
            await wait_event(reader, p.MediaFault)
            assert host.figures.faults == 1
    assert logs == [
        {"event": "media_fault", "where": "callback", "raised": "KeyError", "log_level": "warning"}
    ]


@pytest.mark.slow
async def test_a_death_and_a_restart_are_counted_and_other_counts_stay() -> None:
    async with open_process_host(settings(limits=QUICK)) as host, host.events() as reader:
        await host.request(publish())
        await wait_measured(host, peers_count=1)
        host.figures.measured(0, {"received_packets": 7.0})
        running = host.running[0]
        assert isinstance(running, WorkerProcess)
        os.kill(running.pid, signal.SIGKILL)
        await wait_event(reader, p.WorkerGone)
        await host.request(publish(), seconds=30)
        figures = await wait_measured(host, peers_count=1)
        assert (figures.deaths, figures.restarts, figures.workers) == (1, 1, 1)


async def test_a_host_that_is_not_there_yet_has_figures_of_nobody() -> None:
    def opener(readers: Any) -> Any:
        return open_fake_host(readers=readers)

    async with open_on_demand(opener) as host:
        assert host.figures.workers == 0
        await host.request(publish())
        assert (host.figures.workers, host.figures.total("peers_count")) == (1, 1)
