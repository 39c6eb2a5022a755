"""Addresses, and accepting under pressure."""

import errno
import os
import resource
import socket

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from engine.errors import ConfigurationError, TransportError
from engine.transport.limits import Limits
from engine.transport.listening import parse_address
from engine.transport.server import serve
from tests.engine.transport.support import Sample, Wire, descriptors, none_left, pass_time, running

GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_addresses(address, parts):
    assert parse_address(address) == parts


@pytest.mark.parametrize(
    "address",
    ["", "8080", ":8080", "host", "host:", "host:http", "host:65536", "::1:8080", "[]:1", "a:-1", "a:\u0661"],
)
def test_wrong_addresses_are_configuration_errors(address):
    with pytest.raises(ConfigurationError) as caught:
        parse_address(address)
    assert caught.value.key == "listen"


async def test_a_host_that_is_none_is_a_configuration_error():
    with pytest.raises(ConfigurationError):
        await serve(Sample(), "no.such.host.invalid:0")


async def test_a_port_in_use_is_a_transport_error_and_leaves_nothing_open():
    async with running() as run:
        before = descriptors()
        with pytest.raises(TransportError, match="cannot listen"):
            await serve(Sample(), ["127.0.0.1:0", f"127.0.0.1:{run.port}"])
        await none_left(before)


async def test_ipv6_and_several_addresses():
    async with running(listen=["[::1]:0", "127.0.0.1:0"]) as run:
        assert [url.rpartition(":")[0] for url in run.urls] == ["http://[::1]", "http://127.0.0.1"]
        wire = await run.wire(host="::1")
        assert (await wire.ask(GET)).status == 200
        assert run.app.requests[0].peer == "::1"


async def test_at_its_greatest_number_of_connections_it_lets_clients_wait():
    async with running(connections_max=2) as run:
        first, second, third = [await run.wire() for _ in range(3)]
        assert (await first.ask(GET)).status == 200
        assert (await second.ask(GET)).status == 200
        await third.send(GET)
        await wait_all_tasks_blocked(0.05)
        assert len(run.app.requests) == 2
        await first.stream.aclose()
        assert (await third.answer()).status == 200


async def test_a_client_that_left_the_backlog_harms_nobody(tls):
    async with running(connections_max=1, context=tls.server) as run:
        first = await run.wire(context=tls.client)
        assert (await first.ask(GET)).status == 200
        gone, late = await run.wire(), await run.wire(context=tls.client)
        linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
        gone.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        gone.stream.socket.close()
        await first.stream.aclose()
        assert (await late.ask(GET)).status == 200


async def test_without_file_descriptors_it_neither_dies_nor_spins(mock_clock):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with running() as run:
        wire = await run.wire()
        assert (await wire.ask(GET)).status == 200
        client = socket.socket()
        client.setblocking(False)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        turns = 0

        class Counter(trio.abc.Instrument):
            def before_io_wait(self, timeout):
                nonlocal turns
                turns += 1

        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
            with capture_logs() as logs:
                assert client.connect_ex(("127.0.0.1", run.port)) in (0, errno.EINPROGRESS)
                await wait_all_tasks_blocked(0.02)
                counter = Counter()
                trio.lowlevel.add_instrument(counter)
                await wait_all_tasks_blocked(0.1)
                trio.lowlevel.remove_instrument(counter)
            assert [entry["reason"] for entry in logs] == ["EMFILE"]
            assert turns < 10
            assert (await wire.ask(GET)).status == 200
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await pass_time(mock_clock, 2)
        late = Wire(trio.SocketStream(trio.socket.from_stdlib_socket(client)))
        async with late.stream:
            assert (await late.ask(GET)).status == 200


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="head_bytes_max"):
        Limits(head_bytes_max=0)
