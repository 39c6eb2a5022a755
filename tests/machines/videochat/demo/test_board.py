"""The board of expectations, live and plain."""

import io

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from machines.videochat.demo.board import Board, UnmetError


def console(terminal: bool) -> Console:
    """A console that writes into memory."""
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, height=50)


def written(one: Console) -> str:
    """What the console wrote."""
    assert isinstance(one.file, io.StringIO)
    return one.file.getvalue()


async def test_a_plain_board_writes_a_line_when_it_is_decided(autojump_clock: MockClock) -> None:
    out = console(terminal=False)
    board = Board(out, plain=True)
    with board.shown():
        with board.expects("ring", "it [rings]"):
            assert written(out) == ""
            await trio.sleep(1.5)
        with pytest.raises(UnmetError), board.expects("ring", "it stops"):
            raise UnmetError("it goes on")
    assert written(out).splitlines() == [
        "held     1.50 s  ring: it [rings]",
        "failed   1.50 s  ring: it stops: it goes on",
    ]
    assert [one.text for one in board.failed] == ["it stops"]


async def test_a_live_board_shows_what_waits_and_what_holds() -> None:
    out = console(terminal=True)
    board = Board(out, plain=False)
    with board.shown():
        with board.expects("ring", "it rings"):
            assert "…" in written(out)
        with board.expects("ring", "it is heard"):
            pass
    text = written(out)
    assert "✓" in text
    assert "it is heard" in text
    assert board.failed == []


async def test_an_expectation_that_was_interrupted_does_not_hold() -> None:
    board = Board(console(terminal=False), plain=True)
    with trio.CancelScope() as scope, board.expects("ring", "it rings"):
        scope.cancel()
        await trio.sleep_forever()
    assert [one.why for one in board.failed] == ["interrupted"]


async def test_an_expectation_that_waits_does_not_hold_yet() -> None:
    board = Board(console(terminal=False), plain=True)
    with board.expects("ring", "it rings") as expected:
        assert board.failed == [expected]
    assert board.failed == []
