"""Both ways of waiting serve alike."""

import select

import pytest
import trio
from structlog.testing import capture_logs

from engine.transport.poller import EpollPoller, TaskPoller, best_poller
from tests.engine.transport.support import close_frame, running

POLLERS = [TaskPoller] + ([EpollPoller] if hasattr(select, "epoll") else [])


@pytest.fixture(params=POLLERS)
def poller(request):
    return request.param()


async def test_messages_answers_and_ends(poller, tls):
    async with running(poller=poller, context=tls.server) as run:
        wires = [await run.wire(context=tls.client) for _ in range(5)]
        for wire in wires:
            await wire.upgrade()
        for number, wire in enumerate(wires):
            await wire.say(str(number) * 100_000)
        for number, wire in enumerate(wires):
            assert await wire.hear() == str(number) * 100_000
        await wires[0].send(close_frame(1000))
        await wires[1].stream.aclose()
        await run.app.until(lambda: len(run.app.codes) == 2)
        assert sorted(run.app.codes) == [1000, 1006]
        run.stop.set()
        for wire in wires[2:]:
            assert await wire.close_code() == 1001
            await wire.send(close_frame(1001))
        await run.ended.wait()


async def test_pausing_and_resuming(poller):
    async with running(poller=poller) as run:
        wire = await run.socket()
        await wire.say("pause")
        await run.app.until(lambda: run.app.messages)
        (socket,) = run.app.sockets
        for _ in range(3):
            socket.resume()
            socket.pause()
        socket.resume()
        await wire.say("on")
        assert await wire.hear() == "on"


async def test_a_full_outbox_drains(poller):
    async with running(poller=poller) as run:
        wire = await run.wire()
        answer = await wire.ask("GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert len(answer.body) == 4_000_000


async def test_a_cancellation_leaves_nothing(poller):
    async with running(poller=poller) as run:
        wire = await run.socket()
        big = await run.wire()
        await big.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        await big.line()
        (socket,) = run.app.sockets
        with capture_logs() as logs:
            while not socket.statistics().outbox_bytes:
                socket.send("x" * 100_000)
            run.nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await run.ended.wait()
    assert (run.app.codes, run.server._connections, logs) == ([1001], set(), [])
    del wire


def test_the_best_one_is_a_single_task_where_there_is_epoll():
    poller = best_poller()
    assert isinstance(poller, EpollPoller if hasattr(select, "epoll") else TaskPoller)
    poller.close()
