"""All peers with frames of one worker, asked on its loop: what meets what in the middle."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.media import protocol as p
from engine.media.frame_peer.peers import FramePeers
from tests.engine.media.frame_peer.test_peer import run
from tests.engine.media.router.clients import until

PLAYS = p.OpenFramePeer(peer_id="ann", send=p.PatternSource(width=64, height=48))
IGNORES = p.CallableSink("tests.engine.media.frame_peer.callables:ignore")


class Asked:
    """Peers with frames, and every event that they have told."""

    def __init__(self) -> None:
        self.events: list[p.MediaEvent] = []
        self.peers = FramePeers(self.events.append)

    async def offer(self, request: p.OpenFramePeer = PLAYS) -> str:
        offered = await self.peers.handle(request)
        assert isinstance(offered, p.Offered)
        return offered.with_candidates()

    async def answered(self) -> str:
        """Of bob, who records what ann plays."""
        request = p.AnswerFramePeer(peer_id="bob", sdp_offer=await self.offer(), receive=IGNORES)
        answered = await self.peers.handle(request)
        assert isinstance(answered, p.Answered)
        return answered.with_candidates()


@asynccontextmanager
async def asked() -> AsyncIterator[Asked]:
    """Nothing may be left at the end."""
    the = Asked()
    try:
        yield the
    finally:
        await the.peers.close()
    assert {name: value for name, value in the.peers.statistics().items() if value} == {}
    assert not [one for one in threading.enumerate() if one.name.startswith(("frame-", "audio-", "video-"))]


async def turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


@pytest.mark.parametrize("steps", range(12))
def test_what_is_cancelled_while_it_opens_has_never_been(steps: int) -> None:
    async def main() -> None:
        async with asked() as the:
            task = asyncio.ensure_future(the.peers.handle(PLAYS))
            await turn(steps)
            task.cancel()
            await asyncio.wait({task})
            if task.cancelled():
                assert "ann" not in the.peers
            assert the.events == []

    run(main)


def test_one_who_goes_takes_nothing_from_another_who_waits_for_the_same_peer() -> None:
    async def main() -> None:
        async with asked() as the:
            first, second = (asyncio.ensure_future(the.peers.handle(PLAYS)) for _ in range(2))
            await turn(2)
            first.cancel()
            assert isinstance(await second, p.Offered)
            assert first.cancelled()
            assert "ann" in the.peers

    run(main)


def test_closing_what_opens_lets_it_open_first() -> None:
    async def main() -> None:
        async with asked() as the:
            opens = asyncio.ensure_future(the.peers.handle(PLAYS))
            await turn(2)
            with pytest.raises(p.UnknownPeerError):
                await the.peers.handle(p.GetStatistics(peer_id="ann"))
            assert await the.peers.handle(p.ClosePeer(peer_id="ann")) == p.Done()
            assert isinstance(opens.result(), p.Offered)
            assert the.events == [p.PeerClosed(peer_id="ann", reason=p.CloseReason.REQUESTED)]

    run(main)


def test_a_peer_that_comes_back_waits_for_the_end_of_the_one_before() -> None:
    async def main() -> None:
        async with asked() as the:
            await the.offer()
            closes = asyncio.ensure_future(the.peers.handle(p.ClosePeer(peer_id="ann")))
            await turn(2)
            with pytest.raises(p.UnknownPeerError):
                await the.peers.handle(p.GetStatistics(peer_id="ann"))
            await the.offer()
            assert closes.done()
            assert len(the.events) == 1
            assert "ann" in the.peers

    run(main)


@pytest.mark.parametrize("steps", range(8))
def test_an_answer_is_taken_wholly_once_it_is_begun(steps: int) -> None:
    async def main() -> None:
        async with asked() as the:
            answer = p.TakeAnswer(peer_id="ann", sdp_answer=await the.answered())
            task = asyncio.ensure_future(the.peers.handle(answer))
            await turn(steps)
            task.cancel()
            await asyncio.wait({task})
            if steps:
                assert task.result() == p.Done()
            assert await the.peers.handle(answer) == p.Done()
            await until(lambda: len(the.events) == 2)

    run(main)


def test_of_two_bad_answers_at_once_each_is_told_and_a_good_one_is_taken_after_them() -> None:
    async def main() -> None:
        async with asked() as the:
            good = await the.answered()
            bad = p.TakeAnswer(peer_id="ann", sdp_answer="m=audio")
            tasks = [asyncio.ensure_future(the.peers.handle(bad)) for _ in range(2)]
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(outcome, p.BadAnswerError)
            await the.peers.handle(p.TakeAnswer(peer_id="ann", sdp_answer=good))

    run(main)


def test_drained_peers_are_closed_and_none_is_taken_in() -> None:
    async def main() -> None:
        async with asked() as the:
            await the.offer()
            for _ in range(2):
                the.peers.drain(0.01)
            with pytest.raises(p.HostBusyError):
                await the.offer(p.OpenFramePeer(peer_id="bob", receive=IGNORES))
            await until(lambda: the.events)
            assert the.events == [p.PeerClosed(peer_id="ann", reason=p.CloseReason.DRAINED)]

    run(main)


def test_a_drain_that_is_not_over_ends_with_the_peers() -> None:
    async def main() -> None:
        async with asked() as the:
            await the.offer()
            the.peers.drain(60)
        assert the.events == [p.PeerClosed(peer_id="ann", reason=p.CloseReason.REQUESTED)]

    run(main)


def test_a_peer_that_never_connects_is_closed_by_itself() -> None:
    async def main() -> None:
        the = Asked()
        the.peers = FramePeers(the.events.append, connect_seconds=0.1)
        await the.offer()
        await until(lambda: the.events)
        assert the.events == [p.PeerClosed(peer_id="ann", reason=p.CloseReason.FAILED)]
        assert "ann" not in the.peers
        await the.peers.close()

    run(main)


def test_other_requests_are_of_others() -> None:
    async def main() -> None:
        async with asked() as the:
            with pytest.raises(TypeError, match="Mute"):
                await the.peers.handle(p.Mute(peer_id="ann", kind=p.Kind.AUDIO, muted=True))

    run(main)
