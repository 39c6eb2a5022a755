"""The peers of a client at its media host: what the host reports, told to whoever owns the peer."""

from collections.abc import Callable
from typing import TypeAlias

import trio

from engine.errors import MediaError
from engine.media import protocol as p

Hear: TypeAlias = Callable[[p.PeerEvent], None]
"""Told each event of one peer; must not wait."""


class ClientPeers:
    """Owners of peers by their ids."""

    def __init__(self, media: p.MediaHost) -> None:
        self.media = media
        self._owners: dict[str, Hear] = {}

    def own(self, peer_id: str, hear: Hear) -> None:
        """Tell `hear` of this peer until `disown`."""
        self._owners[peer_id] = hear

    def disown(self, peer_id: str) -> None:
        """Nobody wants to hear of it."""
        self._owners.pop(peer_id, None)

    async def listen(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Pass on what the media host reports, for ever."""
        async with self.media.events() as batches:
            task_status.started()
            async for _, events in batches:
                for event in events:
                    await self._take(event)

    async def _take(self, event: p.MediaEvent) -> None:
        if isinstance(event, p.EventsLost):
            await self._ask_after_all()
        elif isinstance(event, p.PeerEvent) and event.peer_id in self._owners:
            self._owners[event.peer_id](event)

    async def _ask_after_all(self) -> None:
        """Events were lost, and with them perhaps the beginning or the end of a peer."""
        for peer_id, hear in [*self._owners.items()]:
            try:
                said = await self.media.request(p.GetStatistics(peer_id=peer_id))
            except p.UnknownPeerError:
                hear(p.PeerClosed(peer_id=peer_id, reason=p.CloseReason.LOST))
            except MediaError:
                # Of a host that cannot even say, an end will be told.
                continue
            else:
                assert isinstance(said, p.Statistics)
                if said.values["connected"]:
                    hear(p.PeerConnected(peer_id=peer_id, milliseconds=0.0))
