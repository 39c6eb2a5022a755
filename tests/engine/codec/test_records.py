"""Records and snapshots: round trips, tags, schemas, and bytes that depend on the value alone."""

import subprocess
import sys
from types import ModuleType
from typing import Any, ClassVar

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codec.records import ENGINE_WORDS, Record, RecordCodec, StreamSnapshot, tag_of
from engine.errors import CodecError, LocalProtocolError
from engine.machine.step import CommandDeferred, Snapshot, Timer
from engine.vocabulary import Address, Command, Event, Stamp
from tests.engine.codec.shapes import (
    Call,
    Node,
    Person,
    Rang,
    Renamed,
    Ring,
    State,
    UserId,
    calm,
    commands,
    events,
    frozen_values,
    json_values,
    persons,
    texts,
)

RENAMED = "codec.Renamed"


def second(fields: dict[str, Any]) -> dict[str, Any]:
    return {"name": fields["title"], "width": fields["width"]}


def third(fields: dict[str, Any]) -> dict[str, Any]:
    return {"name": fields["name"], "size": fields["width"] * 2}


CODEC = RecordCodec(
    [Rang, Ring, Call, Renamed, CommandDeferred, Ring],
    {(RENAMED, 1): second, (RENAMED, 2): third},
    states={"call": State},
)
CALL = Address("call", "c1")
ANN = Person(id=UserId("ann"))
STAMP = Stamp(at=5.5, id="7", entropy="ab" * 32)


def packed(tag: str, schema: int, fields: Any, cause: Any = None) -> bytes:
    return msgspec.msgpack.encode(("call", "c1", "RINGING", 1, (tag, schema, fields), cause))


def complaint(data: bytes) -> str:
    with pytest.raises(CodecError) as caught:
        CODEC.decode(data)
    return str(caught.value)


@pytest.mark.slow
@calm
@given(events, st.none() | commands, texts, st.integers(0, 2**63))
def test_a_record_reads_back_as_it_was(event: Event, cause: Command | None, state: str, entries: int) -> None:
    record = Record(CALL, state, entries, event, cause)
    data = CODEC.encode(record)
    again = CODEC.decode(data)
    assert again == record
    assert (again.cause and again.cause.stamp) == (cause and cause.stamp)
    assert CODEC.encode(again) == data


@calm
@given(commands)
def test_a_deferred_command_keeps_its_class_and_its_stamp(command: Ring) -> None:
    again = CODEC.decode(CODEC.encode(Record(CALL, "RINGING", 1, CommandDeferred(command)))).event
    assert again == CommandDeferred(command)
    assert isinstance(again, CommandDeferred)
    assert again.command.stamp == command.stamp


call_data = st.builds(Call, initiator=texts, seats=st.dictionaries(texts, persons, max_size=2))
snapshots = st.builds(
    Snapshot,
    st.sampled_from(State),
    call_data | frozen_values,
    st.lists(st.builds(Timer, texts, st.floats(allow_nan=False), st.integers(0, 9)), max_size=2).map(tuple),
    st.lists(commands, max_size=2).map(tuple),
    st.integers(0, 99),
)


@pytest.mark.slow
@calm
@given(
    st.dictionaries(st.builds(Address, st.just("call"), texts), snapshots, max_size=2),
    st.lists(st.tuples(texts, st.integers(1, 99)), max_size=3).map(tuple),
)
def test_a_folded_stream_reads_back_as_it_was(
    members: dict[Address, Snapshot], seen: tuple[tuple[str, int], ...]
) -> None:
    folded = StreamSnapshot(members, seen)
    data = CODEC.encode_snapshot(folded)
    again = CODEC.decode_snapshot(data)
    assert again == folded
    assert list(again.members) == list(members)
    assert CODEC.encode_snapshot(again) == data


def test_tags_are_the_folder_and_the_class() -> None:
    assert CODEC.tag_of(Rang) == "codec.Rang"
    assert CODEC.tag_of(CommandDeferred) == "engine.CommandDeferred"
    assert tag_of(attrs.make_class("Loose", {})) == "codec.Loose"


