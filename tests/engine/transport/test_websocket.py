"""The client link, against our server and against servers that misbehave."""

import contextlib
import random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from websockets.utils import accept_key

from engine.errors import (
    ConfigurationError,
    TransportBrokenError,
    TransportClosedError,
    TransportTimeoutError,
)
from engine.transport.limits import Limits
from engine.transport.link import Link
from engine.transport.websocket import backoff, connect
from tests.engine.transport.support import Wire, descriptors, none_left, pass_time, raw_frame, running

GREETING = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: {}\r\n\r\n"
)


def ws(url: str, path: str = "/ws") -> str:
    return url.replace("http", "ws", 1) + path


async def test_texts_go_both_ways():
    link: Link
    async with running() as run, connect(ws(run.urls[0], "/ws?room=1"), headers=[("x-who", "ann")]) as link:
        for text in ("hi", "", "x" * 200_000):
            await link.send(text)
            assert await link.receive() == text
        (socket,) = run.app.sockets
        assert (socket.query, socket.headers["x-who"]) == ((("room", "1"),), "ann")
        assert socket.headers["host"] == f"127.0.0.1:{run.port}"


async def test_tls(tls):
    async with running(context=tls.server) as run:
        url = f"wss://localhost:{run.port}/ws"
        async with connect(url, ssl_context=tls.client) as link:
            await link.send("hi")
            assert await link.receive() == "hi"
        with pytest.raises(TransportBrokenError):
            async with connect(url, ssl_context=tls.stranger):
                pass
        # The system's own authorities do not know the test's.
        with pytest.raises(TransportBrokenError):
            async with connect(url):
                pass


async def test_the_end_of_the_block_closes_with_1000():
    async with running() as run:
        async with connect(ws(run.urls[0])) as link:
            pass
        await run.app.until(lambda: run.app.codes)
        assert run.app.codes == [1000]
        for use in (link.receive, lambda: link.send("x")):
            with pytest.raises(TransportClosedError):
                await use()
        await link.aclose()


async def test_what_the_block_raises_comes_out_as_it_is():
    async with running() as run:
        with pytest.raises(KeyError, match="mine"):
            async with connect(ws(run.urls[0])):
                raise KeyError("mine")
        await run.app.until(lambda: run.app.codes)


async def test_messages_before_a_close_are_received_and_then_its_code():
    async with running() as run, connect(ws(run.urls[0])) as link:
        await link.send("one")
        await link.send("close")
        assert await link.receive() == "one"
        for _ in range(2):
            with pytest.raises(TransportBrokenError) as caught:
                await link.receive()
            assert caught.value.code == 4001
        with pytest.raises(TransportBrokenError):
            await link.send("too late")


async def test_a_stop_of_the_server_is_1001():
    async with running() as run, connect(ws(run.urls[0])) as link:
        run.stop.set()
        with pytest.raises(TransportBrokenError) as caught:
            await link.receive()
        assert caught.value.code == 1001


@pytest.mark.parametrize("url", ["http://a/", "ws://", "a", "ws://[::1", "ws://a:99999/"])
async def test_a_wrong_url_is_a_configuration_error(url):
    with pytest.raises(ConfigurationError) as caught:
        async with connect(url):
            pass
    assert caught.value.key == "url"


async def test_nobody_listens():
    async with running() as run:
        url = ws(run.urls[0])
    with pytest.raises(TransportBrokenError) as caught:
        async with connect(url):
            pass
    assert caught.value.__cause__ is not None


async def test_a_refusal_tells_its_status():
    async with running() as run:
        with pytest.raises(TransportBrokenError, match="403"):
            async with connect(ws(run.urls[0], "/refused")):
                pass


async def test_ipv6():
    async with running(listen="[::1]:0") as run, connect(ws(run.urls[0])) as link:
        await link.send("hi")
        assert await link.receive() == "hi"
        assert run.app.sockets[0].headers["host"] == f"[::1]:{run.port}"


