"""Where workers come from: the spare one, and what becomes of it."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.errors import MediaError
from engine.media import frames
from engine.media import protocol as p
from engine.media.host import WorkersHost
from engine.media.process import WorkerProcess, open_process_host
from engine.media.recruits import BACKOFF_SECONDS, Recruits
from tests.engine.media.rigs import CALM, children, figure, held, publish, settings, wait_event

POLL_SECONDS = 0.01


class Staff:
    """Workers that are nothing but their end of the socket."""

    def __init__(self) -> None:
        self.begun: list[socket.socket] = []
        self.ended = 0
        self.refuses = False

    def spawn(self, theirs: socket.socket, rights: socket.socket) -> "Staff":
        rights.close()
        if self.refuses:
            theirs.close()
            raise OSError(11, "no more processes")
        self.begun.append(theirs)
        return self

    async def end(self) -> str:
        await trio.lowlevel.checkpoint()
        self.ended += 1
        return "exit status 7"

    def say(self, *said: frames.Frame) -> None:
        self.begun[-1].sendall(b"".join(map(frames.encode, said)))

    def heard(self) -> list[frames.Frame]:
        self.begun[-1].settimeout(0)
        return frames.FrameBuffer().feed(self.begun[-1].recv(1 << 16))


@contextmanager
def staff() -> Iterator[Staff]:
    one = Staff()
    try:
        yield one
    finally:
        for sock in one.begun:
            sock.close()


def recruits_of(one: Staff, nursery: trio.Nursery) -> Recruits:
    return Recruits(one.spawn, "some:router", nursery, lambda _: None, lambda *_: None)


async def test_a_spare_worker_loads_the_router_and_waits() -> None:
    with staff() as one:
        async with trio.open_nursery() as nursery:
            recruits = recruits_of(one, nursery)
            nursery.start_soon(recruits.keep_spare)
            await wait_all_tasks_blocked()
            assert one.heard() == [frames.Prepare("some:router")]
            assert recruits.spares_count == 0
            one.say(frames.Prepared())
            await wait_all_tasks_blocked()
            assert recruits.spares_count == 1
            nursery.cancel_scope.cancel()
        assert one.ended == 1


async def test_the_next_spare_one_is_begun_when_the_taken_one_works() -> None:
    with staff() as one:
        async with trio.open_nursery() as nursery:
            recruits = recruits_of(one, nursery)
            nursery.start_soon(recruits.keep_spare)
            await wait_all_tasks_blocked()
            taken = recruits.take(4)
            await wait_all_tasks_blocked()
            assert (taken.worker, len(one.begun)) == (4, 1)
            recruits.settle()
            await wait_all_tasks_blocked()
            assert len(one.begun) == 2
            await taken.dismiss()
            nursery.cancel_scope.cancel()
        assert one.ended == 2


async def test_who_is_wanted_while_there_is_no_spare_one_is_begun_at_once() -> None:
    with staff() as one:
        async with trio.open_nursery() as nursery:
            recruits = recruits_of(one, nursery)
            taken = recruits.take(0)
            await taken.dismiss()
            assert (len(one.begun), taken.ending) == (1, "exit status 7")


async def test_a_spare_one_that_has_just_ended_is_not_taken(autojump_clock: MockClock) -> None:
    with staff() as one:
        async with trio.open_nursery() as nursery:
            recruits = recruits_of(one, nursery)
            nursery.start_soon(recruits.keep_spare)
            await wait_all_tasks_blocked()
            assert recruits._spare is not None
            recruits._spare.link.close()
            taken = recruits.take(0)
            assert len(one.begun) == 2
            await taken.dismiss()
            nursery.cancel_scope.cancel()


async def test_a_spare_one_that_ends_is_begun_anew_later_and_later(autojump_clock: MockClock) -> None:
    with staff() as one, capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recruits_of(one, nursery).keep_spare)
            for number in range(len(BACKOFF_SECONDS)):
                while len(one.begun) == number:  # noqa: ASYNC110 # the clock jumps
                    await trio.sleep(POLL_SECONDS)
                if number == 0:
                    one.say(frames.Failed("the port is taken"))
                    await wait_all_tasks_blocked()
                one.begun[-1].close()
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert [line["again_in_seconds"] for line in logs] == [*BACKOFF_SECONDS[1:], BACKOFF_SECONDS[-1]]
    assert [line["reason"] for line in logs][:2] == ["the port is taken", "exit status 7"]


async def test_a_spare_one_that_cannot_be_begun_is_tried_again(autojump_clock: MockClock) -> None:
    with staff() as one, capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            recruits = recruits_of(one, nursery)
            one.refuses = True
            nursery.start_soon(recruits.keep_spare)
            await wait_all_tasks_blocked()
            with pytest.raises(MediaError, match="cannot be started: no more processes"):
                recruits.take(0)
            one.refuses = False
            while not one.begun:  # noqa: ASYNC110 # the clock jumps
                await trio.sleep(POLL_SECONDS)
            nursery.cancel_scope.cancel()
    assert logs[0]["reason"] == "a media worker cannot be started: no more processes"


# -- in processes


async def spare_of(host: WorkersHost, others: set[int]) -> int:
    """The process that waits, as soon as it has loaded everything; `others` were there before the host."""
    with trio.fail_after(30):
        while await figure(host, "spares_count") == 0:  # noqa: ASYNC110 # a worker sets no event
            await trio.sleep(POLL_SECONDS)
    workers = {worker.pid for worker in host.running.values() if isinstance(worker, WorkerProcess)}
    [pid] = children() - workers - others
    return pid


def pid_of(host: WorkersHost) -> int:
    running = host.running[0]
    assert isinstance(running, WorkerProcess)
    return running.pid


@pytest.mark.slow
async def test_the_spare_process_takes_the_place_of_each_that_is_killed() -> None:
    before, others = held(), children()
    async with open_process_host(settings(spare=True)) as host, host.events() as reader:
        for _ in range(3):
            spare = await spare_of(host, others)
            os.kill(pid_of(host), signal.SIGKILL)
            await wait_event(reader, p.WorkerGone)
            assert isinstance(await host.request(publish()), p.Answered)
            assert pid_of(host) == spare
    assert held() == before


@pytest.mark.slow
async def test_a_worker_that_has_drained_leaves_its_place_to_the_spare_one() -> None:
    limits = msgspec.structs.replace(CALM, rss_max_bytes=1, drain_seconds=0.05, measure_seconds=0.5)
    async with open_process_host(settings(spare=True, limits=limits)) as host, host.events() as reader:
        with capture_logs() as logs:
            while not any(line["event"] == "media_worker_replaced" and line["by_spare"] for line in logs):
                await wait_event(reader, p.WorkerGone)
        assert "MiB of memory, and drained" in next(line["reason"] for line in logs if "reason" in line)


@pytest.mark.slow
async def test_a_spare_process_that_is_killed_is_replaced_and_disturbs_nobody() -> None:
    others = children()
    async with open_process_host(settings(spare=True)) as host, host.events():
        await host.request(publish())
        spare = await spare_of(host, others)
        os.kill(spare, signal.SIGKILL)
        with trio.fail_after(30):
            while spare in children() or await figure(host, "spares_count") == 0:  # noqa: ASYNC110 # nor here
                await trio.sleep(POLL_SECONDS)
        assert await figure(host, "peers_count") == 1


@pytest.mark.slow
async def test_leaving_while_the_spare_one_loads_leaves_nothing() -> None:
    before = held()
    async with open_process_host(settings(spare=True)) as host:
        with trio.fail_after(30):
            while len(children()) < 2:
                await trio.lowlevel.checkpoint()
        assert await figure(host, "workers_count") == 1
    assert held() == before
