"""HTTP over real sockets."""

import httpx
import pytest
import trio
from structlog.testing import capture_logs

from engine.transport.application import Request
from engine.transport.exchange import shake_hands
from tests.engine.transport.support import UPGRADE, pass_time, running

GET = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"


async def test_a_request_is_answered_and_the_connection_kept():
    async with running() as run:
        wire = await run.wire()
        answer = await wire.ask("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"hi", "text/plain")
        assert "connection" not in answer.headers
        assert "date" in answer.headers
        assert (await wire.ask(GET.format("/b"))).status == 200
        assert run.app.requests[0].peer == "127.0.0.1"


async def test_httpx_understands_it():
    async with running() as run, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(run.urls[0] + "/a", content=b"x" * 100_000)
        assert (answer.status_code, answer.content) == (200, b"x" * 100_000)


async def test_an_answer_may_be_waited_for():
    async with running() as run:
        wire = await run.wire()
        await wire.send(GET.format("/wait"))
        await run.app.until(lambda: run.app.waiting)
        run.app.go.set()
        assert (await wire.answer()).status == 200
        assert (await wire.ask(GET.format("/b"))).status == 200


async def test_pipelined_requests_are_answered_in_their_order():
    async with running() as run:
        wire = await run.wire()
        await wire.send(GET.format("/wait") + GET.format("/empty") + GET.format("/b"))
        await run.app.until(lambda: run.app.waiting)
        assert len(run.app.requests) == 1
        run.app.go.set()
        assert [(await wire.answer()).status for _ in range(3)] == [200, 204, 200]


async def test_pipelined_big_answers_wait_for_their_reader():
    async with running() as run:
        wire = await run.wire()
        await wire.send(GET.format("/big") * 3 + GET.format("/b"))
        for _ in range(3):
            assert len((await wire.answer()).body) == 4_000_000
        assert (await wire.answer()).status == 200


async def test_head_is_answered_without_a_body():
    async with running() as run:
        wire = await run.wire()
        await wire.send("HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await wire.answer(bare=True)).headers["content-length"] == "4000000"
        assert (await wire.ask(GET.format("/b"))).status == 200


async def test_connection_close_is_obeyed():
    async with running() as run:
        wire = await run.wire()
        answer = await wire.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert answer.headers["connection"] == "close"
        assert await wire.ended() == b""


async def test_http_1_0_ends_with_its_answer_unless_asked_to_stay():
    async with running() as run:
        wire = await run.wire()
        answer = await wire.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert answer.headers["connection"] == "keep-alive"
        assert (await wire.ask("GET / HTTP/1.0\r\n\r\n")).headers["connection"] == "close"
        assert await wire.ended() == b""


async def test_a_client_that_asks_first_is_told_to_continue():
    async with running() as run:
        wire = await run.wire()
        head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        assert (await wire.ask(head)).status == 100
        assert (await wire.ask("hi")).body == b"hi"


async def test_the_permission_to_continue_waits_for_the_answer_before_it():
    async with running() as run:
        wire = await run.wire()
        head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        await wire.send(GET.format("/wait") + head)
        await run.app.until(lambda: run.app.waiting)
        run.app.go.set()
        assert [(await wire.answer()).status, (await wire.answer()).status] == [200, 100]
        assert (await wire.ask("hi")).body == b"hi"


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (431, f"GET / HTTP/1.1\r\nHost: a\r\nX: {'y' * 40_000}\r\n\r\n"),
        (413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n" + "x" * 500_000),
    ],
)
async def test_a_fault_is_answered_even_to_a_client_that_still_sends(status, request_):
    async with running() as run:
        wire = await run.wire()
        await wire.send(request_)
        answer = await wire.answer()
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert await wire.ended() == b""


async def test_requests_before_a_fault_are_answered_first():
    async with running() as run:
        wire = await run.wire()
        await wire.send(GET.format("/a") + "nonsense\r\n\r\n")
        assert [(await wire.answer()).status, (await wire.answer()).status] == [200, 400]


@pytest.mark.parametrize("path", ["/boom", "/late-boom", "/bad-header"])
async def test_a_fault_of_the_application_is_a_500_without_details_and_harms_nobody(path):
    async with running() as run:
        run.app.go.set()
        wire, other = await run.wire(), await run.socket()
        with capture_logs() as logs:
            answer = await wire.ask(GET.format(path))
        assert (answer.status, answer.body) == (500, b'{"error":"internal server error"}')
        assert [entry["event"] for entry in logs] == ["application_failed"]
        assert (await wire.ask(GET.format("/b"))).status == 200
        await other.say("still here")
        assert await other.hear() == "still here"


async def test_a_client_that_goes_away_cancels_its_answer():
    async with running() as run:
        wire = await run.wire()
        await wire.send(GET.format("/wait"))
        await run.app.until(lambda: run.app.waiting)
        await wire.stream.aclose()
        await run.app.until(lambda: run.app.cancelled)
        assert not run.ended.is_set()


async def test_a_failing_cleanup_after_a_cancellation_harms_nobody():
    async with running() as run:
        wire, other = await run.wire(), await run.wire()
        await wire.send(GET.format("/bad-cleanup"))
        await run.app.until(lambda: run.app.waiting)
        await wire.stream.aclose()
        await run.app.until(lambda: run.app.cancelled)
        assert (await other.ask(GET.format("/b"))).status == 200


async def test_a_connection_that_says_nothing_is_closed(mock_clock):
    async with running(handshake_seconds=10) as run:
        wire = await run.wire()
        await run.socket()
        await pass_time(mock_clock, 9)
        await pass_time(mock_clock, 3)
        assert await wire.ended() == b""


@pytest.mark.parametrize(
    "start",
    [
        "GET / HTTP/1.1\r\nHost: a\r\n",
        UPGRADE.format(path="/ws")[:60],
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
    ],
)
async def test_a_request_that_is_never_completed_is_answered_408(start, mock_clock):
    async with running(handshake_seconds=10, request_seconds=10) as run:
        wire, other = await run.wire(), await run.wire()
        # The second answer proves that what was sent before it has been read.
        await wire.send(GET.format("/a") + start)
        assert (await wire.answer()).status == 200
        assert (await other.ask(GET.format("/b"))).status == 200
        await pass_time(mock_clock, 11)
        assert (await wire.answer()).status == 408
        assert await wire.ended() == b""


async def test_dripping_bytes_gain_no_time(mock_clock):
    async with running(handshake_seconds=10) as run:
        wire = await run.wire()
        for byte in "GET /a":
            await wire.send(byte)
            await pass_time(mock_clock, 2)
        assert b"408" in await wire.ended()


async def test_an_idle_connection_is_closed_after_its_time(mock_clock):
    async with running(idle_seconds=75) as run:
        wire = await run.wire()
        assert (await wire.ask(GET.format("/a"))).status == 200
        await pass_time(mock_clock, 76)
        assert await wire.ended() == b""


async def test_an_answer_that_is_waited_for_has_no_deadline_here(mock_clock):
    async with running() as run:
        wire = await run.wire()
        await wire.send(GET.format("/wait"))
        await run.app.until(lambda: run.app.waiting)
        await pass_time(mock_clock, 1000)
        run.app.go.set()
        assert (await wire.answer()).status == 200


async def test_a_client_that_takes_nothing_of_its_answer_is_dropped(mock_clock):
    async with running(idle_seconds=75) as run:
        wire = await run.wire()
        await wire.send(GET.format("/big"))
        assert (await wire.line()) == "HTTP/1.1 200 OK"
        (connection,) = run.server._connections
        await pass_time(mock_clock, 74)
        # Taking something gains time, once the kernel has told the server of it.
        await wire.take(3_000_000)
        while connection.heard_at < trio.current_time():
            await wire._fill()
        await pass_time(mock_clock, 2)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert connection.fd >= 0
        await pass_time(mock_clock, 76)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert connection.fd < 0


def handshake(method: str = "GET", **changes: str | None) -> Request:
    headers = {
        "host": "a",
        "connection": "keep-alive, Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    for name, value in changes.items():
        headers.pop(name.replace("_", "-"))
        if value is not None:
            headers[name.replace("_", "-")] = value
    return Request(method, "/", "/", (), headers, b"", "peer", False, True, True)


def test_the_handshake_is_that_of_the_standard():
    answer = shake_hands(handshake())
    assert isinstance(answer, bytes)
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer


def test_compression_is_offered_in_vain():
    request = handshake()
    request.headers["sec-websocket-extensions"] = "permessage-deflate; client_max_window_bits"
    answer = shake_hands(request)
    assert isinstance(answer, bytes)
    assert b"xtensions" not in answer


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (405, handshake("POST")),
        (400, handshake(sec_websocket_key=None)),
        (400, handshake(sec_websocket_key="short")),
        (400, handshake(sec_websocket_version="8")),
    ],
)
def test_a_wrong_handshake_is_refused(status, request_):
    answer = shake_hands(request_)
    assert not isinstance(answer, bytes)
    assert answer.status == status


