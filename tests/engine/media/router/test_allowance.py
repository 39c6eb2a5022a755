"""Token buckets."""

from engine.media.router.allowance import Allowance, Allowances


def test_a_burst_ends_and_comes_back_with_time() -> None:
    allowance = Allowance(2, 4.0)
    assert [allowance.take(100.0) for _ in range(3)] == [True, True, False]
    assert [allowance.take(100.25), allowance.take(100.25)] == [True, False]


def test_patience_does_not_save_up_beyond_a_burst() -> None:
    allowance = Allowance(2, 10.0)
    assert [allowance.take(1000.0) for _ in range(3)] == [True, True, False]


def test_one_name_does_not_use_anothers_allowance() -> None:
    allowances = Allowances(1, 0.0)
    assert [allowances.take(name, 1.0) for name in ("ann", "ann", "bob")] == [True, False, True]


def test_the_name_that_was_quiet_longest_is_forgotten() -> None:
    allowances = Allowances(1, 0.0, names_max=2)
    for name in ("ann", "bob", "ann", "eve"):
        allowances.take(name, 1.0)
    assert not allowances.take("ann", 1.0)
    assert allowances.take("bob", 1.0)
