"""Where peers are put, and that nothing is remembered of those who have gone."""

import pytest

from engine.media import protocol as p
from engine.media.placement import Placement, Seat
from tests.engine.media.rigs import publish, view


def placement(workers: int = 2) -> Placement:
    made = Placement()
    for worker in range(workers):
        made.add_worker(worker)
    return made


def take(where: Placement, request: p.Publish | p.View, *, taken: bool = True) -> Seat:
    seat = where.seat(request)
    assert seat is not None
    where.settle(request.peer_id, seat, taken=taken)
    return seat


def test_without_workers_there_is_no_seat() -> None:
    assert placement(0).seat(publish()) is None
    assert placement(0).worker_of("ann") is None


def test_publishers_are_spread() -> None:
    where = placement()
    workers = [take(where, publish(f"peer-{n}", f"stream-{n}")).worker for n in range(4)]
    assert workers == [0, 1, 0, 1]


def test_of_workers_with_as_many_peers_the_idler_one_is_taken() -> None:
    where = placement()
    where.measured(0, cpu_fraction=0.5, accepting=True)
    assert take(where, publish()).worker == 1


def test_a_worker_that_takes_nobody_is_the_last_resort() -> None:
    where = placement()
    where.measured(0, cpu_fraction=0.0, accepting=False)
    assert [take(where, publish(f"p-{n}", f"s-{n}")).worker for n in range(3)] == [1, 1, 1]
    where.measured(1, cpu_fraction=0.0, accepting=False)
    assert take(where, publish("ann", "s")).worker == 0
    where.measured(7, cpu_fraction=0.0, accepting=True)
    assert where.workers == (0, 1)


def test_viewers_go_to_their_stream_and_so_does_a_second_publisher() -> None:
    where = placement()
    take(where, publish("eve", "another"))
    home = take(where, publish()).worker
    assert [take(where, view(f"viewer-{n}")).worker for n in range(5)] == [home] * 5
    assert take(where, publish("second")).worker == home


def test_a_stream_that_nobody_publishes_has_no_viewers() -> None:
    with pytest.raises(p.UnknownStreamError):
        placement().seat(view())


def test_a_stream_ends_with_its_last_publisher() -> None:
    where = placement()
    take(where, publish("first"))
    take(where, publish("second"))
    where.forget("first")
    take(where, view())
    where.forget("second")
    with pytest.raises(p.UnknownStreamError):
        where.seat(view("eve"))
    assert where.worker_of("bob") == 0


def test_a_peer_keeps_its_seat() -> None:
    where = placement()
    first = take(where, publish())
    assert take(where, publish()) is first
    assert take(where, publish(stream_id="another")) is first


def test_a_seat_that_was_refused_is_free_again() -> None:
    where = placement()
    take(where, publish(), taken=False)
    assert where.worker_of("ann") is None
    with pytest.raises(p.UnknownStreamError):
        where.seat(view())
    assert take(where, publish("bob", "another")).worker == 0


def test_a_seat_is_free_when_the_last_who_asked_is_refused() -> None:
    where = placement()
    first, second = where.seat(publish()), where.seat(publish())
    assert first is second
    assert first is not None
    where.settle("ann", first, taken=False)
    assert where.worker_of("ann") == 0
    where.settle("ann", first, taken=False)
    assert where.worker_of("ann") is None


def test_a_refused_repetition_does_not_take_the_seat_away() -> None:
    where = placement()
    take(where, publish())
    take(where, publish(), taken=False)
    assert where.worker_of("ann") == 0


def test_a_peer_that_closed_before_its_answer_stays_gone() -> None:
    where = placement()
    seat = where.seat(publish())
    assert seat is not None
    where.forget("ann")
    where.settle("ann", seat, taken=True)
    assert where.worker_of("ann") is None


def test_an_old_answer_does_not_free_a_new_seat() -> None:
    where = placement()
    old = where.seat(publish())
    assert old is not None
    where.forget("ann")
    take(where, publish())
    where.settle("ann", old, taken=False)
    assert where.worker_of("ann") is not None


def test_with_a_worker_go_its_peers_and_streams() -> None:
    where = placement()
    take(where, publish("ann", "first"))
    take(where, publish("bob", "second"))
    take(where, view("eve", "first"))
    assert where.remove_worker(0) == ("ann", "eve")
    assert where.remove_worker(0) == ()
    assert where.workers == (1,)
    with pytest.raises(p.UnknownStreamError):
        where.seat(view("eve", "first"))
    assert take(where, publish("ann", "first")).worker == 1


def test_forgetting_makes_room() -> None:
    where = placement()
    take(where, publish("ann", "first"))
    take(where, publish("bob", "second"))
    where.forget("bob")
    where.forget("bob")
    assert take(where, publish("eve", "third")).worker == 1
