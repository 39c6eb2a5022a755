"""The life of a client's stream or view: its table, step by step, and the laws of every table."""

import random

import pytest

from engine.machine.check import check_table
from engine.machine.laws import breaches
from engine.machine.step import Outcome
from engine.vocabulary import Command
from machines.conference.client import feed as life
from machines.conference.client.feed import FEED_TABLE, REFUSALS_MAX, FeedLife, FeedState
from tests.machines.stepped import Stepped

ATTEMPTS = range(1, 5)
SAMPLES: dict[type[Command], tuple[Command, ...]] = {
    life.NoteAnswered: tuple(life.NoteAnswered(attempt=one) for one in ATTEMPTS),
    life.NoteConnected: tuple(life.NoteConnected(attempt=one) for one in ATTEMPTS),
    life.LosePeer: tuple(
        life.LosePeer(attempt=one, delay_seconds=1.0, is_refusal=refusal, is_final=final)
        for one in ATTEMPTS
        for refusal in (False, True)
        for final in (False, True)
    ),
}


class Life(Stepped[FeedState, FeedLife]):
    """A feed's machine that is stepped by hand."""

    def __init__(self) -> None:
        super().__init__(FEED_TABLE, "s1")


def live() -> Life:
    """A feed whose first peer has connected."""
    now = Life().tell(life.OpenFeed()).tell(life.NoteAnswered(attempt=1))
    return now.tell(life.NoteConnected(attempt=1))


def lost() -> Life:
    """A feed that waits for its second peer."""
    return live().tell(life.LosePeer(attempt=1, delay_seconds=2.0), at=5.0)


def test_the_table_has_no_fault() -> None:
    assert check_table(FEED_TABLE) == ()


@pytest.mark.parametrize("seed", range(5))
def test_the_table_keeps_every_law(seed: int) -> None:
    assert breaches(FEED_TABLE, SAMPLES, random.Random(seed).choice, 400) == ()


def test_a_feed_is_negotiated_answered_and_live() -> None:
    now = Life().tell(life.OpenFeed())
    assert (now.state, now.asked) == (FeedState.NEGOTIATING, [life.Negotiate(1)])
    assert now.tell(life.NoteAnswered(attempt=1)).state is FeedState.CONNECTING
    assert now.tell(life.NoteConnected(attempt=1)).state is FeedState.LIVE
    assert now.data.parts == 1


def test_media_may_be_quicker_than_the_answer() -> None:
    now = Life().tell(life.OpenFeed()).tell(life.NoteConnected(attempt=1))
    assert now.state is FeedState.LIVE
    assert now.tell(life.NoteAnswered(attempt=1)).outcome is Outcome.IGNORED


def test_the_first_peer_that_cannot_be_had_ends_the_feed() -> None:
    now = Life().tell(life.OpenFeed()).tell(life.LosePeer(attempt=1, reason="404: no"))
    assert (now.state, now.data.reason, now.asked) == (FeedState.FAILED, "404: no", [life.DropPeer(1)])


def test_a_lost_peer_is_replaced_after_the_delay() -> None:
    now = lost()
    assert (now.state, now.asked) == (FeedState.WAITING, [life.DropPeer(1)])
    assert [timer.due for timer in now.now.timers] == [7.0]
    assert now.tell(life.RetryFeed()).asked == [life.Negotiate(2)]


def test_what_would_end_the_same_is_not_tried_again() -> None:
    now = live().tell(life.LosePeer(attempt=1, reason="the sink failed", is_final=True))
    assert (now.state, now.asked) == (FeedState.FAILED, [life.DropPeer(1), life.Withdraw()])


def test_a_feed_is_given_up_when_it_is_refused_again_and_again() -> None:
    now, attempt = lost(), 1
    while now.tell(life.RetryFeed()).state is FeedState.NEGOTIATING:
        attempt += 1
        now.tell(life.LosePeer(attempt=attempt, is_refusal=True))
    assert (now.state, attempt) == (FeedState.FAILED, REFUSALS_MAX + 1)


def test_an_unreachable_host_is_asked_for_ever() -> None:
    now = lost()
    for attempt in range(2, 50):
        now.tell(life.RetryFeed()).tell(life.LosePeer(attempt=attempt))
    assert (now.state, now.data.losses) == (FeedState.WAITING, 49)


def test_a_peer_that_stayed_forgets_what_was_before() -> None:
    now = lost().tell(life.RetryFeed()).tell(life.LosePeer(attempt=2, is_refusal=True))
    now.tell(life.RetryFeed()).tell(life.NoteConnected(attempt=3)).tell(life.SettleFeed())
    assert (now.data.losses, now.data.refusals) == (0, 0)


def test_an_older_peer_says_nothing() -> None:
    now = lost().tell(life.RetryFeed())
    assert now.tell(life.LosePeer(attempt=1)).outcome is Outcome.IGNORED
    assert now.tell(life.NoteConnected(attempt=1)).state is FeedState.NEGOTIATING


def test_a_view_of_a_stream_that_is_gone_waits_for_its_return() -> None:
    now = live().tell(life.NoteAbsent())
    assert (now.state, now.asked) == (FeedState.PARKED, [life.DropPeer(1)])
    assert now.tell(life.NotePresent()).asked == [life.Negotiate(2)]


def test_a_view_that_waits_for_its_delay_takes_the_return_at_once() -> None:
    assert lost().tell(life.NotePresent()).asked == [life.Negotiate(2)]


def test_a_view_whose_stream_goes_before_it_was_live_has_failed() -> None:
    now = Life().tell(life.OpenFeed()).tell(life.NoteAbsent())
    assert (now.state, now.data.reason) == (FeedState.FAILED, "the stream is not published any more")


def test_what_the_host_has_forgotten_is_negotiated_again() -> None:
    assert live().tell(life.NoteForgotten()).asked == [life.Negotiate(2)]


def test_a_peer_that_does_not_connect_in_time_is_dropped() -> None:
    now = Life().tell(life.OpenFeed()).tell(life.NoteAnswered(attempt=1))
    assert now.tell(life.ExpireConnecting()).asked == [life.DropPeer(1)]
    assert now.state is FeedState.CONNECTING


def test_closing_is_final() -> None:
    now = live().tell(life.CloseFeed())
    assert (now.state, now.asked) == (FeedState.CLOSED, [life.DropPeer(1)])
    assert now.tell(life.NotePresent()).outcome is Outcome.IGNORED
