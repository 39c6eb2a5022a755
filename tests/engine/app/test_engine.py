"""The engine as an embedding program sees it."""

import asyncio
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from engine.app.api import Api
from engine.app.configuration import Configuration
from engine.app.engine import Call, Engine, VersionedEvent, open_engine
from engine.app.users import MemoryUsers, SqliteUsers, User
from engine.effects import Ask
from engine.errors import (
    CallCrashedError,
    CallEndedError,
    CommandRefusedError,
    ConfigurationError,
    JournalCorruptError,
    LocalProtocolError,
    TransportError,
    UnavailableError,
)
from engine.journal.memory import MemoryJournal
from engine.machine.table import Defer, Said, many
from engine.runtime.performers import Asked
from engine.runtime.world import World
from engine.vocabulary import Address
from tests.engine.app.parlour import FRONT, PARLOUR, PRESS, ParlourSettings, told
from tests.engine.runtime import doorbell as d


def opened(journal: Any = "memory:", **more: Any) -> Any:
    return open_engine(journal, apis=[PARLOUR], **more)


async def silence(_asked: Asked) -> None:
    """A performer of tones."""


async def rung(engine: Engine) -> Call:
    return await engine.start(PRESS, d.Press())


# -- calls


async def test_a_call_is_started_commanded_and_waited_for() -> None:
    async with opened() as engine:
        call = await rung(engine)
        assert (call.address, told(call.answer)) == (FRONT, "ringing")
        assert (await call.wait_for(d.S.RINGING)).state is d.S.RINGING
        assert told(await call.send(d.Answer("ann"))) == "hello ann"
        assert (await call.wait_for(d.S.ANSWERED, d.S.BROKEN)).data.who == "ann"


async def test_a_refusal_is_raised_with_its_reason() -> None:
    async with opened() as engine:
        call = await rung(engine)
        with pytest.raises(CommandRefusedError) as caught:
            await call.send(d.Press())
        assert caught.value.reason == "rings already"
        with pytest.raises(CommandRefusedError):
            await engine.start(PRESS, d.Press())


async def test_a_crash_is_raised() -> None:
    async with opened() as engine:
        call = await rung(engine)
        with pytest.raises(CallCrashedError):
            await call.send(d.Explode())


async def test_a_command_id_used_again_gets_the_same_answer() -> None:
    async with opened() as engine:
        first = await engine.start(PRESS, d.Press(), command_id="once")
        again = await engine.start(PRESS, d.Press(), command_id="once")
        assert first.answer == again.answer
        await first.send(d.Answer("ann"), command_id="twice")
        assert told(await first.send(d.Answer("bob"), command_id="twice")) == "hello ann"


async def test_an_entry_begins_with_its_own_command() -> None:
    async with opened() as engine:
        with pytest.raises(TypeError, match="begins with Press, not Answer"):
            await engine.start(PRESS, d.Answer("ann"))


async def test_what_is_no_command_is_a_type_error_that_does_not_quote_it() -> None:
    async with opened() as engine:
        call = await rung(engine)
        with pytest.raises(TypeError, match=r"not str$"):
            await call.send("a secret")  # type: ignore[arg-type]


async def test_a_command_whose_fields_hold_something_else_is_refused_and_not_journaled() -> None:
    async with opened() as engine:
        with pytest.raises(LocalProtocolError, match=r"^Press: \$\.board: wants a string, got an integer$"):
            await engine.start(PRESS, d.Press(board=5))  # type: ignore[arg-type]  the fault
        assert (await engine.call(d.BELL, "front").snapshot()).state is d.S.IDLE
        call = await rung(engine)
        with pytest.raises(LocalProtocolError, match=r"^Answer: \$\.who: wants a string, got null$"):
            await call.send(d.Answer(None))  # type: ignore[arg-type]  the fault


async def test_waiting_for_a_state_that_the_machine_has_not_ends_at_once() -> None:
    async with opened() as engine:
        call = await rung(engine)
        with pytest.raises(LocalProtocolError, match=r"no state 'rining'; there are .*RINGING"):
            await call.wait_for("rining")


