"""The HTTP client, against our server and against servers that misbehave."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.errors import (
    ConfigurationError,
    TransportBrokenError,
    TransportClosedError,
    TransportTimeoutError,
)
from engine.transport.http import HttpAnswer, HttpClient
from tests.engine.transport.support import descriptors, none_left, pass_time, running


async def test_json_forms_and_headers_are_sent_and_the_answer_is_whole():
    async with running() as run, HttpClient() as client:
        answer = await client.request("POST", run.urls[0] + "/a", json={"b": 1}, headers={"x-who": "ann"})
        assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b'{"b":1}', "text/plain")
        assert run.app.requests[0].headers["x-who"] == "ann"
        answer = await client.request("POST", run.urls[0] + "/a", form={"b": "1 2"})
        assert answer.body == b"b=1+2"


async def test_bytes_are_sent_as_they_are():
    async with running() as run, HttpClient() as client:
        answer = await client.request("POST", run.urls[0] + "/a", content=b'{"b": 1}')
        assert answer.body == b'{"b": 1}'
        assert "content-type" not in run.app.requests[0].headers


async def test_an_error_status_is_an_answer():
    async with running() as run, HttpClient() as client:
        run.app.go.set()
        assert (await client.request("GET", run.urls[0] + "/empty")).status == 204


async def test_tls(tls):
    async with running(context=tls.server) as run:
        url = f"https://localhost:{run.port}/"
        async with HttpClient(ssl_context=tls.client) as client:
            assert (await client.request("GET", url)).status == 200
        async with HttpClient(ssl_context=tls.stranger) as client:
            with pytest.raises(TransportBrokenError):
                await client.request("GET", url)


async def test_the_total_time_is_bounded(mock_clock):
    async with running() as run, HttpClient(total_seconds=10) as client, trio.open_nursery() as nursery:
        nursery.start_soon(pass_time, mock_clock, 11)
        with pytest.raises(TransportTimeoutError, match="GET within 10 s") as caught:
            await client.request("GET", run.urls[0] + "/wait")
        assert isinstance(caught.value.__cause__, trio.TooSlowError)


async def test_waiting_for_a_connection_counts(mock_clock):
    async with running() as run, HttpClient(connections_max=1) as client, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: client.request("GET", run.urls[0] + "/wait", total_seconds=100))
        await run.app.until(lambda: run.app.waiting)
        nursery.start_soon(pass_time, mock_clock, 6)
        with pytest.raises(TransportTimeoutError):
            await client.request("GET", run.urls[0] + "/a", total_seconds=5)
        run.app.go.set()


async def test_a_pool_survives_requests_cancelled_anywhere():
    async with running() as run, HttpClient(connections_max=2) as client:
        for step in range(60):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    for _ in range(4):
                        nursery.start_soon(client.request, "GET", run.urls[0] + "/wait")
                    for _ in range(step):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
        run.app.go.set()
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(client.request, "GET", run.urls[0] + "/wait")


async def test_nobody_listens():
    async with running() as run:
        url = run.urls[0] + "/?token=s3cret"
    async with HttpClient() as client:
        with pytest.raises(TransportBrokenError) as caught:
            await client.request("GET", url)
    assert caught.value.__cause__ is not None
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://a/", "//a", "a", "http://a:b/", "http://\x00/"])
async def test_a_wrong_url_is_a_configuration_error(url):
    async with HttpClient() as client:
        with pytest.raises(ConfigurationError) as caught:
            await client.request("GET", url)
    assert caught.value.key == "url"


async def test_an_answer_without_end_is_refused():
    async with running() as run, HttpClient(body_bytes_max=1_000_000) as client:
        with pytest.raises(TransportBrokenError, match="1000000 bytes"):
            await client.request("GET", run.urls[0] + "/big")
        assert (await client.request("GET", run.urls[0] + "/a")).status == 200


async def test_a_server_that_hangs_up_is_a_broken_transport():
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.aclose()

    async with trio.open_nursery() as nursery, HttpClient() as client:
        await nursery.start(trio.serve_listeners, hang_up, [listener])
        with pytest.raises(TransportBrokenError):
            await client.request("GET", f"http://127.0.0.1:{listener.socket.getsockname()[1]}/")
        nursery.cancel_scope.cancel()


async def test_outside_of_its_block_it_is_closed_and_leaves_nothing_open():
    async with running() as run:
        before = descriptors()
        client = HttpClient()
        with pytest.raises(TransportClosedError):
            await client.request("GET", run.urls[0])
        async with client:
            await client.request("GET", run.urls[0])
        with pytest.raises(TransportClosedError):
            await client.request("GET", run.urls[0])
        await wait_all_tasks_blocked()
        while run.server._connections:
            await trio.lowlevel.checkpoint()
        await none_left(before)


def test_an_answer_does_not_print_its_secrets():
    import httpx

    assert "s3cret" not in repr(HttpAnswer(200, httpx.Headers({"a": "s3cret"}), b"s3cret"))
