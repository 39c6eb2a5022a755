"""Decisions as the journal takes them."""

from collections.abc import Sequence

import attrs
import pytest

from engine.errors import CodecError
from engine.journal.port import Write
from engine.machine.family import Change, Draft, StreamState, apply_change
from engine.machine.table import OnRestart
from engine.runtime.writes import SNAPSHOT_EVERY, Writer
from engine.vocabulary import Address, Command, Stamp
from tests.engine.runtime import doorbell as d

FAMILY, CODEC = d.doorbell()
FRONT, HALL = Address(d.BELL, "front"), Address(d.BOARD, "hall")


def after(_stream: str, change: Change) -> StreamState:
    state = StreamState(change.base)
    apply_change(FAMILY, state, change)
    return state


def written(to: Address, *commands: Command, version: int = 0) -> Write:
    """What `commands`, taken in at seconds 1, 2 and so on, write in the stream of `to`."""
    stream = FAMILY.stream_of(to)
    draft = Draft(FAMILY, {stream: StreamState(version)})
    for second, command in enumerate(commands, 1):
        stamped = attrs.evolve(command, stamp=Stamp(at=float(second), entropy="0" * 64))
        draft.accept(draft.decide(to, stamped, fresh=True))
    return Writer(CODEC, FAMILY, after).write(stream, draft.changes[stream], float(len(commands)))


def times(write: Write) -> Sequence[float]:
    return [event.at for event in write.events]


def test_each_event_has_the_time_of_its_own_command() -> None:
    write = written(FRONT, d.Press(), d.Wire(), d.Answer("ann"))
    assert (write.stream, write.expected) == (f"{d.BELL}:front", 0)
    assert times(write) == [1.0, 2.0, 3.0]
    assert [CODEC.decode(event.data).event for event in write.events] == [
        d.Rang(60.0),
        d.Wired("tone"),
        d.Answered("ann"),
    ]


def test_a_refusal_asserts_the_version_and_writes_nothing() -> None:
    assert written(FRONT, d.Answer("ann"), version=7) == Write(f"{d.BELL}:front", 7)


def test_timers_are_written_with_and_without_events() -> None:
    rung = written(FRONT, d.Press(30.0))
    assert rung.timers == ((f"{d.BELL}:front/ring", 31.0),)
    stream = f"{d.BELL}:front"
    gone = Change(3, timers={"a": None})
    assert Writer(CODEC, FAMILY, after).write(stream, gone, 1.0) == Write(stream, 3, timers=(("a", None),))


def test_what_the_engine_notes_has_the_time_it_is_noted_at() -> None:
    family, codec = d.doorbell(OnRestart.REARM)
    stream = family.stream_of(FRONT)
    draft = Draft(family, {})
    draft.accept(draft.decide(FRONT, d.Press(30.0, stamp=Stamp(at=1.0)), fresh=True))
    ringing = after(stream, draft.changes[stream])
    noted = Draft(family, {stream: ringing}).decide_restart(FRONT, Stamp(at=9.0)).changes[stream]
    write = Writer(codec, family, after).write(stream, noted, 9.0)
    assert (times(write), write.timers) == ([9.0], ((f"{stream}/ring", 39.0),))


def test_a_machine_of_an_indexed_kind_lives_from_its_first_event_until_it_is_final() -> None:
    topic = f"live:{d.BELL}"
    assert written(FRONT, d.Press()).members == ((topic, True),)
    assert written(FRONT, d.Press(), d.Answer("ann")).members == ((topic, False),)
    assert written(HALL, d.Count()).members == ()


@pytest.mark.parametrize(
    ("version", "has_one"),
    [(SNAPSHOT_EVERY - 2, False), (SNAPSHOT_EVERY - 1, True), (SNAPSHOT_EVERY, False)],
)
def test_the_event_that_fills_a_stretch_brings_a_snapshot(version: int, has_one: bool) -> None:
    write = written(HALL, d.Count(), version=version)
    assert (write.snapshot is not None) is has_one
    if write.snapshot is not None:
        assert CODEC.decode_snapshot(write.snapshot).members[HALL].data.count == 1


def test_a_value_without_a_form_is_refused() -> None:
    with pytest.raises(CodecError):
        written(FRONT, d.Press(), d.Answer(who=object()))  # type: ignore[arg-type]
