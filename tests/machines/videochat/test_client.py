"""The client: against our server over real sockets, and against a host that a test plays."""

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.app.engine import open_engine
from engine.app.users import MemoryUsers, User
from engine.errors import (
    ConfigurationError,
    EngineError,
    LocalProtocolError,
    OverloadedError,
    RemoteProtocolError,
    TransportBrokenError,
    TransportClosedError,
    TransportError,
    TransportTimeoutError,
)
from engine.transport.server import Request, Response, Socket, serve
from machines.videochat.client import (
    Accepted,
    AuthenticationError,
    ClientSettings,
    Declined,
    DirectAccepted,
    Events,
    Heard,
    LinkState,
    Notice,
    Requested,
    TakenOverError,
    VideochatClient,
    VideochatError,
    WhenFull,
    connect_videochat,
)
from tests.machines.videochat.fakehost import End, FakeHost
from tests.machines.videochat.wiretap import Exchange, exchange

QUICK = ClientSettings(first_delay_seconds=0.01, request_seconds=5.0, give_up_seconds=10.0)


def phone(
    served: Exchange, user: str, device: str = "phone", **more: Any
) -> contextlib.AbstractAsyncContextManager[VideochatClient]:
    """A client of our server."""
    return connect_videochat(served.url, token=served.tokens[user], device=device, settings=QUICK, **more)


async def next_of(events: Events, kind: type[Heard]) -> Any:
    """The next event, which is of this kind."""
    event = await anext(events)
    assert isinstance(event, kind), event
    return event


async def first_of(events: Events, kind: type[Heard]) -> Any:
    """The first event of this kind; those before it are dropped."""
    while not isinstance(event := await anext(events), kind):
        pass
    return event


# -- against our server


async def test_two_devices_ring_and_one_accepts() -> None:
    async with (
        exchange() as served,
        phone(served, "ann") as ann,
        phone(served, "bob") as bob,
        phone(served, "bob", "laptop") as laptop,
    ):
        request_id = await ann.request("bob")
        for device in (bob, laptop):
            rung = await next_of(device.events(), Requested)
            assert (rung.request_id, rung.user.first_name) == (request_id, "Ann")
        seat = await bob.accept(request_id)
        assert seat.token
        assert seat.permissions.is_participant
        for device in (bob, laptop):
            assert (await next_of(device.events(), Accepted)).request_id == request_id
        answered = await next_of(ann.events(), DirectAccepted)
        assert answered.seat.videochat_id == seat.videochat_id
        assert answered.seat.permissions.is_owner
        with pytest.raises(VideochatError) as refused:
            await laptop.accept(request_id)
        assert refused.value.code == 10013


async def test_every_request_of_the_api_is_answered() -> None:
    async with (
        exchange() as served,
        phone(served, "ann") as ann,
        phone(served, "bob") as bob,
        phone(served, "eve") as eve,
    ):
        seat = await bob.accept(await ann.request("bob"))
        room = seat.videochat_id
        await ann.connect(room)
        await bob.connect(room)
        assert (await ann.get_token(room)).token
        await ann.merge(room, await eve.request("ann"))
        await next_of(eve.events(), DirectAccepted)
        await eve.connect(room)
        await eve.hide(room)
        await eve.show(room)
        await eve.leave(room)
        invited = await bob.invite("eve", room)
        ring = await first_of(eve.events(), Requested)
        assert (ring.request_id, ring.counter) == (invited, 2)
        await eve.decline(invited)
        notices = [await anext(ann.events()) for _ in range(6)]
        assert [one.name for one in notices if isinstance(one, Notice)][:1] == ["identityConnected"]


async def test_the_server_says_no_with_its_code() -> None:
    async with exchange() as served, phone(served, "ann") as ann:
        with pytest.raises(VideochatError, match="1021: user not found") as unknown:
            await ann.request("nobody")
        assert unknown.value.code == 1021
        with pytest.raises(VideochatError) as away:
            await ann.request("bob")
        assert away.value.code == 10011


