"""Workers in processes: they die, are killed, get stuck and are replaced."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.host import WorkersHost
from engine.media.process import WorkerProcess, _ending, open_process_host
from tests.engine.media.rigs import (
    CALM,
    children,
    events_until,
    figure,
    held,
    publish,
    settings,
    view,
    wait_event,
)

pytestmark = pytest.mark.slow


def pid_of(host: WorkersHost, worker: int = 0) -> int:
    running = host.running[worker]
    assert isinstance(running, WorkerProcess)
    return running.pid


async def test_a_killed_worker_fails_its_requests_is_reported_and_replaced() -> None:
    failed: list[int] = []

    async def ask(number: int) -> None:
        try:
            await host.request(view(f"slow-{number}"), seconds=60)
        except p.WorkerGoneError:
            failed.append(number)

    async with open_process_host(settings()) as host, host.events() as reader:
        await host.request(publish())
        await host.request(view())
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
            os.kill(pid_of(host), signal.SIGKILL)
        gone = p.CloseReason.WORKER_GONE
        seen = [event for _, event in await events_until(reader, p.PeerClosed(peer_id="bob", reason=gone))]
        died = next(event for event in seen if isinstance(event, p.WorkerGone))
        with pytest.raises(p.UnknownPeerError):
            await host.request(p.GetStatistics(peer_id="ann"))
        # Nobody runs yet, so this waits for the fresh one.
        assert isinstance(await host.request(publish()), p.Answered)
        assert await figure(host, "peers_count") == 1
    assert sorted(failed) == list(range(20))
    assert died.worker == 0
    assert set(died.peer_ids) >= {"ann", "bob"}
    assert p.PeerClosed(peer_id="ann", reason=gone) in seen


async def test_a_worker_that_exits_by_itself_is_gone_as_well() -> None:
    async with open_process_host(settings()) as host, host.events() as reader:
        await host.request(publish())
        with pytest.raises(p.WorkerGoneError):
            await host.request(view("deadly"))
        await wait_event(reader, p.WorkerGone)
        assert isinstance(await host.request(publish()), p.Answered)


@pytest.mark.parametrize(
    ("how", "reason"),
    [("deadly", "exit status 3"), ("stuck", "it gave no sign of life"), ("killed", "signal SIGKILL")],
)
async def test_the_log_says_what_a_worker_died_of_and_that_it_was_replaced(how: str, reason: str) -> None:
    limits = msgspec.structs.replace(CALM, measure_seconds=0.1)
    with capture_logs() as logs:
        async with (
            open_process_host(settings(silent_seconds=1.0, limits=limits)) as host,
            host.events() as reader,
        ):
            await host.request(publish())
            if how == "killed":
                os.kill(pid_of(host), signal.SIGKILL)
            with pytest.raises(p.WorkerGoneError):
                await host.request(view(how if how != "killed" else "slow"), seconds=60)
            await wait_event(reader, p.WorkerGone)
            assert isinstance(await host.request(publish(), seconds=30), p.Answered)
    gone, replaced = logs
    assert (gone["event"], gone["worker"], gone["reason"]) == ("media_worker_gone", 0, reason)
    assert (replaced["event"], replaced["worker"]) == ("media_worker_replaced", 0)


@pytest.mark.parametrize(
    ("status", "words"), [(0, "exit status 0"), (-11, "signal SIGSEGV"), (-63, "signal 63")]
)
def test_an_end_is_told_in_words_whatever_the_signal(status: int, words: str) -> None:
    assert _ending(status) == words


async def test_one_worker_of_two_dies_alone() -> None:
    async with open_process_host(settings(workers=2)) as host, host.events() as reader:
        await host.request(publish("ann", "first"))
        await host.request(publish("bob", "second"))
        os.kill(pid_of(host, 0), signal.SIGKILL)
        died = await wait_event(reader, p.WorkerGone)
        assert died == p.WorkerGone(worker=0, peer_ids=("ann",))
        assert isinstance(await host.request(p.GetStatistics(peer_id="bob")), p.Statistics)
        assert isinstance(await host.request(view("eve", "second")), p.Answered)
        assert await figure(host, "peers_count") == 2


async def test_a_worker_that_dies_when_all_are_asked_is_left_out() -> None:
    async with open_process_host(settings(workers=2, config={"statistics": 0})) as host:
        await host.request(publish("ann", "first"))
        await host.request(publish("bob", "second"))
        assert await figure(host, "peers_count") == 1


async def test_a_worker_that_is_stuck_is_killed_and_replaced() -> None:
    limits = msgspec.structs.replace(CALM, measure_seconds=0.1)
    async with (
        open_process_host(settings(silent_seconds=1.0, limits=limits)) as host,
        host.events() as reader,
    ):
        await host.request(publish())
        stuck = pid_of(host)
        with pytest.raises(p.WorkerGoneError):
            await host.request(view("stuck"), seconds=60)
        await wait_event(reader, p.WorkerGone)
        await host.request(publish())
        assert pid_of(host) != stuck
        assert stuck not in children()


async def test_a_request_of_a_stuck_worker_is_let_go_when_cancelled() -> None:
    async with open_process_host(settings(close_seconds=0.1, silent_seconds=60)) as host:
        await host.request(publish())
        with pytest.raises(p.MediaTimeoutError):
            await host.request(view("stuck"), seconds=0.1)


async def test_a_stuck_worker_does_not_hold_up_leaving() -> None:
    before = held()
    async with open_process_host(settings(close_seconds=0.1)) as host:
        await host.request(publish())
        with trio.move_on_after(0.05):
            await host.request(view("stuck"))
    assert held() == before


async def test_a_router_that_does_not_close_does_not_hold_up_leaving() -> None:
    before = held()
    async with open_process_host(settings(close_seconds=0.1, config={"close": "hang"})) as host:
        await host.request(publish())
    assert held() == before


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"open": "refuse"}, "media worker 0 cannot start: the port is taken"),
        ({"open": "crash"}, "media worker 0 cannot start: ValueError"),
        ({"open": "die"}, "media worker 0 cannot start: it ended"),
    ],
)
async def test_a_host_whose_worker_cannot_start_does_not_open(config: dict[str, str], reason: str) -> None:
    before = held()
    with pytest.raises(MediaError, match=reason):
        async with open_process_host(settings(config=config)):
            pass
    assert held() == before


async def test_leaving_while_workers_start_leaves_nothing() -> None:
    before = held()
    with trio.move_on_after(0.3) as scope:
        async with open_process_host(settings(config={"open": "hang"})):
            pass
    assert scope.cancelled_caught
    assert held() == before


async def test_a_worker_that_dies_at_each_start_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "one life"
    config = {"open": "once", "folder": str(folder)}
    async with open_process_host(settings(config=config)) as host, host.events() as reader:
        await host.request(publish())
        with capture_logs() as logs:
            os.kill(pid_of(host), signal.SIGKILL)
            await wait_event(reader, p.WorkerGone)
            for _ in range(2):
                fault = await wait_event(reader, p.MediaFault)
                assert fault == p.MediaFault(where="start", error="MediaError")
            with pytest.raises(
                p.MediaTimeoutError, match="no worker runs, media worker 0 cannot start: it end"
            ):
                await host.request(publish(), seconds=0.01)
        folder.rmdir()
        assert isinstance(await host.request(publish(), seconds=30), p.Answered)
    assert [line["again_in_seconds"] for line in logs][:2] == [0.1, 0.3]
    assert logs[1]["reason"] == "media worker 0 cannot start: it ended or is silent"


async def test_a_drained_host_drains_fresh_workers_too() -> None:
    async with open_process_host(settings()) as host, host.events() as reader:
        await host.request(p.Drain(seconds=60))
        os.kill(pid_of(host), signal.SIGKILL)
        await wait_event(reader, p.WorkerGone)
        with pytest.raises(p.HostBusyError):
            await host.request(publish(), seconds=30)


async def test_a_blocked_trio_does_not_stall_the_worker() -> None:
    async with open_process_host(settings()) as host, host.events() as reader:
        await host.request(publish("ticking"))
        began = 1000 * time.monotonic()
        time.sleep(0.2)  # noqa: ASYNC251 # the whole loop stands still, as in a bad callback
        ended = 1000 * time.monotonic()
        ticks: list[float] = []
        while not ticks or ticks[-1] < ended:
            _, events = await reader.receive()
            ticks += [event.milliseconds for event in events if isinstance(event, p.PeerConnected)]
    assert any(began + 50 < tick < ended for tick in ticks)


async def test_a_worker_drops_events_of_a_host_that_does_not_read_and_says_so() -> None:
    limits = msgspec.structs.replace(CALM, events_max=100)
    async with open_process_host(settings(limits=limits)) as host, host.events() as reader:
        await host.request(publish("quiet"))
        await host.request(p.LimitBitrate(peer_id="quiet", bitrate_max_bps=1000))
        lost = await wait_event(reader, p.EventsLost)
    assert isinstance(lost, p.EventsLost)
    assert lost.count > 800


async def test_an_interrupt_from_the_terminal_is_not_the_workers_business() -> None:
    async with open_process_host(settings()) as host:
        os.kill(pid_of(host), signal.SIGINT)
        os.kill(pid_of(host), signal.SIGTERM)
        assert isinstance(await host.request(publish()), p.Answered)


async def test_a_worker_that_uses_too_much_memory_ends_and_is_replaced() -> None:
    limits = msgspec.structs.replace(CALM, rss_max_bytes=1, drain_seconds=0.05, measure_seconds=0.05)
    async with open_process_host(settings(limits=limits)) as host, host.events() as reader:
        first = pid_of(host)
        await wait_event(reader, p.WorkerOverloaded)
        await wait_event(reader, p.WorkerGone)
        # As worn as the first, but another one.
        await wait_event(reader, p.WorkerOverloaded)
        assert pid_of(host) != first


async def test_a_host_does_not_open_when_one_of_its_workers_cannot_start() -> None:
    before = held()
    with pytest.raises(MediaError, match=r"media worker . cannot start: it ended"):
        async with open_process_host(settings(config={"open": "die"}, workers=2)):
            pass
    assert held() == before


async def test_a_program_that_cannot_be_started_is_a_media_error() -> None:
    before = held()
    executable, sys.executable = sys.executable, "/nowhere/python"
    try:
        with pytest.raises(MediaError, match="cannot be started"):
            async with open_process_host(settings()):
                pass
    finally:
        sys.executable = executable
    assert held() == before


async def test_without_process_descriptors_the_end_is_found_by_looking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = held()
    monkeypatch.delattr(os, "pidfd_open")
    async with open_process_host(settings()) as host:
        await host.request(publish())
    assert held() == before


PARENT = """
import json, trio
from engine.media.process import open_process_host
from tests.engine.media.rigs import publish, settings, view

async def main():
    async with open_process_host(settings(workers=2)) as host:
        await host.request(publish())
        print(json.dumps([each.pid for each in host.running.values()]), flush=True)
        if %r:
            await host.request(view("stuck"))
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.parametrize("stuck", [False, True])
async def test_workers_die_with_a_parent_that_is_killed(stuck: bool) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT % stuck], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 # trio would wait for it
    with parent:
        assert parent.stdout is not None
        workers = [os.pidfd_open(pid) for pid in json.loads(parent.stdout.readline())]
        parent.kill()
    with trio.fail_after(10):
        for worker in workers:
            await trio.lowlevel.wait_readable(worker)
            os.close(worker)
