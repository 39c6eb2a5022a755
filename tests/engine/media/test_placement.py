"""Where peers are put, and that nothing is remembered of those who have gone."""

from collections.abc import Sequence

import pytest

from engine.media import protocol as p
from engine.media.placement import Loss, Placement, Seat
from tests.engine.media.rigs import play, publish, view


def placement(workers: int = 2) -> Placement:
    made = Placement()
    for worker in range(workers):
        made.add_worker(worker)
    return made


def take(
    where: Placement,
    request: p.Publish | p.View | p.FramePeerRequest,
    *,
    taken: bool = True,
    refused: Sequence[int] = (),
) -> Seat:
    seat = where.seat(request, refused)
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


def test_a_peer_that_is_asked_for_anew_while_it_closes_keeps_its_seat() -> None:
    where = placement()
    take(where, publish())
    seat = where.seat(publish())
    assert seat is not None
    where.closed("ann")
    assert where.worker_of("ann") == 0
    where.settle("ann", seat, taken=True)
    assert take(where, view()).worker == 0
    where.closed("ann")
    where.closed("ann")
    assert where.worker_of("ann") is None


def test_a_peer_that_is_asked_for_anew_while_it_closes_may_be_refused() -> None:
    where = placement()
    take(where, publish())
    seat = where.seat(publish())
    assert seat is not None
    where.closed("ann")
    where.settle("ann", seat, taken=False)
    assert where.worker_of("ann") is None
    with pytest.raises(p.UnknownStreamError):
        where.seat(view())


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
    assert where.remove_worker(0).peer_ids == ("ann", "eve")
    assert where.remove_worker(0) == Loss()
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


# -- cascades


def crowded(limit: int = 2, workers: int = 3) -> Placement:
    """A stream on worker 0 and room for `limit` viewers a worker."""
    made = Placement(limit)
    for worker in range(workers):
        made.add_worker(worker)
    take(made, publish())
    return made


def viewers(where: Placement, *names: str) -> list[int]:
    return [take(where, view(name)).worker for name in names]


def test_viewers_beyond_the_limit_go_to_another_worker_and_then_to_the_next() -> None:
    where = crowded()
    assert viewers(where, *"abcdef") == [0, 0, 1, 1, 2, 2]
    assert (where.homes_count("ann"), where.homes_count("f"), where.cascades_count) == (3, 3, 2)


def test_a_stream_is_carried_to_a_worker_once() -> None:
    where = crowded(limit=1, workers=2)
    first, second, third = (take(where, view(name)) for name in "abc")
    assert first.cascade is None
    cascade = second.cascade
    assert cascade is not None
    assert (cascade.stream_id, cascade.home, cascade.far, cascade.viewers) == ("stream", 0, 1, 1)
    # All are full, so the fewest viewers decide, and of equals the home.
    assert (third.worker, third.cascade) == (0, None)
    assert take(where, view("d")).cascade is cascade
    assert cascade.viewers == 2


def test_all_full_workers_still_share() -> None:
    assert viewers(crowded(limit=1), *"abcdefghi") == [0, 1, 2, 0, 1, 2, 0, 1, 2]


def test_a_worker_is_full_by_its_viewers_of_all_streams() -> None:
    where = crowded(limit=1, workers=2)
    take(where, publish("bob", "second"))
    take(where, publish("eve", "third"))
    assert take(where, view("a")).worker == 0
    assert take(where, view("b", "third")).worker == 1
    assert where.homes_count("eve") == 2
    assert where.homes_count("bob") == 1


def test_publishers_take_no_viewer_s_room() -> None:
    where = crowded(limit=1, workers=1)
    take(where, publish("bob", "second"))
    assert viewers(where, "a", "b") == [0, 0]
    assert where.cascades_count == 0


def test_a_home_that_takes_nobody_is_passed_over() -> None:
    where = crowded()
    where.measured(0, cpu_fraction=0.9, accepting=False)
    assert viewers(where, "a", "b") == [1, 1]
    where.measured(1, cpu_fraction=0.9, accepting=False)
    assert viewers(where, "c") == [2]
    where.measured(2, cpu_fraction=0.9, accepting=False)
    # Nobody takes it, and the home is who says so.
    assert viewers(where, "d") == [0]
    where.measured(0, cpu_fraction=0.1, accepting=True)
    assert viewers(where, "e") == [0]


