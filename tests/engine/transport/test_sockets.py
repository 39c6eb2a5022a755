"""WebSockets over real sockets."""

import pytest
import trio
from structlog.testing import capture_logs
from websockets.frames import Opcode

from engine.errors import LocalProtocolError
from engine.transport.sockets import FRAME_LOG, Frame
from tests.engine.transport.support import Sample, close_frame, pass_time, raw_frame, running, text_frame


async def test_messages_go_both_ways():
    async with running() as run:
        wire = await run.socket("/ws?room=1")
        for text in ("hi", "", "snow \u2603", "x" * 70_000):
            await wire.say(text)
            assert await wire.hear() == text
        (socket,) = run.app.sockets
        assert (socket.peer, socket.path, socket.query) == ("127.0.0.1", "/ws", (("room", "1"),))
        assert socket.headers["host"] == "test"
        counted = socket.statistics()
        assert (counted.received_messages, counted.sent_messages, counted.outbox_messages) == (4, 4, 0)
        assert counted.reading


async def test_frames_that_come_with_the_upgrade_are_heard():
    async with running() as run:
        wire = await run.wire()
        await wire.upgrade(more=text_frame("first") + text_frame("second"))
        assert [await wire.hear(), await wire.hear()] == ["first", "second"]


async def test_what_is_sent_while_opening_follows_the_handshake():
    async with running() as run:
        wire = await run.socket("/greet")
        assert await wire.hear() == "welcome"


async def test_fragments_are_joined_around_control_frames():
    async with running() as run:
        wire = await run.socket()
        snow = "\u2603".encode()
        await wire.send(
            raw_frame(1, snow[:1], fin=False) + raw_frame(9, b"?") + raw_frame(0, snow[1:2], fin=False)
        )
        assert await wire.frame() == (Opcode.PONG, b"?")
        await wire.send(raw_frame(0, snow[2:]))
        assert await wire.hear() == "\u2603"


async def test_a_frame_may_come_byte_by_byte():
    async with running() as run:
        wire = await run.socket()
        for byte in text_frame("slow"):
            await wire.send(bytes([byte]))
        assert await wire.hear() == "slow"


VIOLATIONS = {
    "unmasked": (1002, raw_frame(1, b"hi", mask=False)),
    "a reserved bit": (1002, raw_frame(1, b"hi", rsv=4)),
    "another reserved bit": (1002, raw_frame(1, b"hi", rsv=1)),
    "a reserved opcode": (1002, raw_frame(3, b"hi")),
    "a reserved control opcode": (1002, raw_frame(11, b"hi")),
    "a fragmented ping": (1002, raw_frame(9, b"hi", fin=False)),
    "a long ping": (1002, raw_frame(9, b"x" * 126)),
    "a continuation of nothing": (1002, raw_frame(0, b"hi")),
    "a message within a message": (1002, raw_frame(1, b"hi", fin=False) + raw_frame(1, b"hi")),
    "a close of one byte": (1002, raw_frame(8, b"x")),
    "a close with a reserved code": (1002, close_frame(1005)),
    "a close with no such code": (1002, close_frame(999)),
    "a close within a message": (1002, raw_frame(1, b"hi", fin=False) + close_frame(1000)),
    "text that is not UTF-8": (1007, raw_frame(1, b"\xff")),
    "half a character": (1007, raw_frame(1, b"\xe2\x98", fin=False) + raw_frame(0, b"")),
    "a reason that is not UTF-8": (1007, raw_frame(8, b"\x03\xe8\xff")),
    "bytes": (1003, raw_frame(2, b"hi")),
    "fragmented bytes": (1003, raw_frame(2, b"hi", fin=False) + raw_frame(0, b"hi")),
    "a message too large": (1009, raw_frame(1, b"x" * 1001)),
    "fragments too large together": (1009, raw_frame(1, b"x" * 600, fin=False) + raw_frame(0, b"x" * 401)),
    "a length of eight bytes": (1009, b"\x81\xff" + b"\x7f" + b"\xff" * 7),
}


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_a_violation_closes_with_its_code(name):
    code, data = VIOLATIONS[name]
    async with running(message_bytes_max=1000) as run:
        wire, other = await run.socket(), await run.socket()
        await wire.send(text_frame("before") + data + text_frame("after"))
        assert await wire.hear() == "before"
        assert await wire.close_code() == code
        assert await wire.ended() == b""
        await run.app.until(lambda: run.app.codes)
        assert (run.app.codes, run.app.messages, run.server.sockets) == ([code], ["before"], 1)
        await other.say("still here")
        assert await other.hear() == "still here"