async def test_a_wrong_handshake_is_answered():
    async with running() as run:
        wire = await run.wire()
        answer = await wire.ask(UPGRADE.format(path="/ws").replace("Version: 13", "Version: 7"))
        assert (answer.status, answer.headers["sec-websocket-version"]) == (400, "13")


@pytest.mark.parametrize(("path", "status"), [("/refused", 403), ("/boom", 500), ("/close-early", 500)])
async def test_the_application_may_refuse_a_socket(path, status):
    async with running() as run:
        wire = await run.wire()
        with capture_logs():
            assert (await wire.ask(UPGRADE.format(path=path))).status == status
        assert await wire.ended() == b""
        assert (run.app.codes, run.server.sockets) == ([], 0)


async def test_one_socket_too_many_is_answered_503():
    async with running(sockets_max=1) as run:
        first = await run.socket()
        assert (await (await run.wire()).ask(UPGRADE.format(path="/ws"))).status == 503
        await first.stream.aclose()
        await run.app.until(lambda: run.app.codes)
        await run.socket()


async def test_an_upgrade_waits_for_the_answers_before_it():
    async with running() as run:
        wire = await run.wire()
        await wire.send(GET.format("/wait") + UPGRADE.format(path="/ws"))
        await run.app.until(lambda: run.app.waiting)
        run.app.go.set()
        assert [(await wire.answer()).status, (await wire.answer()).status] == [200, 101]
        await wire.say("hi")
        assert await wire.hear() == "hi"
