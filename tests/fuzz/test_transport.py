"""Any bytes to a live server: it survives, its other sockets notice nothing, no fault of ours is logged."""

import os

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.engine.transport.support import UPGRADE, Wire, close_frame, raw_frame, running, text_frame

EXAMPLES = int(os.environ.get("SWITCHHOOK_FUZZ_EXAMPLES", "1000"))

REQUESTS = [
    b"GET /a%20b?c=d&e HTTP/1.1\r\nHost: a\r\nCookie: b=c\r\n\r\n",
    b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD http://a/b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: u\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
]
FRAMES = [
    text_frame("hi"),
    text_frame("close"),
    text_frame("x" * 70_000),
    raw_frame(1, b"\xe2\x98", fin=False),
    raw_frame(0, b"\x83"),
    raw_frame(2, b"bytes"),
    raw_frame(9, b"ping"),
    raw_frame(10),
    close_frame(1000),
    close_frame(),
]
SCRIPTS = st.one_of(
    st.binary(max_size=300).map(lambda data: [data]),
    st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4),
    st.lists(st.sampled_from(FRAMES), max_size=6).map(
        lambda frames: [UPGRADE.format(path="/ws").encode(), *frames]
    ),
    st.lists(st.sampled_from(REQUESTS + FRAMES), max_size=5),
)


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """What a client sends, damaged in a few places, and cut into segments anywhere."""
    data = bytearray(b"".join(draw(SCRIPTS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
    return [bytes(data[start:end]) for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


async def talk(segments: list[bytes]) -> None:
    async with running(head_bytes_max=2000, body_bytes_max=2000, message_bytes_max=50_000) as run:
        # What nobody resumes would be waited for here; that is no damage.
        run.app.go.set()
        bystander, wire = await run.socket(), await run.wire()
        await bystander.say("before")
        async with trio.open_nursery() as nursery:
            # Read beside writing: whoever only writes waits, as the server does for him, until it gives up.
            nursery.start_soon(wire.ended)
            try:
                for segment in segments:
                    await wire.send(segment)
                    await trio.lowlevel.checkpoint()
                assert isinstance(wire.stream, trio.SocketStream)
                await wire.stream.send_eof()
            except trio.BrokenResourceError:
                pass  # It has hung up on us, as it may.
        await bystander.say("after")
        assert [await bystander.hear(), await bystander.hear()] == ["before", "after"]
        fresh: Wire = await run.wire()
        assert (await fresh.ask("GET /a HTTP/1.1\r\nHost: a\r\n\r\n")).status == 200
        assert not run.ended.is_set()


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@example([UPGRADE.format(path="/ws").encode() + text_frame("hi") + close_frame(1000)])
@example([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 500])
@example([REQUESTS[6] + REQUESTS[8]])
@example([REQUESTS[1] + text_frame("x" * 70_000)])
@given(conversations())
def test_any_bytes_harm_only_their_own_connection(segments):
    with capture_logs() as logs:
        trio.run(talk, segments)
    assert "connection_failed" not in [entry["event"] for entry in logs]
