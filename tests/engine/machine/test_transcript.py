"""Transcripts: what they can say, and how they fail."""

from collections.abc import Mapping
from enum import Enum

import attrs
import pytest

from engine.effects import Ask, Reply, Request, Send
from engine.machine.family import Family, Kind
from engine.machine.stage import Stage
from engine.machine.table import After, Defer, Ignore, Refuse, Row, Said, Table
from engine.machine.transcript import Scene, TranscriptError, play, scenes
from engine.vocabulary import Address, Command, Event, Message


class S(Enum):
    SHUT = "shut"
    OPEN = "open"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Card:
    id: str
    name: str = ""


@attrs.frozen(kw_only=True)
class Open(Command):
    by: str
    card: Card | None = None
    colours: tuple[Colour, ...] = ()
    wide: bool = False
    count: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    notes: Mapping[str, str] = attrs.field(factory=dict)
    other: Address | None = None


@attrs.frozen
class Shut(Command):
    pass


@attrs.frozen
class Knock(Command):
    pass


@attrs.frozen
class Ring(Command):
    pass


@attrs.frozen
class Paint(Command):
    pass


@attrs.frozen(kw_only=True)
class Opened(Event):
    key: str
    by: str
    card: Card | None
    colours: tuple[Colour, ...]
    wide: bool
    text: str = "two words"
    notes: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Closed(Event):
    pass


@attrs.frozen
class Heard(Message):
    key: str
    colour: Colour = Colour.RED


@attrs.frozen
class Lamp(Request):
    level: int = 3


@attrs.frozen
class Door:
    key: str
    by: str = ""
    card: Card | None = None


def begin(key: str) -> Door:
    return Door(key)


def open_(door: Door, command: Open) -> Said:
    key = f"key-of-{door.key}"
    opened = Opened(
        key=key,
        by=command.by,
        card=command.card,
        colours=command.colours,
        wide=command.wide,
        notes=command.notes,
    )
    return (
        opened,
        Reply(Heard(key)),
        Send(to=command.by, message=Heard(key), skip="phone"),
        Send(to="all", message=Heard(f"{key}/{key}")),
        Ask("lamp", Lamp()),
    )


def shut(door: Door, command: Command) -> Said:
    return (Closed(),)


def evolve(door: Door, event: Event) -> Door:
    return attrs.evolve(door, by=event.by, card=event.card) if isinstance(event, Opened) else door


TABLE: Table = Table(
    name="door",
    initial=S.SHUT,
    final=frozenset(),
    start=begin,
    evolve=evolve,
    waits={S.SHUT: "nobody comes"},
    rows=(Row(S.SHUT, Open, S.OPEN, open_), Row(S.OPEN, Shut, S.SHUT, shut), Row(S.OPEN, Paint, None, shut)),
    timers=(After(S.OPEN, Shut, seconds=10.0),),
    asides=(
        Refuse(S.OPEN, Open, "open_already"),
        Ignore(S.SHUT, Shut, "it is shut"),
        Ignore((S.SHUT, S.OPEN), Knock, "nobody is in"),
        Refuse((S.SHUT, S.OPEN), Ring, "no_bell"),
        Defer(S.SHUT, Paint, "until it is open"),
    ),
)
FAMILY = Family((Kind(name="house.door", table=TABLE), Kind(name="house.gate", table=TABLE)))

OPENING = """
== ann opens the door
door:d Open by=ann -> OPEN
  door:d Opened key=$key by=ann
  ! Reply Heard key=$key
  ! Send Heard key=$key to=ann skip=phone
  ! Send Heard key=$key/$key to=all
  ! Ask Lamp level=3 port=lamp
"""


def run(text: str) -> Stage:
    """Play the last scene of `text`."""
    return play(FAMILY, scenes(text)[-1])


def after_opening(text: str) -> str:
    return f"{OPENING}== then\nafter ann opens the door\n{text}"


def fault(text: str) -> str:
    with pytest.raises(TranscriptError) as caught:
        run(text)
    return str(caught.value)


# -- files


def test_a_file_is_scenes_with_the_numbers_of_their_lines() -> None:
    text = "# about doors\n\n== one\ndoor:d Knock -> ignored  # nobody\n  # indented\n== two\nwait 1\n"
    assert scenes(text) == (
        Scene("one", ((4, "door:d Knock -> ignored"),)),
        Scene("two", ((7, "wait 1"),)),
    )