def test_outside_of_trio_the_way_in_is_told() -> None:
    async def main() -> None:
        async with opened():
            raise AssertionError("it cannot run here")

    with pytest.raises(LocalProtocolError, match=r"trio\.run\(main\)"):
        asyncio.run(main())


async def test_machines_without_a_service_are_embedded_and_not_served() -> None:
    api = Api(name="silent", kinds=PARLOUR.kinds, words=PARLOUR.words)
    async with (
        open_engine("memory:", apis=[api], performers={"tone": silence}) as engine,
        trio.open_nursery() as nursery,
    ):
        assert (await rung(engine)).address == FRONT
        (address,) = await nursery.start(engine.serve, "127.0.0.1:0")
        async with httpx.AsyncClient(base_url=address) as client:
            assert (await client.get("/readyz")).status_code == 200
        nursery.cancel_scope.cancel()


def test_endpoints_without_a_service_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="no `open` to serve them"):
        attrs.evolve(PARLOUR, open=None)


def test_a_word_that_would_be_journaled_and_is_not_listed_is_found_when_the_api_is_made() -> None:
    words = tuple(word for word in PARLOUR.words if word not in (d.Press, d.Answered))
    with pytest.raises(LocalProtocolError, match=r"not in its `words`: (Press, Answered|Answered, Press)$"):
        attrs.evolve(PARLOUR, words=words)


def test_a_command_that_waits_is_journaled_too() -> None:
    bell = next(kind for kind in PARLOUR.kinds if kind.name == d.BELL)
    asides = tuple(
        Defer(one.states, one.commands, one.reason) if d.Linger in many(one.commands) else one
        for one in bell.table.asides
    )
    waiting = attrs.evolve(bell, table=attrs.evolve(bell.table, asides=asides))
    with pytest.raises(LocalProtocolError, match=r"not in its `words`: .*Linger"):
        attrs.evolve(PARLOUR, kinds=(waiting,))


async def test_a_kind_that_is_not_there_is_named() -> None:
    async with opened() as engine:
        with pytest.raises(LocalProtocolError, match=r"no machine nobody; there are test\.bell"):
            engine.call("nobody", "x")
        assert (await engine.call(d.BOARD, "hall").snapshot()).data == d.Board("hall")


async def test_waiting_for_a_state_wakes_when_it_comes() -> None:
    async with opened() as engine, trio.open_nursery() as nursery:
        call = await rung(engine)
        seen: list[object] = []

        async def wait() -> None:
            seen.append((await call.wait_for(d.S.ANSWERED)).state)

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
        await call.send(d.Answer("ann"))
        await trio.testing.wait_all_tasks_blocked()
        assert seen == [d.S.ANSWERED]


async def test_a_call_that_ended_otherwise_is_not_waited_for() -> None:
    async with opened() as engine:
        call = await rung(engine)
        await call.send(d.Answer("ann"))
        with pytest.raises(CallEndedError) as caught:
            await call.wait_for(d.S.BROKEN)
        assert caught.value.state is d.S.ANSWERED
        assert str(caught.value) == "test.bell:front has ended: it is ANSWERED"


async def test_waiting_may_be_cancelled() -> None:
    async with opened() as engine:
        call = await rung(engine)
        with trio.move_on_after(0) as scope:
            await call.wait_for(d.S.ANSWERED)
        assert scope.cancelled_caught
        await call.send(d.Answer("ann"))
        assert (await call.snapshot()).state is d.S.ANSWERED


# -- events


async def some(call: Call, since: int, count: int) -> list[VersionedEvent]:
    found: list[VersionedEvent] = []
    with trio.fail_after(5):
        async with aclosing(call.events(since)) as events:
            async for event in events:
                found.append(event)
                if len(found) == count:
                    break
    return found


async def test_events_are_the_past_then_what_comes() -> None:
    async with opened(world=World(clock=lambda: 5.0)) as engine, trio.open_nursery() as nursery:
        call = await rung(engine)
        found: list[VersionedEvent] = []

        async def follow() -> None:
            found.extend(await some(call, 0, 2))

        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        await call.send(d.Answer("ann"))
        await trio.testing.wait_all_tasks_blocked()
        assert found == [
            VersionedEvent(1, 5.0, FRONT, d.Rang(60.0)),
            VersionedEvent(2, 5.0, FRONT, d.Answered("ann")),
        ]


