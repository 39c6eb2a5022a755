"""Answers kept for a while, so that a request sent again by its `event.id` is answered and not done again."""

from collections import OrderedDict
from collections.abc import Callable

import attrs

KEPT_MAX = 64
KEPT_SECONDS = 300.0
"""Answers kept for one device ("sibling text": the last requests of each client device)."""

DEVICES_MAX = 10_000
"""Devices for which answers are kept; the one that asked longest ago is forgotten first."""


@attrs.define(eq=False)
class Kept:
    """One request of a device and, once there is one, its answer."""

    body: bytes
    """Digest of type and data."""
    at: float
    answer: str | None = attrs.field(default=None, repr=False)


class KeptOfDevice:
    """The last requests of one device."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_id: OrderedDict[str, Kept] = OrderedDict()

    def get(self, event_id: str) -> Kept | None:
        """The request with this id, unless it is too old."""
        self._forget_old()
        return self._by_id.get(event_id)

    def begin(self, event_id: str, body: bytes) -> None:
        """A request is taken in hand."""
        self._by_id[event_id] = Kept(body, self._clock())
        if len(self._by_id) > KEPT_MAX:
            self._by_id.popitem(last=False)

    def end(self, event_id: str, answer: str | None) -> None:
        """It is answered; None forgets it, so that it may be tried again."""
        kept = self._by_id.get(event_id)
        if kept is None:
            return
        if answer is None:
            del self._by_id[event_id]
        else:
            kept.answer = answer

    def _forget_old(self) -> None:
        horizon = self._clock() - KEPT_SECONDS
        while self._by_id and next(iter(self._by_id.values())).at < horizon:
            self._by_id.popitem(last=False)


class KeptAnswers:
    """The kept answers of all devices; they outlive the devices' sockets."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._devices: OrderedDict[tuple[str, str], KeptOfDevice] = OrderedDict()

    def __len__(self) -> int:
        return len(self._devices)

    def of(self, user: str, device: str) -> KeptOfDevice:
        """What is kept for a device that asks now."""
        kept = self._devices.get((user, device))
        if kept is None:
            kept = self._devices[user, device] = KeptOfDevice(self._clock)
            if len(self._devices) > DEVICES_MAX:
                self._devices.popitem(last=False)
        else:
            self._devices.move_to_end((user, device))
        return kept
