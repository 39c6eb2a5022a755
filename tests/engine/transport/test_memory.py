"""Links in memory: fair weather, and each kind of bad one."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.errors import TransportBrokenError, TransportClosedError
from engine.transport.memory import MemoryLink, Weather, pair


async def drain(link: MemoryLink) -> list[str]:
    received = []
    try:
        while True:
            received.append(await link.receive())
    except TransportBrokenError:
        return received


async def post(link: MemoryLink, count: int) -> None:
    for number in range(count):
        await link.send(str(number))
    await link.aclose()


async def through(weather: Weather, *, seed: int = 1, count: int = 50) -> list[str]:
    left, right = pair(seed, weather)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post, left, count)
        return await drain(right)


ALL = [str(number) for number in range(50)]


async def test_in_fair_weather_everything_arrives_in_order():
    assert await through(Weather()) == ALL


async def test_both_directions_are_independent():
    left, right = pair(1)
    await left.send("to right")
    await right.send("to left")
    assert (await left.receive(), await right.receive()) == ("to left", "to right")


async def test_some_are_lost_and_the_rest_keep_their_order():
    received = await through(Weather(loss=0.5))
    assert 5 < len(received) < 45
    assert received == sorted(received, key=int)


async def test_delays_keep_the_order_and_take_time(autojump_clock):
    began = trio.current_time()
    assert await through(Weather(delay_seconds=10)) == ALL
    assert 0 < trio.current_time() - began <= 10


async def test_reordering_changes_the_order_and_loses_nothing(autojump_clock):
    received = await through(Weather(delay_seconds=10, reordering=0.5))
    assert received != ALL
    assert sorted(received, key=int) == ALL


async def test_the_same_seed_gives_the_same_weather(autojump_clock):
    weather = Weather(delay_seconds=10, reordering=0.5, loss=0.3)
    first, again, other = [await through(weather, seed=seed) for seed in (1, 1, 2)]
    assert first == again
    assert first != other


async def test_a_link_that_breaks_is_broken_for_both():
    left, right = pair(1, Weather(breaking=1.0))
    for use in (lambda: left.send("x"), left.receive, right.receive, lambda: right.send("x")):
        with pytest.raises(TransportBrokenError) as caught:
            await use()
        assert caught.value.code == 1006


async def test_breaking_loses_what_is_under_way_and_wakes_who_waits(nursery):
    left, right = pair(1)
    await left.send("lost")

    async def wait_for_the_break() -> None:
        with pytest.raises(TransportBrokenError):
            await left.receive()

    nursery.start_soon(wait_for_the_break)
    await wait_all_tasks_blocked()
    right.break_link()
    assert await drain(right) == []


async def test_after_a_close_the_other_side_receives_the_rest():
    left, right = pair(1)
    await left.send("last")
    await left.aclose()
    await left.aclose()
    assert await right.receive() == "last"
    for use in (right.receive, lambda: right.send("x")):
        with pytest.raises(TransportBrokenError) as caught:
            await use()
        assert caught.value.code == 1000
    for use in (left.receive, lambda: left.send("x")):
        with pytest.raises(TransportClosedError):
            await use()


async def test_a_full_inbox_makes_the_sender_wait():
    left, right = pair(1, Weather(inbox_messages_max=2))
    sent = []

    async def send_all() -> None:
        for number in range(3):
            await left.send(str(number))
            sent.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all)
        await wait_all_tasks_blocked()
        assert sent == [0, 1]
        assert await right.receive() == "0"
        await wait_all_tasks_blocked()
        assert sent == [0, 1, 2]


async def test_a_close_wakes_a_sender_that_waits():
    left, right = pair(1, Weather(inbox_messages_max=1))
    await left.send("0")

    async def send_more() -> None:
        with pytest.raises(TransportBrokenError):
            await left.send("1")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_more)
        await wait_all_tasks_blocked()
        await right.aclose()


@pytest.mark.parametrize(
    "wrong", [{"loss": 1.1}, {"breaking": -0.1}, {"delay_seconds": -1}, {"inbox_messages_max": 0}]
)
def test_impossible_weather_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Weather(**wrong)
