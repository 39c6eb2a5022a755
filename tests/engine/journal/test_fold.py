"""Streams folded back: they are what they were when they were live."""

import random

import attrs
import msgspec
import pytest

from engine.codec.records import RecordCodec
from engine.errors import JournalCorruptError
from engine.journal.fold import answer_again, ask_again, episodes, fold
from engine.journal.port import Loaded, StoredEvent
from engine.machine.family import Family, Kind, StreamState, TimerMoved
from engine.vocabulary import Address, Command
from tests.engine.journal import lift
from tests.engine.journal.lift import CAR, Book, Call, Look, Nag, Open, Opened
from tests.engine.runtime import doorbell as d

STREAM = str(CAR)
FRONT, BOARD = Address(d.BELL, "front"), Address(d.BOARD, "hall")
SEEDS = range(12)


def assert_folds(book: Book) -> None:
    """From the first event and from every snapshot on, the fold is the live state."""
    for stream, live in book.live.items():
        if stream not in book.snapshots:
            continue
        expected = StreamState(live.version, live.members, live.seen)
        assert fold(book.family, book.codec, stream, book.whole(stream)) == expected
        for at in range(0, len(book.snapshots[stream]), 3):
            assert fold(book.family, book.codec, stream, book.short(stream, at)) == expected


def opened() -> Book:
    book = Book()
    book.send(CAR, Open())
    book.now += 2
    book.send(CAR, Opened(), timer="opened")
    return book


def test_commands_deferred_over_several_states_come_out_where_they_were_done() -> None:
    book = Book()
    book.send(CAR, Open())
    for floor in (3, 4, 5):
        book.send(CAR, Call(floor))
    assert_folds(book)
    book.now += 2
    book.send(CAR, Opened(), timer="opened")
    snapshot = book.live[STREAM].members[CAR]
    assert (snapshot.state, snapshot.data.floor, snapshot.deferred) == (lift.S.CLOSED, 5, ())
    assert_folds(book)


def test_of_two_timers_with_one_command_only_the_one_that_fired_is_gone() -> None:
    book = opened()
    book.now += 6
    book.send(CAR, Nag(), timer="first")
    assert [timer.name for timer in book.live[STREAM].members[CAR].timers] == ["second", "look"]
    assert_folds(book)


def test_a_timers_command_from_elsewhere_leaves_the_timer_running() -> None:
    book = opened()
    book.now += 6
    book.send(CAR, Nag())
    assert len(book.live[STREAM].members[CAR].timers) == 3
    assert_folds(book)


def test_a_timer_that_fired_for_nothing_is_gone() -> None:
    book = opened()
    book.now += 6
    book.send(CAR, Look(), timer="look")
    assert [timer.name for timer in book.live[STREAM].members[CAR].timers] == ["first", "second"]
    assert_folds(book)


def test_timers_moved_by_restarts_are_where_they_were_moved_to() -> None:
    book = opened()
    for _ in range(2):
        book.now += 100
        book.restart()
    timers = {timer.name: timer.due for timer in book.live[STREAM].members[CAR].timers}
    assert timers == {"first": book.now + 5, "look": book.now + 5}
    assert_folds(book)


def test_an_empty_stream_is_the_beginning() -> None:
    assert fold(lift.FAMILY, lift.CODEC, STREAM, Loaded(None, 0, ())) == StreamState()


def a_run(seed: int, family: Family, codec: RecordCodec, commands: list[tuple[Address, Command]]) -> Book:
    """Random commands, random waiting, timers fired when they are due, and restarts."""
    rng = random.Random(seed)
    book = Book(family, codec)
    for _ in range(60):
        to, command = rng.choice(commands)
        book.now += rng.choice((0.0, 0.5, 3.0, 100.0))
        snapshot = book.live.get(family.stream_of(to), StreamState()).members.get(to)
        due = [one for one in snapshot.timers if one.due <= book.now] if snapshot else []
        match rng.randrange(3):
            case 0 if due:
                timer = rng.choice(due).name
                table = family.kinds[to.kind].table
                fired = next(one.command for one in table.timers if one.name == timer)
                book.send(to, fired(), timer=timer)
            case 1 if snapshot:
                book.restart(to)
            case _:
                book.send(to, command)
    return book


