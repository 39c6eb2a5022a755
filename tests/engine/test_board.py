"""The board of expectations, live and plain."""

import io

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from engine.board import Board, UnmetError


def console(terminal: bool) -> Console:
    """A console that writes into memory."""
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, height=50)


def written(one: Console) -> str:
    """What the console wrote."""
    assert isinstance(one.file, io.StringIO)
    return one.file.getvalue()


async def test_a_plain_board_writes_a_line_when_it_is_decided(autojump_clock: MockClock) -> None:
    out = console(terminal=False)
    board = Board(out, "demo", plain=True)
    with board.shown():
        with board.expects("it [rings]", scene="ring"):
            assert written(out) == ""
            await trio.sleep(1.5)
        with pytest.raises(UnmetError), board.expects("it stops", scene="ring"):
            raise UnmetError("it goes on")
    assert written(out).splitlines() == [
        "held     1.50 s  ring: it [rings]",
        "failed   1.50 s  ring: it stops: it goes on",
    ]
    assert [one.text for one in board.failed] == ["it stops"]


async def test_a_live_board_shows_what_waits_and_what_holds() -> None:
    out = console(terminal=True)
    board = Board(out, "demo", plain=False)
    with board.shown():
        with board.expects("it rings", scene="ring"):
            assert "…" in written(out)
        with board.expects("it is heard", scene="ring"):
            pass
    text = written(out)
    assert "✓" in text
    assert "it is heard" in text
    assert board.failed == []


async def test_an_expectation_that_was_interrupted_does_not_hold() -> None:
    board = Board(console(terminal=False), "demo", plain=True)
    with trio.CancelScope() as scope, board.expects("it rings", scene="ring"):
        scope.cancel()
        await trio.sleep_forever()
    assert [one.why for one in board.failed] == ["interrupted, or too late"]


async def test_an_expectation_that_waits_does_not_hold_yet() -> None:
    board = Board(console(terminal=False), "demo", plain=True)
    with board.expects("it rings", scene="ring") as expected:
        assert board.failed == [expected]
    assert board.failed == []


async def test_figures_and_notes_are_lines_of_a_plain_board(autojump_clock: MockClock) -> None:
    out = console(terminal=False)
    board = Board(out, "demo", plain=True)
    await trio.sleep(2)
    board.show([("viewers", "2"), ("lost", "0")])
    board.note("bob hears it")
    assert written(out).splitlines() == ["       viewers 2, lost 0", "         2.00 s  bob hears it"]


async def test_a_live_board_shows_figures_and_the_last_notes() -> None:
    out = console(terminal=True)
    board = Board(out, "demo", plain=False)
    with board.shown():
        board.show([("viewers", "2")])
        board.note("bob hears it")
    text = written(out)
    assert "viewers" in text
    assert "bob hears it" in text


async def test_what_was_taken_for_granted_fails_with_its_reason() -> None:
    out = console(terminal=False)
    board = Board(out, "demo", plain=True)
    with board.expects("it rings"):
        pass
    board.fail("it starts", "no port")
    assert board.sum_up() == 1
    assert written(out).splitlines()[-2:] == ["1 of 2 expectations held", "failed: it starts: no port"]
