"""The life of a client's seat: its table, step by step, and the laws of every table."""

import random
from typing import Self

import pytest

from engine.machine.check import check_table
from engine.machine.laws import breaches
from engine.machine.step import Outcome
from engine.vocabulary import Command, Event
from machines.conference import api
from machines.conference import wire_events as told
from machines.conference.client import session as life
from machines.conference.client.picture import Picture
from machines.conference.client.session import SESSION_TABLE, SessionLife, SessionState
from tests.machines.stepped import Stepped


def joined(version: int | None, endpoint: str = "bob-1") -> told.ConferenceEvent:
    """Somebody has joined."""
    return told.ConferenceJoinedEvent(conference_version=version, user_endpoint_id=endpoint, user_id="bob")


def left(version: int, endpoint: str) -> told.ConferenceEvent:
    """Somebody has left."""
    return told.ConferenceLeftEvent(conference_version=version, user_endpoint_id=endpoint)


def picture(version: int, *endpoints: str) -> Picture:
    """A conference with these endpoints."""
    return Picture(version=version, endpoints=dict.fromkeys(endpoints, "somebody"))


EVENTS = (
    joined(None),
    *(joined(version) for version in range(4)),
    *(left(version, "ann-1") for version in range(4)),
    *(told.ConferenceEndedEvent(conference_version=version) for version in range(4)),
)
ATTEMPTS = range(1, 5)
SAMPLES: dict[type[Command], tuple[Command, ...]] = {
    life.NoteJoined: tuple(life.NoteJoined(attempt=one) for one in ATTEMPTS),
    life.NotePicture: tuple(
        life.NotePicture(attempt=one, picture=picture(version, *endpoints))
        for one in ATTEMPTS
        for version in (0, 2)
        for endpoints in ((), ("ann-1",))
    ),
    life.NoteRefused: tuple(
        life.NoteRefused(attempt=one, status=status) for one in ATTEMPTS for status in (404, 422)
    ),
    life.LoseHost: tuple(life.LoseHost(attempt=one, delay_seconds=1.0) for one in ATTEMPTS),
    life.Hear: tuple(life.Hear(event) for event in EVENTS),
}


class Life(Stepped[SessionState, SessionLife]):
    """A seat's machine that is stepped by hand."""

    def __init__(self) -> None:
        super().__init__(SESSION_TABLE, "ann-1")

    def hear(self, *events: told.ConferenceEvent) -> Self:
        """Step once for each."""
        for event in events:
            self.tell(life.Hear(event))
        return self


def inside(version: int = 3) -> Life:
    """A seat that has joined and read the picture."""
    now = Life().tell(life.OpenSeat()).tell(life.NoteJoined(attempt=1))
    return now.tell(life.NotePicture(attempt=2, picture=picture(version, "ann-1")))


def test_the_table_has_no_fault() -> None:
    assert check_table(SESSION_TABLE) == ()


@pytest.mark.parametrize("seed", range(5))
def test_the_table_keeps_every_law(seed: int) -> None:
    assert breaches(SESSION_TABLE, SAMPLES, random.Random(seed).choice, 400) == ()


def test_the_seat_is_no_machine_of_the_journal() -> None:
    assert SESSION_TABLE not in [kind.table for kind in api.API.kinds]


def test_a_seat_joins_then_reads_then_is_inside() -> None:
    now = Life().tell(life.OpenSeat(give_up_seconds=60.0), at=10.0)
    assert (now.state, now.asked) == (SessionState.JOINING, [life.Join(1)])
    assert now.timers == {"GiveUp": 70.0}
    now.tell(life.NoteJoined(attempt=1))
    assert (now.state, now.asked) == (SessionState.RESUMING, [life.ReadPicture(2)])
    now.tell(life.NotePicture(attempt=2, picture=picture(3, "ann-1")))
    assert (now.state, now.asked) == (SessionState.INSIDE, [life.Follow(is_first=True, is_joined=True)])
    assert now.timers == {}


def test_the_next_event_is_delivered_and_counts() -> None:
    now = inside(3).hear(joined(3))
    assert now.asked == [life.Deliver(joined(3))]
    assert now.data.picture.version == 4
    assert now.data.picture.endpoints == {"ann-1": "somebody", "bob-1": "bob"}


def test_an_event_of_before_is_dropped() -> None:
    now = inside(3).hear(joined(2))
    assert (now.outcome, now.asked, now.data.picture.version) == (Outcome.IGNORED, [], 3)


def test_an_event_without_a_version_is_delivered_and_does_not_count() -> None:
    now = inside(3).hear(joined(None))
    assert now.asked == [life.Deliver(joined(None))]
    assert now.data.picture.version == 3


