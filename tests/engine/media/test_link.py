"""The trio side of a worker's socket, with a worker that the test plays."""

import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from engine.errors import MediaError
from engine.media import frames, link
from engine.media import protocol as p
from engine.media.link import Link
from engine.media.rights import Handed, packet_pair
from tests.engine.media.rigs import play, publish, view


class Played:
    """A link, and the far end of its socket."""

    def __init__(self, nursery: trio.Nursery) -> None:
        ours, self.far = socket.socketpair()
        rights, their_rights = packet_pair()
        self.handed = Handed(their_rights)
        self.far.setblocking(False)
        self.events: list[p.MediaEvent] = []
        self.link = Link(ours, rights, nursery, self.events.extend, lambda _: None)
        self.nursery = nursery
        self._buffer = frames.FrameBuffer()
        self._heard: list[frames.Frame] = []

    async def hear(self) -> frames.Frame:
        """The next frame of the link."""
        while not self._heard:
            await trio.lowlevel.wait_readable(self.far)
            self._heard += self._buffer.feed(self.far.recv(1 << 20))
        return self._heard.pop(0)

    async def hear_ask(self) -> frames.Ask:
        frame = await self.hear()
        assert isinstance(frame, frames.Ask)
        return frame

    async def say(self, *said: frames.Frame) -> None:
        self.far.send(b"".join(frames.encode(each) for each in said))
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
async def played() -> AsyncIterator[Played]:
    async with trio.open_nursery() as nursery:
        played = Played(nursery)
        nursery.start_soon(played.link.run)
        with played.far:
            yield played
        played.link.close()
        played.handed.close()
        nursery.cancel_scope.cancel()


async def ask(played: Played, request: p.MediaRequest, into: list[object]) -> None:
    try:
        into.append(await played.link.ask(request))
    except MediaError as error:
        into.append(type(error))


async def test_answers_find_their_requests_in_any_order(played: Played) -> None:
    first: list[object] = []
    second: list[object] = []
    played.nursery.start_soon(ask, played, publish(), first)
    one = await played.hear()
    played.nursery.start_soon(ask, played, p.GetStatistics(), second)
    two = await played.hear()
    assert isinstance(one, frames.Ask)
    assert isinstance(two, frames.Ask)
    await played.say(
        frames.Answer(two.number, frames.seal(p.Statistics(values={}))),
        frames.refusal(one.number, p.BadOfferError("why")),
    )
    assert (first, second) == ([p.BadOfferError], [p.Statistics(values={})])


@pytest.mark.parametrize(
    "said",
    [
        frames.encode(frames.Unwound(99)),
        frames.encode(frames.Cancel(1)),
        frames.encode(frames.Happened(0, (frames.seal(p.Done()),))),
        b"\xff\xff\xff\xff",
        b"",
    ],
)
async def test_a_worker_that_says_nonsense_or_nothing_has_ended(played: Played, said: bytes) -> None:
    answers: list[object] = []
    played.nursery.start_soon(ask, played, publish(), answers)
    await played.hear()
    played.far.send(said) if said else played.far.close()
    await played.link.ended.wait()
    await trio.testing.wait_all_tasks_blocked()
    assert answers == [p.WorkerGoneError]
    with pytest.raises(p.WorkerGoneError):
        await played.link.ask(publish())


async def test_closing_ends_what_is_asked(played: Played) -> None:
    answers: list[object] = []
    played.nursery.start_soon(ask, played, publish(), answers)
    await played.hear()
    played.link.close()
    played.link.close()
    await trio.testing.wait_all_tasks_blocked()
    assert answers == [p.WorkerGoneError]


async def test_an_answer_that_crosses_the_cancellation_is_given(played: Played) -> None:
    answers: list[object] = []
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, played, publish(), answers)
            asked = await played.hear_ask()
            scope.cancel()
            with trio.CancelScope(shield=True):
                assert await played.hear() == frames.Cancel(asked.number)
                assert answers == []
                await played.say(frames.Answer(asked.number, frames.seal(p.Done())))
    assert answers == [p.Done()]


async def test_a_cancelled_request_that_was_refused_is_cancelled(played: Played) -> None:
    answers: list[object] = []
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, played, publish(), answers)
            asked = await played.hear_ask()
            scope.cancel()
            with trio.CancelScope(shield=True):
                await played.say(frames.refusal(asked.number, p.BadOfferError("why")))
    assert scope.cancelled_caught
    assert answers == []


@pytest.mark.parametrize("request_", [publish(), play()])
async def test_a_worker_that_does_not_unwind_is_waited_for_a_while_and_undone_later(
    played: Played, request_: p.MediaRequest, autojump_clock: trio.testing.MockClock
) -> None:
    began = trio.current_time()
    with trio.move_on_after(1) as scope:
        await played.link.ask(request_)
    assert scope.cancelled_caught
    assert trio.current_time() - began == pytest.approx(1 + link.UNWIND_SECONDS)
    asked = await played.hear_ask()
    assert await played.hear() == frames.Cancel(asked.number)
    await played.say(frames.Answer(asked.number, frames.seal(p.Done())))
    undo = await played.hear()
    assert isinstance(undo, frames.Ask)
    assert frames.request_of(undo.request) == p.ClosePeer(peer_id="ann")
    await played.say(frames.Answer(undo.number, frames.seal(p.Done())))
    assert not played.link.ended.is_set()


