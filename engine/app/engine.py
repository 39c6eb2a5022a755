"""The engine as an embedding program sees it: start calls, command them, follow them, serve their APIs."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import attrs
import structlog
import trio

from engine.app.api import Api, Host, Service
from engine.app.configuration import Configuration, default_configuration
from engine.app.crews import Crews, check_ports, open_crews
from engine.app.discovery import installed_apis
from engine.app.origins import Origins
from engine.app.push import NoPush, Pushes, PushPort
from engine.app.retention import SECONDS_PER_DAY, sweep
from engine.app.serving import EngineApplication
from engine.app.users import MemoryUsers, SqliteUsers, UserDirectory
from engine.app.webhook import open_webhook, read_webhook
from engine.codec.records import RecordCodec
from engine.codec.wire import WireCodec
from engine.errors import CallEndedError, LocalProtocolError
from engine.journal.fold import episodes
from engine.journal.opening import open_journal, path_of
from engine.journal.port import Journal
from engine.machine.family import Family
from engine.machine.step import Snapshot
from engine.media.ondemand import OnDemandHost, open_on_demand
from engine.media.protocol import MediaHost
from engine.nurseries import open_block_nursery
from engine.runtime.entry import Entry
from engine.runtime.performers import Performer
from engine.runtime.runtime import Runtime, open_runtime
from engine.runtime.world import World
from engine.transport.limits import Limits
from engine.transport.server import serve
from engine.vocabulary import Address, Command, Event, Message

log = structlog.get_logger("switchhook.engine")


@attrs.frozen
class VersionedEvent:
    """An event of a call, with its place in the call's stream."""

    version: int
    at: float
    """UTC seconds."""
    member: Address
    event: Event


@attrs.frozen(eq=False)
class Call:
    """One call of a running engine. It holds nothing: any number of them may name the same call."""

    address: Address
    _runtime: Runtime = attrs.field(repr=False)
    answer: Message | None = None
    """What the command that made it was answered."""

    async def send(self, command: Command, *, command_id: str = "") -> Message | None:
        """Command the call and wait until the journal has what it changed.

        A `command_id` that was used before gets the answer it had.

        Raises:
            TypeError: it is no command.
            LocalProtocolError: its fields hold what their types do not allow.
            CommandRefusedError: a rule says no; nothing was changed.
            EngineError: it could not be decided or journaled.
        """
        return await _ask(self._runtime, self.address, command, command_id)

    async def snapshot(self) -> Snapshot:
        """The call as it is: `state` and `data`."""
        return await self._runtime.snapshot(self.address)

    async def wait_for(self, *states: Any) -> Snapshot:
        """Wait until the call is in one of `states`; at once when it is.

        A state that is passed through while others run may be missed: `events` misses nothing.

        Raises:
            LocalProtocolError: the machine has no such state.
            CallEndedError: it has ended in another state.
            UnavailableError: the engine was left.
        """
        family = self._runtime.family
        stream, table = family.stream_of(self.address), family.kinds[self.address.kind].table
        if missing := [state for state in states if state not in table.states]:
            known = ", ".join(state.name for state in table.states)
            raise LocalProtocolError(f"{self.address.kind} has no state {missing[0]!r}; there are {known}")
        while True:
            now = await self.snapshot()
            if now.state in states:
                return now
            if now.state in table.final:
                raise CallEndedError(str(self.address), now.state)
            await self._runtime.wait_change(stream)

    async def events(self, since: int = 0) -> AsyncGenerator[VersionedEvent, None]:
        """Every event of the call's stream behind version `since`, then each new one, without end.

        Whoever stops early closes it: `async with aclosing(call.events()) as events`.

        Raises:
            UnavailableError: the engine was left.
        """
        runtime, stream = self._runtime, self._runtime.family.stream_of(self.address)
        cursor = since
        while True:
            loaded = await runtime.journal.load(stream, cursor, snapshot=False)
            for episode in episodes(runtime.codec, stream, loaded):
                for offset, record in enumerate(episode.records):
                    cursor = episode.version + offset
                    yield VersionedEvent(cursor, episode.at, record.member, record.event)
            if (await runtime.read(stream)).version <= cursor:
                await runtime.wait_change(stream)


