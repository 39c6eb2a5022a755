"""Values that are good for a while, on both sides of each limit."""

import attrs

from engine.app.expiring import Expiring


@attrs.define
class Clock:
    """Set by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_value_is_kept_until_its_time_and_not_at_it() -> None:
    clock = Clock()
    kept: Expiring[str, int] = Expiring(clock, 10)
    kept.put("ann", 1, 105.0)
    clock.now = 104.9
    assert kept.get("ann") == 1
    clock.now = 105.0
    assert kept.get("ann") is None


def test_the_value_used_longest_ago_makes_room() -> None:
    kept: Expiring[str, int] = Expiring(Clock(), 2)
    for number, name in enumerate(("ann", "bob")):
        kept.put(name, number, 200.0)
    kept.get("ann")
    kept.put("eve", 2, 200.0)
    assert ([kept.get(name) for name in ("ann", "bob", "eve")], len(kept)) == ([0, None, 2], 2)


def test_a_value_that_is_put_again_has_its_new_time() -> None:
    clock = Clock()
    kept: Expiring[str, int] = Expiring(clock, 2)
    kept.put("ann", 1, 101.0)
    kept.put("ann", 2, 103.0)
    clock.now = 102.0
    assert (kept.get("ann"), len(kept)) == (2, 1)
    kept.clear()
    assert (kept.get("ann"), len(kept)) == (None, 0)
