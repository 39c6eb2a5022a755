"""Replay: it finds what is wrong, and nothing else."""

import random
from collections.abc import Callable

import attrs
import msgspec
import pytest

from engine.app.api import Api
from engine.app.discovery import installed_apis
from engine.codec.records import RecordCodec
from engine.errors import JournalCorruptError
from engine.journal.fold import encoded
from engine.journal.memory import MemoryJournal
from engine.journal.port import Loaded, NewEvent, StoredEvent, Write
from engine.journal.replay import Difference, differences, replay
from engine.machine.family import Family, Kind, Record, TimerMoved
from tests.engine.journal import lift
from tests.engine.journal.lift import CAR, Book, Call, Open, Opened
from tests.engine.journal.test_fold import LIFTING, RINGING, SEEDS, a_run
from tests.engine.runtime import doorbell as d
from tests.machines.playing import WAITS, Run

STREAM = str(CAR)


def found(book: Book, stream: str = STREAM, whole: Loaded | None = None, at: int = -1) -> list[Difference]:
    """What replay says about a stream with the snapshot number `at`."""
    whole = book.whole(stream) if whole is None else whole
    return [*differences(book.family, book.codec, stream, whole, book.short(stream, at))]


def ridden() -> Book:
    book = Book()
    book.send(CAR, Open())
    book.send(CAR, Call(3))
    book.now += 2
    book.send(CAR, Opened(), timer="opened")
    book.send(CAR, Call(4))
    return book


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sound_journal_has_no_differences_whatever_happened(seed: int) -> None:
    family, codec = d.doorbell(random.Random(seed).choice([*d.OnRestart]))
    for book in (a_run(seed, lift.FAMILY, lift.CODEC, LIFTING), a_run(seed, family, codec, RINGING)):
        for stream, snapshots in book.snapshots.items():
            for at in range(0, len(snapshots), 4):
                assert found(book, stream, at=at) == []


def test_what_the_server_appends_meanwhile_is_no_difference() -> None:
    book = ridden()
    short = book.short(STREAM)
    book.send(CAR, Call(9))
    assert [*differences(book.family, book.codec, STREAM, book.whole(STREAM), short)] == []


def test_an_empty_stream_is_sound() -> None:
    nothing = Loaded(None, 0, ())
    assert [*differences(lift.FAMILY, lift.CODEC, STREAM, nothing, nothing)] == []


# -- corruption with sound checksums


def numbered(datas: list[bytes]) -> Loaded:
    return Loaded(None, 0, tuple(StoredEvent(at, "", 0.0, data) for at, data in enumerate(datas, 1)))


def drop(datas: list[bytes], rng: random.Random, codec: RecordCodec) -> list[bytes]:
    at = rng.randrange(len(datas))
    return datas[:at] + datas[at + 1 :]


def swap(datas: list[bytes], rng: random.Random, codec: RecordCodec) -> list[bytes]:
    # Two notes about timers may as well stand the other way round.
    notes = [isinstance(codec.decode(data).event, TimerMoved) for data in datas]
    places = [at for at in range(len(datas) - 1) if not (notes[at] and notes[at + 1])]
    at = rng.choice(places)
    return [*datas[:at], datas[at + 1], datas[at], *datas[at + 2 :]]


def double(datas: list[bytes], rng: random.Random, codec: RecordCodec) -> list[bytes]:
    # The last one, doubled, is what a server has appended meanwhile.
    at = rng.randrange(len(datas) - 1)
    return [*datas[:at], datas[at], *datas[at:]]


def change(datas: list[bytes], rng: random.Random, codec: RecordCodec) -> list[bytes]:
    at = rng.randrange(len(datas))
    record = codec.decode(datas[at])
    changed = codec.encode(rng.choice(_changes(record)))
    return [*datas[:at], changed, *datas[at + 1 :]]


def _changes(record: Record) -> list[Record]:
    def but(**fields: object) -> Record:
        return msgspec.structs.replace(record, **fields)

    states = [one for one in ("CLOSED", "OPENING", "OPEN", "IDLE", "RINGING") if one != record.state]
    changes = [but(state=one) for one in states] + [but(entries=record.entries + 1)]
    changes.append(but(member=attrs.evolve(record.member, key="other")))
    if record.cause is not None:
        changes.append(but(cause=None))
        changes.append(but(cause=attrs.evolve(record.cause, stamp=attrs.evolve(record.cause.stamp, id="x"))))
    if not isinstance(record.event, lift.Nagged):
        changes.append(but(event=lift.Nagged() if record.member.kind == lift.LIFT else d.Counted()))
    return changes


Corrupt = Callable[[list[bytes], random.Random, RecordCodec], list[bytes]]


@pytest.mark.parametrize("corrupt", [drop, swap, double, change])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_corruption_before_a_snapshot_is_found(seed: int, corrupt: Corrupt) -> None:
    rng = random.Random(seed)
    family, codec = d.doorbell()
    for book in (a_run(seed, lift.FAMILY, lift.CODEC, LIFTING), a_run(seed, family, codec, RINGING)):
        for stream, stored in book.stored.items():
            if len(stored) < 3:
                continue
            datas = corrupt([event.data for event in stored], rng, book.codec)
            if datas != [event.data for event in stored]:
                assert found(book, stream, numbered(datas)), (stream, datas)


