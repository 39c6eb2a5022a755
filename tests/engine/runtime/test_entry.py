"""Entries and worlds: where an embedding program begins."""

from engine.runtime.entry import Entry
from engine.runtime.world import World, fresh_entropy, fresh_id
from engine.vocabulary import Address, Command, Message
from tests.engine.runtime import doorbell as d


def bell_of(command: Command) -> Address:
    return Address(d.BELL, "front")


def call_of(message: Message | None) -> Address:
    assert isinstance(message, d.Told)
    return Address(d.BELL, message.text)


def test_an_entry_names_who_decides_and_then_the_call() -> None:
    entry = Entry(command=d.Press, to=bell_of, call=call_of)
    assert entry.to(d.Press()) == Address(d.BELL, "front")
    assert entry.call(d.Told("front")) == Address(d.BELL, "front")


def test_stamps_are_fresh_and_carry_the_id_that_is_given() -> None:
    world = World(clock=lambda: 7.0)
    one, two = world.stamp(), world.stamp("mine")
    assert (one.at, two.id) == (7.0, "mine")
    assert (len(one.id), len(one.entropy)) == (24, 64)
    assert one.entropy != two.entropy
    assert fresh_id() != fresh_id()
    assert fresh_entropy() != fresh_entropy()
