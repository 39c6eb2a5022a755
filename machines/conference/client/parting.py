"""Goodbyes: said in time, and shortly also when the program is cancelled."""

from collections.abc import Awaitable, Callable

import structlog
import trio

from engine.errors import EngineError
from machines.conference.client.errors import ConferenceRefusedError
from machines.conference.client.settings import ClientSettings

log = structlog.get_logger("switchhook.conference.client")


async def part(say: Callable[[], Awaitable[None]], settings: ClientSettings) -> None:
    """Say goodbye within `leave_seconds`; stopped before its end, it has `hurried_seconds` more.

    `say` is called once or twice, and the second time goes on where the first was stopped.
    """
    is_said = False
    try:
        with trio.move_on_after(settings.leave_seconds):
            await say()
            is_said = True
    finally:
        if not is_said:
            # Shielded, because most often it is a cancelled program whose host must not think it is there.
            with trio.move_on_after(settings.hurried_seconds, shield=True):
                await say()


async def try_to(what: str, doing: Awaitable[object]) -> bool:
    """Do it as well as it can be done; False when it failed, which is logged and harms nobody."""
    try:
        await doing
    except ConferenceRefusedError:
        # What the host does not know is over for it already.
        return True
    except EngineError as error:
        log.info("client_goodbye_failed", what=what, raised=type(error).__name__)
        return False
    return True