async def test_a_bad_token_is_refused_and_not_tried_again() -> None:
    async with exchange() as served:
        with pytest.raises(AuthenticationError):
            async with connect_videochat(served.url, token="guessed", settings=QUICK):
                raise AssertionError("nobody is there")


async def test_the_newer_socket_of_a_device_ends_the_older_client_for_good() -> None:
    async with exchange() as served, phone(served, "ann") as older, phone(served, "ann") as newer:
        with pytest.raises(TakenOverError):
            await anext(older.events())
        assert older.state is LinkState.TAKEN_OVER
        with pytest.raises(TakenOverError):
            await older.request("bob")
        with pytest.raises(TakenOverError):
            await older.wait_for(LinkState.READY)
        with pytest.raises(VideochatError):
            await newer.request("nobody")
        assert newer.state is LinkState.READY


async def test_a_request_with_the_same_event_id_is_done_once_and_answered_the_same() -> None:
    async with exchange() as served, phone(served, "ann") as ann, phone(served, "bob") as bob:
        first = await ann.request("bob", event_id="e1")
        await bob.decline(first)
        assert await ann.request("bob", event_id="e1") == first
        assert await ann.request("bob", event_id="e2") != first


async def test_a_server_that_comes_back_finds_its_clients_and_they_miss_nothing() -> None:
    users = MemoryUsers()
    tokens = {}
    for name in ("ann", "bob"):
        await users.set(User(id=name))
        tokens[name] = await users.add_token(name)
    async with open_engine("memory:", users=users) as engine, trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def serve_for_a_while(listen: str, task_status: trio.TaskStatus[Any]) -> None:
            with scope:
                await engine.serve(listen, task_status=task_status)

        (address,) = await nursery.start(serve_for_a_while, "127.0.0.1:0")
        url = address.replace("http", "ws") + "/videochat"
        async with (
            connect_videochat(url, token=tokens["ann"], settings=QUICK) as ann,
            connect_videochat(url, token=tokens["bob"], settings=QUICK) as bob,
        ):
            request_id = await ann.request("bob")
            await next_of(bob.events(), Requested)
            scope.cancel()
            await ann.wait_for(LinkState.WAITING, LinkState.CONNECTING)
            await bob.wait_for(LinkState.WAITING, LinkState.CONNECTING)
            answers: list[Any] = []

            async def accept_meanwhile() -> None:
                answers.append(await bob.accept(request_id))

            nursery.start_soon(accept_meanwhile)
            scope = trio.CancelScope()
            await nursery.start(serve_for_a_while, address.removeprefix("http://"))
            answered = await next_of(ann.events(), DirectAccepted)
            assert await next_of(bob.events(), Accepted)
            await wait_all_tasks_blocked()
            assert [one.videochat_id for one in answers] == [answered.seat.videochat_id]
        nursery.cancel_scope.cancel()


async def test_what_was_missed_is_heard_from_the_given_version_on() -> None:
    async with exchange() as served, phone(served, "ann") as ann:
        async with phone(served, "bob") as bob:
            request_id = await ann.request("bob")
            version = (await next_of(bob.events(), Requested)).version
            await ann.decline(request_id)
            await next_of(bob.events(), Declined)
        async with phone(served, "bob", since=version) as bob:
            assert (await next_of(bob.events(), Declined)).request_id == request_id


async def test_a_wrong_url_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigurationError, match="url"):
        async with connect_videochat("http://nowhere", token="t"):
            raise AssertionError("nobody is there")


