"""What sendEvent asks of an event, and what its masks hide."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codec.readers import freeze
from engine.errors import RemoteProtocolError
from machines.conference import masks as m
from machines.conference.wire import MASK_MAX
from tests.engine.codec.shapes import calm, json_values
from tests.machines.conference.samples import outcome

EVENT = {
    "type": "FormSubmittedEvent",
    "timestamp": "2011-12-03T10:15:30Z",
    "card": {"number": "4111", "cvv": "12é"},
    "fields": [{"name": "zip", "value": "10551"}, {"name": "pin", "value": "0000"}, "loose"],
    "count": 2,
}


def hidden(*masks: str) -> list[tuple[Any, ...]]:
    """Where the masked copy differs from the event."""
    return [*_differences(EVENT, m.masked(EVENT, masks), ())]


def _differences(was: Any, now: Any, place: tuple[Any, ...]) -> Any:
    if isinstance(was, str) and was != now:
        assert now == "*" * len(was)
        yield place
    items = was.items() if isinstance(was, dict) else enumerate(was) if isinstance(was, list) else ()
    for key, item in items:
        yield from _differences(item, now[key], (*place, key))


def fault(*masks: str, event: dict[str, Any] | None = None) -> tuple[str, str]:
    with pytest.raises(RemoteProtocolError) as caught:
        m.masked(event or EVENT, masks)
    return caught.value.path, caught.value.reason


# -- the event


def event_faults(**changes: Any) -> list[str]:
    try:
        m.check_event(EVENT | changes)
    except RemoteProtocolError as error:
        return [path for path, _ in error.faults]
    return []


@pytest.mark.parametrize(
    "name", ["FormSubmittedEvent", "SMSSentEvent", "Page2ScrolledEvent", "ConferenceMovedEventDroppedEvent"]
)
def test_a_type_is_a_noun_and_a_verb_and_event(name: str) -> None:
    assert event_faults(type=name) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Event",
        "SubmittedEvent",
        "formSubmittedEvent",
        "FormSubmitted",
        "Form_SubmittedEvent",
        "FormSubmittedEvent\n",
        "FormÜbertragenEvent",
        "Form" * 32 + "Event",
        None,
        7,
        ["FormSubmittedEvent"],
    ],
)
def test_any_other_type_is_refused(name: Any) -> None:
    assert event_faults(type=name) == ["$.event.type"]


@pytest.mark.parametrize(
    "text", ["2011-12-03T10:15:30Z", "2011-12-03T10:15:30.1Z", "2024-02-29T23:59:59.123456789Z"]
)
def test_a_timestamp_is_an_instant(text: str) -> None:
    assert event_faults(timestamp=text) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2011-12-03",
        "2011-12-03T10:15Z",
        "2011-12-03T10:15:30",
        "2011-12-03T10:15:30+01:00",
        "2011-12-03 10:15:30Z",
        "2011-12-03T10:15:30.Z",
        "2011-12-03T10:15:30.1234567890Z",
        "2011-13-03T10:15:30Z",
        "2011-02-29T10:15:30Z",
        "2011-12-03T24:15:30Z",
        "0000-12-03T10:15:30Z",
        "٢٠١١-12-03T10:15:30Z",
        1322907330,
        None,
    ],
)
def test_any_other_timestamp_is_refused(text: Any) -> None:
    assert event_faults(timestamp=text) == ["$.event.timestamp"]


@pytest.mark.parametrize("given_id", ["", "a/b", "x" * 129, 7, None])
def test_an_id_of_an_event_becomes_a_key(given_id: Any) -> None:
    assert event_faults(id=given_id) == ["$.event.id"]
    assert event_faults(id="e-1") == []


def test_all_faults_of_an_event_are_listed() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        m.check_event({"id": 1})
    assert [path for path, _ in caught.value.faults] == ["$.event.type", "$.event.timestamp", "$.event.id"]


# -- masks


@pytest.mark.parametrize(
    ("mask", "places"),
    [
        ("$.card.number", [("card", "number")]),
        ("$['card']['cvv']", [("card", "cvv")]),
        ("card.number", [("card", "number")]),
        ("$.fields[0].value", [("fields", 0, "value")]),
        ("$.fields[-1]", [("fields", 2)]),
        ("$.fields[*].value", [("fields", 0, "value"), ("fields", 1, "value")]),
        ("$.fields[0,0,1].value", [("fields", 0, "value"), ("fields", 1, "value")]),
        ("$.fields[?@.name == 'pin'].value", [("fields", 1, "value")]),
        (
            "$.fields[?(@.name == 'pin' || @.name == 'zip')].name",
            [("fields", 0, "name"), ("fields", 1, "name")],
        ),
        ("$.fields[?length(@.value) > 4].value", [("fields", 0, "value")]),
        ("$..value", [("fields", 0, "value"), ("fields", 1, "value")]),
        ("$..fields..name", [("fields", 0, "name"), ("fields", 1, "name")]),
        ("$.missing", []),
        ("$.fields[7].value", []),
        ("$.count.digits", []),
    ],
)
def test_a_mask_hides_the_strings_that_it_selects(mask: str, places: list[tuple[Any, ...]]) -> None:
    assert hidden(mask) == places


def test_masks_may_overlap() -> None:
    assert hidden("$.card.number", "$.card[*]", "$..number") == [("card", "number"), ("card", "cvv")]


def test_without_masks_the_copy_is_equal() -> None:
    assert m.masked(EVENT, ()) == EVENT


def test_the_event_itself_is_not_changed() -> None:
    before = copy.deepcopy(EVENT)
    masked = m.masked(EVENT, ["$..value", "$.card.*"])
    masked["card"]["added"] = 1
    assert before == EVENT


def test_an_event_as_the_codec_reads_it_can_be_masked() -> None:
    assert m.masked(freeze(EVENT), ["$.fields[1].value"])["fields"][1] == {"name": "pin", "value": "****"}


@pytest.mark.parametrize("mask", ["$", "$.count", "$.card", "$.fields", "$..*", "$.fields[0]", "$.fields[*]"])
def test_a_mask_that_selects_what_is_not_a_string_is_refused(mask: str) -> None:
    assert fault("$.card.cvv", mask) == ("$.masks[1]", "selects what is not a string")


@pytest.mark.parametrize(
    "mask",
    [
        "",
        "$.",
        "$.card.",
        "$.card | $.fields",
        "$.card.number.length()",
        "$.card~",
        "^.card",
        "@.card",
        "$[?@.a =~ /(a+)+$/]",
        "$[?match(@.name, '(a+)+$')]",
        "$[?search(@.name, '(a+)+$')]",
        "$[?@.a == 1e999]",
        "$[1e999]",
        "$[" + "9" * 40 + "]",
        "$[?" + "(" * 240,
    ],
)
def test_a_mask_that_is_no_path_is_refused(mask: str) -> None:
    assert fault(mask) == ("$.masks[0]", "is not a JSON path")


@pytest.mark.parametrize("mask", ["$[?@..a]", "$[?@.*]", "$[?$.count == 2]", "$[?!(@.a && @[?@.b])]"])
def test_a_filter_looks_at_one_value_below_its_own(mask: str) -> None:
    assert fault(mask) == ("$.masks[0]", "has a filter that looks at more than one value")


def test_a_long_mask_is_refused() -> None:
    assert hidden("$." + "x" * (MASK_MAX - 2)) == []
    assert fault("$." + "x" * (MASK_MAX - 1)) == ("$.masks[0]", "is longer than 256 characters")


@pytest.mark.parametrize(
    ("mask", "times"),
    [
        ("$..x", 24),
        ("$..x..y..z", 1),
        ("$.a[*,*,*,*].b[*,*,*,*]", 1),
        ("$.a[?" + "&&".join(["@.b == ''"] * 8) + "].b", 1),
    ],
)
def test_masks_that_cost_too_much_are_refused_before_they_are_walked(mask: str, times: int) -> None:
    large = {"a": [{"b": ""} for _ in range(1500)]}
    assert m.masked(large, ["$.a[*].b", "$.a[7].b"]) == large
    refused = ("$.masks", "would cost too much on an event of this size")
    assert fault(*[mask] * times, event=large) == refused


WORDS = (
    "$ . .. * [ ] ? @ a 'a' 0 -1 : , ( ) ! == < && || length( count( value( match( 1e999 null true \\u ' \""
)
words = st.sampled_from([*WORDS.split(" "), " ", "\n"])
PARTS = ".a .b ..a ..* [*] [0] [-1] [0,'a'] [::2] [?@.a] [?@.a=='x'] [?!@.b||@.a<@.b] [?length(@)>1] ['a'][*]"
parts = st.sampled_from(PARTS.split(" "))
paths = st.lists(words, max_size=12).map("".join) | st.lists(parts, max_size=5).map("".join)


@calm
@given(
    st.dictionaries(st.sampled_from(["a", "b"]), json_values),
    st.lists(paths.map("${}".format) | paths | st.text(max_size=9), max_size=3),
)
def test_any_masks_are_applied_or_a_fault_of_the_other_side(event: dict[str, Any], masks: list[str]) -> None:
    read = outcome(lambda: m.masked(event, masks))
    assert isinstance(read, dict | RemoteProtocolError)
