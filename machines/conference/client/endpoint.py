"""A client's user endpoint: registered, kept alive, registered again when the host has dropped it."""

import structlog
import trio

from engine.errors import RemoteProtocolError, TransportError
from machines.conference import endpoints, wire
from machines.conference.client.calls import Calls
from machines.conference.client.errors import ConferenceRefusedError
from machines.conference.client.parting import part, try_to
from machines.conference.client.seat import SeatDriver
from machines.conference.client.settings import ClientSettings

NOT_FOUND = 404

log = structlog.get_logger("switchhook.conference.client")


class UserEndpoint:
    """The endpoint of one client, in all of its conferences."""

    def __init__(self, calls: Calls, endpoint_id: str, settings: ClientSettings) -> None:
        self.id = endpoint_id
        """Until it is registered only a wish; a host may give another one."""
        self.calls = calls
        self.seats: dict[SeatDriver, None] = {}
        self._settings = settings
        self._is_registered = False

    async def register(self) -> None:
        """Let the host know it, under the id that it has.

        Raises:
            EngineError: the host does not.
        """
        self._is_registered = True
        self.id = await self.calls.register(self.id, self._settings.keep_alive_seconds)

    async def keep_alive(self) -> None:
        """Say that it is there, for ever."""
        while True:
            await trio.sleep(self._settings.keep_alive_seconds / 2)
            try:
                await self._keep()
            except (ConferenceRefusedError, TransportError, RemoteProtocolError) as error:
                # The next one may come in time; a seat that was dropped hears of it.
                log.info("keepalive_failed", raised=type(error).__name__)

    async def _keep(self) -> None:
        try:
            await self.calls.do(
                endpoints.KEEP_ALIVE.path, wire.KeepUserEndpointAlive(user_endpoint_id=self.id)
            )
        except ConferenceRefusedError as error:
            if error.status != NOT_FOUND:
                raise
            await self.register()
            for seat in [*self.seats]:
                seat.doubt()

    async def unregister(self) -> None:
        """Take it out of everything; also when cancelled."""
        await part(self._say_goodbye, self._settings)

    async def _say_goodbye(self) -> None:
        if self._is_registered:
            body = wire.UnregisterUserEndpoint(user_endpoint_id=self.id, reason="")
            await try_to("unregister", self.calls.do(endpoints.UNREGISTER.path, body))
            self._is_registered = False