class Babbler:
    """A WebSocket server that says what it likes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def open_socket(self, socket: Socket) -> "Babbler":
        """Accept."""
        return self

    def on_message(self, socket: Socket, text: str) -> None:
        """Babble."""
        socket.send(self.text)

    def on_close(self, socket: Socket, code: int) -> None:
        """Nothing more to say."""

    def respond(self, request: Request) -> Response:
        """No HTTP."""
        return Response(404)


@pytest.mark.parametrize("text", ["", "hello", "[1]", '{"type":5}', '{"type":"user_info","data":{}}'])
async def test_garbage_from_a_server_is_a_clear_error(text: str) -> None:
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(serve, Babbler(text), "127.0.0.1:0")
        with pytest.raises(RemoteProtocolError, match=r"\$"):
            async with connect_videochat(address.replace("http", "ws"), token="t", settings=QUICK):
                raise AssertionError("nobody is there")
        nursery.cancel_scope.cancel()


# -- against a host in the test's hands


Clients = Callable[..., contextlib.AbstractAsyncContextManager[VideochatClient]]


@pytest.fixture
def host() -> FakeHost:
    """The host."""
    return FakeHost()


@pytest.fixture
def dial(host: FakeHost) -> Clients:
    """Opens clients of `host`."""

    def opened(
        since: int | None = None, **more: Any
    ) -> contextlib.AbstractAsyncContextManager[VideochatClient]:
        return connect_videochat(
            "", token="a token", device="phone", since=since, settings=ClientSettings(**more),
            draw=lambda: 0.5, open_link=host.open_link,
        )  # fmt: skip

    return opened


@contextlib.asynccontextmanager
async def linked(
    host: FakeHost, opened: contextlib.AbstractAsyncContextManager[VideochatClient], since: int | None = 0
) -> AsyncIterator[tuple[VideochatClient, End]]:
    """A client whose first link is ready, and the host's end of it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.admitted, since)
        async with opened as client:
            yield client, host.ends[0]


async def ask(client: VideochatClient, answers: list[Any], **more: Any) -> None:
    """Request bob, and note what comes of it."""
    try:
        answers.append(await client.request("bob", **more))
    except EngineError as error:
        answers.append(error)


async def test_the_client_introduces_itself_with_its_device_and_cursor(host: FakeHost, dial: Clients) -> None:
    async with trio.open_nursery() as nursery:

        async def admit() -> None:
            _, introduced = await host.admitted(5)
            assert introduced == {"token": "a token", "device": "phone", "since": 5}

        nursery.start_soon(admit)
        async with dial(since=5) as client:
            assert client.state is LinkState.READY
            assert repr(client) == "<VideochatClient phone: ready>"


