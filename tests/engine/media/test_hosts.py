"""What every media host does, whatever it runs on."""

import itertools
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from engine.errors import MediaError
from engine.media import protocol as p
from tests.engine.media.rigs import (
    EVERY_KIND,
    KINDS,
    AnyHost,
    events_until,
    figure,
    flood,
    held,
    open_kind,
    publish,
    view,
    wait_event,
)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture(params=EVERY_KIND)
async def any_host(request: pytest.FixtureRequest) -> AsyncIterator[AnyHost]:
    """The real router too: for tests whose peers are ordinary."""
    async with open_kind(request.param) as host:
        yield host


@pytest.fixture
async def host(kind: str) -> AsyncIterator[AnyHost]:
    async with open_kind(kind) as host:
        yield host


async def test_an_offer_gets_an_answer_and_candidates_that_end(any_host: AnyHost) -> None:
    answer = await any_host.request(publish())
    assert isinstance(answer, p.Answered)
    assert answer.sdp_answer.startswith("v=0\r\n")
    assert answer.candidates[0].candidate
    assert not answer.candidates[-1].candidate


async def test_asking_again_gives_the_same_answer_and_no_second_peer(any_host: AnyHost) -> None:
    first = await any_host.request(publish())
    assert await any_host.request(publish()) == first
    assert await figure(any_host, "peers_count") == 1