class Rogue:
    """A server that does what the test says."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.key = ""
        self.wires = contextlib.AsyncExitStack()
        self.url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/"

    async def accept(self, *, answer: bool = True) -> Wire:
        wire = Wire(await self.wires.enter_async_context(await self._listener.accept()))
        while line := await wire.line():
            name, _, value = line.partition(": ")
            self.key = value if name.lower() == "sec-websocket-key" else self.key
        if answer:
            await wire.send(GREETING.format(accept_key(self.key)))
        return wire


@pytest.fixture
async def rogue():
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    rogue = Rogue(listener)
    async with listener, rogue.wires:
        yield rogue


async def test_a_server_that_never_answers_is_a_timeout(rogue, mock_clock, nursery):
    nursery.start_soon(pass_time, mock_clock, 11)
    with pytest.raises(TransportTimeoutError):
        async with connect(rogue.url, connect_seconds=10):
            pass


@pytest.mark.parametrize("last_words", ["", "HTTP/1.1 200", "nonsense\r\n\r\n", "HTTP/1.1 101 No\r\n\r\n"])
async def test_a_server_that_hangs_up_or_babbles_while_opening_is_noticed_at_once(rogue, last_words, nursery):
    async def serve() -> None:
        wire = await rogue.accept(answer=False)
        await wire.send(last_words)
        await wire.stream.aclose()

    nursery.start_soon(serve)
    with pytest.raises(TransportBrokenError):
        async with connect(rogue.url):
            pass


async def test_last_words_that_come_with_the_handshake_are_heard(rogue, nursery):
    async def serve() -> None:
        wire = await rogue.accept(answer=False)
        greeting = GREETING.format(accept_key(rogue.key)).encode()
        words = raw_frame(1, b"go away", mask=False) + raw_frame(8, (4401).to_bytes(2, "big"), mask=False)
        await wire.send(greeting + words)
        await wire.stream.aclose()

    nursery.start_soon(serve)
    async with connect(rogue.url) as link:
        assert await link.receive() == "go away"
        with pytest.raises(TransportBrokenError) as caught:
            await link.receive()
        assert caught.value.code == 4401


async def test_bytes_are_refused_with_1003(rogue, nursery):
    async def serve() -> None:
        wire = await rogue.accept()
        await wire.send(raw_frame(2, b"hi", mask=False))

    nursery.start_soon(serve)
    async with connect(rogue.url) as link:
        for _ in range(2):
            with pytest.raises(TransportBrokenError) as caught:
                await link.receive()
            assert caught.value.code == 1003


async def test_an_abrupt_end_is_1006(rogue, nursery):
    async def serve() -> None:
        await (await rogue.accept()).stream.aclose()

    nursery.start_soon(serve)
    async with connect(rogue.url) as link:
        with pytest.raises(TransportBrokenError) as caught:
            await link.receive()
        assert caught.value.code == 1006


async def test_a_violation_by_the_server_breaks_the_link(rogue, nursery):
    async def serve() -> None:
        await (await rogue.accept()).send(raw_frame(1, b"\xff", mask=False))

    nursery.start_soon(serve)
    async with connect(rogue.url) as link:
        with pytest.raises(TransportBrokenError):
            await link.receive()


async def test_a_message_too_large_breaks_the_link_with_1009(rogue, nursery):
    async def serve() -> None:
        await (await rogue.accept()).send(raw_frame(1, b"x" * 1001, mask=False))

    nursery.start_soon(serve)
    async with connect(rogue.url, limits=Limits(message_bytes_max=1000)) as link:
        with pytest.raises(TransportBrokenError) as caught:
            await link.receive()
        assert caught.value.code == 1009


async def test_a_server_that_answers_no_pings_is_a_timeout(rogue, mock_clock, nursery):
    nursery.start_soon(rogue.accept)
    async with connect(rogue.url, limits=Limits(ping_seconds=20, pong_seconds=20)) as link:
        nursery.start_soon(pass_time, mock_clock, 41)
        for use in (link.receive, link.receive, lambda: link.send("x")):
            with pytest.raises(TransportTimeoutError):
                await use()


async def test_pongs_keep_the_link(mock_clock, nursery):
    async with running() as run, connect(ws(run.urls[0])) as link:
        await pass_time(mock_clock, 100)
        await link.send("hi")
        assert await link.receive() == "hi"


async def test_keeping_alive_ends_with_the_link(mock_clock):
    async with running() as run, connect(ws(run.urls[0])) as link:
        await link.send("close")
        with pytest.raises(TransportBrokenError):
            await link.receive()
        await pass_time(mock_clock, 25)
        with pytest.raises(TransportBrokenError):
            await link.receive()


async def test_a_server_that_never_agrees_to_close_is_left_in_time(rogue, mock_clock, nursery):
    nursery.start_soon(rogue.accept)
    async with connect(rogue.url, limits=Limits(close_seconds=5)):
        nursery.start_soon(pass_time, mock_clock, 6)


@pytest.mark.slow
async def test_a_send_that_is_cut_short_breaks_the_link_rather_than_the_next_message(rogue):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rogue.accept)
        async with connect(rogue.url, limits=Limits(close_seconds=1)) as link:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as sending:

                    async def cancel() -> None:
                        await wait_all_tasks_blocked(0.01)
                        scope.cancel()

                    sending.start_soon(cancel)
                    await link.send("x" * 8_000_000)
            assert scope.cancelled_caught
            with pytest.raises(TransportBrokenError, match="cut short"):
                await link.send("next")


async def test_a_send_that_is_cancelled_before_it_begins_harms_nothing():
    async with running() as run, connect(ws(run.urls[0])) as link:
        with trio.CancelScope() as scope:
            scope.cancel()
            await link.send("never")
        await link.send("hi")
        assert await link.receive() == "hi"


class CancelAt(trio.abc.Instrument):
    """Cancels a scope when its task is about to be stepped for the nth time."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, step: int) -> None:
        self._task, self._scope, self._step = task, scope, step
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self.steps += 1

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task and self.steps == self._step:
            self._scope.cancel()


