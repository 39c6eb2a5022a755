"""Followers of a long history: others get their turn while it is read."""

from itertools import pairwise

import trio
import trio.testing

from engine.effects import Send
from engine.runtime.followers import EPISODES_AT_ONCE
from tests.engine.runtime import doorbell as d
from tests.engine.runtime.running import FRONT, STREAM, running

PARTS = 4


async def long_history(runtime: object) -> int:
    """Versions of a bell that has rung often."""
    for _ in range(PARTS * EPISODES_AT_ONCE // 2):
        for command in (d.Press(), d.Expire()):
            await runtime.ask(FRONT, command)  # type: ignore[attr-defined]
    return PARTS * EPISODES_AT_ONCE


async def test_others_get_their_turn_while_a_long_history_is_read() -> None:
    async with running() as runtime:
        last = await long_history(runtime)
        heard: list[int] = []
        caught_up = trio.Event()
        turns: list[int] = []

        def deliver(version: int, _at: float, _send: Send) -> None:
            heard.append(version)

        runtime.followers.follow(STREAM, 0, deliver, caught_up=caught_up.set)
        while not caught_up.is_set():
            await trio.lowlevel.checkpoint()
            turns.append(len(heard))
        assert heard == [*dict.fromkeys(heard)]
        assert len(heard) >= last // 2
        # Tasks of one round run in any order, so that one part may be jumped over.
        seen = sorted({0, *turns, len(heard)})
        assert max(later - one for one, later in pairwise(seen)) <= EPISODES_AT_ONCE


async def test_who_leaves_while_a_long_history_is_read_hears_no_more() -> None:
    async with running() as runtime:
        await long_history(runtime)
        heard: list[int] = []

        def deliver(version: int, _at: float, _send: Send) -> None:
            heard.append(version)

        follower = runtime.followers.follow(STREAM, 0, deliver)
        while not heard:
            await trio.lowlevel.checkpoint()
        there = len(heard)
        runtime.followers.leave(follower)
        await trio.testing.wait_all_tasks_blocked()
        assert len(heard) == there
        assert len(runtime.followers) == 0
