"""Diagrams show every row, guard, saying and timer, in text that the drawing programs can read."""

import re
import shutil
import subprocess
from collections.abc import Callable
from enum import Enum

import attrs
import pytest

from engine.machine import diagram
from engine.machine.diagram import dot, edges, mermaid
from engine.machine.sayings import UNREAD
from engine.machine.table import After, Crash, Defer, EndOnCrash, Ignore, OnRestart, Refuse, Row, Said, Table
from engine.vocabulary import Command, Event
from tests.engine.machine.tables import EVERY, PHONE, PRINTER, TURNSTILE, Paid, S

IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
# What the lexer of Mermaid's state diagrams takes after a colon, once entities are put away.
TEXT = r"(?:[^:;#\n<>\"{}%]|#\d+;)+"
LINES = {
    "state": re.compile(rf'state "(?P<label>{TEXT})" as (?P<id>{IDENTIFIER})'),
    "text": re.compile(rf"(?P<id>{IDENTIFIER}) : (?P<label>{TEXT})"),
    "edge": re.compile(rf"(?P<id>{IDENTIFIER}) --> (?P<to>{IDENTIFIER}) : (?P<label>{TEXT})"),
    "begin": re.compile(rf"\[\*\] --> (?P<to>{IDENTIFIER})"),
    "end": re.compile(rf"(?P<id>{IDENTIFIER}) --> \[\*\]"),
    "note": re.compile(rf"note right of (?P<id>{IDENTIFIER})"),
}
KEYWORDS = {"state", "note", "end", "as", "direction", "class", "classdef", "style", "hide", "scale", "click"}


@attrs.frozen
class Line:
    kind: str
    id: str = ""
    to: str = ""
    label: str = ""


def parsed(text: str) -> list[Line]:
    """The lines of a `stateDiagram-v2`, or an error for the first that its grammar does not have."""
    assert text.endswith("\n")
    first, *others = text.splitlines()
    assert first == "stateDiagram-v2"
    lines: list[Line] = []
    note: list[str] | None = None
    for line in (one.strip() for one in others):
        if note is not None:
            if line == "end note":
                lines.append(attrs.evolve(lines.pop(), label="\n".join(note)))
                note = None
            else:
                assert re.fullmatch(TEXT, line), line
                assert "end note" not in line.lower()
                note.append(line)
            continue
        (found,) = [
            Line(kind, **match.groupdict()) for kind, one in LINES.items() if (match := one.fullmatch(line))
        ]
        assert {found.id.lower(), found.to.lower()}.isdisjoint(KEYWORDS)
        lines.append(found)
        note = [] if found.kind == "note" else None
    assert note is None
    declared = {line.id for line in lines if line.kind == "state"}
    assert {line.id for line in lines} | {line.to for line in lines} <= declared | {""}
    return lines


def plain(text: str) -> str:
    return re.sub(r"#(\d+);", lambda match: chr(int(match[1])), text)


def labels(table: Table, kind: str, **options: bool) -> list[str]:
    return [plain(line.label) for line in parsed(mermaid(table, **options)) if line.kind == kind]


def counted(table: Table) -> list[Row]:
    return [row for row in table.arrows if row.on is not Crash]


@pytest.mark.parametrize("asides", [False, True])
@pytest.mark.parametrize("table", [one for one, _ in EVERY], ids=lambda one: one.name)
def test_mermaid_has_one_edge_a_row_in_the_order_of_the_table(table: Table, asides: bool) -> None:
    lines = parsed(mermaid(table, asides=asides))
    drawn = [(line.id, line.to) for line in lines if line.kind == "edge"]
    assert drawn == [(row.source.name, row.target.name) for row in counted(table)]
    assert [line.to for line in lines if line.kind == "begin"] == [table.initial.name]
    assert {line.id for line in lines if line.kind == "end"} == {state.name for state in table.final}


def test_rows_between_the_same_states_are_not_merged() -> None:
    assert [edge.label for edge in edges(PHONE) if (edge.source, edge.target) == (S.RINGING, S.MISSED)] == [
        "HangUp [by_caller] / HungUp, Send",
        "after 30 s: ExpireRing / RingExpired, Send",
    ]


def test_an_edge_says_when_it_enters_its_state_again() -> None:
    assert "Hold [by_party] (again) / PutOnHold, Reply" in labels(PHONE, "edge")


def test_an_edge_of_a_timer_says_when_it_fires() -> None:
    by_timer = {edge.label.split(" / ")[0] for edge in edges(PHONE) if edge.by_timer}
    assert by_timer == {
        "after 30 s: ExpireRing",
        "at credit_end: ExpireCredit",
        "after seconds_to_wait: Nudge",
    }


def test_states_show_their_timers_and_what_a_restart_does() -> None:
    assert labels(PRINTER, "text") == [
        "nap Sleep after 60 s, drop on restart",
        "Done after 2 s, rearm on restart",
    ]


def test_a_row_that_says_nothing_has_no_slash() -> None:
    quiet = attrs.evolve(
        TURNSTILE, rows=(*TURNSTILE.rows[:2], Row(*[TURNSTILE.rows[2].source], TURNSTILE.rows[0].on, None))
    )
    assert edges(quiet)[2].label == "Coin"