@pytest.mark.parametrize("secure", [False, True])
async def test_cancelled_at_any_await_it_leaves_nothing_behind(secure, tls):
    async with running(context=tls.server if secure else None) as run:
        url = f"{'wss' if secure else 'ws'}://localhost:{run.port}/ws"

        async def once() -> None:
            async with connect(url, ssl_context=tls.client if secure else None) as link:
                await link.send("hi")
                assert await link.receive() == "hi"

        await once()
        await until_idle(run)
        before = descriptors()
        for step in range(1, 1000):
            with trio.CancelScope() as scope:
                instrument = CancelAt(trio.lowlevel.current_task(), scope, step)
                trio.lowlevel.add_instrument(instrument)
                try:
                    await once()
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            await until_idle(run)
            await none_left(before)
            if not scope.cancelled_caught:
                break
        assert 5 < step < 200
        await once()


async def until_idle(run) -> None:
    """Until the server has seen the end of every connection."""
    while run.server._connections:
        await trio.lowlevel.checkpoint()


def test_delays_double_up_to_the_ceiling_and_half_of_each_is_drawn():
    delays = backoff(lambda: 0.0, first_seconds=1.0, ceiling_seconds=5.0)
    assert [next(delays) for _ in range(5)] == [0.5, 1.0, 2.0, 2.5, 2.5]
    delays = backoff(lambda: 1.0, first_seconds=1.0, ceiling_seconds=5.0)
    assert [next(delays) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_delays_of_one_seed_are_the_same():
    first, second = backoff(random.Random(1).random), backoff(random.Random(1).random)
    assert [next(first) for _ in range(9)] == [next(second) for _ in range(9)]
