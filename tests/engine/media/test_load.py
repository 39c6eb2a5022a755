"""When a worker is overloaded."""

from engine.media.frames import Limits
from engine.media.load import SAMPLES, Gauge

LIMITS = Limits(lag_max_milliseconds=20, cpu_max_fraction=0.7)


def gauge_with(*lags: float) -> Gauge:
    gauge = Gauge(LIMITS)
    for lag in lags:
        gauge.note_lag(lag)
    return gauge


def test_without_samples_there_is_no_lag() -> None:
    assert gauge_with().lag_milliseconds == 0
    assert not gauge_with().judge(0.0)


def test_one_late_turn_in_a_hundred_is_forgiven() -> None:
    assert gauge_with(*[1.0] * 99, 500.0).lag_milliseconds == 1.0
    assert gauge_with(*[1.0] * 98, 400.0, 500.0).lag_milliseconds == 400.0


def test_only_the_last_hundred_count() -> None:
    assert gauge_with(*[500.0] * SAMPLES, *[1.0] * SAMPLES).lag_milliseconds == 1.0


def test_being_early_is_not_lag() -> None:
    assert gauge_with(-3.0, -3.0).lag_milliseconds == 0.0


def test_each_limit_alone_overloads_above_it_and_not_at_it() -> None:
    assert not gauge_with(20.0, 20.0).judge(0.7)
    assert gauge_with(20.1, 20.1).judge(0.0)
    assert gauge_with().judge(0.71)


def test_becoming_overloaded_is_told_once() -> None:
    gauge = gauge_with()
    assert gauge.judge(0.9)
    assert not gauge.judge(0.9)
    assert gauge.overloaded


def test_relief_comes_well_below_the_limit() -> None:
    gauge = gauge_with()
    gauge.judge(0.9)
    assert not gauge.judge(0.6)
    assert gauge.overloaded
    gauge.judge(0.48)
    assert not gauge.overloaded
    assert gauge.judge(0.8)
