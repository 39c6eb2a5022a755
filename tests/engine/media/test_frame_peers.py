"""Peers with frames through the port: the same promises by every driver."""

from collections.abc import AsyncIterator

import pytest
import trio

from engine.errors import MediaError
from engine.media import protocol as p
from tests.engine.media.rigs import (
    EVERY_KIND,
    KINDS,
    OFFER,
    AnyHost,
    figure,
    held,
    offer_of,
    open_kind,
    play,
    publish,
    record,
    wait_event,
)


@pytest.fixture(params=EVERY_KIND)
async def any_host(request: pytest.FixtureRequest) -> AsyncIterator[AnyHost]:
    async with open_kind(request.param) as host:
        yield host


@pytest.fixture(params=KINDS)
async def host(request: pytest.FixtureRequest) -> AsyncIterator[AnyHost]:
    async with open_kind(request.param) as host:
        yield host


async def joined(host: AnyHost) -> tuple[p.Answered, p.TakeAnswer]:
    """Ann plays to bob, who records: (bob's answer, what told it to ann)."""
    answered = await host.request(record(await offer_of(host)))
    assert isinstance(answered, p.Answered)
    taken = p.TakeAnswer(peer_id="ann", sdp_answer=answered.with_candidates())
    assert await host.request(taken) == p.Done()
    return answered, taken


async def test_a_peer_with_frames_offers_with_candidates_that_end(any_host: AnyHost) -> None:
    offered = await any_host.request(play())
    assert isinstance(offered, p.Offered)
    assert offered.sdp_offer.startswith("v=0\r\n")
    assert "a=candidate:" not in offered.sdp_offer
    assert offered.candidates[0].candidate
    assert not offered.candidates[-1].candidate


async def test_asking_again_gives_the_same_offer_and_no_second_peer(any_host: AnyHost) -> None:
    first = await any_host.request(play())
    assert await any_host.request(play()) == first
    assert await figure(any_host, "peers_count") == 1


