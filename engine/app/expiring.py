"""Values that are good for a while, and only so many of them."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """The values last used, each until its time; the one used longest ago makes room."""

    def __init__(self, clock: Callable[[], float], maximum: int) -> None:
        self._clock = clock
        self._maximum = maximum
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """The value, if its time is not over."""
        kept = self._kept.get(key)
        if kept is None or self._clock() >= kept[0]:
            return None
        self._kept.move_to_end(key)
        return kept[1]

    def put(self, key: K, value: V, until: float) -> None:
        """Keep a value until the clock says `until`."""
        self._kept[key] = (until, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._maximum:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
