"""One call: placed, refused to a stranger, answered, and read again after a restart."""

from contextlib import aclosing

import trio

from engine import CommandRefusedError, open_engine
from machines import videochat


async def main() -> None:
    async with open_engine("sqlite:///calls.db") as engine:
        request = videochat.RequestCall(initiator="ann", opponent="bob", device="phone")
        call = await engine.start(videochat.REQUEST, request)
        print("state:", (await call.snapshot()).state)

        try:
            await call.send(videochat.AcceptCall(sender="eve"))
        except CommandRefusedError as refusal:
            print("eve:", refusal)

        await call.send(videochat.AcceptCall(sender="bob", device="tablet"))
        await call.wait_for(videochat.State.ACCEPTED)
        print("state:", (await call.snapshot()).state)

    async with open_engine("sqlite:///calls.db") as engine:
        same = engine.call(call.address.kind, call.address.key)
        print("state after a restart:", (await same.snapshot()).state)
        async with aclosing(same.events(since=0)) as events:
            async for one in events:
                print("event", one.version, type(one.event).__name__)
                if one.version == 2:
                    break


trio.run(main)
