"""What reactions may say is read from their code."""

from enum import StrEnum
from functools import partial

import pytest

from engine import effects
from engine.effects import Ask, Reply, Request, Send, Tell
from engine.machine.sayings import _sample, are_read, ports, sayings
from engine.machine.table import Said
from engine.vocabulary import Address, Effect, Event
from tests.engine.machine import tables as v
from tests.engine.machine.tables import (
    FINISHED,
    Accepted,
    Crashed,
    Finished,
    Note,
    Paid,
    Passed,
    Print,
    accept,
    dial,
    finish,
)

PAIR = (Crashed(), Reply(Note("x")))


def by_module(_data: object, _command: object) -> Said:
    return v.Accepted(), effects.Send(to="ann", message=v.Note("x"))


def by_constant(_data: object, _command: object) -> Said:
    return FINISHED, Passed()


def by_tuple(_data: object, _command: object) -> Said:
    return PAIR


def by_branch(data: object, _command: object) -> Said:
    if data:
        return (Passed(),)
    return (Paid(),)


def in_a_comprehension(data: list[str], _command: object) -> Said:
    return Paid(), *(Send(to=name, message=Note("x")) for name in data)


def first(depth: int) -> Said:
    return (Paid(),) if depth else second(depth)


def second(depth: int) -> Said:
    return (*first(depth), Passed())


def by_inner_functions(_data: object, _command: object) -> Said:
    return second(1)


def four() -> Said:
    return (Crashed(),)


def three() -> Said:
    return four()


def two() -> Said:
    return three()


def one() -> Said:
    return two()


def zero() -> Said:
    return one()


def close_enough(_data: object, _command: object) -> Said:
    return one()


def too_deep(_data: object, _command: object) -> Said:
    return zero()


def saying(event: type[Event], *others: object) -> object:
    def react(_data: object, _command: object) -> Said:
        return event(), *others

    return react


def unbound() -> object:
    def react(_data: object, _command: object) -> Said:
        return (later,)

    if not react:
        later = Paid()
    return react


def with_argument(_event: Event, _data: object, _command: object) -> Said:
    return (Passed(),)


def naming_bases(data: object, _command: object) -> Said:
    return tuple(word for word in data if isinstance(word, Event | Effect))


def from_elsewhere(_data: object, _command: object) -> Said:
    return v.accept(None, None)


class Callable:
    def __call__(self, _data: object, _command: object) -> Said:
        return (Paid(),)

    def method(self, _data: object, _command: object) -> Said:
        return (Passed(),)


@pytest.mark.parametrize(
    ("reaction", "words"),
    [
        (dial, (v.Dialled, Send, Reply)),
        (accept, (Accepted, Send)),
        (finish, (Finished, Tell, Print)),
        (by_module, (Accepted, Send)),
        (by_constant, (Finished, Passed)),
        (by_tuple, (Crashed, Reply)),
        (by_branch, (Passed, Paid)),
        (in_a_comprehension, (Paid, Send)),
        (by_inner_functions, (Paid, Passed)),
        (close_enough, (Crashed,)),
        (too_deep, ()),
        (saying(Paid), (Paid,)),
        (saying(Paid, Reply(Note("x"))), (Paid, Reply)),
        (unbound(), ()),
        (partial(with_argument, Paid()), (Passed, Paid)),
        (partial(with_argument, _event=Paid()), (Passed, Paid)),
        (naming_bases, ()),
        (from_elsewhere, ()),
        (Callable(), (Paid,)),
        (Callable().method, (Passed,)),
        (len, ()),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_words_are_listed_in_the_order_of_first_use(reaction: object, words: tuple[type, ...]) -> None:
    assert sayings(reaction) == words


def test_a_reaction_is_read_and_not_called() -> None:
    def exploding(_data: object, _command: object) -> Said:
        raise AssertionError(Paid, Address("a", "b"))

    assert sayings(exploding) == (Paid,)


def test_it_is_found_out_whether_this_python_can_be_read() -> None:
    assert are_read()
    assert not are_read(lambda: ())


LAMP = "t.lamp"
SWITCH_OFF = Ask(LAMP, Request())


class Ports(StrEnum):
    """Where one asks."""

    BELL = "t.bell"


def by_name(_data: object, _command: object) -> Said:
    return (Paid(), Ask(LAMP, Request()), Ask("t.door", Request()))


def by_keyword(_data: object, _command: object) -> Said:
    return (effects.Ask(port=Ports.BELL, request=Request()),)


def by_a_value(_data: object, _command: object) -> Said:
    return (SWITCH_OFF,)


def by_what_it_calls(_data: object, _command: object) -> Said:
    return by_name(None, None)


def by_closure(port: str) -> object:
    def react(_data: object, _command: object) -> Said:
        return (Ask(port, Request()),)

    return react


def by_finding_out(data: str, _command: object) -> Said:
    return (Ask(data, Request()), Ask(f"{LAMP}.{data}", Request()))


def by_handing_on(_data: object, _command: object) -> Said:
    return tuple(map(Ask, (LAMP,), (Request(),)))


@pytest.mark.parametrize(
    ("reaction", "asked"),
    [
        (by_name, ("t.lamp", "t.door")),
        (by_keyword, ("t.bell",)),
        (by_a_value, ("t.lamp",)),
        (by_what_it_calls, ("t.lamp", "t.door")),
        (by_closure("t.attic"), ("t.attic",)),
        (by_finding_out, ()),
        (by_handing_on, ()),
        (partial(by_name, None), ("t.lamp", "t.door")),
        (accept, ()),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_ports_that_are_named_are_told(reaction: object, asked: tuple[str, ...]) -> None:
    assert ports(reaction) == asked


def test_asking_is_a_word_and_a_port_is_none() -> None:
    assert sayings(by_name) == (Paid, Ask)
    assert sayings(by_a_value) == (Ask,)


def test_what_is_read_of_the_sample_is_what_it_says() -> None:
    assert sayings(_sample) == tuple(type(said) for said in _sample())
