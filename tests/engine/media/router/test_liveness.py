"""Deadlines of a peer, and the timer."""

import asyncio

from engine.media.router.liveness import Liveness, Ticker, Verdict


def _liveness() -> Liveness:
    return Liveness(connect_seconds=10, stalled_seconds=2, lost_seconds=10, opened_at=100)


def test_a_peer_that_never_connects_fails_after_its_deadline() -> None:
    liveness = _liveness()
    assert liveness.check(110.0) is None
    assert liveness.check(110.1) is Verdict.FAILED


def test_a_peer_that_is_silent_is_lost_after_its_deadline() -> None:
    liveness = _liveness()
    liveness.connected(100.0, sends=False)
    assert liveness.check(110.0) is None
    assert liveness.check(110.1) is Verdict.LOST


def test_a_publisher_stalls_once_and_resumes_once() -> None:
    liveness = _liveness()
    liveness.connected(100.0, sends=True)
    verdicts = [liveness.check(102.0), liveness.check(102.1), liveness.check(102.2)]
    liveness.media_at = 102.3
    assert [*verdicts, liveness.check(102.4), liveness.check(102.5)] == [
        None,
        Verdict.STALLED,
        None,
        Verdict.RESUMED,
        None,
    ]


def test_a_viewer_owes_no_media() -> None:
    liveness = _liveness()
    liveness.connected(100.0, sends=False)
    assert liveness.check(109.0) is None


def test_a_tick_that_raises_is_told_and_the_next_one_comes() -> None:
    faults: list[str] = []

    async def main() -> None:
        ticks, done = [0], asyncio.Event()

        def tick() -> None:
            ticks[0] += 1
            if ticks[0] == 3:
                done.set()
            raise ValueError("a tick")

        ticker = Ticker(tick, lambda where, error: faults.append(f"{where} {error}"))
        ticker.start()
        async with asyncio.timeout(5):
            await done.wait()
        # The tick that sets the event raises after that, still in the same call.
        ticker.stop()
        ticker.stop()
        assert ticker.lag_seconds >= 0.0

    asyncio.run(main())
    assert faults == ["tick a tick"] * 3