class Engine:
    """Calls on one journal. Open it with `open_engine`."""

    def __init__(
        self,
        runtime: Runtime,
        configuration: Configuration,
        apis: Sequence[Api],
        users: UserDirectory,
        world: World,
        pushes: Mapping[str, Pushes],
        media: MediaHost,
        crews: Crews,
    ) -> None:
        self.runtime = runtime
        self.configuration = configuration
        self.apis = tuple(apis)
        self.users = users
        self.media = media
        """Opened when it is first asked for something, unless one was given."""
        self._world = world
        self._pushes = pushes
        self._crews = crews
        self._serving = False

    async def start(self, entry: Entry, command: Command, *, command_id: str = "") -> Call:
        """Begin a call with its first command.

        Raises:
            LocalProtocolError: its fields hold what their types do not allow.
            CommandRefusedError: a rule says no.
            EngineError: it could not be decided or journaled.
        """
        if not isinstance(command, entry.command):
            raise TypeError(f"this entry begins with {entry.command.__name__}, not {type(command).__name__}")
        answer = await _ask(self.runtime, entry.to(command), command, command_id)
        return Call(entry.call(answer), self.runtime, answer)

    def call(self, kind: str, key: str) -> Call:
        """The call (or any other machine) of this kind and key.

        Raises:
            LocalProtocolError: no machine is of this kind.
        """
        kinds = self.runtime.family.kinds
        if kind not in kinds:
            raise LocalProtocolError(f"there is no machine {kind}; there are {', '.join(kinds)}")
        return Call(Address(kind, key), self.runtime)

    async def warm_up_media(self) -> None:
        """Open the media host now, so that the first peer need not wait for it.

        Raises:
            MediaError: it cannot be opened.
        """
        if isinstance(self.media, OnDemandHost):
            await self.media.warm_up()

    async def serve(
        self,
        listen: str | Sequence[str],
        *,
        ssl_context: ssl.SSLContext | None = None,
        limits: Limits | None = None,
        stop: trio.Event | None = None,
        task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve the documented APIs at `HOST:PORT` until cancelled, or until `stop` is set.

        `addresses = await nursery.start(engine.serve, "127.0.0.1:8080")`. Once at a time, with all addresses:
        who is connected where is known to one service.

        Raises:
            ConfigurationError: an address is wrong.
            TransportError: a port cannot be had.
            LocalProtocolError: the engine is served already.
        """
        if self._serving:
            raise LocalProtocolError("the engine is served already; name all addresses in one call")
        self._serving = True
        stop = trio.Event() if stop is None else stop
        try:
            await self._serve(listen, ssl_context, limits, stop, task_status)
        finally:
            self._serving = False

    async def _serve(
        self,
        listen: str | Sequence[str],
        ssl_context: ssl.SSLContext | None,
        limits: Limits | None,
        stop: trio.Event,
        task_status: trio.TaskStatus[tuple[str, ...]],
    ) -> None:
        async with AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(open_block_nursery())
            services: dict[str, Service] = {}
            for api in self.apis:
                if api.open is not None:
                    self._warn_of_lacks(api)
                    opened = api.open(self._host(api, nursery, stop))
                    services[api.name] = await stack.enter_async_context(opened)
            limits = limits or self.configuration.server
            origins = Origins(limits.allowed_origins)
            application = EngineApplication(
                self.runtime, self.apis, services, self._pushes, origins, self.media
            )
            await serve(
                application,
                listen,
                ssl_context=ssl_context,
                limits=limits,
                stop=stop,
                task_status=task_status,
            )
            nursery.cancel_scope.cancel()

    def _warn_of_lacks(self, api: Api) -> None:
        if api.lacks is not None:
            for reason in api.lacks(self.configuration.settings_of(api)):
                log.warning("settings_lack", api=api.name, reason=reason)

    def _host(self, api: Api, nursery: trio.Nursery, stopping: trio.Event) -> Host:
        return Host(
            runtime=self.runtime,
            users=self.users,
            codec=WireCodec(),
            settings=self.configuration.settings_of(api),
            pushes=self._pushes[api.name],
            nursery=nursery,
            clock=self._world.clock,
            media=self.media,
            crew=self._crews.by_api.get(api.name),
            stopping=stopping,
        )


async def _ask(runtime: Runtime, to: Address, command: Command, command_id: str) -> Message | None:
    if not isinstance(command, Command):
        raise TypeError(f"a command is wanted, such as AcceptCall(...), not {type(command).__name__}")
    # Once, here: what comes by the wire was read strictly, and what machines say is ours.
    runtime.codec.check(command)
    return (await runtime.ask(to, command, command_id=command_id)).result()


def family_of(apis: Sequence[Api]) -> Family:
    """The machines of all `apis`."""
    return Family(kind for api in apis for kind in api.kinds)


def codec_of(apis: Sequence[Api], family: Family) -> RecordCodec:
    """The journal's codec for the words of all `apis`."""
    words = (word for api in apis for word in api.words)
    upcasters = {old: upcaster for api in apis for old, upcaster in api.upcasters.items()}
    return RecordCodec(words, upcasters, states=family.states())


@asynccontextmanager
async def open_engine(
    journal: str | Journal = "memory:",
    *,
    configuration: Configuration | None = None,
    apis: Sequence[Api] | None = None,
    users: UserDirectory | None = None,
    push: PushPort | None = None,
    performers: Mapping[str, Performer] | None = None,
    media: MediaHost | None = None,
    world: World | None = None,
) -> AsyncIterator[Engine]:
    """Run calls on `journal` until the block is left; what they own ends with it.

    What the block raises leaves it as it is; a bug in a task of the engine ends it and leaves as a group.

    `journal` is a URL (`sqlite:///calls.db`, `memory:`) or an open journal. Everything that touches the
    world can be passed in: the clock, ids and randomness (`world`), the users, what performs effects (in
    place of the API's own performer of the port), the media host, and `push`, by which users without a socket
    are reached. Without it the webhook of the configuration does it, and without that nobody is. Without a
    media host the one of the configuration is opened when it is first needed, and closed with the engine.

    Raises:
        LocalProtocolError: it does not run under trio.
        ConfigurationError: the URL is wrong, or a machine asks a port that nobody performs.
        UnavailableError: the journal cannot be opened, or another engine owns it.
    """
    if not trio.lowlevel.in_trio_task():
        raise LocalProtocolError(
            "open_engine runs under trio: begin with trio.run(main); asyncio and threads can host it as "
            "docs/howto/embed.md shows"
        )
    configuration = configuration or default_configuration()
    apis = installed_apis() if apis is None else apis
    world = world or World()
    async with AsyncExitStack() as stack:
        if isinstance(journal, str):
            opened: Journal = await stack.enter_async_context(open_journal(journal, clock=world.clock))
            users = users or stack.enter_context(_users_beside(journal))
        else:
            opened = journal
        family = family_of(apis)
        pushes = {
            api.name: Pushes(await stack.enter_async_context(_push_of(push, api, configuration, world)))
            for api in apis
        }
        if media is None:
            media = await stack.enter_async_context(open_on_demand(configuration.media.open_host))
        # There before the runtime: what was asked before a crash is asked again when it opens.
        pushing = {f"{name}.push": one.perform for name, one in pushes.items()}
        crews = await stack.enter_async_context(open_crews(apis, configuration, media, world))
        performed = {**pushing, **crews.performers, **(performers or {})}
        check_ports(family.kinds.values(), performed)
        runtime = await stack.enter_async_context(
            open_runtime(
                opened,
                codec_of(apis, family),
                family,
                world=world,
                performers=performed,
                made=crews.enter,
            )
        )
        if configuration.journal.keep_ended_days:
            nursery = await stack.enter_async_context(open_block_nursery())
            stack.callback(nursery.cancel_scope.cancel)
            nursery.start_soon(sweep, runtime, SECONDS_PER_DAY * configuration.journal.keep_ended_days)
        yield Engine(runtime, configuration, apis, users or MemoryUsers(), world, pushes, media, crews)


@asynccontextmanager
async def _push_of(
    given: PushPort | None, api: Api, configuration: Configuration, world: World
) -> AsyncIterator[PushPort]:
    """The given port, else what the configuration says about the pushes of `api`."""
    section = api.webhook(configuration.settings_of(api)) if api.webhook is not None else {}
    if given is not None or not section:
        yield given or NoPush()
        return
    async with open_webhook(read_webhook(section), clock=world.clock) as webhook:
        yield webhook


@contextmanager
def _users_beside(journal: str) -> Iterator[UserDirectory]:
    users = SqliteUsers(path_of(journal)) if journal.startswith("sqlite:") else MemoryUsers()
    try:
        yield users
    finally:
        users.close()