async def test_only_peers_that_came_late_are_undone(
    played: Played, autojump_clock: trio.testing.MockClock
) -> None:
    for request in (p.GetStatistics(), view()):
        with trio.move_on_after(1):
            await played.link.ask(request)
    one, _, two, _ = [await played.hear() for _ in range(4)]
    assert isinstance(one, frames.Ask)
    assert isinstance(two, frames.Ask)
    await played.say(
        frames.Answer(one.number, frames.seal(p.Done())), frames.refusal(two.number, p.BadOfferError("why"))
    )
    with trio.move_on_after(1) as silent:
        await played.hear()
    assert silent.cancelled_caught


async def test_requests_that_wait_are_limited(played: Played) -> None:
    answers: list[object] = []
    async with trio.open_nursery() as nursery:
        for _ in range(link.REQUESTS_MAX):
            nursery.start_soon(ask, played, p.GetStatistics(), answers)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(p.HostBusyError, match="wait"):
            await played.link.ask(p.GetStatistics())
        played.far.close()
    assert answers == [p.WorkerGoneError] * link.REQUESTS_MAX


async def test_what_a_worker_does_not_read_is_limited_and_arrives_when_it_reads(played: Played) -> None:
    offer = "x" * (frames.FRAME_BYTES_MAX - 1000)
    told = 0
    with pytest.raises(p.HostBusyError, match="does not read"):  # noqa: PT012 # how many fit is the kernel's
        while True:
            played.link.tell(frames.Ask(told, frames.seal(publish(offer=offer))))
            told += 1
    # Cancelling cannot be told either, so nobody waits for it.
    with trio.CancelScope() as scope:
        scope.cancel()
        await played.link.ask(p.GetStatistics())
    for number in range(told):
        frame = await played.hear()
        assert isinstance(frame, frames.Ask)
        assert frame.number == number
    played.link.tell(frames.Stop(1.0))
    assert await played.hear() == frames.Stop(1.0)


async def test_a_request_that_cannot_be_cancelled_is_abandoned(played: Played) -> None:
    # The last bytes that may wait are filled while the request is open.
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(played.link.ask, publish())
            asked = await played.hear_ask()
            filler = p.SelectLayer(peer_id="ann", layer="x" * 1000)
            large = p.SelectLayer(peer_id="ann", layer="x" * (frames.FRAME_BYTES_MAX - 1000))
            for each in (large, filler, p.SelectLayer(peer_id="ann", layer="")):
                with pytest.raises(p.HostBusyError):  # noqa: PT012 # how many fit is the kernel's
                    while True:
                        played.link.tell(frames.Ask(0, frames.seal(each)))
            while True:
                try:
                    played.link.tell(frames.Cancel(2**60))
                except p.HostBusyError:
                    break
            scope.cancel()
    assert scope.cancelled_caught
    # The late answer cannot be undone either; the link survives that.
    await played.say(frames.Answer(asked.number, frames.seal(p.Done())))
    assert not played.link.ended.is_set()


async def test_an_answer_is_told_of_before_what_the_worker_says_next(played: Played) -> None:
    events_before: list[int] = []

    async def ask_and_count() -> None:
        await played.link.ask(publish(), lambda: events_before.append(len(played.events)))

    played.nursery.start_soon(ask_and_count)
    asked = await played.hear_ask()
    closed = p.PeerClosed(peer_id="ann", reason=p.CloseReason.LOST)
    await played.say(
        frames.Answer(asked.number, frames.seal(p.Done())), frames.Happened(0, (frames.seal(closed),))
    )
    assert (events_before, played.events) == ([0], [closed])


async def test_a_worker_is_handed_sockets_until_it_takes_none_or_is_gone(played: Played) -> None:
    given, other = packet_pair()
    with given, other:
        played.link.hand(3, given)
        with played.handed.take(3) as taken:
            taken.send(b"through")
        assert other.recv(100) == b"through"
        with pytest.raises(p.HostBusyError, match="does not read"):  # noqa: PT012 # how many fit is the kernel's
            while True:
                played.link.hand(4, given)
        played.handed.close()
        with pytest.raises(p.WorkerGoneError):
            played.link.hand(5, given)


async def test_what_a_worker_is_told_in_passing_waits_for_nobody(played: Played) -> None:
    played.link.order(p.ClosePeer(peer_id="ann"))
    asked = await played.hear_ask()
    await played.say(frames.Answer(asked.number, frames.seal(p.Done())))
    assert not played.link.ended.is_set()
    played.link.close()
    played.link.order(p.ClosePeer(peer_id="bob"))


async def test_requests_of_tasks_beside_the_link_can_be_cancelled_with_it() -> None:
    # In the nursery in which the link starts tasks of its own, also while that is being cancelled.
    async with trio.open_nursery() as nursery:
        played = Played(nursery)
        nursery.start_soon(played.link.run)
        with played.far:
            for _ in range(5):
                nursery.start_soon(played.link.ask, p.GetStatistics())
                await played.hear_ask()
            nursery.cancel_scope.cancel()
            played.link.close()
            played.handed.close()
    assert nursery.cancel_scope.cancelled_caught


async def test_leaving_while_bytes_wait_does_not_hang(played: Played) -> None:
    for _ in range(2):
        played.link.tell(frames.Ask(1, frames.seal(publish(offer="x" * 4_000_000))))
    await trio.testing.wait_all_tasks_blocked()
    played.link.close()
    with pytest.raises(p.WorkerGoneError):
        played.link.tell(frames.Stop(1.0))


async def test_writing_to_a_worker_that_died_is_found_out_by_reading(played: Played) -> None:
    played.far.close()
    played.link.tell(frames.Stop(1.0))
    await played.link.ended.wait()