async def test_events_begin_behind_a_version() -> None:
    async with opened() as engine:
        call = await rung(engine)
        await call.send(d.Answer("ann"))
        assert [one.version for one in await some(call, 1, 1)] == [2]


async def test_events_end_with_the_engine() -> None:
    ended: list[type[Exception]] = []

    async with trio.open_nursery() as nursery, opened() as engine:
        call = await rung(engine)

        async def follow() -> None:
            try:
                await some(call, 0, 10)
            except UnavailableError as error:
                ended.append(type(error))

        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
    assert ended == [UnavailableError]


# -- opening and leaving


async def test_engines_do_not_know_of_each_other() -> None:
    async with opened() as one, opened() as two, opened() as three:
        for engine in (one, two, three):
            assert told((await rung(engine)).answer) == "ringing"


async def test_users_world_and_performers_are_passed_in() -> None:
    users = MemoryUsers()
    await users.set(User(id="ann"))
    asked: list[Asked] = []

    async def tone(one: Asked) -> None:
        asked.append(one)

    world = World(clock=lambda: 7.0, ids=lambda: "an id", entropy=lambda: "0" * 64)
    async with opened(users=users, world=world, performers={"tone": tone}) as engine:
        assert await engine.users.get("ann") == User(id="ann")
        await engine.call(d.BELL, "front").send(d.Wire("high"))
        await trio.testing.wait_all_tasks_blocked()
        (event,) = await some(engine.call(d.BELL, "front"), 0, 1)
        assert event.at == 7.0
    assert [one.request for one in asked] == [d.Tone("high")]


async def test_a_port_that_nobody_performs_is_named_at_the_start() -> None:
    with pytest.raises(ConfigurationError) as caught:
        async with open_engine(apis=[attrs.evolve(PARLOUR, crew=None)]):
            raise AssertionError("it is open")
    assert str(caught.value) == (
        "performers: test.bell asks the port 'tone', which nobody performs: "
        "pass it to open_engine(performers={PORT: ...}), or give its Api a crew"
    )


async def test_a_port_that_only_a_reaction_knows_is_named_when_it_is_asked() -> None:
    def wire(_bell: d.Bell, command: d.Wire) -> Said:
        return (d.Wired(command.what), Ask(command.what, d.Tone("high")))

    bell = d.bell_table()
    rows = (attrs.evolve(row, then=wire) if row.on is d.Wire else row for row in bell.rows)
    bell = attrs.evolve(bell, rows=tuple(rows))
    kinds = tuple(attrs.evolve(kind, table=bell) if kind.name == d.BELL else kind for kind in PARLOUR.kinds)
    with capture_logs() as logs:
        async with open_engine(apis=[attrs.evolve(PARLOUR, kinds=kinds)]) as engine:
            await engine.call(d.BELL, "front").send(d.Wire("a port"))
            await trio.testing.wait_all_tasks_blocked()
    (failed,) = [one for one in logs if one["event"] == "performer_failed"]
    assert (failed["port"], failed["error"]) == ("a port", "ConfigurationError")
    assert failed["raised"][0]["text"] == (
        "performers: nobody performs the port 'a port', which test.bell asks: pass it to open_engine"
    )


async def test_an_open_journal_is_used_and_left_open() -> None:
    async with MemoryJournal() as journal:
        async with opened(journal) as engine:
            await rung(engine)
            assert isinstance(engine.users, MemoryUsers)
        assert await journal.streams() == [("test.bell:front", 1)]


async def test_a_call_goes_on_after_a_restart_on_the_same_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/my%20calls.db"
    async with opened(url) as engine:
        await rung(engine)
        await engine.users.set(User(id="ann"))
        assert isinstance(engine.users, SqliteUsers)
    async with opened(url) as engine:
        call = engine.call(d.BELL, "front")
        assert (await call.wait_for(d.S.RINGING)).data.seconds == 60.0
        assert told(await call.send(d.Answer("ann"))) == "hello ann"
        assert await engine.users.get("ann") == User(id="ann")
    names = [path.name for path in await trio.Path(tmp_path).iterdir()]
    assert sorted(names) == ["my calls.db", "my calls.db.lock"]