def test_a_table_that_says_other_events_today_is_found() -> None:
    book = ridden()

    def go(data: lift.Lift, command: Call) -> lift.Said:
        return (lift.Moved(command.floor),)

    rows = tuple(attrs.evolve(row, then=go) if row.on is Call else row for row in lift.TABLE.rows)
    book.family = Family((Kind(name=lift.LIFT, table=attrs.evolve(lift.TABLE, rows=rows)),))
    reasons = [one.reason for one in found(book)]
    assert "Call makes Moved now, and other events then" in reasons


def test_a_table_that_refuses_today_is_found_with_the_reason() -> None:
    book = Book()
    book.send(CAR, Call(1))
    record = book.codec.decode(book.stored[STREAM][0].data)
    refused = msgspec.structs.replace(record, cause=attrs.evolve(Opened(), stamp=record.cause.stamp))  # type: ignore[union-attr]
    datas = [book.codec.encode(refused), book.stored[STREAM][1].data]
    assert "Opened makes late now, and other events then" in [
        one.reason for one in found(book, STREAM, numbered(datas))
    ]


def test_a_table_that_raises_today_is_found() -> None:
    book = Book()
    book.send(CAR, Call(1))
    record = book.codec.decode(book.stored[STREAM][0].data)
    raising = msgspec.structs.replace(record, cause=attrs.evolve(record.cause, floor=-1))  # type: ignore[misc]
    datas = [book.codec.encode(raising), book.stored[STREAM][1].data]
    (first, *_) = found(book, STREAM, numbered(datas))
    assert (first.version, "ZeroDivisionError" in first.reason) == (1, True)


def test_a_snapshot_that_is_another_is_found() -> None:
    book, other = ridden(), ridden()
    other.send(CAR, Open())
    other.snapshots[STREAM][-1] = (book.live[STREAM].version, other.snapshots[STREAM][-1][1])
    short = Loaded(other.snapshots[STREAM][-1][1], book.live[STREAM].version, ())
    (difference,) = differences(book.family, book.codec, STREAM, book.whole(STREAM), short)
    assert difference == Difference(
        STREAM, book.live[STREAM].version, "the snapshot is not what its events make"
    )


def test_a_machine_that_nobody_knows_is_found() -> None:
    book = ridden()
    book.family = Family((Kind(name="test.other", table=lift.TABLE),))
    assert "no machine of the kind" in found(book)[0].reason


def test_a_state_that_cannot_be_written_is_found() -> None:
    book = ridden()

    def evolve(data: object, event: object) -> object:
        return object()

    book.family = Family((Kind(name=lift.LIFT, table=attrs.evolve(lift.TABLE, evolve=evolve)),))
    assert any("cannot be written" in one.reason for one in found(book))


def test_a_stream_whose_first_record_is_gone_is_found() -> None:
    book = Book()
    book.send(CAR, Call(1))
    (difference,) = found(book, STREAM, numbered([book.stored[STREAM][1].data]))
    assert (difference.version, "without its command" in difference.reason) == (1, True)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("api", [pytest.param(api, id=api.name) for api in installed_apis()])
def test_whatever_happened_to_the_machines_of_an_api_is_replayed(api: Api, seed: int) -> None:
    run = Run(api, random.Random(seed))
    run.begin()
    for _ in range(60):
        to = run.any_address()
        run.send(to, run.any_command(to))
        run.wait(run.rng.choice(WAITS))
    for stream, stored in run.journal.items():
        whole = Loaded(None, 0, tuple(stored))
        short = Loaded(encoded(run.codec, run.streams[stream]), run.streams[stream].version, ())
        assert [*differences(run.family, run.codec, stream, whole, whole)] == []
        if stored:
            assert [*differences(run.family, run.codec, stream, whole, short)] == []


# -- a whole journal


async def test_every_stream_of_a_journal_is_replayed() -> None:
    book = ridden()
    async with MemoryJournal() as journal:
        for name in ("a", "b"):
            events = tuple(NewEvent(one.type, one.at, one.data) for one in book.stored[STREAM])
            await journal.append(Write(f"{name}", 0, events))
        replayed = [one async for one in replay(journal, book.family, book.codec)]
    assert [(one.stream, one.events, one.differences) for one in replayed] == [
        (name, len(book.stored[STREAM]), ()) for name in ("a", "b")
    ]


async def test_a_stream_that_cannot_be_read_is_a_difference_and_the_rest_goes_on() -> None:
    book = ridden()

    class Damaged(MemoryJournal):
        async def load(self, stream: str, after: int = 0, *, snapshot: bool = True) -> Loaded:
            if stream == "a":
                raise JournalCorruptError(stream, 2, "the checksum is wrong")
            return await super().load(stream, after, snapshot=snapshot)

    async with Damaged() as journal:
        for name in ("a", "b"):
            events = tuple(NewEvent(one.type, one.at, one.data) for one in book.stored[STREAM])
            await journal.append(Write(name, 0, events))
        replayed = [one async for one in replay(journal, book.family, book.codec)]
    assert [len(one.differences) for one in replayed] == [1, 0]
    assert replayed[0].differences[0].version == 2
