"""The processes of the demonstration, and what is said when they do not do their part."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.board import UnmetError
from machines.videochat.client import VideochatError
from machines.videochat.demo.cast import Server, User


def heard(user: User, device: str, kind: str, **fields: Any) -> None:
    """A device of the user has heard something."""
    user.take(json.dumps({"device": device, "heard": kind, **fields}))


async def test_a_device_waits_for_an_event_and_takes_each_once(autojump_clock: MockClock) -> None:
    bob = User("bob", ("phone", "laptop"), Path("bob.log"))
    phone = bob.devices["phone"]
    async with trio.open_nursery() as nursery:

        async def say_later() -> None:
            await trio.sleep(1)
            heard(bob, "laptop", "Declined", request_id="q1")
            heard(bob, "phone", "Declined", request_id="q2")
            heard(bob, "phone", "Declined", request_id="q1")

        nursery.start_soon(say_later)
        assert (await phone.hears("Declined", request_id="q1"))["request_id"] == "q1"
        assert (await phone.hears("Declined"))["request_id"] == "q2"
    with pytest.raises(UnmetError, match=r"bob's phone does not hear Declined; see bob\.log"):
        await phone.hears("Declined")


async def test_a_device_that_does_not_come_back_is_missed(autojump_clock: MockClock) -> None:
    bob = User("bob", ("phone",), Path("bob.log"))
    bob.take('{"device": "phone", "state": "waiting"}')
    await bob.devices["phone"].is_in("waiting")
    with pytest.raises(UnmetError, match="bob's phone is not ready"):
        await bob.devices["phone"].is_in("ready")


@pytest.mark.slow
async def test_a_process_that_ends_is_missed_at_once(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        bob = User("bob", ("phone",), tmp_path / "bob.log")
        with pytest.raises(UnmetError, match="the process of bob has ended"):
            await bob.start(nursery, "nowhere", "token")
        with pytest.raises(UnmetError, match="the process of bob has ended"):
            await bob.do("phone", "request", ("ann",))
        assert "ConfigurationError" in bob.log.read_text()


@pytest.mark.slow
async def test_a_server_that_does_not_come_up_is_missed_with_its_log(tmp_path: Path) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text("[videochat]\nring_seconds = 1\n")
    async with trio.open_nursery() as nursery:
        server = Server(nursery, tmp_path, "memory:", config)
        with pytest.raises(UnmetError, match=r"see .*server\.log"):
            await server.start()
        assert "ring_seconds" in server.log.read_text()


@pytest.mark.slow
async def test_a_user_asks_a_server_that_stops_when_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    async with trio.open_nursery() as nursery:
        server = Server(nursery, tmp_path, "memory:", tmp_path / "empty.toml")
        await server.start()
        assert server.url.endswith("/videochat")
        assert await server.stop() == 0


async def test_an_answer_is_handed_to_who_asked() -> None:
    bob = User("bob", ("phone",), Path("bob.log"))
    bob.take('{"id": 1, "answer": "q1"}')
    assert await bob.answer_to(1, "request") == "q1"
    bob.take('{"id": 2, "error": [1021, "user not found"]}')
    with pytest.raises(VideochatError, match="1021"):
        await bob.answer_to(2, "request")