@pytest.mark.parametrize(
    ("name", "file", "tag"),
    [
        ("shop", "/srv/shop.py", "shop.Loose"),
        ("__main__", "/srv/shop.py", "shop.Loose"),
        ("__main__", None, "__main__.Loose"),
    ],
)
def test_a_module_has_the_same_tags_whether_it_is_imported_or_run(
    name: str, file: str | None, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType(name)
    if file is not None:
        module.__file__ = file
    monkeypatch.setitem(sys.modules, name, module)
    assert tag_of(type("Loose", (), {"__module__": name})) == tag


def test_the_engines_own_words_need_no_registration() -> None:
    assert [RecordCodec([]).tag_of(word) for word in ENGINE_WORDS] == [
        "engine.Crash",
        "engine.CommandDeferred",
        "engine.TimerMoved",
    ]


def test_a_class_of_a_package_itself_has_the_package_in_its_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Call, "__module__", "tests.engine.codec")
    assert tag_of(Call) == "codec.Call"


def test_a_class_of_a_script_has_the_script_in_its_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    script = type(sys)("rehearsal")
    monkeypatch.setitem(sys.modules, "rehearsal", script)
    monkeypatch.setattr(Call, "__module__", "rehearsal")
    assert tag_of(Call) == "rehearsal.Call"


def test_a_class_that_is_not_registered_is_an_error_that_names_it() -> None:
    @attrs.frozen
    class Stranger(Event):
        pass

    with pytest.raises(CodecError, match=r"test_records\..*Stranger is not registered"):
        CODEC.encode(Record(CALL, "RINGING", 1, Stranger()))
    with pytest.raises(CodecError, match="not registered"):
        CODEC.tag_of(Stranger)
    with pytest.raises(CodecError, match="not registered"):
        CODEC.encode(Record(CALL, "RINGING", 1, Renamed("a", 1), Command()))


def test_mappings_keep_their_order() -> None:
    def seats(*names: str) -> tuple[str, ...]:
        call = Call(initiator="ann", seats=dict.fromkeys(names, ANN))
        data = CODEC.encode_snapshot(StreamSnapshot({CALL: Snapshot(State.RINGING, call)}, ()))
        return tuple(CODEC.decode_snapshot(data).members[CALL].data.seats)

    assert seats("bob", "ann") == ("bob", "ann")
    assert seats("ann", "bob") == ("ann", "bob")


def test_an_integer_in_a_float_field_has_the_bytes_of_the_float() -> None:
    command = Ring(target=UserId("bob"), stamp=Stamp(at=5, id="7"))
    floated = Ring(target=UserId("bob"), stamp=Stamp(at=5.0, id="7"))
    event = Renamed("a", 1)
    assert CODEC.encode(Record(CALL, "A", 1, event, command)) == CODEC.encode(
        Record(CALL, "A", 1, event, floated)
    )


PLAIN = Rang(
    text="",
    number=0,
    share=0.0,
    flag=True,
    anything=None,
    state=State.ENDED,
    person=ANN,
    either=None,
    marks=frozenset(f"mark {number}" for number in range(40)),
    states=frozenset(State),
    persons={},
    root=Node("x"),
)


