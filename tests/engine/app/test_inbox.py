"""The inbox of a socket."""

from typing import cast

import attrs
import pytest

from engine.app.inbox import INBOX_MAX, Inbox
from engine.transport.sockets import Socket


@attrs.define(eq=False)
class Tap:
    """A socket that notes whether it is read."""

    turned: list[str] = attrs.field(factory=list)

    def pause(self) -> None:
        self.turned.append("pause")

    def resume(self) -> None:
        self.turned.append("resume")


@attrs.define(eq=False)
class Reader:
    """Takes messages, each in hand until it is told to go on."""

    holds: bool = True
    taken: list[str] = attrs.field(factory=list)
    tap: Tap = attrs.field(factory=Tap)
    inbox: Inbox = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.inbox = Inbox(cast(Socket, self.tap), self.take)

    def take(self, text: str) -> None:
        self.taken.append(text)
        if self.holds:
            self.inbox.hold()

    def put(self, *texts: str) -> None:
        for text in texts:
            self.inbox.put(text)


def test_one_message_is_in_hand_and_the_others_follow_in_their_order() -> None:
    reader = Reader()
    reader.put("a", "b", "c")
    assert reader.taken == ["a"]
    reader.inbox.go_on()
    assert reader.taken == ["a", "b"]
    reader.inbox.go_on()
    reader.inbox.go_on()
    reader.put("d")
    assert reader.taken == ["a", "b", "c", "d"]


def test_what_is_done_at_once_holds_up_nothing() -> None:
    reader = Reader(holds=False)
    reader.put("a", "b")
    assert reader.taken == ["a", "b"]


def test_what_is_held_and_done_before_it_is_taken_whole_holds_up_nothing() -> None:
    taken: list[str] = []

    def take(text: str) -> None:
        taken.append(text)
        inbox.hold()
        inbox.go_on()

    inbox = Inbox(cast(Socket, Tap()), take)
    inbox.hold()
    for text in ("a", "b", "c"):
        inbox.put(text)
    inbox.go_on()
    assert taken == ["a", "b", "c"]


def test_a_cleared_inbox_gives_nothing_more() -> None:
    reader = Reader()
    reader.put("a", "b")
    reader.inbox.clear()
    reader.inbox.go_on()
    assert reader.taken == ["a"]


@pytest.mark.parametrize(("waiting", "turned"), [(INBOX_MAX - 1, []), (INBOX_MAX, ["pause"])])
def test_a_socket_is_read_until_its_inbox_is_full(waiting: int, turned: list[str]) -> None:
    reader = Reader()
    reader.put("in hand", *map(str, range(waiting)))
    assert reader.tap.turned == turned


def test_a_paused_socket_is_read_again_when_half_is_taken() -> None:
    reader = Reader()
    # What was read before the pause still comes, and pauses nothing twice.
    reader.put("in hand", *map(str, range(INBOX_MAX + 1)))
    for _ in range(INBOX_MAX // 2):
        reader.inbox.go_on()
    assert reader.tap.turned == ["pause"]
    reader.inbox.go_on()
    assert reader.tap.turned == ["pause", "resume"]
