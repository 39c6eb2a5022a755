"""A runtime of doorbells, at work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from engine.journal.memory import MemoryJournal
from engine.machine.table import OnRestart
from engine.runtime.performers import Performer
from engine.runtime.runtime import Runtime, open_runtime
from engine.runtime.world import World
from engine.vocabulary import Address
from tests.engine.runtime import doorbell as d

FRONT = Address(d.BELL, "front")
STREAM = f"{d.BELL}:front"


def virtual() -> World:
    """A world whose seconds are trio's own, which `autojump_clock` moves."""
    return World(clock=trio.current_time)


@asynccontextmanager
async def running(
    journal: MemoryJournal | None = None,
    on_restart: OnRestart = OnRestart.KEEP,
    **performers: Performer,
) -> AsyncIterator[Runtime]:
    family, codec = d.doorbell(on_restart)
    if journal is not None:
        async with open_runtime(journal, codec, family, world=virtual(), performers=performers) as runtime:
            yield runtime
        return
    async with (
        MemoryJournal(clock=trio.current_time) as opened,
        open_runtime(opened, codec, family, world=virtual(), performers=performers) as runtime,
    ):
        yield runtime


async def state_of(runtime: Runtime, address: Address = FRONT) -> object:
    return (await runtime.snapshot(address)).state