def test_a_viewer_is_carried_to_the_idlest_of_the_others() -> None:
    where = crowded(limit=1)
    where.measured(1, cpu_fraction=0.5, accepting=True)
    assert viewers(where, "a", "b") == [0, 2]


def test_whoever_refuses_is_not_asked_again() -> None:
    where = crowded(workers=2)
    refused = [0]
    assert where.has_another(view("a"), refused)
    seat = where.seat(view("a"), refused)
    assert seat is not None
    assert seat.worker == 1
    where.settle("a", seat, taken=False)
    refused.append(1)
    assert not where.has_another(view("a"), refused)
    assert take(where, publish("bob", "second")).worker == 1


def test_who_is_somewhere_stays_there() -> None:
    where = crowded(workers=2)
    take(where, view("a"))
    assert not where.has_another(view("a"), [0])
    assert not where.has_another(publish("second"), [0])
    assert where.has_another(publish("bob", "another"), [0])
    seat = where.seat(publish("bob", "another"), [1])
    assert seat is not None
    assert seat.worker == 0


def test_a_cascade_without_viewers_is_told_once_each_time_and_new_viewers_go_home() -> None:
    where = crowded(limit=1, workers=2)
    viewers(where, "a")
    cascade = take(where, view("b")).cascade
    assert cascade is not None
    assert where.forget("a") == ()
    assert where.forget("b") == (cascade,)
    assert where.forget("b") == ()
    assert (cascade.ended, where.homes_count("ann")) == (None, 2)
    assert viewers(where, "c") == [0]
    # It is not over yet, so it is used again.
    assert take(where, view("d")).cascade is cascade
    assert where.forget("d") == (cascade,)
    where.end(cascade, p.CloseReason.REQUESTED)
    where.end(cascade, p.CloseReason.LOST)
    assert (cascade.ended, where.homes_count("ann")) == (p.CloseReason.REQUESTED, 1)
    again = take(where, view("e")).cascade
    assert again is not None
    assert again.number > cascade.number


def test_a_viewer_that_was_refused_leaves_its_cascade() -> None:
    where = crowded(limit=1, workers=2)
    viewers(where, "a")
    seat = where.seat(view("b"))
    assert seat is not None
    assert seat.cascade is not None
    assert where.settle("b", seat, taken=False) == (seat.cascade,)


def test_with_its_stream_a_cascade_ends_and_its_viewers_are_forgotten_in_peace() -> None:
    where = crowded(limit=1, workers=2)
    viewers(where, "a")
    cascade = take(where, view("b")).cascade
    assert cascade is not None
    assert where.forget("ann") == (cascade,)
    assert cascade.ended is p.CloseReason.SOURCE_ENDED
    assert (where.homes_count("b"), where.homes_count("nobody")) == (0, 0)
    # The stream may begin again before they have heard of its end.
    take(where, publish())
    assert where.forget("b") == (cascade,)
    assert where.homes_count("ann") == 1


def test_a_publisher_who_closes_takes_cascades_along_even_when_another_one_asks() -> None:
    where = crowded(limit=1, workers=2)
    viewers(where, "a")
    cascade = take(where, view("b")).cascade
    assert cascade is not None
    second = where.seat(publish("second"))
    assert second is not None
    assert where.closed("ann") == (cascade,)
    assert cascade.ended is p.CloseReason.SOURCE_ENDED
    where.settle("second", second, taken=True)
    assert where.closed("b") == (cascade,)
    again = take(where, view("c")).cascade
    assert again is not None
    assert again is not cascade


def test_a_worker_that_dies_ends_the_cascades_from_it_and_to_it() -> None:
    where = crowded(workers=2)
    take(where, publish("bob", "second"))
    from_0 = take(where, view("a"), refused=[0]).cascade
    to_0 = take(where, view("b", "second"), refused=[1]).cascade
    assert from_0 is not None
    assert to_0 is not None
    assert (from_0.home, from_0.far, to_0.home, to_0.far) == (0, 1, 1, 0)
    loss = where.remove_worker(0)
    assert loss.peer_ids == ("ann", "b")
    assert set(loss.cascades) == {from_0, to_0}
    assert (from_0.ended, to_0.ended) == (p.CloseReason.WORKER_GONE, p.CloseReason.WORKER_GONE)
    assert where.worker_of("a") == 1
    assert where.homes_count("bob") == 1
    with pytest.raises(p.UnknownStreamError):
        where.seat(view("eve"))