def test_a_scene_may_come_after_another_and_after_what_that_came_after() -> None:
    text = "== a\nwait 1\n== b\nafter a\nwait 2\n== c\nafter b\nwait 3\n"
    assert [line for _, line in scenes(text)[2].lines] == ["wait 1", "wait 2", "wait 3"]
    assert run(text).now == 1_006.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("wait 1\n", "line 1: a scene begins with `== title`"),
        ("== a\nwait 1\n== a\nwait 2\n", "line 3: there is a scene 'a' already"),
        ("== a\n== b\nwait 1\n", "the scene 'a' is empty"),
        ("== a\nafter b\n== b\nwait 1\n", "line 2: there is no scene 'b' above"),
        ("== a\nafter a\n", "line 2: there is no scene 'a' above"),
        ("== a\nwait 1\n== b\nwait 1\nafter a\n", "line 5: `after` begins a scene"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(text: str, reason: str) -> None:
    with pytest.raises(TranscriptError) as caught:
        scenes(text)
    assert str(caught.value) == reason


# -- what holds


def test_a_transcript_that_holds_is_played_to_its_end() -> None:
    stage = run(OPENING)
    assert stage.snapshot(Address("house.door", "d")).state is S.OPEN


def test_a_scene_may_go_on_where_a_stage_is() -> None:
    stage = run(OPENING)
    assert play(FAMILY, scenes("== s\ndoor:d is OPEN\n")[0], on=stage) is stage


def test_events_may_be_left_out_where_they_do_not_matter() -> None:
    run("\n".join(line for line in OPENING.splitlines() if "Opened" not in line))


def test_effects_may_not() -> None:
    text = "\n".join(line for line in OPENING.splitlines() if "Ask" not in line)
    assert "unsaid output:\n    ! Ask Lamp level=3 port=lamp" in fault(text)


def test_an_event_that_is_not_said_beside_one_that_is_fails() -> None:
    lines = "door:d Shut -> SHUT\n  door:d Closed\n  door:d Closed\n"
    assert "line 13 was not said: door:d Closed" in fault(after_opening(lines))


def test_what_was_said_otherwise_is_shown_beside_what_was_expected() -> None:
    found = fault(OPENING.replace("key=$key by=ann", "by=bob"))
    assert found.startswith("ann opens the door, line 3: door:d Open by=ann -> OPEN")
    assert (
        "line 4 says\n    door:d Opened by=bob\n  and it was\n    door:d Opened key=key-of-d by=ann" in found
    )
    assert "text='two words'" in found


@pytest.mark.parametrize(
    "wrong",
    [
        ("door:d Opened", "gate:d Opened"),
        ("door:d Opened", "door:d Shut"),
        ("door:d Opened key", "door:d Opened long key"),
        ("by=ann\n", "sender=ann\n"),
        ("Reply Heard key=$key", "Reply Heard key=$key/"),
        ("to=ann skip=phone", "to=ann skip=''"),
        ("to=all", "to=all only=phone"),
        ("$key/$key", "$key/$other$key"),
    ],
)
def test_every_word_counts(wrong: tuple[str, str]) -> None:
    fault(OPENING.replace(*wrong))


def test_a_name_stands_for_what_it_met_first() -> None:
    run(after_opening("door:$key Open by=$key -> OPEN\n" + _said("key-of-$key", "$key")))
    assert "says" in fault(after_opening("gate:e Open by=bob -> OPEN\n" + _said("$key", "bob")))


def test_a_name_that_meets_two_things_in_one_line_is_met_by_neither() -> None:
    fault(OPENING.replace("key=$key by=ann", "key=$x by=$x"))
    fault(OPENING.replace("$key/$key", "$a/$a$a"))
    run(OPENING.replace("$key/$key", "$a/$a"))


def test_a_name_that_has_met_nothing_cannot_be_sent() -> None:
    assert "$x has met nothing yet" in fault("== s\ndoor:$x Knock -> ignored\n")
    assert "$x has met nothing yet" in fault("== s\ndoor:d Open by=$x -> OPEN\n")


def _said(key: str, to: str) -> str:
    return (
        f"  ! Reply Heard key={key}\n  ! Send Heard key={key} to={to}\n  ! Send Heard to=all\n"
        "  ! Ask Lamp port=lamp\n"
    )


# -- outcomes


def test_every_outcome_can_be_said() -> None:
    run(
        "== s\ndoor:d Shut -> ignored\ndoor:d Ring -> refused no_bell\n"
        "door:d Paint -> deferred\n  door:d CommandDeferred\nsame -> duplicate\n"
    )


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        ("SHUT", "it was ignored"),
        ("refused no_bell", "it was ignored"),
        ("deferred", "it was ignored"),
        ("", "it was ignored"),
        ("ignored often", "it was ignored"),
    ],
)
def test_an_outcome_that_did_not_come_is_told(outcome: str, found: str) -> None:
    assert fault(f"== s\ndoor:d Knock -> {outcome}\n").endswith(found)