def test_after_a_gap_the_picture_is_read_again_and_followed_from_there() -> None:
    now = inside(3).hear(joined(5))
    assert (now.state, now.asked) == (SessionState.RESUMING, [life.ReadPicture(3)])
    assert now.hear(joined(6)).outcome is Outcome.IGNORED
    now.tell(life.NotePicture(attempt=3, picture=picture(7, "ann-1")))
    assert (now.state, now.asked) == (SessionState.INSIDE, [life.Follow(is_first=False, is_joined=False)])
    assert now.data.picture.version == 7


def test_a_picture_that_was_asked_for_before_is_not_taken() -> None:
    now = inside(3).tell(life.NoteDoubt()).tell(life.NoteDoubt())
    assert (now.state, now.asked) == (SessionState.RESUMING, [life.ReadPicture(4)])
    assert now.tell(life.NotePicture(attempt=3, picture=picture(9, "ann-1"))).outcome is Outcome.IGNORED


def test_an_endpoint_that_the_host_does_not_list_joins_again() -> None:
    now = inside(3).tell(life.NoteDoubt())
    now.tell(life.NotePicture(attempt=3, picture=picture(0)))
    assert (now.state, now.asked) == (SessionState.JOINING, [life.Join(4)])
    now.tell(life.NoteJoined(attempt=4))
    now.tell(life.NotePicture(attempt=5, picture=picture(1, "ann-1")))
    assert now.asked == [life.Follow(is_first=False, is_joined=True)]


def test_a_host_that_lists_nobody_is_believed_when_it_says_joined() -> None:
    now = Life().tell(life.OpenSeat()).tell(life.NoteJoined(attempt=1))
    assert now.tell(life.NotePicture(attempt=2, picture=picture(1))).state is SessionState.INSIDE


def test_a_seat_that_was_put_out_joins_again() -> None:
    now = inside(3).hear(left(3, "ann-1"))
    assert now.state is SessionState.JOINING
    assert now.asked == [life.Deliver(left(3, "ann-1")), life.Join(3)]


def test_who_else_leaves_is_only_heard() -> None:
    assert inside(3).hear(left(3, "bob-1")).state is SessionState.INSIDE


def test_joining_again_where_one_is_inside_is_joined() -> None:
    now = inside(3).hear(left(3, "ann-1")).tell(life.NoteRefused(attempt=3, status=422))
    assert (now.state, now.asked) == (SessionState.RESUMING, [life.ReadPicture(4)])


def test_joining_where_the_program_is_inside_already_is_refused() -> None:
    now = Life().tell(life.OpenSeat()).tell(life.NoteRefused(attempt=1, status=422, error="already_joined"))
    assert (now.state, now.data.status, now.data.error) == (SessionState.REFUSED, 422, "already_joined")


def test_a_host_that_is_not_reached_is_asked_again_after_the_delay() -> None:
    now = Life().tell(life.OpenSeat(give_up_seconds=60.0), at=10.0)
    now.tell(life.LoseHost(attempt=1, reason="gone", delay_seconds=2.0), at=11.0)
    assert now.timers == {"Retry": 13.0, "GiveUp": 70.0}
    assert now.tell(life.Retry()).asked == [life.Join(2)]


def test_who_was_inside_reads_before_it_joins_again() -> None:
    now = inside(3).tell(life.NoteDoubt()).tell(life.LoseHost(attempt=3))
    assert now.tell(life.Retry()).asked == [life.ReadPicture(4)]


def test_a_seat_that_was_not_inside_for_too_long_is_given_up() -> None:
    now = Life().tell(life.OpenSeat(give_up_seconds=60.0)).tell(life.LoseHost(attempt=1, reason="no route"))
    now.tell(life.GiveUp())
    assert now.state is SessionState.GIVEN_UP
    assert now.data.reason == "not inside for 60 seconds; last: no route"


def test_being_put_out_gives_the_whole_time_again() -> None:
    now = Life().tell(life.OpenSeat(give_up_seconds=60.0), at=10.0).tell(life.NoteJoined(attempt=1))
    now.tell(life.NotePicture(attempt=2, picture=picture(0, "ann-1")))
    now.tell(life.Hear(left(0, "ann-1")), at=100.0)
    assert now.timers == {"GiveUp": 160.0}


def test_the_end_of_the_conference_ends_the_seat() -> None:
    ended = told.ConferenceEndedEvent(conference_version=3, reason="done")
    now = inside(3).hear(ended)
    assert (now.state, now.asked, now.data.reason) == (SessionState.ENDED, [life.Deliver(ended)], "done")


def test_what_cannot_be_read_ends_the_seat() -> None:
    now = inside(3).tell(life.NoteFault(path="$.type", reason="is missing"))
    assert (now.state, now.data.path, now.data.reason) == (SessionState.FAULTY, "$.type", "is missing")


def test_leaving_is_final() -> None:
    now = inside(3).tell(life.LeaveSeat())
    assert now.state is SessionState.LEFT
    assert now.hear(left(3, "ann-1")).outcome is Outcome.IGNORED


def test_an_event_of_another_machine_changes_nothing() -> None:
    assert life.evolve(life.begin("ann-1"), Event()) == life.begin("ann-1")
