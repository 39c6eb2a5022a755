"""Calls that ended long ago."""

from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from engine import open_engine
from engine.app.configuration import Configuration, ConfigurationFaultsError, read_configuration
from engine.app.engine import Call, Engine
from engine.app.retention import SECONDS_PER_DAY, SWEEP_SECONDS, JournalSettings, forget_ended
from engine.errors import UnavailableError
from engine.journal.memory import MemoryJournal
from engine.runtime.world import World
from engine.vocabulary import Address
from machines import videochat
from machines.conference import vocabulary as conference
from machines.conference.callers import Caller

KEEPING = Configuration(journal=JournalSettings(keep_ended_days=2.0))


async def declined(engine: Engine, opponent: str = "bob") -> Call:
    """A call that has ended."""
    call = await engine.start(videochat.REQUEST, videochat.RequestCall(initiator="ann", opponent=opponent))
    await call.send(videochat.DeclineCall(sender=opponent))
    return call


def virtual() -> dict[str, Any]:
    """An engine whose seconds are those of trio's clock."""
    return {"journal": MemoryJournal(clock=trio.current_time), "world": World(clock=trio.current_time)}


async def streams_of(engine: Engine) -> list[str]:
    return [name for name, _ in await engine.runtime.journal.streams()]


async def test_ended_calls_are_erased_when_their_time_is_over(autojump_clock: MockClock) -> None:
    parts = virtual()
    async with parts["journal"], open_engine(**parts, configuration=KEEPING) as engine:
        call = await declined(engine)
        rung = await engine.start(videochat.REQUEST, videochat.RequestCall(initiator="eve", opponent="gil"))
        await rung.send(videochat.AcceptCall(sender="gil"))
        assert str(call.address) in await streams_of(engine)
        await trio.sleep(2 * SECONDS_PER_DAY - SWEEP_SECONDS)
        assert str(call.address) in await streams_of(engine)
        await trio.sleep(2.5 * SWEEP_SECONDS)
        assert str(call.address) not in await streams_of(engine)


async def test_what_goes_on_stays_however_old_it_is(autojump_clock: MockClock) -> None:
    parts = virtual()
    async with parts["journal"], open_engine(**parts, configuration=KEEPING) as engine:
        await declined(engine)
        ringing = await engine.start(
            videochat.REQUEST, videochat.RequestCall(initiator="eve", opponent="gil")
        )
        assert await forget_ended(engine.runtime, trio.current_time() + 1) > 0
        assert str(ringing.address) in await streams_of(engine)
        await ringing.send(videochat.AcceptCall(sender="gil"))


async def test_of_many_calls_none_is_left_out(autojump_clock: MockClock) -> None:
    parts = virtual()
    async with parts["journal"], open_engine(**parts) as engine:
        for number in range(120):
            await declined(engine, f"bob{number}")
        assert await forget_ended(engine.runtime, trio.current_time() + 1) == 120
        assert {name.partition(":")[0] for name in await streams_of(engine)} == {"videochat.line"}


async def test_an_endpoint_that_left_is_erased_and_the_line_of_a_user_stays(
    autojump_clock: MockClock,
) -> None:
    parts = virtual()
    async with parts["journal"], open_engine(**parts) as engine:
        await declined(engine)
        endpoint, caller = Address(conference.ENDPOINT, "e1"), Caller(user="ann")
        await engine.runtime.ask(endpoint, conference.RegisterEndpoint(caller=caller))
        assert await forget_ended(engine.runtime, trio.current_time() + 1) == 1
        assert str(endpoint) in await streams_of(engine)
        await engine.runtime.ask(endpoint, conference.UnregisterEndpoint(caller=caller))
        assert await forget_ended(engine.runtime, trio.current_time() + 1) == 1
        assert await streams_of(engine) == ["videochat.line:ann", "videochat.line:bob"]


async def test_without_a_word_in_the_configuration_nothing_is_erased(autojump_clock: MockClock) -> None:
    parts = virtual()
    async with parts["journal"], open_engine(**parts) as engine:
        call = await declined(engine)
        await trio.sleep(400 * SECONDS_PER_DAY)
        assert str(call.address) in await streams_of(engine)


async def test_a_sweep_that_fails_is_tried_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = virtual()
    async with parts["journal"], open_engine(**parts, configuration=KEEPING) as engine:
        call = await declined(engine)
        quiet = engine.runtime.journal.quiet

        async def broken(*_: object) -> list[str]:
            raise UnavailableError("the disk is away")

        monkeypatch.setattr(engine.runtime.journal, "quiet", broken)
        with capture_logs() as logs:
            await trio.sleep(3 * SECONDS_PER_DAY)
        assert {line["event"] for line in logs} >= {"sweep_failed"}
        monkeypatch.setattr(engine.runtime.journal, "quiet", quiet)
        await trio.sleep(2 * SWEEP_SECONDS)
        assert str(call.address) not in await streams_of(engine)


async def test_a_file_is_swept_as_well(tmp_path: Any) -> None:
    async with open_engine(f"sqlite:///{tmp_path}/calls.db") as engine:
        call = await declined(engine)
        soon = engine.runtime.world.clock() + 1
        assert await forget_ended(engine.runtime, soon) == 1
        assert str(call.address) not in await streams_of(engine)
        assert await engine.runtime.journal.check() == []
        assert await forget_ended(engine.runtime, soon) == 0
        await declined(engine)


def test_days_below_zero_are_a_fault() -> None:
    with pytest.raises(ConfigurationFaultsError, match=r"journal\.keep_ended_days"):
        read_configuration({"journal": {"keep_ended_days": -1}})
    assert read_configuration({"journal": {"keep_ended_days": 30}}).journal.keep_ended_days == 30.0