async def test_a_device_without_a_name_gets_one_that_stays(host: FakeHost, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        names = []

        async def admit() -> None:
            for _ in range(2):
                end, introduced = await host.admitted()
                names.append(introduced["device"])
                end.close()

        nursery.start_soon(admit)
        async with connect_videochat("", token="t", open_link=host.open_link):
            await host.arrival()
    assert names[0]
    assert names[0] == names[1]


async def test_events_come_in_order_and_once(
    host: FakeHost, dial: Clients, autojump_clock: MockClock
) -> None:
    async with linked(host, dial()) as (client, end):
        for version in (1, 2, 2, 1, 3):
            end.declined(version)
        end.close()
        end, introduced = await host.admitted(3)
        assert introduced["since"] == 3
        for version in (2, 3, 4):
            end.declined(version)
        events = client.events()
        assert [(await anext(events)).version for _ in range(4)] == [1, 2, 3, 4]
        await wait_all_tasks_blocked()
        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await anext(events)


async def test_a_request_in_flight_is_sent_again_with_its_event_id(
    host: FakeHost, dial: Clients, autojump_clock: MockClock
) -> None:
    async with linked(host, dial()) as (client, end), trio.open_nursery() as nursery:
        answers: list[Any] = []
        nursery.start_soon(ask, client, answers)
        first = await end.hears("requestDirectVideochat")
        end.close()
        end, _ = await host.admitted()
        assert await end.hears("requestDirectVideochat") == first
        end.answer(first, {"videochatRequestId": "q1"})
        end.answer(first, {"videochatRequestId": "q2"})
        await wait_all_tasks_blocked()
        assert answers == ["q1"]


async def test_a_request_made_without_a_link_waits_for_one(
    host: FakeHost, dial: Clients, autojump_clock: MockClock
) -> None:
    async with linked(host, dial()) as (client, end), trio.open_nursery() as nursery:
        host.down = True
        end.close(1001)
        await client.wait_for(LinkState.WAITING)
        answers: list[Any] = []
        nursery.start_soon(ask, client, answers)
        await trio.sleep(3)
        host.down = False
        end, _ = await host.admitted()
        end.answer(await end.hears("requestDirectVideochat"), {"videochatRequestId": "q1"})
        await wait_all_tasks_blocked()
        assert answers == ["q1"]


async def test_a_slow_answer_is_waited_for_and_one_that_is_too_slow_is_not(
    host: FakeHost, dial: Clients, autojump_clock: MockClock
) -> None:
    async with linked(host, dial(request_seconds=5.0)) as (client, end), trio.open_nursery() as nursery:
        answers: list[Any] = []
        nursery.start_soon(ask, client, answers)
        frame = await end.hears("requestDirectVideochat")
        await trio.sleep(4.9)
        end.answer(frame, {"videochatRequestId": "q1"})
        await wait_all_tasks_blocked()
        assert answers == ["q1"]
        nursery.start_soon(ask, client, answers)
        frame = await end.hears("requestDirectVideochat")
        await trio.sleep(5.1)
        assert isinstance(answers[1], TransportTimeoutError)
        end.answer(frame, {"videochatRequestId": "q2"})
        await wait_all_tasks_blocked()
        assert client.state is LinkState.READY


async def test_one_event_id_is_asked_by_one_request_at_a_time(host: FakeHost, dial: Clients) -> None:
    async with linked(host, dial()) as (client, end), trio.open_nursery() as nursery:
        answers: list[Any] = []
        nursery.start_soon(partial(ask, client, answers, event_id="e1"))
        frame = await end.hears("requestDirectVideochat")
        assert frame["event"]["id"] == "e1"
        with pytest.raises(LocalProtocolError):
            await client.request("bob", event_id="e1")
        end.answer(frame, {"videochatRequestId": "q1"})


async def test_one_request_too_many_waits_for_its_turn(host: FakeHost, dial: Clients) -> None:
    async with linked(host, dial(requests_max=2)) as (client, end), trio.open_nursery() as nursery:
        answers: list[Any] = []
        for _ in range(3):
            nursery.start_soon(ask, client, answers)
        frames = [await end.hears("requestDirectVideochat") for _ in range(2)]
        await wait_all_tasks_blocked()
        assert end.heard_nothing()
        end.answer(frames[0], {"videochatRequestId": "q1"})
        frames.append(await end.hears("requestDirectVideochat"))
        for frame in frames[1:]:
            end.answer(frame, {"videochatRequestId": "q1"})
        await wait_all_tasks_blocked()
        assert len(answers) == 3


async def test_a_request_given_up_before_it_was_sent_is_not_sent(
    host: FakeHost, dial: Clients, autojump_clock: MockClock
) -> None:
    async with linked(host, dial()) as (client, end):
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.request("bob")
        with trio.move_on_after(0.1):
            end.close()
            await client.wait_for(LinkState.WAITING)
            await client.request("bob")
        end, _ = await host.admitted()
        await wait_all_tasks_blocked()
        assert end.heard_nothing()


async def test_an_answer_of_another_shape_fails_its_request_alone(host: FakeHost, dial: Clients) -> None:
    async with linked(host, dial()) as (client, end), trio.open_nursery() as nursery:
        answers: list[Any] = []
        nursery.start_soon(ask, client, answers)
        end.answer(await end.hears(), {"videochatRequestId": 7})
        await wait_all_tasks_blocked()
        assert isinstance(answers[0], RemoteProtocolError)
        assert answers[0].path == "$.data.videochatRequestId"
        assert client.state is LinkState.READY


async def test_events_that_nobody_takes_end_the_client(host: FakeHost, dial: Clients) -> None:
    async with linked(host, dial(events_max=2)) as (client, end):
        for version in (1, 2):
            end.declined(version)
        await wait_all_tasks_blocked()
        assert client.state is LinkState.READY
        for version in (3, 4):
            end.declined(version)
        await client.wait_for(LinkState.CLOSED)
        events = client.events()
        assert [(await anext(events)).version for _ in range(2)] == [1, 2]
        with pytest.raises(OverloadedError, match="2 events"):
            await anext(events)
        with pytest.raises(OverloadedError):
            await client.request("bob")


async def test_the_oldest_events_are_dropped_and_counted_where_that_is_wanted(
    host: FakeHost, dial: Clients
) -> None:
    async with linked(host, dial(events_max=2, when_full=WhenFull.DROP_OLDEST)) as (client, end):
        for version in (1, 2, 3, 4):
            end.declined(version)
        await wait_all_tasks_blocked()
        assert client.dropped == 2
        events = client.events()
        assert [(await anext(events)).version for _ in range(2)] == [3, 4]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (4409, TakenOverError),
        (1008, AuthenticationError),
        (1003, RemoteProtocolError),
    ],
)
async def test_a_final_close_code_ends_what_waits(
    host: FakeHost, dial: Clients, code: int, error: type[EngineError]
) -> None:
    async with linked(host, dial()) as (client, end), trio.open_nursery() as nursery:
        answers: list[Any] = []
        nursery.start_soon(ask, client, answers)
        await end.hears("requestDirectVideochat")
        end.close(code)
        with pytest.raises(error):
            await anext(client.events())
        await wait_all_tasks_blocked()
        assert [type(one) for one in answers] == [error]


