"""A push is bounded, tried again, counted, and never the end of a call."""

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.app.push import PAUSES, NoPush, Pushes, PushNotice
from engine.app.users import User
from engine.effects import Push
from engine.errors import PushRefusedError, TransportBrokenError
from engine.runtime.performers import Asked
from engine.vocabulary import Address, Message

ANN = User(id="ann")


@attrs.frozen(kw_only=True)
class Knock(Message):
    door_id: str
    who: str = "bob"


@attrs.frozen(kw_only=True)
class Odd(Message):
    what: object = None


class Port:
    """Does what it is told to, attempt by attempt; then it succeeds."""

    def __init__(self, *attempts: Callable[[], Awaitable[None]], reaches: object = True) -> None:
        self.notices: list[PushNotice] = []
        self._attempts = list(attempts)
        self._reaches = reaches

    async def reaches(self, user: User) -> bool:
        if callable(self._reaches):
            await self._reaches()
        return self._reaches  # type: ignore[return-value]  # as wrong as an embedding program may be

    async def push(self, notice: PushNotice) -> None:
        self.notices.append(notice)
        if self._attempts:
            await self._attempts.pop(0)()


def raising(error: Exception) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


def asked(message: Message | None = None) -> Asked:
    push = Push(type="pushKnock", to="ann", message=message or Knock(door_id="d1"))
    return Asked(key="door:d1:3:0", member=Address("door", "d1"), request=push, tell=lambda _: None)


async def test_a_push_is_handed_on_as_plain_values_with_its_key() -> None:
    port = Port()
    pushes = Pushes(port)
    await pushes.perform(asked())
    data = {"doorId": "d1", "who": "bob"}
    assert port.notices == [PushNotice(type="pushKnock", user="ann", data=data, key="door:d1:3:0")]
    assert pushes.counts == {("pushKnock", "sent"): 1}


@pytest.mark.parametrize(
    "error", [TransportBrokenError("gone"), ValueError("a bug"), ExceptionGroup("", [OSError()])]
)
async def test_a_push_that_fails_is_tried_again_under_the_same_key(
    error: Exception, autojump_clock: MockClock
) -> None:
    port = Port(raising(error), raising(error))
    pushes = Pushes(port)
    with capture_logs() as logs:
        await pushes.perform(asked())
    assert [one.key for one in port.notices] == ["door:d1:3:0"] * 3
    assert pushes.counts == {("pushKnock", "sent"): 1}
    assert len(logs) == 2
    assert all(one["key"] == "door:d1:3:0" for one in logs)


async def test_what_fails_every_time_is_given_up_and_raises_nothing(autojump_clock: MockClock) -> None:
    port = Port(*[raising(TransportBrokenError("gone"))] * 10)
    pushes = Pushes(port)
    await pushes.perform(asked())
    assert len(port.notices) == len(PAUSES)
    assert pushes.counts == {("pushKnock", "failed"): 1}


async def test_what_is_refused_is_not_tried_again() -> None:
    port = Port(raising(PushRefusedError("no")))
    pushes = Pushes(port)
    await pushes.perform(asked())
    assert len(port.notices) == 1
    assert pushes.counts == {("pushKnock", "failed"): 1}


async def test_a_port_that_hangs_is_not_waited_for(autojump_clock: MockClock) -> None:
    port = Port(*[trio.sleep_forever] * 10)
    pushes = Pushes(port)
    with capture_logs() as logs:
        await pushes.perform(asked())
    assert pushes.counts == {("pushKnock", "failed"): 1}
    assert {one["reason"] for one in logs} == {"it took longer than 10 s"}


async def test_what_cannot_be_written_fails_and_raises_nothing() -> None:
    port = Port()
    pushes = Pushes(port, pauses=[0.0])
    await pushes.perform(asked(Odd()))
    assert (port.notices, pushes.counts) == ([], {("pushKnock", "failed"): 1})


async def test_too_many_at_once_are_dropped_and_cancelled_ones_make_room() -> None:
    port = Port(trio.sleep_forever)
    pushes = Pushes(port, in_flight_max=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pushes.perform, asked())
        await wait_all_tasks_blocked()
        await pushes.perform(asked())
        assert pushes.counts == {("pushKnock", "dropped"): 1}
        nursery.cancel_scope.cancel()
    await pushes.perform(asked())
    assert pushes.counts == {("pushKnock", "dropped"): 1, ("pushKnock", "sent"): 1}


@pytest.mark.parametrize(("says", "found"), [(True, True), (False, False), (1, True), (None, False)])
async def test_the_port_says_who_is_reached(says: object, found: bool) -> None:
    assert await Pushes(Port(reaches=says)).reaches(ANN) is found


@pytest.mark.parametrize("reaches", [raising(OSError("no database")), trio.sleep_forever])
async def test_nobody_is_reached_by_a_port_that_cannot_say(
    reaches: object, autojump_clock: MockClock
) -> None:
    with capture_logs() as logs:
        assert await Pushes(Port(reaches=reaches)).reaches(ANN) is False
    assert [one["event"] for one in logs] == ["push_lookup_failed"]


async def test_without_a_port_nobody_is_reached_and_what_was_asked_before_is_given_up() -> None:
    pushes = Pushes(NoPush())
    assert await pushes.reaches(User(id="ann", push=True)) is False
    await pushes.perform(asked())
    assert pushes.counts == {("pushKnock", "failed"): 1}
