"""One user of the demonstration, in a process of his own: does what he is told, and tells what he hears.

Lines of JSON. In: {"url", "token", "devices"}, then {"id", "device", "do", "with"}. Out: {"id", "answer"},
{"id", "error"}, {"device", "state"} and {"device", "heard", ...}. The end of the input ends the user.
"""

import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import attrs
import trio

from engine.errors import EngineError
from machines.videochat import wire
from machines.videochat.client import (
    ClientSettings,
    Heard,
    LinkState,
    VideochatClient,
    VideochatError,
    connect_videochat,
)
from machines.videochat.demo.lines import Lines

SETTINGS = ClientSettings(first_delay_seconds=0.1, longest_delay_seconds=0.5, give_up_seconds=15.0)
"""The demonstration restarts its server at once; a fleet of telephones waits longer."""

DOINGS = frozenset(
    {"request", "accept", "decline", "invite", "merge", "get_token", "connect", "leave", "hide", "show"}
)

Say = Callable[[dict[str, Any]], None]


async def live(lines: AsyncIterator[str], say: Say) -> None:
    """Be the user that the first line names, until there are no more lines."""
    begin = json.loads(await anext(lines))
    async with AsyncExitStack() as stack:
        devices: dict[str, VideochatClient] = {}
        for name in begin["devices"]:
            opened = connect_videochat(begin["url"], token=begin["token"], device=name, settings=SETTINGS)
            devices[name] = await stack.enter_async_context(opened)
        nursery = await stack.enter_async_context(trio.open_nursery())
        for name, client in devices.items():
            nursery.start_soon(_tell_states, name, client, say)
            nursery.start_soon(_tell_events, name, client, say)
        async for line in lines:
            asked = json.loads(line)
            nursery.start_soon(_do, devices[asked["device"]], asked, say)
        nursery.cancel_scope.cancel()


async def _do(client: VideochatClient, asked: dict[str, Any], say: Say) -> None:
    assert asked["do"] in DOINGS, "the demonstration says what the client can do"
    try:
        answer = await getattr(client, asked["do"])(*asked["with"])
    except VideochatError as error:
        say({"id": asked["id"], "error": [error.code, error.message]})
    except EngineError as error:
        say({"id": asked["id"], "error": [0, f"{type(error).__name__}: {error}"]})
    else:
        say({"id": asked["id"], "answer": shown(answer)})


async def _tell_states(name: str, client: VideochatClient, say: Say) -> None:
    state = client.state
    while True:
        say({"device": name, "state": state.value})
        others = [one for one in LinkState if one is not state]
        state = await client.wait_for(*others)


async def _tell_events(name: str, client: VideochatClient, say: Say) -> None:
    async for event in client.events():
        say({"device": name, "heard": type(event).__name__, **fields_of(event)})


def fields_of(event: Heard) -> dict[str, Any]:
    """The fields of an event as plain values."""
    return {field.name: shown(getattr(event, field.name)) for field in attrs.fields(type(event))}


def shown(value: object) -> Any:
    """A value as the demonstration needs it: users by their ids, and of a seat everything but its secrets."""
    match value:
        case wire.SeatData():
            return {
                "videochat_id": value.videochat_id,
                "room": value.room,
                "engine": value.videochat_engine,
                "has_token": bool(value.token),
                "owner": value.permissions.is_owner,
            }
        case tuple():
            return [shown(one) for one in value]
        case _ if attrs.has(type(value)):
            return getattr(value, "id", None)
        case _:
            return value


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


async def _main() -> None:
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stream:
        await live(Lines(stream), _say)


if __name__ == "__main__":
    trio.run(_main)
