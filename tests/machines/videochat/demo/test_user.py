"""A user of the demonstration: what he is told to do, and what he tells."""

import json
from typing import Any

import pytest
import trio

from machines.videochat.demo.user import live
from tests.machines.videochat.wiretap import Exchange, exchange


class Script:
    """Lines for a user, and what he says to them."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self._changed = trio.Event()
        self._send, self._lines = trio.open_memory_channel[str](100)

    def __aiter__(self) -> "Script":
        return self

    async def __anext__(self) -> str:
        try:
            return await self._lines.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    def tell(self, **words: Any) -> None:
        """A line for the user."""
        self._send.send_nowait(json.dumps(words))

    def begin(self, served: Exchange, user: str, *devices: str) -> None:
        """The first line."""
        self.tell(url=served.url, token=served.tokens[user], devices=devices)

    def end(self) -> None:
        """No more lines."""
        self._send.close()

    def say(self, words: dict[str, Any]) -> None:
        """The user's voice."""
        self.said.append(words)
        self._changed.set()
        self._changed = trio.Event()

    async def hears(self, **fields: Any) -> dict[str, Any]:
        """Wait until the user has said something with these fields."""
        while True:
            for words in self.said:
                if fields.items() <= words.items():
                    return words
            await self._changed.wait()


async def test_a_user_does_what_he_is_told_and_tells_what_he_hears() -> None:
    ann, bob = Script(), Script()
    async with exchange() as served, trio.open_nursery() as nursery:
        ann.begin(served, "ann", "phone")
        bob.begin(served, "bob", "phone", "laptop")
        nursery.start_soon(live, ann, ann.say)
        nursery.start_soon(live, bob, bob.say)
        for device in ("phone", "laptop"):
            await bob.hears(device=device, state="ready")
        await ann.hears(device="phone", state="ready")
        ann.tell(id=1, device="phone", do="request", **{"with": ["bob"]})
        call = (await ann.hears(id=1))["answer"]
        rung = await bob.hears(device="laptop", heard="Requested", request_id=call)
        assert (rung["user"], rung["participants"], rung["counter"]) == ("ann", [], 0)
        bob.tell(id=1, device="laptop", do="accept", **{"with": [call]})
        seat = (await bob.hears(id=1))["answer"]
        assert seat["has_token"]
        assert not seat["owner"]
        assert (await ann.hears(heard="DirectAccepted"))["seat"]["room"] == seat["room"]
        bob.tell(id=2, device="phone", do="accept", **{"with": [call]})
        assert (await bob.hears(id=2))["error"][0] == 10013
        assert "token" not in json.dumps(ann.said + bob.said).replace("has_token", "")
        ann.end()
        bob.end()


async def test_a_user_without_a_good_token_says_so_by_ending() -> None:
    script = Script()
    async with exchange() as served:
        script.tell(url=served.url, token="guessed", devices=["phone"])
        with pytest.raises(Exception, match="turned the token away"):
            await live(script, script.say)


async def test_what_ended_a_client_is_told_as_an_error() -> None:
    script = Script()
    async with exchange() as served, trio.open_nursery() as nursery:
        script.begin(served, "ann", "phone")

        async def take_over() -> None:
            await script.hears(state="ready")
            async with served.phone("ann", "phone"):
                await script.hears(state="taken_over")

        nursery.start_soon(take_over)
        with pytest.raises(ExceptionGroup) as ended:
            await live(script, script.say)
        assert "TakenOverError" in repr(ended.value.exceptions)


async def test_a_refusal_is_told_with_its_code() -> None:
    script = Script()
    async with exchange() as served, served.phone("bob"), trio.open_nursery() as nursery:
        script.begin(served, "ann", "phone")
        nursery.start_soon(live, script, script.say)
        await script.hears(state="ready")
        script.tell(id=1, device="phone", do="request", **{"with": ["bob"]})
        call = (await script.hears(id=1))["answer"]
        script.tell(id=2, device="phone", do="merge", **{"with": ["c1", call]})
        assert (await script.hears(id=2))["error"][0] == 10002
        script.end()
