"""A backend worker that runs callbacks; the dialer stands for whatever places calls in your system."""

import trio

from callback import API, CALLBACK, AskCallback, Dial, ReportAnswered, S, TakeCallback
from engine import Asked, CommandRefusedError, open_engine


async def dialer(asked: Asked) -> None:
    """Do what was asked, and tell the machine what came of it. `asked.key` is the idempotency key."""
    assert isinstance(asked.request, Dial)
    await trio.sleep(0.1)  # your telephony provider
    asked.tell(ReportAnswered())


async def main() -> None:
    performers = {"desk.dialer": dialer}
    async with open_engine("sqlite:///desk.db", apis=[API], performers=performers) as engine:
        call = engine.call(CALLBACK, "order-7")
        await call.send(AskCallback(phone="5550100"), command_id="web-form-4711")
        await call.send(TakeCallback(agent="bob"), command_id="click-4712")
        try:
            await call.send(TakeCallback(agent="eve"))
        except CommandRefusedError as refusal:
            print("eve:", refusal.reason)
        done = await call.wait_for(S.TALKED)
        print(done.state, "with", done.data.agent)


trio.run(main)
