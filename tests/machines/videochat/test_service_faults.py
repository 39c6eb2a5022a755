"""The videochat service when directories, journals and sockets fail around it."""

import json

import pytest
import trio
import trio.testing

from engine.app.inbox import INBOX_MAX
from engine.app.users import MemoryUsers, User
from engine.errors import EngineError, TransportBrokenError, UnavailableError
from engine.journal.memory import MemoryJournal
from engine.journal.port import Loaded, NewEvent, Write
from engine.transport.websocket import connect
from tests.engine.journal.full import Full
from tests.machines.videochat.wiretap import exchange, find_service

pytestmark = pytest.mark.slow


class Users(MemoryUsers):
    """A directory of somebody else, that fails or takes its time when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: Exception | None = None
        self.waiting: trio.Event | None = None
        self.asked = 0

    async def by_token(self, token: str) -> User | None:
        await self._pause()
        return await super().by_token(token)

    async def get(self, user_id: str) -> User | None:
        await self._pause()
        return await super().get(user_id)

    async def _pause(self) -> None:
        self.asked += 1
        if self.waiting is not None:
            await self.waiting.wait()
        if self.failing is not None:
            raise self.failing


async def test_a_flood_waits_in_its_own_socket_and_is_answered_in_order() -> None:
    users = Users()
    async with exchange(users=users) as server, server.phone("ann") as ann, server.phone("bob"):
        users.waiting = trio.Event()
        kind = "videochat:requestDirectVideochat"
        ids = [await ann.send(kind, {"targetUser": "nobody"}) for _ in range(3 * INBOX_MAX)]
        await trio.testing.wait_all_tasks_blocked()
        users.waiting.set()
        assert [(await ann.receive())["event"]["id"] for _ in ids] == ids


async def test_a_directory_that_cannot_be_read_lets_nobody_in() -> None:
    users = Users()
    async with exchange(users=users) as server, connect(server.url) as link:
        users.failing = UnavailableError("closed")
        await link.send(json.dumps({"type": "authenticate", "data": {"token": server.tokens["ann"]}}))
        with pytest.raises(TransportBrokenError) as closed:
            await link.receive()
        assert closed.value.code == 1008


@pytest.mark.parametrize(
    ("error", "code"), [(UnavailableError("closed"), 10503), (EngineError("another of ours"), 10500)]
)
async def test_a_directory_that_cannot_be_read_is_told_and_may_be_tried_again(
    error: EngineError, code: int
) -> None:
    users = Users()
    async with exchange(users=users) as server, server.phone("ann") as ann, server.phone("bob"):
        users.failing = error
        answer = await ann.ask("requestDirectVideochat", {"targetUser": "bob"}, "same")
        assert answer["error"]["code"] == code
        users.failing = None
        again = await ann.ask("requestDirectVideochat", {"targetUser": "bob"}, "same")
        assert not again["error"]["status"]


async def test_a_bug_of_a_directory_closes_one_socket_and_no_other() -> None:
    users = Users()
    async with exchange(users=users) as server, server.phone("ann") as ann, server.phone("bob") as bob:
        users.failing = LookupError("a bug")
        await ann.send("videochat:requestDirectVideochat", {"targetUser": "bob"})
        with pytest.raises(TransportBrokenError) as closed:
            await ann.link.receive()
        assert closed.value.code == 1011
        users.failing = None
        await bob.hears_nothing()


async def test_who_hangs_up_while_he_is_looked_up_leaves_nothing_behind() -> None:
    users = Users()
    async with exchange(users=users) as server:
        users.waiting = trio.Event()
        asked = users.asked
        async with connect(server.url) as link:
            await link.send(json.dumps({"type": "authenticate", "data": {"token": server.tokens["ann"]}}))
            while users.asked == asked:
                await trio.testing.wait_all_tasks_blocked()
        service = find_service(server)
        while service.statistics()["sockets_unauthenticated"]:
            await trio.testing.wait_all_tasks_blocked()
        users.waiting.set()
        await trio.testing.wait_all_tasks_blocked()
        assert service.statistics() == {"users_connected": 0, "sockets": 0, "sockets_unauthenticated": 0}


async def test_who_hangs_up_while_his_log_is_read_is_not_followed() -> None:
    class Slow(MemoryJournal):
        reading: trio.Event | None = None
        loads = 0

        async def load(self, stream: str, after: int = 0, *, snapshot: bool = True) -> Loaded:
            self.loads += 1
            if self.reading is not None:
                await self.reading.wait()
            return await super().load(stream, after, snapshot=snapshot)

    async with Slow() as journal, exchange(journal) as server:
        journal.reading = trio.Event()
        async with connect(server.url) as link:
            await link.send(json.dumps({"type": "authenticate", "data": {"token": server.tokens["ann"]}}))
            while not journal.loads:
                await trio.testing.wait_all_tasks_blocked()
        service = find_service(server)
        while service.statistics()["sockets"]:
            await trio.testing.wait_all_tasks_blocked()
        journal.reading.set()
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.engine.runtime.followers) == 0


def damaged(stream: str, *topics: str) -> Write:
    """A stream that nobody can read."""
    return Write(stream, 0, (NewEvent("x", 0.0, b"\x00"),), members=tuple((one, True) for one in topics))


async def test_a_user_whose_log_is_damaged_is_closed_with_an_error() -> None:
    async with MemoryJournal() as journal:
        await journal.append(damaged("videochat.line:ann"))
        async with exchange(journal) as server, server.phone("bob") as bob:
            async with connect(server.url) as link:
                await link.send(json.dumps({"type": "authenticate", "data": {"token": server.tokens["ann"]}}))
                with pytest.raises(TransportBrokenError) as closed:
                    await link.receive()
                assert closed.value.code == 1011
            await bob.hears_nothing()


async def test_a_damaged_call_is_an_internal_error_and_the_server_starts_all_the_same() -> None:
    async with MemoryJournal() as journal:
        await journal.append(damaged("videochat.ring:bad", "live:videochat.ring"))
        async with exchange(journal) as server, server.phone("ann") as ann:
            answer = await ann.ask("acceptVideochatRequest", {"videochatRequestId": "bad"})
            assert answer["error"]["code"] == 10500


async def test_too_much_at_once_is_told_and_may_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with exchange() as server, server.phone("ann") as ann:
        with monkeypatch.context() as patched:
            patched.setattr("engine.runtime.dispatcher.PARKED_MAX", 0)
            answer = await ann.ask("acceptVideochatRequest", {"videochatRequestId": "x"}, "same")
        assert answer["error"]["code"] == 10503
        again = await ann.ask("acceptVideochatRequest", {"videochatRequestId": "x"}, "same")
        assert again["error"]["code"] == 10012


async def test_a_full_disk_is_told_and_may_be_tried_again() -> None:
    async with (
        Full() as journal,
        exchange(journal) as server,
        server.phone("ann") as ann,
        server.phone("bob"),
    ):
        journal.is_full = True
        answer = await ann.ask("requestDirectVideochat", {"targetUser": "bob"}, "same")
        assert answer["error"]["code"] == 10503
        journal.is_full = False
        again = await ann.ask("requestDirectVideochat", {"targetUser": "bob"}, "same")
        assert not again["error"]["status"]


async def test_a_follower_that_is_lost_closes_its_socket() -> None:
    async with exchange() as server, server.phone("ann") as ann:
        (followers,) = server.engine.runtime.followers._by_stream.values()
        (follower,) = followers
        follower.lost()
        with pytest.raises(TransportBrokenError) as closed:
            await ann.link.receive()
        assert closed.value.code == 1011
