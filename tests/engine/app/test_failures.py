"""How often a wrong secret may be tried, on both sides of each limit."""

import attrs
import pytest

from engine.app.failures import Failures


@attrs.define
class Clock:
    """Set by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def failures(clock: Clock, *, failures_max: int = 3, keys_max: int = 10) -> Failures:
    return Failures(failures_max=failures_max, seconds=60.0, clock=clock, keys_max=keys_max)


def noted(table: Failures, clock: Clock, *at: float, client: str = "desk", peer: str = "p") -> None:
    for time in at:
        clock.now = time
        table.note(client, peer)


def test_who_has_never_failed_need_not_wait() -> None:
    assert failures(Clock()).seconds_to_wait("desk", "p") == 0


def test_one_failure_below_the_limit_is_nothing_and_at_the_limit_one_waits() -> None:
    clock = Clock()
    table = failures(clock)
    noted(table, clock, 1000, 1001)
    assert table.seconds_to_wait("desk", "p") == 0
    noted(table, clock, 1002)
    assert table.seconds_to_wait("desk", "p") == 58


@pytest.mark.parametrize(
    ("now", "seconds"), [(1002, 58), (1002.5, 58), (1059, 1), (1059.999, 1), (1060, 0), (2000, 0)]
)
def test_one_waits_until_the_oldest_of_the_failures_is_a_minute_old(now: float, seconds: int) -> None:
    clock = Clock()
    table = failures(clock)
    noted(table, clock, 1000, 1001, 1002)
    clock.now = now
    assert table.seconds_to_wait("desk", "p") == seconds


def test_after_the_wait_one_more_failure_is_one_more_wait() -> None:
    clock = Clock()
    table = failures(clock)
    noted(table, clock, 1000, 1001, 1002, 1060)
    assert table.seconds_to_wait("desk", "p") == 1
    clock.now = 1061
    assert table.seconds_to_wait("desk", "p") == 0


@pytest.mark.parametrize(("client", "peer"), [("hall", "p"), ("desk", "q"), ("d", "eskp"), ("deskp", "")])
def test_only_the_same_client_id_from_the_same_address_waits(client: str, peer: str) -> None:
    clock = Clock()
    table = failures(clock)
    noted(table, clock, 1000, 1000, 1000)
    assert table.seconds_to_wait("desk", "p") == 60
    assert table.seconds_to_wait(client, peer) == 0


def test_a_clock_that_is_set_back_blocks_nobody() -> None:
    clock = Clock()
    table = failures(clock)
    noted(table, clock, 9000, 9000, 9000)
    clock.now = 1000
    assert table.seconds_to_wait("desk", "p") == 0


def test_the_table_is_bounded_and_forgets_who_failed_longest_ago() -> None:
    clock = Clock()
    table = failures(clock, failures_max=1, keys_max=2)
    noted(table, clock, 1000, client="a")
    noted(table, clock, 1001, client="b")
    noted(table, clock, 1002, client="a")
    assert len(table) == 2
    noted(table, clock, 1003, client="c")
    assert len(table) == 2
    assert [bool(table.seconds_to_wait(one, "p")) for one in "abc"] == [True, False, True]


def test_a_table_under_attack_stays_at_its_limit() -> None:
    clock = Clock()
    table = Failures(failures_max=10, seconds=60.0, clock=clock)
    for number in range(10_500):
        table.note(f"client {number}", "p")
    assert len(table) == 10_000


def test_old_failures_are_forgotten_when_others_fail() -> None:
    clock = Clock()
    table = failures(clock)
    noted(table, clock, 1000, client="a")
    noted(table, clock, 1001, client="b")
    noted(table, clock, 1060, client="c")
    assert len(table) == 2


def test_a_client_id_of_any_length_takes_the_same_memory_and_any_text_is_one() -> None:
    clock = Clock()
    table = failures(clock, failures_max=1)
    for client in ("x" * 1_000_000, "\ud800", "\x00", ""):
        noted(table, clock, 1000, client=client)
        assert table.seconds_to_wait(client, "p") == 60
    assert {len(digest) for digest, _ in table._times} == {32}
