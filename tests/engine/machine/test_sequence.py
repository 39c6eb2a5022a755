"""Sequence diagrams: parties in the order in which they appear, text made harmless."""

import re

import pytest

from engine.machine.sequence import Arrow, sequence_diagram

TEXT = r"(?:[^:;#\n<>\"{}%]|#\d+;)+"
LINE = re.compile(rf"    (participant p\d+ as {TEXT}|p\d+->>p\d+: {TEXT}|Note over p\d+(,p\d+)?: {TEXT})")


def test_parties_stand_in_the_order_in_which_they_appear() -> None:
    text = sequence_diagram(
        [Arrow("bob", "server", "Accept"), Arrow("server", "ann", "accepted", "version 3")]
    )
    assert text == (
        "sequenceDiagram\n"
        "    participant p0 as bob\n"
        "    participant p1 as server\n"
        "    participant p2 as ann\n"
        "    p0->>p1: Accept\n"
        "    p1->>p2: accepted\n"
        "    Note over p1,p2: version 3\n"
    )


def test_what_happens_to_one_party_is_noted_over_it() -> None:
    assert "    Note over p0: 30 s\n" in sequence_diagram(iter([Arrow("ring", "ring", "ExpireRing", "30 s")]))


def test_no_lines_make_an_empty_diagram() -> None:
    assert sequence_diagram([]) == "sequenceDiagram\n"


@pytest.mark.parametrize("text", ["a: b; c#1", "end", "two\nlines", "<b>{x}%%", "wrap:x", "", '"q"', "+-x"])
def test_text_that_is_syntax_does_no_harm(text: str) -> None:
    first, *lines = sequence_diagram([Arrow(text, "b", text, text), Arrow("b", text, text)]).splitlines()
    assert first == "sequenceDiagram"
    assert len(lines) == 5
    assert all(LINE.fullmatch(line) for line in lines)
