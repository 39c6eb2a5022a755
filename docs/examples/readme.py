"""The example of the README: a call is placed, answered, and read from the journal."""

import trio

from engine import open_engine
from machines import videochat


async def main() -> None:
    async with open_engine("sqlite:///calls.db") as engine:
        request = videochat.RequestCall(initiator="ann", opponent="bob")
        call = await engine.start(videochat.REQUEST, request)
        await call.send(videochat.AcceptCall(sender="bob"))
        await call.wait_for(videochat.State.ACCEPTED)
        print((await call.snapshot()).state)


trio.run(main)
