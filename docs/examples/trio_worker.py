"""A trio program that serves the call APIs beside its own work, and places calls itself."""

import logging
from functools import partial

import httpx
import trio

from engine import MemoryUsers, User, open_engine
from engine.app.logs import configure_logs
from machines import videochat


async def main() -> None:
    configure_logs(logging.ERROR)  # JSON lines on standard error; or configure structlog as you do anyway
    users = MemoryUsers()
    await users.set(User(id="ann", first_name="Ann"))
    token = await users.add_token("ann")  # goes to Ann's device, which sends it as its first message

    async with open_engine("sqlite:///calls.db", users=users) as engine, trio.open_nursery() as nursery:
        stop = trio.Event()
        serve = partial(engine.serve, "127.0.0.1:0", stop=stop)
        addresses = await nursery.start(serve)

        async with httpx.AsyncClient(base_url=addresses[0]) as client:
            print((await client.get("/readyz")).text)

        request = videochat.RequestCall(initiator="ann", opponent="bob")
        call = await engine.start(videochat.REQUEST, request)
        await call.send(videochat.DeclineCall(sender="bob"))
        print((await call.snapshot()).state, len(token))
        stop.set()  # no new connections, 1001 to the sockets, then `serve` returns


trio.run(main)