async def test_two_who_ask_for_one_peer_at_once_get_the_same_answer(any_host: AnyHost) -> None:
    answers = []

    async def ask() -> None:
        answers.append(await any_host.request(publish()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
    assert answers[0] == answers[1]
    assert await figure(any_host, "peers_count") == 1


async def test_a_peer_id_is_of_one_stream_and_direction(any_host: AnyHost) -> None:
    await any_host.request(publish())
    with pytest.raises(p.PeerExistsError):
        await any_host.request(publish(stream_id="another"))
    with pytest.raises(p.PeerExistsError):
        await any_host.request(view("ann"))
    assert await figure(any_host, "peers_count") == 1


async def test_a_stream_has_one_publisher_at_a_time(any_host: AnyHost) -> None:
    await any_host.request(publish("ann"))
    with pytest.raises(p.PeerExistsError, match="the stream has a publisher"):
        await any_host.request(publish("bob"))
    await any_host.request(p.ClosePeer(peer_id="ann"))
    assert isinstance(await any_host.request(publish("bob")), p.Answered)
    assert await figure(any_host, "peers_count") == 1


async def test_closing_what_is_closed_is_done(any_host: AnyHost) -> None:
    assert await any_host.request(p.ClosePeer(peer_id="ann")) == p.Done()
    await any_host.request(publish())
    assert await any_host.request(p.ClosePeer(peer_id="ann")) == p.Done()
    assert await any_host.request(p.ClosePeer(peer_id="ann")) == p.Done()
    assert await figure(any_host, "peers_count") == 0


@pytest.mark.parametrize(
    "request_",
    [
        p.AddCandidates(peer_id="eve", candidates=()),
        p.SelectLayer(peer_id="eve", layer="h"),
        p.Mute(peer_id="eve", kind=p.Kind.AUDIO, muted=True),
        p.LimitBitrate(peer_id="eve", bitrate_max_bps=1),
        p.GetStatistics(peer_id="eve"),
    ],
)
async def test_who_is_not_there_cannot_be_asked(any_host: AnyHost, request_: p.MediaRequest) -> None:
    with pytest.raises(p.UnknownPeerError, match="there is no such peer"):
        await any_host.request(request_)


async def test_a_peer_that_is_there_can_be_asked(any_host: AnyHost) -> None:
    await any_host.request(publish())
    candidate = p.Candidate(candidate="candidate:1 1 udp 1 192.0.2.7 9 typ host")
    assert await any_host.request(p.AddCandidates(peer_id="ann", candidates=(candidate,))) == p.Done()
    assert isinstance(await any_host.request(p.GetStatistics(peer_id="ann")), p.Statistics)


async def test_a_bad_offer_is_refused_with_a_reason_that_does_not_quote_it(any_host: AnyHost) -> None:
    with pytest.raises(p.BadOfferError) as refused:
        await any_host.request(publish(offer="a secret"))
    assert str(refused.value)
    assert "secret" not in str(refused.value)
    assert await figure(any_host, "peers_count") == 0


async def test_nobody_views_what_nobody_publishes(any_host: AnyHost) -> None:
    with pytest.raises(p.UnknownStreamError):
        await any_host.request(view())
    await any_host.request(publish())
    assert isinstance(await any_host.request(view()), p.Answered)
    await any_host.request(p.ClosePeer(peer_id="ann"))
    with pytest.raises(p.UnknownStreamError):
        await any_host.request(view("eve"))


async def test_a_host_says_how_many_workers_have_a_stream(any_host: AnyHost) -> None:
    await any_host.request(publish())
    await any_host.request(view())
    for peer_id in ("ann", "bob"):
        answer = await any_host.request(p.GetStatistics(peer_id=peer_id))
        assert isinstance(answer, p.Statistics)
        assert answer.values["homes_count"] == 1
    assert (await figure(any_host, "workers_count"), await figure(any_host, "cascades_count")) == (1, 0)


async def test_with_the_publisher_its_viewers_end(any_host: AnyHost) -> None:
    async with any_host.events() as reader:
        await any_host.request(publish())
        await any_host.request(view())
        await any_host.request(p.ClosePeer(peer_id="ann"))
        last = p.PeerClosed(peer_id="bob", reason=p.CloseReason.SOURCE_ENDED)
        events = [event for _, event in await events_until(reader, last)]
    assert p.PeerClosed(peer_id="ann", reason=p.CloseReason.REQUESTED) in events
    with pytest.raises(p.UnknownPeerError):
        await any_host.request(p.GetStatistics(peer_id="bob"))


async def test_what_misses_its_deadline_is_undone(host: AnyHost) -> None:
    await host.request(publish())
    with pytest.raises(p.MediaTimeoutError, match=r"View was not answered within 0\.05 s"):
        await host.request(view("slow"), seconds=0.05)
    assert await figure(host, "requests_count") == 0
    assert await figure(host, "peers_count") == 1


async def test_a_cancelled_request_returns_when_it_is_undone(host: AnyHost) -> None:
    await host.request(publish())
    with trio.move_on_after(0.05) as scope:
        await host.request(view("slow"))
    assert scope.cancelled_caught
    assert await figure(host, "requests_count") == 0


async def test_200_requests_cancelled_at_once_settle(host: AnyHost) -> None:
    await host.request(publish())
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(host.request, view(f"slow-{number}"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert await figure(host, "requests_count") == 0
    assert await figure(host, "peers_count") == 1


@pytest.mark.parametrize("steps", range(8))
async def test_a_request_cancelled_anywhere_is_either_done_or_undone(any_host: AnyHost, steps: int) -> None:
    answers = []

    async def ask(scope: trio.CancelScope) -> None:
        with scope:
            answers.append(await any_host.request(publish()))

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, scope)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        scope.cancel()
    assert await figure(any_host, "requests_count") == 0
    assert await figure(any_host, "peers_count") == len(answers)
    assert isinstance(await any_host.request(publish()), p.Answered)


async def test_a_request_in_a_cancelled_scope_asks_nothing(any_host: AnyHost) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await any_host.request(publish())
    assert scope.cancelled_caught
    assert await figure(any_host, "peers_count") == 0


async def test_events_come_in_order_and_their_numbers_go_up_by_one(host: AnyHost) -> None:
    async with host.events() as reader:
        await host.request(publish("quiet"))
        await flood(host, "quiet", 2500)
        seen = await events_until(reader, p.PeerConnected(peer_id="quiet", milliseconds=2499))
    told = [event.milliseconds for _, event in seen if isinstance(event, p.PeerConnected)][-2500:]
    assert told == list(range(2500))
    numbers = [number for number, _ in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(seen)))


async def test_every_reader_hears_everything_from_when_it_came(host: AnyHost) -> None:
    last = p.PeerClosed(peer_id="ann", reason=p.CloseReason.REQUESTED)
    async with host.events() as early:
        await host.request(publish())
        await wait_event(early, p.PeerConnected)
        async with host.events() as late:
            await host.request(p.ClosePeer(peer_id="ann"))
            assert not isinstance((await events_until(late, last))[0][1], p.PeerConnected)
            assert await events_until(early, last)


async def test_a_slow_reader_is_told_what_it_lost_and_holds_up_nobody(kind: str) -> None:
    async with open_kind(kind, batches_max=2) as host, host.events() as slow:
        await host.request(publish("quiet"))
        for _ in range(10):
            await flood(host, "quiet", 1500)
        assert await figure(host, "peers_count") == 1
        seen = [await slow.receive()]
        while slow.statistics().current_buffer_used:
            seen.append(slow.receive_nowait())
        await host.request(p.ClosePeer(peer_id="quiet"))
        closed = p.PeerClosed(peer_id="quiet", reason=p.CloseReason.REQUESTED)
        while closed not in seen[-1][1]:
            seen.append(await slow.receive())
    events = [event for _, batch in seen for event in batch]
    assert any(isinstance(event, p.EventsLost) for event in events)
    # EventsLost stands for the numbers of what was dropped, so the numbers have no gap.
    for (number, batch), (following, _) in itertools.pairwise(seen):
        assert number + p.numbers_of(batch) == following


async def test_a_bug_on_the_media_side_fails_one_request_and_is_reported(host: AnyHost) -> None:
    async with host.events() as reader:
        await host.request(publish())
        with pytest.raises(MediaError, match="the media side failed: ValueError"):
            await host.request(view("broken"))
        fault = await wait_event(reader, p.MediaFault)
    assert fault == p.MediaFault(where="View", error="ValueError")
    assert await figure(host, "peers_count") == 1
    assert isinstance(await host.request(view()), p.Answered)


async def test_a_draining_host_takes_nobody_and_keeps_whom_it_has(any_host: AnyHost) -> None:
    first = await any_host.request(publish())
    assert await any_host.request(p.Drain(seconds=60)) == p.Done()
    with pytest.raises(p.HostBusyError, match="draining"):
        await any_host.request(view())
    assert await any_host.request(publish()) == first


async def test_a_drained_host_has_closed_everybody(any_host: AnyHost) -> None:
    async with any_host.events() as reader:
        await any_host.request(publish())
        await any_host.request(p.Drain(seconds=0.02))
        closed = await wait_event(reader, p.PeerClosed)
    assert closed == p.PeerClosed(peer_id="ann", reason=p.CloseReason.DRAINED)


async def test_leaving_ends_readers_after_the_last_event(kind: str) -> None:
    seen: list[p.MediaEvent] = []

    async def read(task_status: trio.TaskStatus[None]) -> None:
        async with opened.events() as reader:
            task_status.started()
            async for _, events in reader:
                seen.extend(events)

    async with trio.open_nursery() as nursery, open_kind(kind) as opened:
        await nursery.start(read)
        await opened.request(publish("quiet"))
        await opened.request(p.ClosePeer(peer_id="quiet"))
    assert seen == [p.PeerClosed(peer_id="quiet", reason=p.CloseReason.REQUESTED)]


async def test_leaving_with_100_peers_and_open_requests_leaves_nothing(kind: str) -> None:
    before = held()
    with trio.CancelScope() as scope:
        async with open_kind(kind) as host, trio.open_nursery() as nursery:
            await host.request(publish())
            for number in range(99):
                await host.request(view(f"ticking-{number}"))
            for number in range(20):
                nursery.start_soon(host.request, view(f"slow-{number}"))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert held() == before


async def test_an_error_of_the_caller_leaves_as_it_is(kind: str) -> None:
    before = held()
    with pytest.raises(KeyError):  # noqa: PT012 # leaving is what is tested
        async with open_kind(kind) as host:
            await host.request(publish())
            raise KeyError
    assert held() == before


async def test_a_request_that_outlives_the_host_fails(kind: str) -> None:
    outcomes: list[type[MediaError]] = []

    async def ask() -> None:
        try:
            await opened.request(view("slow"), seconds=60)
        except MediaError as error:
            outcomes.append(type(error))

    async with trio.open_nursery() as nursery, open_kind(kind) as opened:
        await opened.request(publish())
        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
    assert outcomes == [p.WorkerGoneError]
    with pytest.raises(p.WorkerGoneError):
        await opened.request(publish())