@pytest.mark.slow
def test_sets_have_the_same_bytes_whatever_the_hashes_are() -> None:
    code = (
        "from tests.engine.codec.test_records import *\n"
        "print(CODEC.encode(Record(CALL, 'ENDED', 1, PLAIN)).hex())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert len(printed.pop()) > 100


def test_old_records_are_lifted_number_by_number() -> None:
    assert CODEC.decode(packed(RENAMED, 1, {"title": "a", "width": 2})).event == Renamed("a", 4)
    assert CODEC.decode(packed(RENAMED, 2, {"name": "a", "width": 2})).event == Renamed("a", 4)
    assert CODEC.decode(packed(RENAMED, 3, {"name": "a", "size": 2})).event == Renamed("a", 2)


def test_records_from_the_future_or_of_no_number_are_errors() -> None:
    for schema in (4, 0, -1):
        assert (
            complaint(packed(RENAMED, schema, {})) == f"codec.Renamed is of schema {schema}, known are 1 to 3"
        )


def test_an_upcaster_that_raises_is_an_error_that_names_it() -> None:
    assert (
        complaint(packed(RENAMED, 2, {"name": "a"})) == "codec.Renamed: the upcaster from 2 raised KeyError"
    )


def test_an_unknown_tag_is_an_error_that_names_it() -> None:
    assert complaint(packed("phone.Rang", 1, {})) == "the tag phone.Rang is unknown"


def test_fields_that_do_not_fit_are_named_and_not_quoted() -> None:
    said = complaint(packed(RENAMED, 3, {"name": 5, "secret": "hush"}))
    assert said == (
        "codec.Renamed: $.name: wants a string, got an integer; $.size: is missing; "
        "$.secret: is not known here"
    )
    assert (
        complaint(packed(RENAMED, 3, {"name": "a", "size": 1, "x": 1}))
        == "codec.Renamed: $.x: is not known here"
    )


def test_a_field_with_a_default_may_be_missing() -> None:
    fields = {"target": "bob", "stamp": {"at": 0.0, "id": "", "entropy": ""}}
    cause = CODEC.decode(packed(RENAMED, 3, {"name": "a", "size": 1}, ("codec.Ring", 1, fields))).cause
    assert cause == Ring(target=UserId("bob"))


def test_an_event_in_the_place_of_a_command_is_an_error() -> None:
    fields = {"name": "a", "size": 1}
    assert "is no event, or its cause no command" in complaint(
        packed(RENAMED, 3, fields, (RENAMED, 3, fields))
    )
    assert "is no event" in complaint(packed("codec.Call", 1, {"initiator": "a"}))


@pytest.mark.parametrize(
    "inner", [5, ["codec.Ring", 1], ["codec.Ring", "1", {}], ["codec.Nobody", 1, {}], ["codec.Ring", 1, {}]]
)
def test_a_tagged_value_inside_a_field_is_checked(inner: Any) -> None:
    assert complaint(packed("engine.CommandDeferred", 1, {"command": inner}))
    said = complaint(packed("engine.CommandDeferred", 1, {"command": inner, "extra": 1}))
    assert said.startswith("engine.CommandDeferred: $.command: ")


def test_bytes_nested_without_end_are_an_error() -> None:
    assert complaint(packed("codec.Ring", 1, {})[:-2] + b"\x91" * 100_000).startswith("not a record")


def test_data_that_holds_itself_is_an_error() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(CodecError):
        CODEC.encode_snapshot(StreamSnapshot({CALL: Snapshot(State.RINGING, tuple(loop))}, ()))


@calm
@given(
    st.binary(max_size=60)
    | st.builds(packed, st.sampled_from(["codec.Rang", "codec.Ring"]), st.just(1), json_values)
)
def test_any_bytes_are_a_record_or_an_error(data: bytes) -> None:
    for decode in (CODEC.decode, CODEC.decode_snapshot):
        with pytest.raises(CodecError):
            decode(data)


@pytest.mark.parametrize("wrong", [Renamed("a", 2**70), Renamed("\ud800", 1), Renamed("a", object())])  # type: ignore[arg-type]  # the point of the test
def test_what_msgpack_cannot_hold_is_an_error(wrong: Event) -> None:
    with pytest.raises(CodecError, match="Renamed cannot be journaled"):
        CODEC.encode(Record(CALL, "RINGING", 1, wrong))


def test_a_value_that_would_come_back_as_something_else_is_an_error() -> None:
    @attrs.frozen(kw_only=True)
    class Guest(Person):
        host: str = ""

    changes: list[dict[str, Any]] = [
        {"anything": ANN},
        {"anything": State.ENDED},
        {"person": Guest(id=UserId("a"))},
    ]
    for change in changes:
        with pytest.raises(CodecError, match="Rang cannot be journaled"):
            CODEC.encode(Record(CALL, "RINGING", 1, attrs.evolve(PLAIN, **change)))
    assert CODEC.decode(CODEC.encode(Record(CALL, "RINGING", 1, PLAIN))).event == PLAIN


def test_snapshots_of_unknown_kinds_states_and_formats_are_errors() -> None:
    def bytes_of(kind: str, state: str, number: int = 1) -> bytes:
        return msgspec.msgpack.encode((number, [(kind, "c1", state, 0, ("", 0, None), [], [])], []))

    for data, said in [
        (bytes_of("phone", "RINGING"), "no states are known of machines of the kind phone"),
        (bytes_of("call", "BUSY"), "State has no member BUSY"),
        (bytes_of("call", "RINGING", 2), "a snapshot of format 2, known is 1"),
    ]:
        with pytest.raises(CodecError, match=said):
            CODEC.decode_snapshot(data)


def test_data_of_a_class_that_is_not_registered_cannot_be_stored() -> None:
    with pytest.raises(CodecError, match="Person is not registered"):
        CODEC.encode_snapshot(StreamSnapshot({CALL: Snapshot(State.RINGING, ANN)}, ()))


def test_numbers_that_are_not_finite_may_be_journaled() -> None:
    data = CODEC.encode_snapshot(StreamSnapshot({CALL: Snapshot(State.RINGING, float("inf"))}, ()))
    assert CODEC.decode_snapshot(data).members[CALL].data == float("inf")


def test_classes_that_cannot_be_journaled_are_errors_at_once() -> None:
    @attrs.frozen
    class Ahead(Event):
        SCHEMA: ClassVar[int] = 2

    twin = attrs.make_class("Ring", {})
    twin.__module__ = Ring.__module__
    with pytest.raises(CodecError, match=r"Ahead is at schema 2 and has no upcaster from 1"):
        RecordCodec([Ahead])
    with pytest.raises(CodecError, match=r"codec\.Ring names both"):
        RecordCodec([Ring, twin])
    with pytest.raises(CodecError, match="is no attrs class"):
        RecordCodec([State])
    with pytest.raises(CodecError, match="bytes has no form outside"):
        RecordCodec([attrs.make_class("Raw", {"data": attrs.field(type=bytes)})])


def test_stamps_are_kept_whole() -> None:
    record = Record(CALL, "RINGING", 1, Renamed("a", 1), Ring(target=UserId("bob"), stamp=STAMP))
    cause = CODEC.decode(CODEC.encode(record)).cause
    assert cause is not None
    assert cause.stamp == STAMP


# -- commands that Python code has made


@attrs.frozen(kw_only=True)
class Outer(Command):
    """A command with a class, a command and a set inside."""

    person: Person
    inner: Command
    names: frozenset[str] = frozenset()
    state: State = State.RINGING


CHECKED = RecordCodec([Ring, Outer])
ANN = Person(id=UserId("ann"), tags=("a",))


def test_a_command_that_holds_what_its_fields_say_passes() -> None:
    CHECKED.check(Outer(person=ANN, inner=Ring(target=UserId("bob")), names=frozenset("ab")))


def test_a_command_that_is_not_journaled_passes() -> None:
    RecordCodec([]).check(Ring(target=5))  # type: ignore[arg-type]  the fault


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (Ring(target=5), "Ring: $.target: wants a string, got an integer"),  # type: ignore[arg-type]
        (
            Outer(person=attrs.evolve(ANN, first_name=None), inner=Ring(target=UserId("bob"))),
            "Outer: $.person.first_name: wants a string, got null",
        ),
        (
            Outer(person="ann", inner=5, state="ringing"),  # type: ignore[arg-type]
            "Outer: $.person, $.inner, $.state: a value does not fit its field",
        ),
    ],
)
def test_a_command_that_does_not_is_refused_with_its_fields(command: Command, told: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        CHECKED.check(command)
    assert str(caught.value) == told