def test_crashes_are_one_note() -> None:
    assert labels(PHONE, "note") == ["Crash in any state not final: ENDED / Crashed, Send"]
    assert labels(PRINTER, "note") == [
        "Crash in any state not final: rebuilt up to 3 times, then BROKEN / Broke"
    ]
    assert labels(TURNSTILE, "note") == []


def test_asides_are_notes_of_their_states_when_they_are_asked_for() -> None:
    notes = {
        line.id: plain(line.label).splitlines()
        for line in parsed(mermaid(PHONE, asides=True))
        if line.kind == "note"
    }
    assert notes["RINGING"][0] == "Say, Hold [by_party] deferred: they may speak before the line is up"
    assert "Connected ignored: late news of a line that is gone" in notes["TALKING"]
    assert labels(TURNSTILE, "note", asides=True) == ["Push refused: locked"]


class Nasty(Enum):
    """Names that are syntax to somebody."""

    END = 1
    NOTE = 2
    PLAIN = 3


Odd = Enum("Odd", {'a "b"': 1, "c: d\\": 2, "<e>;": 3})


@attrs.frozen
class Go(Command):
    pass


def go(_data: object, _command: object) -> Said:
    return (Paid(),)


def nasty_guard(_data: object, _command: object) -> bool:
    return True


nasty_guard.__name__ = 'is "x": <y>;\nend note %% {z}'


def nothing(_key: str) -> None:
    return None


def same(data: object, _event: Event) -> object:
    return data


def nasty(states: type[Enum]) -> Table:
    one, two, three = states
    reason = 'because: "it"\nis <so>; end note }'
    return Table(
        name='a "name"\\',
        initial=one,
        final=frozenset([three]),
        rows=(Row(one, Go, two, go, when=nasty_guard), Row(two, Go, three, go)),
        asides=(Refuse(one, Go, reason), Ignore(three, Go, "x")),
        timers=(After(two, Go, 1.5, name='t: "x"', on_restart=OnRestart.DROP),),
        crash=EndOnCrash(three, go),
        start=nothing,
        evolve=same,
    )


@pytest.mark.parametrize("states", [Nasty, Odd])
def test_text_that_is_syntax_does_no_harm_in_mermaid(states: type[Enum]) -> None:
    lines = parsed(mermaid(nasty(states), asides=True))
    assert [line.id for line in lines if line.kind == "state"] == ["s0", "s1", "s2"]
    assert [plain(line.label) for line in lines if line.kind == "state"] == [one.name for one in states]
    (label,) = [plain(line.label) for line in lines if line.kind == "edge" and line.id == "s0"]
    assert label == 'Go [is "x": <y>; end note %% {z}] / Paid'


def test_a_deferral_is_called_one() -> None:
    one, _, three = Nasty
    table = attrs.evolve(nasty(Nasty), asides=(Defer(one, Go, "later"), Ignore(three, Go, "x")))
    assert "Go deferred: later" in labels(table, "note", asides=True)


def test_the_parser_of_these_tests_takes_no_bad_line() -> None:
    for bad in ("A --> B : a: b", "A --> B", "NOTE --> NOTE : x", 'state "A as A', "A : <b>"):
        with pytest.raises((AssertionError, ValueError)):
            parsed(f'stateDiagram-v2\n    state "A" as A\n    state "B" as B\n    {bad}\n')


DOT_EDGE = re.compile(r'    "([^"]+)" -> "([^"]+)" \[label="(.*)"(, style=dashed)?\];')


@pytest.mark.parametrize("table", [one for one, _ in EVERY], ids=lambda one: one.name)
def test_graphviz_has_one_edge_a_row_and_dashes_those_of_timers(table: Table) -> None:
    drawn = [match.groups() for line in dot(table).splitlines() if (match := DOT_EDGE.fullmatch(line))]
    assert [(source, target) for source, target, _, _ in drawn] == [
        (row.source.name, row.target.name) for row in counted(table)
    ]
    assert [bool(dashed) for _, _, _, dashed in drawn] == [edge.by_timer for edge in edges(table)]


def test_graphviz_marks_final_states_and_shows_timers() -> None:
    text = dot(PRINTER)
    assert '"BROKEN" [label="BROKEN", peripheries=2];' in text
    assert r'"READY" [label="READY\nnap Sleep after 60 s, drop on restart"];' in text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not installed")
@pytest.mark.parametrize(
    "make", [lambda: PHONE, lambda: PRINTER, lambda: TURNSTILE, lambda: nasty(Nasty), lambda: nasty(Odd)]
)
def test_graphviz_reads_what_is_drawn_for_it(make: Callable[[], Table]) -> None:
    table = make()
    done = subprocess.run(
        ["dot", "-Tcanon"], input=dot(table, asides=True), capture_output=True, encoding="utf-8", check=True
    )
    assert done.stderr == ""
    notes = mermaid(table, asides=True).count("note right of")
    assert done.stdout.count(" -> ") == len(counted(table)) + notes + 1


@pytest.mark.parametrize(("drawn", "mark"), [(mermaid, "%%"), (dot, "//")])
def test_a_python_that_cannot_be_read_is_noted(
    drawn: Callable[..., str], mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    readable = drawn(PHONE)
    monkeypatch.setattr(diagram, "are_read", lambda: False)
    note = f"    {mark} {UNREAD}\n"
    assert note not in readable
    assert drawn(PHONE).replace(note, "", 1) == readable