LIFTING = [(CAR, one) for one in (Open(), Opened(), Call(1), Call(2), Nag(), Look())]
RINGING: list[tuple[Address, Command]] = [
    (FRONT, d.Press(seconds=3.0)),
    (FRONT, d.Press(board="hall")),
    (FRONT, d.Wire()),
    (FRONT, d.Expire()),
    (FRONT, d.Forbid()),
    (Address(d.BELL, "back"), d.Press(board="hall")),
    (Address(d.BELL, "back"), d.Answer("ann")),
    (BOARD, d.Count()),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happened_to_a_lift_is_folded(seed: int) -> None:
    assert_folds(a_run(seed, lift.FAMILY, lift.CODEC, LIFTING))


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happened_to_a_doorbell_is_folded(seed: int) -> None:
    family, codec = d.doorbell(random.Random(seed).choice([*d.OnRestart]))
    assert_folds(a_run(seed, family, codec, RINGING))


# -- what cannot be folded


def changed(book: Book, version: int, **fields: object) -> Loaded:
    """The whole stream with one record changed, its bytes in order."""
    events = list(book.stored[STREAM])
    record = book.codec.decode(events[version - 1].data)
    data = book.codec.encode(msgspec.structs.replace(record, **fields))
    events[version - 1] = StoredEvent(version, "", 0.0, data)
    return Loaded(None, 0, tuple(events))


def corrupt(loaded: Loaded, family: Family = lift.FAMILY) -> JournalCorruptError:
    with pytest.raises(JournalCorruptError) as caught:
        fold(family, lift.CODEC, STREAM, loaded)
    assert caught.value.stream == STREAM
    return caught.value


def moved() -> Book:
    book = Book()
    book.send(CAR, Call(1))
    book.send(CAR, Call(2))
    return book


def test_bytes_that_are_no_record_are_corruption() -> None:
    assert corrupt(Loaded(None, 0, (StoredEvent(7, "", 0.0, b"\x00"),))).version == 7


def test_bytes_that_are_no_snapshot_are_corruption() -> None:
    assert corrupt(Loaded(b"\x00", 9, ())).version == 9


def test_a_stream_that_begins_inside_of_an_episode_is_corruption() -> None:
    book = moved()
    assert corrupt(Loaded(None, 0, book.whole(STREAM).events[1:])).version == 2


def test_an_event_that_goes_on_with_another_machine_is_corruption() -> None:
    assert corrupt(changed(moved(), 2, member=Address(lift.LIFT, "other"))).version == 2


def test_an_event_behind_a_note_of_the_engine_is_corruption() -> None:
    book = opened()
    book.restart()
    note = next(
        event.version
        for event in book.stored[STREAM]
        if isinstance(book.codec.decode(event.data).event, TimerMoved)
    )
    assert corrupt(changed(book, note + 1, event=lift.Nagged())).version == note + 1


def test_a_machine_of_no_known_kind_is_corruption() -> None:
    nobody = Family((Kind(name="test.other", table=lift.TABLE),))
    assert "no machine of the kind" in str(corrupt(moved().whole(STREAM), nobody))


def test_a_state_of_no_known_name_is_corruption() -> None:
    assert "KeyError" in str(corrupt(changed(moved(), 2, state="FLYING")))


def test_a_rule_that_raises_on_an_old_record_is_corruption() -> None:
    def evolve(data: object, event: object) -> object:
        raise ZeroDivisionError

    table = attrs.evolve(lift.TABLE, evolve=evolve)
    error = corrupt(moved().whole(STREAM), Family((Kind(name=lift.LIFT, table=table),)))
    assert "ZeroDivisionError" in str(error)


# -- episodes, and what commands said


def test_episodes_are_what_each_command_left() -> None:
    book = moved()
    found = [*episodes(book.codec, STREAM, book.whole(STREAM))]
    assert [(one.version, one.last_version, one.cause.floor) for one in found] == [(1, 2, 1), (3, 4, 2)]  # type: ignore[union-attr]
    assert {one.member for one in found} == {CAR}


def test_reading_may_begin_inside_of_an_episode() -> None:
    book = moved()
    (half, whole) = episodes(book.codec, STREAM, Loaded(None, 0, book.whole(STREAM).events[1:]))
    assert (half.version, half.cause) == (2, None)
    assert whole.version == 3


def test_an_answer_is_found_by_stepping_its_command_again() -> None:
    book = moved()
    whole = book.whole(STREAM)
    assert answer_again(book.family, book.codec, STREAM, whole, 3) == lift.Beep(2)
    assert answer_again(book.family, book.codec, STREAM, whole, 99) is None


def test_a_command_without_an_answer_has_none_again() -> None:
    book = opened()
    book.restart()
    assert answer_again(book.family, book.codec, STREAM, book.whole(STREAM), 1) is None
    assert answer_again(book.family, book.codec, STREAM, book.whole(STREAM), 99) is None


def test_a_command_whose_rule_raises_today_is_corruption() -> None:
    book = moved()
    record = book.codec.decode(book.stored[STREAM][2].data)
    loaded = changed(book, 3, cause=attrs.evolve(record.cause, floor=-1))
    with pytest.raises(JournalCorruptError, match="stepped again") as caught:
        answer_again(book.family, book.codec, STREAM, loaded, 3)
    assert caught.value.version == 3


def test_what_was_asked_is_found_by_its_key() -> None:
    family, codec = d.doorbell()
    book = Book(family, codec)
    book.send(FRONT, d.Press())
    book.send(FRONT, d.Wire("high"))
    stream, whole = str(FRONT), book.whole(str(FRONT))
    found = ask_again(family, codec, stream, whole, 2, 0)
    assert found is not None
    ask, stamp, state = found
    assert (ask.request, stamp.id, state) == (d.Tone("high"), "c2", "RINGING")
    assert ask_again(family, codec, stream, whole, 2, 1) is None
    assert ask_again(family, codec, stream, whole, 1, 0) is None, "a reply is nobody's request"
    assert ask_again(family, codec, stream, whole, 9, 0) is None
