"""A host that is opened by the first request."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.fake import FakeHost, Fault, Lose, open_fake_host
from engine.media.ondemand import OnDemandHost, open_on_demand
from engine.media.readers import Readers
from tests.engine.media.rigs import publish, view, wait_event


class Opener:
    """Opens fakes when `gate` lets it; counts, and fails when told."""

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.opened: list[FakeHost] = []
        self.tries = self.closed = 0
        self.failures: list[MediaError] = []
        self.faults: list[Fault] = []
        """Of the first requests to the host."""

    def __call__(self, readers: Readers) -> AbstractAsyncContextManager[p.MediaHost]:
        return self._open(readers)

    @asynccontextmanager
    async def _open(self, readers: Readers) -> AsyncIterator[p.MediaHost]:
        self.tries += 1
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop()
        try:
            async with open_fake_host(connect_seconds=0, readers=readers) as host:
                self.opened.append(host)
                for fault in self.faults:
                    host.script(fault)
                yield host
        finally:
            host.close_peer("ann", p.CloseReason.WORKER_GONE)
            self.closed += 1


@pytest.fixture
def opener() -> Opener:
    """One that is not held up."""
    opener = Opener()
    opener.gate.set()
    return opener


async def test_nothing_is_opened_without_a_request(opener: Opener) -> None:
    async with open_on_demand(opener) as host:
        async with host.events():
            await wait_all_tasks_blocked()
        assert not host.is_open
    assert opener.tries == 0


async def test_the_first_request_opens_it_and_leaving_closes_it(opener: Opener) -> None:
    async with open_on_demand(opener) as host:
        assert isinstance(await host.request(publish()), p.Answered)
        assert isinstance(await host.request(view()), p.Answered)
        assert (opener.tries, host.is_open) == (1, True)
    assert (opener.closed, host.is_open) == (1, False)


async def test_first_requests_at_once_share_one_opening() -> None:
    opener, answers = Opener(), list[p.MediaAnswer]()
    async with open_on_demand(opener) as host, trio.open_nursery() as nursery:

        async def ask(number: int) -> None:
            answers.append(await host.request(publish(f"peer-{number}", f"stream-{number}")))

        for number in range(5):
            nursery.start_soon(ask, number)
        await wait_all_tasks_blocked()
        assert (opener.tries, answers) == (1, [])
        opener.gate.set()
    assert (opener.tries, len(answers)) == (1, 5)


async def test_it_may_be_opened_before_it_is_needed(opener: Opener) -> None:
    async with open_on_demand(opener) as host:
        await host.warm_up()
        await host.warm_up()
        assert (opener.tries, host.is_open) == (1, True)


async def test_a_failed_opening_is_told_to_all_who_asked_and_tried_again_by_the_next() -> None:
    opener, errors = Opener(), list[str]()
    opener.failures = [MediaError("no ports")]
    async with open_on_demand(opener) as host:

        async def ask() -> None:
            with pytest.raises(MediaError) as caught:
                await host.request(publish())
            errors.append(str(caught.value))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            opener.gate.set()
        assert errors == ["the media host cannot be opened: no ports"] * 2
        assert not host.is_open
        assert isinstance(await host.request(publish()), p.Answered)
    assert opener.tries == 2


async def test_events_are_heard_by_readers_from_before_the_opening(opener: Opener) -> None:
    async with open_on_demand(opener) as host, host.events() as early:
        await host.request(publish())
        await wait_event(early, p.PeerConnected)
        async with host.events() as late:
            opener.opened[0].stall("ann")
            heard = await late.receive()
            assert heard[1] == (p.PeerStalled(peer_id="ann"),)
            assert await early.receive() == heard


async def test_readers_hear_what_the_host_says_when_it_closes(opener: Opener) -> None:
    async with open_on_demand(opener) as host:
        await host.request(publish())
        reading = host.events()
        reader = await reading.__aenter__()
    await wait_event(reader, p.PeerClosed)
    with pytest.raises(trio.EndOfChannel):
        await reader.receive()
    await reading.__aexit__(None, None, None)


async def test_an_opening_that_is_late_times_out_and_goes_on_for_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    opener = Opener()
    async with open_on_demand(opener) as host:
        with pytest.raises(p.MediaTimeoutError, match="not open within 2 s"):
            await host.request(publish(), seconds=2)
        opener.gate.set()
        assert isinstance(await host.request(publish()), p.Answered)
    assert opener.tries == 1


async def test_the_deadline_of_a_request_has_the_opening_in_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    opener, began = Opener(), trio.current_time()
    async with open_on_demand(opener) as host, trio.open_nursery() as nursery:

        async def open_after(seconds: float) -> None:
            await trio.sleep(seconds)
            opener.gate.set()

        opener.faults = [Lose()]
        nursery.start_soon(open_after, 3)
        with pytest.raises(p.MediaTimeoutError):
            await host.request(publish(), seconds=4)
        assert trio.current_time() - began == pytest.approx(4)


async def test_whoever_is_cancelled_while_it_opens_leaves_it_to_the_others() -> None:
    opener, answers = Opener(), list[p.MediaAnswer]()
    async with open_on_demand(opener) as host, trio.open_nursery() as nursery:

        async def ask(scope: trio.CancelScope) -> None:
            with scope:
                answers.append(await host.request(publish()))

        first, second = trio.CancelScope(), trio.CancelScope()
        nursery.start_soon(ask, first)
        await wait_all_tasks_blocked()
        nursery.start_soon(ask, second)
        first.cancel()
        await wait_all_tasks_blocked()
        opener.gate.set()
    assert (opener.tries, len(answers), opener.closed) == (1, 1, 1)


async def test_a_cancelled_request_to_an_open_host_is_the_hosts_to_undo(opener: Opener) -> None:
    async with open_on_demand(opener) as host:
        await host.warm_up()
        with trio.CancelScope() as scope:
            scope.cancel()
            await host.request(publish())
        assert scope.cancelled_caught
        assert opener.opened[0].peer_ids == ()


async def test_leaving_while_it_opens_tells_those_who_wait() -> None:
    opener, errors = Opener(), list[str]()

    async def ask(host: OnDemandHost) -> None:
        with pytest.raises(MediaError) as caught:
            await host.warm_up()
        errors.append(str(caught.value))

    async with trio.open_nursery() as nursery, open_on_demand(opener) as host:
        nursery.start_soon(ask, host)
        await wait_all_tasks_blocked()
    assert errors == ["the media host cannot be opened: the engine was left"]
    with pytest.raises(p.WorkerGoneError, match="closed"):
        await host.request(publish())
    assert (opener.tries, opener.opened) == (1, [])


async def test_what_a_host_raises_once_it_is_open_is_not_hidden(opener: Opener) -> None:
    @asynccontextmanager
    async def failing(readers: Readers) -> AsyncIterator[p.MediaHost]:
        async with opener(readers) as host:
            try:
                yield host
            finally:
                raise MediaError("cannot close")

    with pytest.raises(ExceptionGroup) as caught:
        async with open_on_demand(failing) as host:
            await host.warm_up()
    assert str(caught.value.exceptions[0]) == "cannot close"