async def test_a_device_told_that_it_was_taken_over_hangs_up(host: FakeHost, dial: Clients) -> None:
    async with linked(host, dial()) as (client, end):
        end.say("invalidConnection")
        with pytest.raises(TakenOverError, match="phone"):
            await anext(client.events())
        await wait_all_tasks_blocked()
        assert not end.open
        assert len(host.ends) == 1


async def test_garbage_ends_a_client_that_was_ready(host: FakeHost, dial: Clients) -> None:
    async with linked(host, dial()) as (client, end):
        end.say_text("what?")
        with pytest.raises(RemoteProtocolError, match="not JSON"):
            await anext(client.events())


async def test_a_host_that_cannot_read_us_is_a_clear_error(host: FakeHost, dial: Clients) -> None:
    async with linked(host, dial()) as (client, end):
        end.say("error", error={"status": True, "code": 10400, "message": "malformed"})
        with pytest.raises(RemoteProtocolError, match="malformed"):
            await anext(client.events())


async def test_a_host_that_is_never_there_is_given_up(
    host: FakeHost, dial: Clients, autojump_clock: MockClock
) -> None:
    host.down = True
    with pytest.raises(TransportTimeoutError, match="not ready for 7 seconds; last: no connection"):
        async with dial(give_up_seconds=7.0):
            raise AssertionError("nobody is there")


async def test_a_host_that_stays_away_ends_what_waits(
    host: FakeHost, dial: Clients, autojump_clock: MockClock
) -> None:
    settings = {"give_up_seconds": 7.0, "request_seconds": 60.0}
    async with linked(host, dial(**settings)) as (client, end), trio.open_nursery() as nursery:
        host.down = True
        answers: list[Any] = []
        nursery.start_soon(ask, client, answers)
        await end.hears("requestDirectVideochat")
        end.close()
        with pytest.raises(TransportTimeoutError):
            await anext(client.events())
        await wait_all_tasks_blocked()
        assert isinstance(answers[0], TransportTimeoutError)


async def test_links_that_do_not_open_or_welcome_are_dialled_again(
    host: FakeHost, dial: Clients, autojump_clock: MockClock
) -> None:
    host.stuck = True
    async with trio.open_nursery() as nursery:

        async def come_to_life() -> None:
            await trio.sleep(11)
            host.stuck = False
            silent = await host.arrival()
            await silent.hears("authenticate")
            await host.admitted()

        nursery.start_soon(come_to_life)
        async with dial(link_seconds=10.0) as client:
            assert client.state is LinkState.READY
            assert len(host.ends) == 2
            assert not host.ends[0].open


