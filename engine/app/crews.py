"""The performers that APIs bring along: opened before the runtime, and closed after it."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import attrs

from engine.app.api import Api, Backstage, Crew
from engine.app.configuration import Configuration
from engine.errors import ConfigurationError, LocalProtocolError
from engine.machine.family import Kind
from engine.media.protocol import MediaHost
from engine.nurseries import open_block_nursery
from engine.runtime.performers import Performer
from engine.runtime.runtime import Runtime
from engine.runtime.world import World


@attrs.define(eq=False)
class Crews:
    """The crews of an engine by the names of their APIs."""

    by_api: dict[str, Crew] = attrs.field(factory=dict)
    _backstages: list[Backstage] = attrs.field(factory=list)

    async def add(self, stack: AsyncExitStack, api: Api, backstage: Backstage) -> None:
        """Open the crew of `api`, to be closed with `stack`."""
        if api.crew is not None:
            self._backstages.append(backstage)
            self.by_api[api.name] = await stack.enter_async_context(api.crew(backstage))

    @property
    def performers(self) -> dict[str, Performer]:
        """Of all crews by port.

        Raises:
            LocalProtocolError: two crews perform one port.
        """
        found: dict[str, Performer] = {}
        for name, crew in self.by_api.items():
            taken = sorted(found.keys() & crew.performers.keys())
            if taken:
                raise LocalProtocolError(f"the API {name} performs {taken[0]!r}, and another API does too")
            found |= crew.performers
        return found

    def enter(self, runtime: Runtime) -> None:
        """Tell every crew of the runtime."""
        for backstage in self._backstages:
            backstage.enter(runtime)


@asynccontextmanager
async def open_crews(
    apis: Sequence[Api], configuration: Configuration, media: MediaHost, world: World
) -> AsyncIterator[Crews]:
    """The crews of all `apis`. Leaving closes them, then cancels what they left in their nursery."""
    async with open_block_nursery() as nursery:
        try:
            async with AsyncExitStack() as stack:
                crews = Crews()
                for api in apis:
                    backstage = Backstage(
                        media=media,
                        settings=configuration.settings_of(api),
                        nursery=nursery,
                        clock=world.clock,
                    )
                    await crews.add(stack, api, backstage)
                yield crews
        finally:
            nursery.cancel_scope.cancel()


def check_ports(kinds: Iterable[Kind], performed: Collection[str]) -> None:
    """See that somebody performs what machines ask, as far as the code of their reactions tells.

    Raises:
        ConfigurationError: nobody does; machines and ports are named.
    """
    faults = [
        f"{kind.name} asks the port {port!r}, which nobody performs"
        for kind in kinds
        for port in kind.table.ports
        if port not in performed
    ]
    if faults:
        way_out = "pass it to open_engine(performers={PORT: ...}), or give its Api a crew"
        raise ConfigurationError("performers", f"{'; '.join(faults)}: {way_out}")