async def test_a_message_of_the_greatest_size_is_taken_whole_or_in_pieces():
    async with running(message_bytes_max=1000) as run:
        wire = await run.socket()
        await wire.send(raw_frame(1, b"x" * 1000))
        await wire.send(raw_frame(1, b"x" * 600, fin=False) + raw_frame(0, b"x" * 400))
        assert [await wire.hear(), await wire.hear()] == ["x" * 1000] * 2


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_a_close_of_the_peer_is_answered_and_reported_once(code):
    async with running() as run:
        wire = await run.socket()
        await wire.send(text_frame("last") + close_frame(code))
        assert await wire.hear() == "last"
        assert await wire.close_code() == code
        assert await wire.ended() == b""
        await run.app.until(lambda: run.app.codes)
    assert run.app.codes == [code]


async def test_a_close_without_a_code_is_1005():
    async with running() as run:
        wire = await run.socket()
        await wire.send(close_frame())
        assert await wire.frame() == (Opcode.CLOSE, b"")
        await run.app.until(lambda: run.app.codes)
    assert run.app.codes == [1005]


async def test_an_abrupt_end_is_1006():
    async with running() as run:
        wire = await run.socket()
        await wire.stream.aclose()
        await run.app.until(lambda: run.app.codes)
    assert run.app.codes == [1006]


async def test_the_application_closes_and_hears_of_it_once():
    async with running() as run:
        wire = await run.socket()
        await wire.send(text_frame("close") + text_frame("ignored"))
        assert await wire.close_code() == 4001
        await run.app.until(lambda: run.app.codes)
        (socket,) = run.app.sockets
        socket.close()
        socket.send("nobody hears")
        socket.resume()
        assert not socket.statistics().reading
        await wire.send(text_frame("late") + close_frame(4001))
        assert await wire.ended() == b""
    assert (run.app.codes, run.app.messages) == ([4001], ["close"])


async def test_a_close_by_both_at_once_ends_cleanly():
    async with running() as run:
        wire = await run.socket()
        await wire.send(text_frame("close") + close_frame(1000))
        assert await wire.close_code() == 1000
        assert await wire.ended() == b""
        await run.app.until(lambda: run.app.codes)
    assert run.app.codes == [4001]


async def test_a_peer_that_does_not_answer_a_close_is_dropped(mock_clock):
    async with running(close_seconds=5) as run:
        wire = await run.socket()
        await wire.say("close")
        assert await wire.close_code() == 4001
        await pass_time(mock_clock, 6)
        assert await wire.ended() == b""


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (99, ""), (1000, "x" * 124)])
async def test_a_close_that_no_frame_can_say_is_an_error(code, reason):
    async with running() as run:
        wire = await run.socket()
        (socket,) = run.app.sockets
        with pytest.raises(LocalProtocolError):
            socket.close(code, reason)
        await wire.say("still open")
        assert await wire.hear() == "still open"


async def test_a_fault_of_the_application_closes_that_socket_with_1011():
    async with running() as run:
        wire, other = await run.socket(), await run.socket()
        with capture_logs() as logs:
            await wire.say("boom")
            assert await wire.close_code() == 1011
            await run.app.until(lambda: run.app.codes)
        assert [entry["event"] for entry in logs] == ["application_failed"]
        await other.say("still here")
        assert await other.hear() == "still here"
        assert run.app.codes == [1011]


class Grumpy(Sample):
    """Fails at the end as well."""

    def on_close(self, socket, code):
        super().on_close(socket, code)
        raise ValueError("too late to matter")


async def test_a_fault_in_on_close_is_logged_and_harms_nobody():
    async with running(app=Grumpy()) as run:
        wire, other = await run.socket(), await run.socket()
        with capture_logs() as logs:
            await wire.stream.aclose()
            await run.app.until(lambda: run.app.codes)
            await other.say("still here")
            assert await other.hear() == "still here"
        assert [entry["event"] for entry in logs] == ["application_failed"]
        with capture_logs():
            await other.stream.aclose()
            await run.app.until(lambda: len(run.app.codes) == 2)


async def test_a_ping_without_a_pong_ends_the_socket(mock_clock):
    async with running(ping_seconds=20, pong_seconds=20) as run:
        wire = await run.socket()
        await pass_time(mock_clock, 21)
        assert await wire.frame() == (Opcode.PING, b"")
        await pass_time(mock_clock, 21)
        await run.app.until(lambda: run.app.codes)
        assert await wire.ended() == b""
    assert run.app.codes == [1006]


async def test_a_pong_keeps_the_socket(mock_clock):
    async with running(ping_seconds=20, pong_seconds=20) as run:
        wire = await run.socket()
        for _ in range(5):
            await pass_time(mock_clock, 21)
            assert await wire.frame() == (Opcode.PING, b"")
            await wire.send(raw_frame(10) + text_frame("x"))
            assert await wire.hear() == "x"
        assert run.app.codes == []