async def test_a_link_that_was_long_ready_forgets_its_failures(
    host: FakeHost, dial: Clients, autojump_clock: MockClock
) -> None:
    async with linked(host, dial(first_delay_seconds=1.0)) as (client, end):
        for _ in range(4):
            end.close()
            end, _ = await host.admitted()
        await client.wait_for(LinkState.READY)
        await trio.sleep(6)
        end.close()
        await client.wait_for(LinkState.WAITING)
        with trio.fail_after(1.5):
            await host.admitted()


async def test_leaving_the_block_closes_the_link_and_ends_the_events(host: FakeHost, dial: Clients) -> None:
    async with linked(host, dial()) as (client, end):
        events = client.events()
        end.declined(1)
        await wait_all_tasks_blocked()
    assert not end.open
    assert [event.version async for event in events] == [1]
    with pytest.raises(TransportClosedError):
        await client.request("bob")
    with pytest.raises(TransportClosedError):
        await client.wait_for(LinkState.READY)


async def test_an_error_of_the_block_leaves_it_as_it_is(host: FakeHost, dial: Clients) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.admitted)
        with pytest.raises(ZeroDivisionError):
            async with dial():
                raise ZeroDivisionError
    assert not host.ends[0].open


async def test_a_link_that_fails_while_it_is_written_is_dialled_again(
    host: FakeHost, dial: Clients, autojump_clock: MockClock
) -> None:
    async with linked(host, dial()) as (client, end), trio.open_nursery() as nursery:
        end.open = False
        answers: list[Any] = []
        nursery.start_soon(ask, client, answers)
        await wait_all_tasks_blocked()
        end.close()
        end, _ = await host.admitted()
        end.answer(await end.hears("requestDirectVideochat"), {"videochatRequestId": "q1"})
        await wait_all_tasks_blocked()
        assert answers == ["q1"]


async def play_everything(
    host: FakeHost, opened: contextlib.AbstractAsyncContextManager[VideochatClient], outcome: list[str]
) -> None:
    """A client's whole life: opened, asked, lost, dialled again, asked, closed."""
    async with trio.open_nursery() as nursery:

        async def serve_two_links() -> None:
            end, _ = await host.admitted()
            await end.hears("requestDirectVideochat")
            end.close()
            end, _ = await host.admitted()
            end.answer(await end.hears("requestDirectVideochat"), {"videochatRequestId": "q1"})
            end.declined(1)

        nursery.start_soon(serve_two_links)
        async with opened as client:
            outcome.append(await client.request("bob"))
            await anext(client.events())
            outcome.append("heard")


@pytest.mark.slow
async def test_cancelled_anywhere_a_client_leaves_nothing_behind() -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    at_once = ClientSettings(first_delay_seconds=0.0)
    finished = 0
    for turns in range(100):
        host, outcome = FakeHost(), list[str]()
        opened = connect_videochat("", token="t", settings=at_once, open_link=host.open_link)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_after, turns, scope)
                await play_everything(host, opened, outcome)
                nursery.cancel_scope.cancel()
        assert not any(end.open for end in host.ends)
        assert outcome in ([], ["q1"], ["q1", "heard"])
        finished += outcome == ["q1", "heard"]
    assert trio.lowlevel.current_statistics().tasks_living == before
    assert 0 < finished < 90


async def cancel_after(turns: int, scope: trio.CancelScope) -> None:
    """Cancel when every other task has had so many turns."""
    for _ in range(turns):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_cancelled_while_it_connects_to_a_real_server_nothing_is_left() -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with exchange() as served:
        inside = trio.lowlevel.current_statistics().tasks_living
        for turns in range(0, 40, 4):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(cancel_after, turns, scope)
                    async with phone(served, "ann", device=f"d{turns}"):
                        await trio.sleep_forever()
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living <= inside + 1
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_refused_upgrade_is_a_lost_link(autojump_clock: MockClock) -> None:
    async def refuse() -> None:
        raise TransportBrokenError("the server refused with status 404")

    @contextlib.asynccontextmanager
    async def open_link() -> AsyncIterator[End]:
        await refuse()
        yield End()

    with pytest.raises(TransportError, match="status 404"):
        async with connect_videochat("", token="t", open_link=open_link):
            raise AssertionError("nobody is there")
