"""Peers and their owners: cancelled at every await, with a host that fails, after a crash of the engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.app.peers import CLOSE_SECONDS, ClosedMeanwhileError, Opening
from engine.errors import CallCrashedError, MediaError, UnavailableError
from engine.journal.memory import MemoryJournal
from engine.media import protocol as p
from engine.media.fake import Break, Delay, Lose, Refuse
from engine.media.protocol import Candidate, CloseReason
from tests.engine.app import booth as b
from tests.engine.app.booth import PEER, Arcade, S, arcade
from tests.engine.journal.full import Full
from tests.engine.media.rigs import OFFER

STEPS = 12
"""More scheduler steps than an offer takes to its answer."""

SOON = 0.5
"""Seconds in which everything happens that the fake host does by itself."""


# -- the life of a peer


@pytest.mark.parametrize("opening", [b.published, b.with_frames])
async def test_a_peer_is_opened_by_its_offer_and_closed_when_it_is_let_go(
    autojump_clock: MockClock, opening: Callable[[str], Opening]
) -> None:
    async with arcade(opening=opening) as stage:
        negotiation = await stage.go_live()
        assert (await negotiation.wait_answer()).startswith("v=0")
        assert [one.sdp_offer for one in stage.media.asked if isinstance(one, Opening)] == [OFFER]
        assert (stage.media.peer_ids, len(stage.peers), len(stage.peers.desk)) == ((PEER,), 1, 0)
        stage.tell(b.Leave())
        await trio.sleep(SOON)
        assert stage.nothing_is_open()
        assert await stage.booth() == (S.EMPTY, "")


async def test_a_call_that_ends_takes_its_peer_with_it(autojump_clock: MockClock) -> None:
    async with arcade() as stage:
        await stage.go_live()
        stage.tell(b.Close())
        await trio.sleep(SOON)
        assert stage.nothing_is_open()


@pytest.mark.parametrize("reason", [*CloseReason])
async def test_a_machine_is_told_why_its_peer_ended(autojump_clock: MockClock, reason: CloseReason) -> None:
    async with arcade() as stage:
        await stage.go_live()
        stage.media.close_peer(PEER, reason)
        await trio.sleep(SOON)
        assert await stage.booth() == (S.LOST, reason.value)
        # Nobody closes what is gone.
        assert not [one for one in stage.media.asked if isinstance(one, p.ClosePeer)]
        await stage.go_live()
        assert stage.media.peer_ids == (PEER,)


async def test_what_the_terms_pass_over_and_what_is_of_no_peer_of_ours_is_not_told(
    autojump_clock: MockClock,
) -> None:
    async with arcade() as stage:
        await stage.go_live()
        counts = dict(stage.engine.runtime.dispatcher.counts)
        stage.media.stall(PEER)
        stage.media.emit(p.PeerClosed(peer_id="another", reason=CloseReason.LOST), p.EventsLost(count=1))
        await trio.sleep(SOON)
        assert stage.engine.runtime.dispatcher.counts == counts


async def test_what_was_asked_before_a_crash_is_told_as_that(autojump_clock: MockClock) -> None:
    async with MemoryJournal() as journal:
        async with arcade(journal) as stage:
            await stage.go_live()
        assert stage.nothing_is_open()
        async with arcade(journal) as stage:
            await trio.sleep(SOON)
            assert await stage.booth() == (S.LOST, "restarted")
            await stage.go_live()


# -- cancelled


@pytest.mark.parametrize("ending", [b.Leave(), b.Close()])
@pytest.mark.parametrize("steps", range(STEPS))
async def test_a_call_that_ends_at_any_moment_leaves_no_peer_and_nobody_waiting(
    autojump_clock: MockClock, steps: int, ending: Any
) -> None:
    async with arcade() as stage:
        negotiation = stage.lay()
        stage.tell(b.Enter())
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        stage.tell(ending)
        await trio.sleep(SOON)
        assert stage.nothing_is_open()
        if negotiation.failure is None:
            assert (await negotiation.wait_answer()).startswith("v=0")
        else:
            with pytest.raises(ClosedMeanwhileError):
                await negotiation.wait_answer()


@pytest.mark.parametrize("steps", range(STEPS))
async def test_an_engine_that_is_left_at_any_moment_leaves_no_peer(
    autojump_clock: MockClock, steps: int
) -> None:
    async with arcade() as stage:
        stage.lay()
        stage.tell(b.Enter())
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        begun = trio.current_time()
    assert stage.nothing_is_open()
    assert trio.current_time() - begun <= CLOSE_SECONDS


# -- a host that fails


async def test_a_refused_offer_is_told_to_its_client_and_to_the_machine(autojump_clock: MockClock) -> None:
    async with arcade() as stage:
        stage.media.script(Refuse(p.BadOfferError("no")), request=p.Publish)
        negotiation = stage.lay()
        stage.tell(b.Enter())
        with pytest.raises(p.BadOfferError):
            await negotiation.wait_answer()
        await wait_all_tasks_blocked()
        assert await stage.booth() == (S.LOST, "refused")
        assert stage.nothing_is_open()


async def test_a_peer_that_cannot_be_closed_is_given_up_in_time(autojump_clock: MockClock) -> None:
    async with arcade() as stage:
        await stage.go_live()
        stage.media.script(Lose(), request=p.ClosePeer, times=None)
        begun = trio.current_time()
    assert len(stage.peers) == 0
    assert trio.current_time() - begun == pytest.approx(CLOSE_SECONDS)


async def test_a_cap_that_cannot_be_set_costs_no_peer(autojump_clock: MockClock) -> None:
    async with arcade() as stage:
        await stage.go_live()
        stage.media.script(Refuse(MediaError("no")), request=p.LimitBitrate)
        for _ in range(2):
            stage.tell(b.Limit())
        await trio.sleep(SOON)
        assert len([one for one in stage.media.asked if isinstance(one, p.LimitBitrate)]) == 2
        assert await stage.booth() == (S.LIVE, "")


@pytest.mark.parametrize("fault", [Refuse(MediaError("no candidate")), Break()])
async def test_candidates_wait_for_the_answer_and_cost_no_peer(
    autojump_clock: MockClock, fault: Refuse | Break
) -> None:
    async with arcade() as stage:
        stage.media.script(Delay(1.0), request=p.Publish)
        stage.media.script(fault, request=p.AddCandidates)
        stage.lay()
        stage.tell(b.Enter())
        await trio.sleep(SOON)
        early, late = (Candidate(candidate=name) for name in ("early", "late"))
        await stage.peers.add_candidates(PEER, (early,))
        await stage.engine.call(b.BOOTH, "b").wait_for(S.LIVE)
        await stage.peers.add_candidates(PEER, (late,))
        added = [one.candidates for one in stage.media.asked if isinstance(one, p.AddCandidates)]
        assert added == [(early,), (late,)]


async def test_a_failing_performer_ends_its_call_and_tells_who_waits_whose_fault_it_was(
    autojump_clock: MockClock,
) -> None:
    async with arcade() as stage:
        negotiation = stage.lay()
        with broken(stage):
            stage.tell(b.Enter())
            with pytest.raises(CallCrashedError):
                await negotiation.wait_answer()
        await trio.sleep(SOON)
        assert (await stage.booth())[0] is S.CLOSED
        assert stage.nothing_is_open()


@contextmanager
def broken(stage: Arcade) -> Iterator[None]:
    """The media host raises what no port may raise."""

    async def fail(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    request, stage.media.request = stage.media.request, fail  # type: ignore[method-assign,assignment]
    yield
    stage.media.request = request  # type: ignore[method-assign]


async def test_an_answer_that_cannot_be_journaled_is_told_as_that_and_its_peer_is_closed(
    autojump_clock: MockClock,
) -> None:
    async with Full() as journal, arcade(journal) as stage:
        stage.media.script(Delay(1.0), request=p.Publish)
        negotiation = stage.lay()
        stage.tell(b.Enter())
        await trio.sleep(SOON)
        journal.is_full = True
        with pytest.raises(UnavailableError, match="the disk is full"):
            await negotiation.wait_answer()
        journal.is_full = False
        await trio.sleep(SOON)
        assert stage.nothing_is_open()


# -- events that were lost


async def test_a_peer_whose_end_was_missed_is_found_out(autojump_clock: MockClock) -> None:
    async with arcade() as stage:
        await stage.go_live()
        # It goes without a word, as when its event was lost.
        del stage.media._peers[PEER]
        stage.media.emit(p.EventsLost(count=1), p.EventsLost(count=2))
        await trio.sleep(SOON)
        assert await stage.booth() == (S.LOST, "lost")


async def test_a_peer_that_cannot_be_asked_after_is_not_taken_for_lost(autojump_clock: MockClock) -> None:
    async with arcade() as stage:
        await stage.go_live()
        stage.media.script(Refuse(p.HostBusyError("busy")), request=p.GetStatistics, times=None)
        stage.media.emit(p.EventsLost(count=1))
        await trio.sleep(SOON)
        assert await stage.booth() == (S.LIVE, "")


async def test_a_peer_that_is_being_opened_is_not_taken_for_lost(autojump_clock: MockClock) -> None:
    """Else it would not be closed when it is there."""
    async with arcade() as stage:
        stage.media.script(Delay(2.0), request=p.Publish)
        stage.lay()
        stage.tell(b.Enter())
        await trio.sleep(SOON)
        stage.media.emit(p.EventsLost(count=1))
        await trio.sleep(SOON)
        assert await stage.booth() == (S.OPENING, "")
        await stage.engine.call(b.BOOTH, "b").wait_for(S.LIVE)
        assert not [one for one in stage.media.asked if isinstance(one, p.GetStatistics)]
        stage.tell(b.Close())
        await trio.sleep(SOON)
        assert stage.nothing_is_open()


async def test_events_are_heard_while_peers_are_asked_after(autojump_clock: MockClock) -> None:
    async with arcade() as stage:
        await stage.go_live()
        stage.media.script(Lose(), request=p.GetStatistics, times=None)
        stage.media.emit(p.EventsLost(count=1))
        stage.media.close_peer(PEER, CloseReason.REMOTE)
        await trio.sleep(0.1)
        assert await stage.booth() == (S.LOST, "remote")
