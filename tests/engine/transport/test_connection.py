"""The raw socket under HTTP and WebSockets: TLS, the outbox, the end."""

import socket
import ssl

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from tests.engine.transport.support import Wire, pass_time, raw_frame, running, text_frame

GET = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_carries_both_protocols(tls, newest):
    tls.client.maximum_version = newest
    async with running(context=tls.server) as run:
        assert run.urls[0].startswith("https://127.0.0.1:")
        wire = await run.wire(context=tls.client)
        assert len((await wire.ask(GET.format("/big"))).body) == 4_000_000
        assert run.app.requests[0].secure
        await wire.upgrade(more=text_frame("first"))
        assert await wire.hear() == "first"
        # Larger than one record and than one read.
        await wire.say("x" * 300_000)
        assert await wire.hear() == "x" * 300_000
    tls.client.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED


async def test_many_records_in_one_read_are_all_heard(tls):
    async with running(context=tls.server) as run:
        wire = await run.wire(context=tls.client)
        await wire.upgrade()
        for number in range(100):
            await wire.say(str(number))
        assert [await wire.hear() for _ in range(100)] == [str(number) for number in range(100)]


async def test_a_slow_tls_reader_gets_everything_in_order(tls):
    async with running(context=tls.server) as run:
        wire = await run.wire(context=tls.client)
        await wire.upgrade()
        (sender,) = run.app.sockets
        for number in range(200):
            sender.send(str(number) * 1000)
            await trio.lowlevel.checkpoint()
        for number in range(200):
            assert await wire.hear() == str(number) * 1000


async def test_a_client_that_does_not_trust_us_harms_nobody(tls):
    async with running(context=tls.server) as run:
        stranger = await run.wire(context=tls.stranger)
        with pytest.raises(trio.BrokenResourceError):
            await stranger.send(GET.format("/"))
        plain = await run.wire()
        await plain.send(GET.format("/"))
        assert b"HTTP" not in await plain.ended()
        friend = await run.wire(context=tls.client)
        assert (await friend.ask(GET.format("/"))).status == 200


async def test_half_a_tls_handshake_is_closed_in_time(tls, mock_clock):
    async with running(context=tls.server, handshake_seconds=10) as run:
        wire = await run.wire()
        await wire.send(b"\x16\x03\x01")
        await wait_all_tasks_blocked(0.01)
        await pass_time(mock_clock, 11)
        assert await wire.ended() == b""


def reset(wire: Wire) -> None:
    """Make the close of this connection abrupt."""
    stream = wire.stream
    assert isinstance(stream, trio.SocketStream)
    linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def test_a_reset_connection_is_noticed():
    async with running() as run:
        wire = await run.socket()
        reset(wire)
        await wire.stream.aclose()
        await run.app.until(lambda: run.app.codes)
    assert run.app.codes == [1006]


async def test_a_reset_is_noticed_while_sending():
    async with running() as run:
        wire = await run.socket()
        (sender,) = run.app.sockets
        reset(wire)
        # No await: the poller has no chance to notice first.
        wire.stream.socket.close()
        sender.send("a")
        sender.send("b")
        assert run.app.codes == []
        await run.app.until(lambda: run.app.codes)
        sender.send("c")
    assert run.app.codes == [1006]


async def test_a_reset_is_noticed_with_a_full_outbox():
    async with running() as run:
        wire = await run.socket()
        (sender,) = run.app.sockets
        while not sender.statistics().outbox_bytes:
            sender.send("x" * 100_000)
        reset(wire)
        await wire.stream.aclose()
        await run.app.until(lambda: run.app.codes)
    assert run.app.codes == [1006]


async def test_a_reset_is_noticed_while_the_application_pauses():
    async with running() as run:
        wire = await run.socket()
        await wire.say("pause")
        await run.app.until(lambda: run.app.messages)
        reset(wire)
        await wire.stream.aclose()
        await run.app.until(lambda: run.app.codes)
    assert run.app.codes == [1006]


async def test_a_peer_that_keeps_sending_after_its_fault_is_dropped(mock_clock):
    async with running(close_seconds=5) as run:
        wire = await run.socket()
        await wire.send(raw_frame(2))
        assert await wire.close_code() == 1003
        await wire.send(bytes(1000))
        (connection,) = run.server._connections
        await pass_time(mock_clock, 6)
        await wait_all_tasks_blocked(0.01)
        assert connection.fd < 0


async def test_a_last_answer_that_nobody_takes_ends_with_its_time(mock_clock):
    async with running(close_seconds=5) as run:
        wire = await run.wire()
        await wire.send("GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await wire.line()) == "HTTP/1.1 200 OK"
        (connection,) = run.server._connections
        assert connection.outbox is not None
        await pass_time(mock_clock, 6)
        await wait_all_tasks_blocked(0.01)
        assert connection.fd < 0


async def test_a_last_answer_is_sent_whole_before_the_end():
    async with running() as run:
        wire = await run.wire()
        answer = await wire.ask("GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert len(answer.body) == 4_000_000
        assert await wire.ended() == b""


async def test_a_fault_of_ours_costs_one_connection():
    async with running() as run:
        wire, other = await run.socket(), await run.socket()
        (victim, _) = run.app.sockets
        victim._protocol = None  # the fault
        with capture_logs() as logs:
            await wire.say("hi")
            assert await wire.ended() == b""
        assert "connection_failed" in [entry["event"] for entry in logs]
        await other.say("still here")
        assert await other.hear() == "still here"
