"""The scenes, when what they expect does not happen."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from rich.console import Console

from engine.board import Board, UnmetError
from machines.videochat.client import VideochatError
from machines.videochat.demo.cast import Server, User
from machines.videochat.demo.scenes import CAST, Stage, check, is_refused, together


class Mute(User):
    """A user who gets no answer."""

    async def do(self, device: str, what: str, arguments: Sequence[str]) -> Any:
        """Nothing comes."""
        await trio.lowlevel.checkpoint()
        raise UnmetError(f"no answer to {what}")


class Broken(User):
    """A user whose part of the demonstration is wrong."""

    async def do(self, device: str, what: str, arguments: Sequence[str]) -> Any:
        """Not an error of ours."""
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError


def stage(kind: type[User], nursery: trio.Nursery) -> Stage:
    """A stage with such users."""
    board = Board(Console(file=io.StringIO()), "demo", plain=True)
    users = {name: kind(name, devices, Path("log")) for name, devices in CAST.items()}
    return Stage(board, Server(nursery, Path(), "memory:", Path("none")), users)


async def test_each_scene_fails_by_itself_and_says_why() -> None:
    async with trio.open_nursery() as nursery:
        played = stage(Mute, nursery)
        await played.play()
    assert [one.scene for one in played.board.failed] == [
        "two devices",
        "decline",
        "merge",
        "invite",
        "glare",
        "cancel",
        "crash",
    ]
    assert {one.why for one in played.board.failed} == {"no answer to request", "no answer to invite"}


async def test_a_fault_of_the_demonstration_itself_is_not_hidden() -> None:
    with pytest.raises(ExceptionGroup):
        async with trio.open_nursery() as nursery:
            await stage(Broken, nursery).play()


async def test_an_error_outside_of_an_expectation_is_not_swallowed() -> None:
    async with trio.open_nursery() as nursery:
        played = stage(Mute, nursery)

        async def outside() -> None:
            await trio.lowlevel.checkpoint()
            raise UnmetError("nobody wrote it down")

        with pytest.raises(UnmetError, match="nobody wrote"):
            await played.play((outside,))


async def test_all_end_before_the_first_error_is_told() -> None:
    ended = []

    async def fail(text: str) -> None:
        await trio.lowlevel.checkpoint()
        ended.append(text)
        raise UnmetError(text)

    async def succeed() -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        ended.append("done")

    with pytest.raises(UnmetError):
        await together(lambda: fail("one"), succeed)
    assert sorted(ended) == ["done", "one"]
    await together(succeed)


async def test_a_refusal_has_to_be_the_right_one() -> None:
    async def refuse() -> None:
        await trio.lowlevel.checkpoint()
        raise VideochatError(10013, "closed")

    async def comply() -> None:
        await trio.lowlevel.checkpoint()

    await is_refused(refuse(), 10013)
    with pytest.raises(UnmetError, match="not with 10011"):
        await is_refused(refuse(), 10011)
    with pytest.raises(UnmetError, match="not refused"):
        await is_refused(comply(), 10013)


def test_what_does_not_hold_is_unmet() -> None:
    check(True, "fine")
    with pytest.raises(UnmetError, match="two videochats"):
        check(False, "they are in two videochats")