async def test_leaving_with_calls_alive_keeps_them_in_the_journal() -> None:
    ended = 0

    async def tone(_asked: Asked) -> None:
        nonlocal ended
        try:
            await trio.sleep_forever()
        finally:
            ended += 1

    async with MemoryJournal() as journal:
        async with opened(journal, performers={"tone": tone}) as engine:
            call = await rung(engine)
            await call.send(d.Wire())
            await trio.testing.wait_all_tasks_blocked()
        assert ended == 1
        assert len(await journal.timers()) == 2, "the ring, and the tone that is owed"
        with pytest.raises(UnavailableError):
            await call.send(d.Answer("ann"))


async def test_what_the_block_raises_leaves_as_it_is(tmp_path: Path) -> None:
    async def fail(url: str) -> None:
        async with opened(url) as engine:
            await rung(engine)
            raise ZeroDivisionError

    for url in ("memory:", f"sqlite:///{tmp_path}/a.db"):
        with pytest.raises(ZeroDivisionError):
            await fail(url)


async def test_a_journal_with_an_owner_is_one_error(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    async with opened(url):
        with pytest.raises(UnavailableError, match="owned by another engine"):
            await opened(url).__aenter__()


async def test_a_damaged_journal_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("no database" * 1000)
    with pytest.raises(JournalCorruptError):
        await opened(f"sqlite:///{tmp_path}/a.db").__aenter__()


@pytest.mark.parametrize("url", ["mysql://x", "postgresql://x", "sqlite://host/x.db"])
async def test_a_wrong_url_is_one_error(url: str) -> None:
    with pytest.raises(ConfigurationError):
        await opened(url).__aenter__()


# -- serving


@pytest.mark.parametrize(
    ("listen", "error"), [("nowhere", ConfigurationError), ("203.0.113.1:1", TransportError)]
)
async def test_an_address_that_cannot_be_had_is_one_error(listen: str, error: type[Exception]) -> None:
    async with opened() as engine:
        with pytest.raises(error):
            await engine.serve(listen)
        async with trio.open_nursery() as nursery:
            with pytest.raises(error):
                await nursery.start(engine.serve, listen)


async def test_a_service_that_does_not_open_is_one_error() -> None:
    settings = Configuration(settings={"parlour": ParlourSettings(broken=True)})
    async with opened(configuration=settings) as engine:
        with pytest.raises(ConfigurationError, match="broken"):
            await engine.serve("127.0.0.1:0")


@pytest.mark.slow
async def test_a_served_api_says_what_its_settings_lack_and_an_embedded_one_does_not() -> None:
    def lacks(settings: ParlourSettings) -> list[str]:
        return [] if settings.broken else ["[parlour] has no bell: buy one"]

    with capture_logs() as logs:
        async with (
            open_engine(apis=[attrs.evolve(PARLOUR, lacks=lacks)]) as engine,
            trio.open_nursery() as nursery,
        ):
            assert logs == []
            await nursery.start(engine.serve, "127.0.0.1:0")
            nursery.cancel_scope.cancel()
    assert logs == [
        {
            "event": "settings_lack",
            "log_level": "warning",
            "api": "parlour",
            "reason": "[parlour] has no bell: buy one",
        }
    ]


@pytest.mark.slow
async def test_an_engine_is_served_once_at_a_time() -> None:
    async with opened() as engine:
        for _ in range(2):
            stop = trio.Event()
            async with trio.open_nursery() as nursery:
                (address,) = await nursery.start(partial(engine.serve, "127.0.0.1:0", stop=stop))
                assert address.startswith("http://127.0.0.1:")
                with pytest.raises(LocalProtocolError, match="served already"):
                    await engine.serve("127.0.0.1:0")
                stop.set()


def test_a_call_prints_its_address_only() -> None:
    call = Call(Address("a", "b"), None)  # type: ignore[arg-type]
    assert repr(attrs.evolve(call)) == "Call(address=Address(kind='a', key='b'), answer=None)"
