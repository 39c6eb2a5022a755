"""When missing packets are asked for again, and given up."""

from engine.media.router.missing import GAP_MAX, MISSING_MAX, TRIES_MAX, Missing


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


def test_it_is_asked_again_after_a_while_and_not_before() -> None:
    missing = Missing()
    missing.gap(1, 3, 0.0)
    asked = [bool(missing.due(tick * 0.02)[0]) for tick in range(5)]
    assert asked == [True, False, True, False, True]


def test_it_is_given_up_after_the_last_try() -> None:
    missing = Missing()
    missing.gap(1, 3, 0.0)
    for tick in range(TRIES_MAX):
        assert missing.due(tick * 0.05) == ([2], 0)
    assert missing.due(TRIES_MAX * 0.05) == ([], 1)
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
