"""Events leave in order and in batches, and never more wait than may."""

from collections.abc import Callable

from engine.media import protocol as p
from engine.media.frames import Happened, events_of
from engine.media.outbox import BATCH_MAX, Outbox


class Loop:
    """Turns when it is told to."""

    def __init__(self, limit: int = 10) -> None:
        self.written: list[tuple[int, tuple[p.MediaEvent, ...]]] = []
        self._soon: list[Callable[[], None]] = []
        self.outbox = Outbox(self._write, self._soon.append, limit)

    def _write(self, frame: Happened) -> None:
        self.written.append((frame.number, events_of(frame)))

    def turn(self) -> int:
        """How many calls it made."""
        calls, self._soon[:] = tuple(self._soon), []
        for call in calls:
            call()
        return len(calls)


def event(number: int) -> p.PeerConnected:
    return p.PeerConnected(peer_id="ann", milliseconds=number)


def closed(peer_id: str) -> p.PeerClosed:
    return p.PeerClosed(peer_id=peer_id, reason=p.CloseReason.LOST)


def test_events_of_one_turn_are_one_frame() -> None:
    loop = Loop()
    for number in range(3):
        loop.outbox.put(event(number))
    assert loop.written == []
    assert loop.turn() == 1
    loop.outbox.put(event(3))
    loop.turn()
    assert loop.written == [(0, (event(0), event(1), event(2))), (3, (event(3),))]


def test_a_flush_leaves_nothing_for_the_turn() -> None:
    loop = Loop()
    loop.outbox.put(event(0))
    loop.outbox.flush()
    loop.turn()
    assert len(loop.written) == 1


def test_while_held_events_wait_and_leave_in_order_when_released() -> None:
    loop = Loop()
    loop.outbox.put(event(0))
    loop.outbox.hold()
    loop.turn()
    loop.outbox.put(event(1))
    assert loop.turn() == 0
    assert loop.written == []
    loop.outbox.release()
    loop.turn()
    assert loop.written == [(0, (event(0), event(1)))]


def test_releasing_without_events_does_nothing() -> None:
    loop = Loop()
    loop.outbox.release()
    assert loop.turn() == 0


def test_many_events_are_several_frames() -> None:
    loop = Loop(limit=10 * BATCH_MAX)
    for number in range(BATCH_MAX + 1):
        loop.outbox.put(event(number))
    loop.turn()
    assert [(number, len(events)) for number, events in loop.written] == [(0, BATCH_MAX), (BATCH_MAX, 1)]


def test_at_the_limit_nothing_is_lost_and_above_it_the_older_ones_are_counted() -> None:
    loop = Loop(limit=4)
    for number in range(4):
        loop.outbox.put(event(number))
    loop.turn()
    assert len(loop.written[0][1]) == 4
    for number in range(5):
        loop.outbox.put(event(number))
    loop.turn()
    assert loop.written[1] == (4, (p.EventsLost(count=4), event(4)))
    loop.outbox.put(event(5))
    loop.turn()
    assert loop.written[2] == (9, (event(5),))


def test_that_a_peer_is_closed_is_kept() -> None:
    loop = Loop(limit=4)
    for each in (event(0), closed("bob"), event(1), event(2), event(3), event(4), event(5)):
        loop.outbox.put(each)
    loop.turn()
    events = loop.written[0][1]
    assert events[0] == p.EventsLost(count=p.numbers_of(events[:1]))
    assert closed("bob") in events
    assert events[-1] == event(5)
    assert p.numbers_of(events) == 7


def test_even_closed_peers_are_dropped_when_there_are_too_many() -> None:
    loop = Loop(limit=4)
    for number in range(5):
        loop.outbox.put(closed(str(number)))
    loop.turn()
    assert loop.written == [(0, (p.EventsLost(count=4), closed("4")))]
