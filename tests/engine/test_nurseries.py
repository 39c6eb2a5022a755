"""Nurseries behind context managers of ours."""

import pytest
import trio
import trio.testing

from engine.nurseries import open_block_nursery


async def fail() -> None:
    raise LookupError("a task")


async def test_what_the_block_raises_leaves_as_it_is_and_ends_the_tasks() -> None:
    ended = trio.Event()

    async def work(task_status: trio.TaskStatus[None]) -> None:
        try:
            task_status.started()
            await trio.sleep_forever()
        finally:
            ended.set()

    async def block() -> None:
        async with open_block_nursery() as nursery:
            await nursery.start(work)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert ended.is_set()


async def test_a_group_that_the_block_raises_is_not_taken_apart() -> None:
    mine = ExceptionGroup("mine", [LookupError("a")])
    with pytest.raises(ExceptionGroup) as caught:
        async with open_block_nursery():
            raise mine
    assert caught.value is mine


async def test_what_a_task_raises_leaves_as_a_group() -> None:
    with pytest.RaisesGroup(LookupError):
        async with open_block_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()


async def test_a_block_and_a_task_that_fail_together_leave_together() -> None:
    with pytest.RaisesGroup(ZeroDivisionError, LookupError):
        async with open_block_nursery() as nursery:
            nursery.start_soon(fail)
            raise ZeroDivisionError


async def test_cancellation_passes_through() -> None:
    with trio.CancelScope() as scope:
        async with open_block_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_block_that_ends_waits_for_its_tasks() -> None:
    done: list[str] = []

    async def work() -> None:
        await trio.testing.wait_all_tasks_blocked()
        done.append("task")

    async with open_block_nursery() as nursery:
        nursery.start_soon(work)
        done.append("block")
    assert done == ["block", "task"]