async def test_two_who_ask_at_once_get_the_same_offer(any_host: AnyHost) -> None:
    offers = []

    async def ask() -> None:
        offers.append(await any_host.request(play()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
    assert offers[0] == offers[1]
    assert await figure(any_host, "peers_count") == 1


async def test_a_peer_id_is_of_one_peer_of_whatever_sort(any_host: AnyHost) -> None:
    await any_host.request(play("ann"))
    await any_host.request(publish("eve"))
    silent = play("ann", p.PatternSource(tone_hz=None))
    for other in (publish("ann"), silent, record(OFFER, "ann"), play("eve")):
        with pytest.raises(p.PeerExistsError, match="taken"):
            await any_host.request(other)
    assert await figure(any_host, "peers_count") == 2


async def test_an_answer_connects_both_sides_and_is_taken_once(any_host: AnyHost) -> None:
    async with any_host.events() as reader:
        _, taken = await joined(any_host)
        assert await any_host.request(taken) == p.Done()
        with pytest.raises(p.BadAnswerError, match="another answer"):
            await any_host.request(p.TakeAnswer(peer_id="ann", sdp_answer="v=0\r\n"))
        connected = {await _peer_of_next(reader, p.PeerConnected) for _ in range(2)}
    assert connected == {"ann", "bob"}


async def _peer_of_next(reader: trio.MemoryReceiveChannel[p.Batch], kind: type[p.PeerEvent]) -> str:
    event = await wait_event(reader, kind)
    assert isinstance(event, p.PeerEvent)
    return event.peer_id


async def test_only_who_has_offered_takes_an_answer(any_host: AnyHost) -> None:
    await joined(any_host)
    await any_host.request(publish("eve"))
    with pytest.raises(p.BadAnswerError, match="no offer"):
        await any_host.request(p.TakeAnswer(peer_id="bob", sdp_answer="v=0\r\n"))
    for peer_id in ("eve", "nobody"):
        with pytest.raises(p.UnknownPeerError):
            await any_host.request(p.TakeAnswer(peer_id=peer_id, sdp_answer="v=0\r\n"))


async def test_an_answer_that_cannot_be_used_is_refused_and_a_better_one_is_taken(any_host: AnyHost) -> None:
    offer = await offer_of(any_host)
    with pytest.raises(p.BadAnswerError) as refused:
        await any_host.request(p.TakeAnswer(peer_id="ann", sdp_answer="m=a secret"))
    assert "secret" not in str(refused.value)
    answered = await any_host.request(record(offer))
    assert isinstance(answered, p.Answered)
    better = p.TakeAnswer(peer_id="ann", sdp_answer=answered.with_candidates())
    assert await any_host.request(better) == p.Done()


@pytest.mark.parametrize(
    ("send", "receive", "why"),
    [
        (None, None, "neither source nor sink"),
        (p.FileSource("a.mp4", audio=False, video=False), None, "neither picture nor sound"),
        (p.PatternSource(tone_hz=None, video=False), None, "neither picture nor sound"),
        (p.PatternSource(width=15), None, "sides are even"),
        (p.PatternSource(height=8192), None, "sides are even"),
        (p.PatternSource(frames_per_second=0), None, "1 to 120 frames"),
        (p.PatternSource(tone_hz=0), None, "1 to 20000 Hz"),
        (p.PatternSource(seconds=0), None, "more than no time"),
        (p.CallableSource("no colon"), None, "package.module:name"),
        (None, p.FileSink("a.avi"), "webm, .mkv or .mp4"),
        (None, p.FileSink("a.mp4", audio=False, video=False), "neither picture nor sound"),
        (None, p.CallableSink("os.system"), "package.module:name"),
        (p.CallableSource("a:b", {"what": object()}), None, "not plain values"),
    ],
)
async def test_what_can_never_be_played_or_recorded_is_refused(
    send: p.FrameSource | None, receive: p.FrameSink | None, why: str, any_host: AnyHost
) -> None:
    with pytest.raises(MediaError, match=why):
        await any_host.request(p.OpenFramePeer(peer_id="ann", send=send, receive=receive))
    assert await figure(any_host, "peers_count") == 0
    assert isinstance(await any_host.request(play()), p.Offered)


async def test_a_peer_with_frames_can_be_asked_and_closed_again_and_again(any_host: AnyHost) -> None:
    await offer_of(any_host)
    candidate = p.Candidate(candidate="candidate:1 1 udp 1 192.0.2.7 9 typ host")
    assert await any_host.request(p.AddCandidates(peer_id="ann", candidates=(candidate,))) == p.Done()
    assert isinstance(await any_host.request(p.GetStatistics(peer_id="ann")), p.Statistics)
    async with any_host.events() as reader:
        for _ in range(2):
            assert await any_host.request(p.ClosePeer(peer_id="ann")) == p.Done()
        assert await wait_event(reader, p.PeerClosed) == p.PeerClosed(
            peer_id="ann", reason=p.CloseReason.REQUESTED
        )
    with pytest.raises(p.UnknownPeerError):
        await any_host.request(p.GetStatistics(peer_id="ann"))
    assert await figure(any_host, "peers_count") == 0


async def test_what_misses_its_deadline_is_undone(host: AnyHost) -> None:
    with pytest.raises(p.MediaTimeoutError):
        await host.request(play("slow"), seconds=0.05)
    assert await figure(host, "peers_count") == 0


@pytest.mark.parametrize("steps", range(8))
async def test_a_request_cancelled_anywhere_is_either_done_or_undone(any_host: AnyHost, steps: int) -> None:
    offers = []

    async def ask(scope: trio.CancelScope) -> None:
        with scope:
            offers.append(await any_host.request(play()))

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, scope)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        scope.cancel()
    assert await figure(any_host, "requests_count") == 0
    assert await figure(any_host, "peers_count") == len(offers)
    assert isinstance(await any_host.request(play()), p.Offered)


async def test_a_draining_host_takes_no_peer_with_frames_and_closes_those_it_has(any_host: AnyHost) -> None:
    async with any_host.events() as reader:
        first = await any_host.request(play())
        await any_host.request(p.Drain(seconds=0.1))
        with pytest.raises(p.HostBusyError):
            await any_host.request(play("bob"))
        assert await any_host.request(play()) == first
        closed = await wait_event(reader, p.PeerClosed)
    assert closed == p.PeerClosed(peer_id="ann", reason=p.CloseReason.DRAINED)


async def test_ten_cycles_leave_nothing(any_host: AnyHost) -> None:
    async def cycle() -> None:
        await joined(any_host)
        for peer_id in ("ann", "bob"):
            await any_host.request(p.ClosePeer(peer_id=peer_id))

    await cycle()
    before = held()
    for _ in range(10):
        await cycle()
    assert await figure(any_host, "peers_count") == 0
    descriptors, threads, children = held()
    assert descriptors == before[0]
    # The loop's own pool may still grow by a thread; it is the host's, and ends with it.
    assert {one for one in threads if not one.name.startswith("asyncio_")} <= before[1]
    assert children == before[2]


async def test_leaving_with_peers_with_frames_leaves_nothing() -> None:
    before = held()
    async with open_kind("router") as host:
        await joined(host)
        await host.request(play("eve"))
    assert held() == before


def test_the_arguments_of_callables_do_not_print() -> None:
    assert "secret" not in repr(p.CallableSource("a:b", {"token": "secret"}))
    assert "secret" not in repr(p.CallableSink("a:b", {"token": "secret"}))
    assert "secret" not in repr(p.TakeAnswer(peer_id="ann", sdp_answer="secret"))
