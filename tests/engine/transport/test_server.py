"""Starting, stopping, cancelling."""

import gc

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.transport.server import serve
from tests.engine.transport.support import (
    UPGRADE,
    Sample,
    Wire,
    close_frame,
    descriptors,
    none_left,
    pass_time,
    running,
)

GET = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_serve_starts_with_its_urls_and_stops_when_asked():
    stop = trio.Event()
    async with trio.open_nursery() as nursery:

        async def run(task_status):
            await serve(Sample(), "127.0.0.1:0", stop=stop, task_status=task_status)

        (url,) = await nursery.start(run)
        async with Wire(
            await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2]))
        ).stream as stream:
            assert (await Wire(stream).ask(GET.format("/"))).status == 200
        stop.set()


async def test_a_graceful_stop_finishes_what_is_in_flight():
    async with running() as run:
        wire, idle, half, silent = await run.wire(), await run.wire(), await run.wire(), await run.wire()
        socket = await run.socket()
        assert (await idle.ask(GET.format("/a"))).status == 200
        await wire.send(GET.format("/wait"))
        await half.send("GET / HTTP/1.1\r\n")
        await run.app.until(lambda: run.app.waiting)
        await wait_all_tasks_blocked(0.01)
        run.stop.set()
        assert await socket.close_code() == 1001
        await socket.send(close_frame(1001))
        assert await idle.ended() == b""
        assert await silent.ended() == b""
        run.app.go.set()
        answer = await wire.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        await half.send("Host: a\r\n\r\n")
        assert (await half.answer()).headers["connection"] == "close"
        await run.ended.wait()
    assert (run.app.codes, run.app.cancelled) == ([1001], 0)


async def test_no_socket_is_opened_while_stopping():
    async with running() as run:
        wire = await run.wire()
        await wire.send(GET.format("/wait"))
        await run.app.until(lambda: run.app.waiting)
        await wire.send(UPGRADE.format(path="/ws"))
        await wait_all_tasks_blocked(0.01)
        run.stop.set()
        await wait_all_tasks_blocked(0.01)
        run.app.go.set()
        assert (await wire.answer()).headers["connection"] == "close"
        await run.ended.wait()
    assert not run.app.sockets


async def test_a_half_sent_upgrade_is_refused_while_stopping():
    async with running() as run:
        wire = await run.wire()
        handshake = UPGRADE.format(path="/ws")
        await wire.send(handshake[:50])
        await wait_all_tasks_blocked(0.01)
        run.stop.set()
        await wait_all_tasks_blocked(0.01)
        assert (await wire.ask(handshake[50:])).status == 503


async def test_after_the_grace_what_is_left_is_cancelled(mock_clock):
    async with running(grace_seconds=5) as run:
        wire = await run.wire()
        await wire.send(GET.format("/wait"))
        await run.app.until(lambda: run.app.waiting)
        run.stop.set()
        await wait_all_tasks_blocked(0.01)
        await pass_time(mock_clock, 6)
        await run.ended.wait()
        assert await wire.ended() == b""
    assert run.app.cancelled == 1


async def test_a_cancellation_closes_everything_at_once():
    async with running() as run:
        wire, socket = await run.wire(), await run.socket()
        await wire.send(GET.format("/wait"))
        await run.app.until(lambda: run.app.waiting)
        run.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            assert await socket.close_code() == 1001
            assert await wire.ended() == b""
    assert (run.app.codes, run.app.cancelled, run.server.sockets) == ([1001], 1, 0)


async def test_no_descriptor_and_no_task_is_left():
    gc.collect()
    before = descriptors()
    tasks = len(trio.lowlevel.current_root_task().child_nurseries[0].child_tasks)
    async with running(listen=["127.0.0.1:0", "127.0.0.1:0"]) as run:
        wire = await run.wire()
        await run.socket()
        await wire.send(GET.format("/wait"))
        await run.app.until(lambda: run.app.waiting)
    await none_left(before)
    assert len(trio.lowlevel.current_root_task().child_nurseries[0].child_tasks) == tasks


async def test_on_close_is_never_called_from_inside_a_send():
    class Strict(Sample):
        sending = False

        def on_close(self, socket, code):
            assert not self.sending
            super().on_close(socket, code)

    app = Strict()
    async with running(app=app, outbox_messages_max=1) as run:
        await run.socket()
        (socket,) = app.sockets
        app.sending = True
        for _ in range(100):
            socket.send("x" * 1_000_000)
        app.sending = False
        assert app.codes == []
        await app.until(lambda: app.codes)
    assert app.codes == [1013]


@pytest.mark.slow
async def test_a_thousand_connections_are_swept_in_batches(mock_clock):
    async with running(handshake_seconds=10) as run:
        wires = [await run.wire() for _ in range(600)]
        await wait_all_tasks_blocked(0.01)
        assert len(run.server._connections) == 600
        await pass_time(mock_clock, 11)
        for wire in wires:
            assert await wire.ended() == b""
