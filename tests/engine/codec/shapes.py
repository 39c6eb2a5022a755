"""Classes that use every form a field may have, and how to draw instances of them."""

from collections.abc import Mapping
from enum import Enum, IntEnum, StrEnum, auto
from typing import Annotated, Any, ClassVar, Final, Literal, NewType, Optional

import attrs
from hypothesis import settings
from hypothesis import strategies as st

from engine.codec.dialect import on_wire
from engine.vocabulary import Command, Event, Stamp

calm = settings(deadline=None)
"""A property is about values; a busy machine must not fail it."""

UserId = NewType("UserId", str)


class Mode(StrEnum):
    """Known by its values on the wire."""

    VIDEOCHAT = "videochat"
    NETWORK = "networkConference"


class Privacy(IntEnum):
    """Numbers, as in the videochat API."""

    DEFAULT = 0
    INCOGNITO = 1


class Kind(StrEnum):
    """Takes values that it does not know."""

    AUDIO = "AUDIO"
    UNKNOWN = "UNKNOWN"


class State(Enum):
    """States of a machine; their values mean nothing."""

    RINGING = auto()
    ENDED = auto()


@attrs.frozen(kw_only=True)
class Avatar:
    """Has a mapping and an irregular word."""

    asset_id: str
    asset_skins: Mapping[str, str] = attrs.field(factory=dict)
    url: str | None = None


@attrs.frozen(kw_only=True)
class Person:
    """Nested, with a field that is left out when it is empty."""

    id: UserId
    first_name: str = ""
    avatar3d: Avatar | None = attrs.field(default=None, metadata=on_wire("avatar3D", omit_empty=True))
    tags: tuple[str, ...] = attrs.field(default=(), metadata=on_wire(omit_empty=True))


@attrs.frozen(kw_only=True)
class Everything:
    """One field of each form."""

    text: str
    number: int
    share: float
    flag: bool
    nothing: None
    anything: Any
    choice: Literal["a", 1]
    mode: Mode
    privacy: Privacy
    kind: Kind
    person: Person
    maybe: Optional[int]  # noqa: UP045 - the old spelling is read as well
    either: str | int | tuple[int, ...] | Person | None
    measure: float | str
    people: tuple[Person, ...]
    pair: tuple[str, int]
    modes: frozenset[Mode]
    counts: dict[UserId, int]
    noted: Annotated[str, "a note"]
    last: Final[int]
    from_: str = ""
    computed: int = attrs.field(init=False, default=0)


@attrs.frozen
class Node:
    """Holds itself."""

    name: str
    children: "tuple[Node, ...]" = ()
    parent: "Node | None" = None


@attrs.frozen(kw_only=True)
class Ring(Command):
    """A command."""

    target: UserId
    state: State = State.RINGING


@attrs.frozen(kw_only=True)
class Rang(Event):
    """An event with one field of each form that records have."""

    text: str
    number: int
    share: float
    flag: bool
    anything: Any
    state: State
    person: Person
    either: int | tuple[int, ...] | Person | State | None
    marks: frozenset[str]
    states: frozenset[State]
    persons: Mapping[str, Person]
    root: Node
    command: Command | None = None


@attrs.frozen(kw_only=True)
class Call:
    """The data of a machine."""

    initiator: str
    seats: Mapping[str, Person] = attrs.field(factory=dict)


@attrs.frozen
class Renamed(Event):
    """At its third schema."""

    SCHEMA: ClassVar[int] = 3
    name: str
    size: int


texts = st.text(max_size=8)
ids = st.sampled_from([UserId("ann"), UserId("bob"), UserId("eve")])
integers = st.integers(-(2**63), 2**64 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | integers | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
frozen_values = st.recursive(
    st.none() | st.booleans() | integers | finite | texts,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
avatars = st.builds(
    Avatar, asset_id=texts, asset_skins=st.dictionaries(texts, texts, max_size=2), url=st.none() | texts
)
persons = st.builds(
    Person,
    id=ids,
    first_name=texts,
    avatar3d=st.none() | avatars,
    tags=st.lists(texts, max_size=2).map(tuple),
)
nodes = st.recursive(
    st.builds(Node, texts),
    lambda inner: st.builds(Node, texts, st.lists(inner, max_size=2).map(tuple), st.none() | inner),
    max_leaves=3,
)
everythings = st.builds(
    Everything,
    text=texts,
    number=integers,
    share=finite,
    flag=st.booleans(),
    nothing=st.none(),
    anything=frozen_values,
    choice=st.sampled_from(["a", 1]),
    mode=st.sampled_from(Mode),
    privacy=st.sampled_from(Privacy),
    kind=st.sampled_from(Kind),
    person=persons,
    maybe=st.none() | integers,
    either=texts | integers | st.lists(integers, max_size=2).map(tuple) | persons | st.none(),
    measure=finite | texts,
    people=st.lists(persons, max_size=2).map(tuple),
    pair=st.tuples(texts, integers),
    modes=st.frozensets(st.sampled_from(Mode)),
    counts=st.dictionaries(ids, integers, max_size=2),
    noted=texts,
    last=integers,
    from_=texts,
)
stamps = st.builds(Stamp, at=finite, id=texts, entropy=texts)
commands = st.builds(Ring, target=ids, state=st.sampled_from(State), stamp=stamps)
events = st.builds(
    Rang,
    text=texts,
    number=integers,
    share=finite,
    flag=st.booleans(),
    anything=frozen_values,
    state=st.sampled_from(State),
    person=persons,
    either=st.sampled_from(State)
    | integers
    | st.lists(integers, max_size=2).map(tuple)
    | persons
    | st.none(),
    marks=st.frozensets(texts, max_size=4),
    states=st.frozensets(st.sampled_from(State)),
    persons=st.dictionaries(ids, persons, max_size=2),
    root=nodes,
    command=st.none() | commands,
)