# -- rooms


def of_room(number: int, room: str | None = "r") -> p.Publish:
    return p.Publish(stream_id=f"{room}-{number}", peer_id=f"{room}-pub-{number}", sdp_offer="", room=room)


def test_streams_of_a_room_are_on_one_worker_and_rooms_are_spread() -> None:
    where = placement(3)
    homes = [[take(where, of_room(n, room)).worker for room in ("r", "s", "t")] for n in range(4)]
    assert homes == [[0, 1, 2]] * 4
    # Without a room, as ever: all have as many.
    assert [take(where, of_room(n, None)).worker for n in range(3)] == [0, 1, 2]


def test_a_room_that_outgrows_its_worker_goes_on_on_a_second_one() -> None:
    where = Placement(2)
    for worker in range(3):
        where.add_worker(worker)
    assert [take(where, of_room(n)).worker for n in range(2)] == [0, 0]
    seats = [take(where, view(f"v-{n}", f"r-{n % 2}")).worker for n in range(4)]
    assert seats == [0, 0, 1, 1]
    assert where.cascades_count == 2
    # Both are full now; what is published next has its viewers with it.
    assert take(where, of_room(2)).worker == 2
    assert take(where, view("v-4", "r-2")).worker == 2


def test_a_viewer_whose_stream_has_no_room_goes_where_others_of_the_room_are() -> None:
    where = Placement(1)
    for worker in range(4):
        where.add_worker(worker)
    take(where, of_room(0))
    take(where, of_room(1))
    take(where, view("a", "r-0"))
    assert take(where, view("b", "r-0")).worker == 1
    where.forget("b")
    # Worker 1 still has the stream, and now more to do than 2 and 3.
    assert take(where, publish("eve", "other")).worker == 1
    assert take(where, view("c", "r-1")).worker == 1


def test_a_worker_of_the_room_that_takes_nobody_or_has_refused_is_passed_over() -> None:
    where = placement(3)
    take(where, of_room(0))
    assert take(where, of_room(1), refused=[0]).worker == 1
    take(where, of_room(2), refused=[0])
    # Most of it is on 1 now.
    assert take(where, of_room(3)).worker == 1
    where.measured(1, cpu_fraction=0.9, accepting=False)
    assert take(where, of_room(4)).worker == 0
    where.measured(0, cpu_fraction=0.9, accepting=False)
    assert take(where, of_room(5)).worker == 2


def test_a_stream_keeps_its_worker_and_its_room_whatever_is_said_later() -> None:
    where = placement()
    first = take(where, of_room(0))
    take(where, publish("bob", "other"))
    again = p.Publish(stream_id="r-0", peer_id="r-pub-0", sdp_offer="", room="another")
    assert take(where, again) is first
    assert take(where, of_room(1)).worker == 0


def test_nothing_is_remembered_of_a_room_whose_streams_have_ended() -> None:
    where = placement()
    take(where, of_room(0))
    take(where, of_room(1))
    take(where, of_room(0, "s"))
    where.forget("r-pub-0")
    assert take(where, of_room(2)).worker == 0
    where.remove_worker(0)
    where.forget("s-pub-0")
    assert where._rooms == {}
    assert where._streams == {}


# -- peers with frames


def test_a_peer_with_frames_is_of_no_stream_and_goes_where_the_fewest_are() -> None:
    where = placement()
    take(where, publish("pub", "s"))
    take(where, view("view", "s"))
    assert [take(where, play(f"bot-{n}")).worker for n in range(3)] == [1, 1, 0]
    where.forget("bot-0")
    assert take(where, play("bot-3")).worker == 1
    assert where.worker_of("bot-0") is None
    assert where.homes_count("bot-1") == 0
    assert where.remove_worker(1) == Loss(("bot-1", "bot-3"))


def test_without_workers_there_is_no_seat_for_a_peer_with_frames() -> None:
    assert placement(0).seat(play()) is None


def test_a_peer_with_frames_takes_no_viewer_s_room() -> None:
    where = crowded(limit=1, workers=1)
    take(where, play("bot"))
    take(where, publish("pub", "s"))
    assert take(where, view("view", "s")).worker == 0


def test_a_peer_with_frames_that_one_worker_refuses_may_go_to_another() -> None:
    where = placement()
    assert where.has_another(play(), [0])
    assert take(where, play(), refused=[0]).worker == 1
    assert not where.has_another(play(), [0])
