"""An event as one line: what says nothing is left out, what is long is cut, what is secret stays so."""

from enum import Enum
from typing import Any

import attrs
import pytest

from engine.app.lines import line_of, shown
from engine.vocabulary import Event, Stamp, length


class Kind(Enum):
    DIRECT = "direct"


@attrs.frozen
class Card:
    id: str
    name: str = ""
    key: str = attrs.field(default="", repr=length)


@attrs.frozen
class Opened(Event):
    card: Card | None = None
    kind: Kind | None = None
    text: str = ""
    several: tuple[Any, ...] = ()
    by_name: dict[str, Any] = attrs.field(factory=dict)
    count: int = 3
    is_loud: bool = False
    stamp: Stamp = attrs.field(default=Stamp(), repr=False)


@attrs.frozen
class Wide(Event):
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0
    f: int = 0
    g: int = 0
    h: int = 0
    i: int = 0
    j: int = 0
    k: int = 0


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Opened(), "Opened"),
        (Opened(card=Card("ann", key="secret")), "Opened card.id=ann card.key=<6 characters>"),
        (Opened(kind=Kind.DIRECT, count=0, is_loud=True), "Opened kind=direct count=0 is_loud=true"),
        (Opened(text="a b"), "Opened text='a b'"),
        (Opened(text="a\n\x1b[2J"), "Opened text='a\\n\\x1b[2J'"),
        (Opened(text="x" * 40), f"Opened text={'x' * 40}"),
        (Opened(text="x" * 41), f"Opened text={'x' * 39}…"),
        (Opened(several=("a b", 5)), 'Opened several=["a b",5]'),
        (
            Opened(several=(Card("bob", key="12"),)),
            'Opened several=[{"id":"bob","name":"","key":"<2 charac…',
        ),
        (Opened(by_name={"x": Kind.DIRECT}), 'Opened by_name={"x":"direct"}'),
        (Opened(stamp=Stamp(id="a command")), "Opened"),
        (Wide(*[1] * 10), "Wide a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1"),
        (Wide(*[1] * 11), "Wide a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 +1"),
    ],
)
def test_an_event_is_a_line_of_its_few_fields(event: Event, line: str) -> None:
    assert line_of(event) == line


def test_secrets_are_shown_by_their_length() -> None:
    @attrs.frozen
    class Inner:
        secret: str = attrs.field(default="12345", repr=length)
        hidden: str = attrs.field(default="never", repr=False)

    @attrs.frozen
    class Outer:
        several: tuple[Inner, ...] = (Inner(),)
        by_name: dict[str, Inner] = attrs.field(factory=lambda: {"a": Inner()})
        number: int = 5

    inner = {"secret": "<5 characters>"}
    assert shown(Outer()) == {"several": [inner], "by_name": {"a": inner}, "number": 5}