def test_a_refusal_is_told_with_its_reason() -> None:
    assert fault("== s\ndoor:d Ring -> refused no_door\n").endswith("it was refused no_bell")
    assert fault("== s\ndoor:d Ring -> OPEN\n").endswith("it was refused no_bell")


def test_a_state_that_was_not_reached_is_told() -> None:
    assert "house.door:d is OPEN" in fault("== s\ndoor:d Open by=ann -> SHUT\n")


def test_a_change_of_state_is_not_an_outcome_without_its_state() -> None:
    assert fault(after_opening("door:d Shut -> moved\n")).endswith("house.door:d is SHUT key=d by=ann")


def test_a_machine_can_be_looked_at_with_its_data() -> None:
    run(after_opening("door:d is OPEN by=ann card=''\n"))
    assert "by=ann" in fault(after_opening("door:d is OPEN by=bob\n"))
    assert fault("== s\ndoor:d is OPEN\n").endswith("house.door:d is SHUT key=d")


# -- time


def test_time_passes_and_its_timers_say_what_they_do() -> None:
    run(after_opening("wait 9.5\nwait 0.5\n  door:d Closed\ndoor:d is SHUT\n"))
    assert "was not said" in fault(after_opening("wait 9.9\n  door:d Closed\n"))


# -- commands


def test_fields_are_made_of_words() -> None:
    line = "door:d Open by='ann b' card=c colours=RED,BLUE wide=True count=3 other=None -> OPEN\n"
    said = "  door:d Opened by='ann b' card=c card.id=c card.name='' colours=RED,BLUE wide=True\n"
    run("== s\n" + line + said + _said("$k", "'ann b'"))


def test_an_object_may_be_made_field_by_field() -> None:
    line = "door:d Open by=ann card.id=c card.name=Clubs colours='' other.kind=k other.key=e -> OPEN\n"
    run("== s\n" + line + "  door:d Opened card.name=Clubs colours=''\n" + _said("$k", "ann"))


def test_a_mapping_is_made_key_by_key_and_named_by_its_keys() -> None:
    line = "door:d Open by=ann notes.one=1 notes.a/b.c='x y' -> OPEN\n"
    run(
        "== s\n"
        + line
        + "  door:d Opened notes=one,a/b.c notes.one=1 notes.a/b.c='x y'\n"
        + _said("$k", "ann")
    )
    run("== s\ndoor:d Open by=ann -> OPEN\n  door:d Opened notes=''\n" + _said("$k", "ann"))


def test_a_key_that_a_mapping_does_not_have_cannot_be_expected() -> None:
    line = "door:d Open by=ann notes.one=1 -> OPEN\n"
    assert "notes.one=1" in fault("== s\n" + line + "  door:d Opened notes.two=2\n" + _said("$k", "ann"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("door:d Open -> OPEN", "Open cannot be made"),
        ("door:d Open by=ann count=-1 -> OPEN", "Open cannot be made"),
        ("door:d Open by=ann count=x -> OPEN", "'x' is no int"),
        ("door:d Open by=ann wide=yes -> OPEN", "'yes' is no bool"),
        ("door:d Open by=ann colours=GREEN -> OPEN", "'GREEN' is no Colour"),
        ("door:d Open by=ann notes=x -> OPEN", "'x' is no Mapping"),
        ("door:d Open by=ann of=wood -> OPEN", "Open has no field of"),
        ("door:d Open by=ann stamp=now -> OPEN", "Open has no field stamp"),
        ("door:d Open ann -> OPEN", "'ann' is not `field=value`"),
        ("door:d Dance -> OPEN", "the table of house.door knows no command Dance"),
        ("window:d Knock -> ignored", "there is no machine window:d"),
        ("door Knock -> ignored", "there is no machine door"),
        ("door:d Knock", "neither"),
        ("door:d", "neither"),
        ("door:d -> OPEN", "neither"),
        ("same -> OPEN", "neither"),
        ("wait", "neither"),
        ("wait 1 -> OPEN", "there is no machine wait"),
        ("wait long", "'long' is no float"),
        ("door:d Knock 'x -> ignored", "No closing quotation"),
    ],
)
def test_a_line_that_cannot_be_read_says_why(line: str, reason: str) -> None:
    assert reason in fault(f"== s\n{line}\n")


def test_a_line_of_output_that_cannot_be_read_says_why() -> None:
    assert "No closing quotation" in fault(after_opening("door:d Shut -> SHUT\n  door:d 'Closed\n"))
    assert "is not `field=value`" in fault(after_opening("door:d Shut -> SHUT\n  door:d Closed a=1 b\n"))


def test_kinds_may_be_named_in_full() -> None:
    run("== s\nhouse.door:d Knock -> ignored\nhouse.gate:d is SHUT\n")
