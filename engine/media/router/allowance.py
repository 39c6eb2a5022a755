"""How often something may happen: token buckets, one by itself or one for each of many names."""

from collections import OrderedDict

import attrs


@attrs.define
class Allowance:
    """`at_once` may happen in a burst, and `per_second` in the long run."""

    at_once: float
    per_second: float
    _left: float = attrs.field(init=False)
    _at: float = attrs.field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        self._left = self.at_once

    def take(self, now: float) -> bool:
        """Whether it may happen once more, and if so, that it does."""
        self._left = min(self.at_once, self._left + (now - self._at) * self.per_second)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


@attrs.define
class Allowances:
    """An allowance for each name; the name that was quiet longest is forgotten when there are too many."""

    at_once: float
    per_second: float
    names_max: int = 4096
    _by_name: OrderedDict[str, Allowance] = attrs.field(init=False, factory=OrderedDict)

    def take(self, name: str, now: float) -> bool:
        """Whether it may happen once more for `name`."""
        allowance = self._by_name.get(name)
        if allowance is None:
            allowance = self._by_name[name] = Allowance(self.at_once, self.per_second)
            if len(self._by_name) > self.names_max:
                self._by_name.popitem(last=False)
        self._by_name.move_to_end(name)
        return allowance.take(now)
