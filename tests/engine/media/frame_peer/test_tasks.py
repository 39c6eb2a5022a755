"""The tasks of a peer."""

import asyncio

from engine.media.frame_peer.tasks import Tasks


def test_what_a_task_raises_is_told_with_its_name_and_a_cancelled_one_is_silent() -> None:
    told: list[tuple[str, str]] = []

    async def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        tasks = Tasks(lambda name, error: told.append((name, type(error).__name__)))
        foreign = asyncio.ensure_future(fail())
        tasks.watch([foreign])
        tasks.watch([foreign])
        await asyncio.wait({tasks.spawn("ours", fail()), foreign})
        tasks.spawn("waits", asyncio.Event().wait())  # type: ignore[arg-type] # its result is not used
        assert len(tasks.named("waits")) == 1
        assert await tasks.cancel_all(5) == 0
        assert len(tasks) == 0
        assert await tasks.cancel_all(5) == 0

    asyncio.run(main())
    assert sorted(told) == [("connect", "ZeroDivisionError"), ("ours", "ZeroDivisionError")]


def test_a_task_that_does_not_heed_its_cancellation_is_counted() -> None:
    async def main() -> int:
        release = asyncio.Event()

        async def deaf() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await release.wait()

        tasks = Tasks(lambda name, error: None)
        task = tasks.spawn("deaf", deaf())
        await asyncio.sleep(0)
        late = await tasks.cancel_all(0.01)
        release.set()
        await asyncio.wait({task})
        return late

    assert asyncio.run(main()) == 1