async def test_a_socket_that_speaks_is_not_pinged(mock_clock):
    async with running(ping_seconds=20) as run:
        wire = await run.socket()
        for text in ("a", "b", "c", "d"):
            await pass_time(mock_clock, 15)
            await wire.say(text)
            assert await wire.hear() == text


@pytest.mark.slow
async def test_a_slow_reader_is_closed_with_1013_and_nobody_waits_for_it():
    async with running(outbox_messages_max=50, outbox_bytes_max=10_000_000) as run:
        slow = await run.socket()
        await run.app.until(lambda: run.app.sockets)
        (victim,) = run.app.sockets
        others = [await run.socket() for _ in range(20)]
        received = [0] * len(others)
        text = "x" * 20_000

        async def read(number: int) -> None:
            while received[number] < 400:
                await others[number].hear()
                received[number] += 1

        async with trio.open_nursery() as readers:
            for number in range(len(others)):
                readers.start_soon(read, number)
            for _ in range(400):
                frame = Frame(text)
                for socket in run.app.sockets:
                    socket.send(frame)
                await trio.testing.wait_all_tasks_blocked()
        assert received == [400] * 20
        assert run.app.codes == [1013]
        assert victim.statistics().outbox_messages <= 51
        # What was accepted still arrives, if the slow one wakes up in time; then it learns why.
        heard = 0
        while (frame_ := await slow.frame())[0] is Opcode.TEXT:
            heard += 1
        assert heard == victim.statistics().sent_messages
        assert int.from_bytes(frame_[1][:2], "big") == 1013


async def test_an_outbox_is_bounded_in_bytes_as_well():
    async with running(outbox_bytes_max=1_000_000, close_seconds=5) as run:
        await run.socket()
        (socket,) = run.app.sockets
        most = 0
        while not run.app.codes:
            socket.send("x" * 300_000)
            most = max(most, socket.statistics().outbox_bytes)
            await trio.lowlevel.checkpoint()
        assert run.app.codes == [1013]
        assert most <= 1_000_000 + 10


@pytest.mark.slow
async def test_a_peer_that_does_not_read_may_not_ask_for_more():
    async with running() as run:
        wire = await run.socket()

        async def ask_for_ever() -> None:
            while True:
                await wire.say("x" * 30_000)

        run.nursery.start_soon(ask_for_ever)
        await trio.testing.wait_all_tasks_blocked(0.05)
        (socket,) = run.app.sockets
        assert not run.app.codes
        assert socket.statistics().outbox_bytes < 300_000


async def test_a_paused_socket_holds_its_messages_back_in_order(mock_clock):
    async with running(ping_seconds=20, pong_seconds=20) as run:
        wire, other = await run.socket(), await run.socket()
        await wire.send(text_frame("pause") + text_frame("a") + text_frame("pause") + text_frame("b"))
        await run.app.until(lambda: run.app.messages)
        (socket, _) = run.app.sockets
        await wire.say("c")
        # Its pongs wait as well, so its silence is not held against it.
        for _ in range(4):
            await pass_time(mock_clock, 15)
            await other.say("x")
            await other.hear()
        assert [text for text in run.app.messages if text != "x"] == ["pause"]
        assert not socket.statistics().reading
        socket.resume()
        await run.app.until(lambda: run.app.messages.count("pause") == 2)
        socket.resume()
        assert [await wire.hear() for _ in range(3)] == ["a", "b", "c"]
        socket.resume()


async def test_a_stream_of_ten_megabytes_that_is_refused_costs_no_memory():
    async with running() as run:
        wire = await run.wire()
        await wire.upgrade(more=b"\x81\xff" + (10_000_000).to_bytes(8, "big") + bytes(4))
        assert await wire.close_code() == 1009
        (connection,) = run.server._connections
        for _ in range(100):
            await wire.send(bytes(100_000))
        (socket,) = run.app.sockets
        assert socket._protocol is not None
        assert len(socket._protocol.reader.buffer) == 0
        assert (connection.outbox_bytes, connection.fd >= 0) == (0, True)


@pytest.mark.slow
async def test_empty_fragments_without_end_cost_no_memory():
    async with running() as run:
        wire = await run.socket()
        await wire.send(raw_frame(1, b"", fin=False))
        for _ in range(50):
            await wire.send(raw_frame(0, b"", fin=False) * 1000)
        await wire.send(raw_frame(9, b"?"))
        assert await wire.frame() == (Opcode.PONG, b"?")
        (socket,) = run.app.sockets
        assert socket._partial == b""


def test_a_frame_is_encoded_once():
    frame = Frame("x")
    assert frame.data == b"\x81\x01x"


def test_frames_are_never_logged():
    assert not FRAME_LOG.isEnabledFor(50)
