"""When missing packets are asked for again, and given up."""

import pytest

from engine.media.router.missing import GAP_MAX, GIVE_UP_SECONDS, MISSING_MAX, TRIES_MAX, Missing

TICK = 0.02


def ticks_asked(missing: Missing, until: int = 60) -> list[int]:
    """The ticks at which something is asked for."""
    return [tick for tick in range(until) if missing.due(tick * TICK)[0]]


def test_a_gap_is_asked_for_at_the_next_tick() -> None:
    missing = Missing()
    assert missing.gap(65534, 2, 0.0)
    assert missing.due(0.0) == ([65535, 0, 1], 0)


def test_what_came_is_not_asked_for() -> None:
    missing = Missing()
    missing.gap(1, 4, 0.0)
    assert missing.found(2)
    assert not missing.found(2)
    assert missing.due(0.0) == ([3], 0)


def test_a_new_gap_is_unasked_until_somebody_asks() -> None:
    missing = Missing()
    assert not missing.unasked
    missing.gap(1, 3, 0.0)
    assert missing.unasked
    missing.due(0.0)
    assert not missing.unasked


def test_it_is_asked_twice_in_a_row_and_then_in_the_rhythm_of_answers() -> None:
    missing = Missing()
    missing.gap(1, 3, 0.0)
    assert ticks_asked(missing) == [0, 1, 8, 15, 25, 40]
    assert (missing.given_up, missing.asked) == (1, 6)


@pytest.mark.parametrize(
    ("seconds", "ticks"), [(0.002, [0, 1, 2, 3, 5, 7, 10, 14]), (0.06, [0, 1, 5, 9, 15, 24, 37])]
)
def test_the_rhythm_is_that_of_answers_and_slows_down(seconds: float, ticks: list[int]) -> None:
    missing = Missing(round_trip_seconds=seconds)
    missing.gap(1, 3, 0.0)
    assert ticks_asked(missing) == ticks


def test_an_answer_tells_the_round_trip() -> None:
    missing = Missing()
    for number, (tries, seconds) in enumerate(((1, 0.08), (2, 0.16))):
        missing.gap(10 * number, 10 * number + 2, 0.0)
        for tick in range(tries):
            missing.due(tick * TICK)
        assert missing.answered(10 * number + 1, seconds)
    assert missing.round_trip_seconds == pytest.approx(0.08 + (0.16 - 0.08) / 8)


@pytest.mark.parametrize("tries", [0, 3])
def test_of_what_was_asked_for_more_often_or_never_no_answer_tells_it(tries: int) -> None:
    missing = Missing()
    missing.gap(1, 3, 0.0)
    for number in range(tries):
        missing.due(0.3 * number)
    assert missing.answered(2, 0.9)
    assert not missing.answered(2, 0.9)
    assert missing.round_trip_seconds is None


def test_it_is_given_up_after_the_last_try() -> None:
    missing = Missing(round_trip_seconds=0.0)
    missing.gap(1, 3, 0.0)
    asked = ticks_asked(missing)
    assert len(asked) == TRIES_MAX
    assert asked[-1] * TICK < GIVE_UP_SECONDS / 2
    assert (len(missing), missing.given_up, missing.asked) == (0, 1, TRIES_MAX)


def test_it_is_given_up_when_it_is_too_old() -> None:
    missing = Missing()
    missing.gap(1, 3, 0.0)
    assert missing.due(1.5) == ([], 1)


def test_a_gap_at_the_limit_is_filled_and_one_above_is_not() -> None:
    missing = Missing()
    assert missing.gap(0, GAP_MAX + 1, 0.0)
    assert not Missing().gap(0, GAP_MAX + 2, 0.0)


def test_no_more_than_the_limit_is_missed_at_once() -> None:
    missing = Missing()
    gaps = [missing.gap(number * 300, number * 300 + GAP_MAX, 0.0) for number in range(3)]
    assert gaps == [True, True, False]
    assert len(missing) <= MISSING_MAX


def test_nothing_is_missed_after_the_numbers_begin_anew() -> None:
    missing = Missing()
    missing.gap(1, 4, 0.0)
    missing.clear()
    assert missing.due(0.0) == ([], 0)
    assert missing.given_up == 2
