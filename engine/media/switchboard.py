"""What a worker runs: the router, and beside it the peers with frames, under one set of peer ids."""

import asyncio
import socket
from collections.abc import Mapping

from engine.media.frame_peer.peers import FramePeers
from engine.media.inner import OpenPipe
from engine.media.protocol import (
    Drain,
    FramePeerRequest,
    GetStatistics,
    MediaAnswer,
    MediaRequest,
    PeerExistsError,
    Publish,
    Statistics,
    TakeAnswer,
    View,
)
from engine.media.router.router import Router


class Switchboard:
    """Passes each request on to the one that has the peer. Made by `engine.media.routing.open_router`."""

    def __init__(self, router: Router, frame_peers: FramePeers) -> None:
        self._router, self._frame_peers = router, frame_peers

    async def open(self) -> None:
        """Open the router; a peer with frames has sockets of its own.

        Raises:
            ConfigurationError: as the router's.
        """
        await self._router.open()

    async def close(self) -> None:
        """End every peer, and wait until nothing is left."""
        await asyncio.gather(self._frame_peers.close(), self._router.close())

    async def handle(self, request: MediaRequest) -> MediaAnswer:
        """Do what is asked.

        Raises:
            MediaError: one of the errors in the protocol.
        """
        match request:
            case FramePeerRequest(peer_id=peer_id) if peer_id in self._router:
                raise PeerExistsError("the peer id is taken")
            case Publish(peer_id=peer_id) | View(peer_id=peer_id) if peer_id in self._frame_peers:
                raise PeerExistsError("the peer id is taken")
            case FramePeerRequest() | TakeAnswer():
                return await self._frame_peers.handle(request)
            case GetStatistics(peer_id=None):
                return Statistics(values=self.figures())
            case Drain(seconds=seconds):
                self._frame_peers.drain(seconds)
        return await self._of_peer(request)

    async def connect(self, request: OpenPipe, sock: socket.socket) -> MediaAnswer:
        """See the router's: only what it forwards is carried to other workers."""
        return await self._router.connect(request, sock)

    async def _of_peer(self, request: MediaRequest) -> MediaAnswer:
        if getattr(request, "peer_id", "") in self._frame_peers:
            return await self._frame_peers.handle(request)
        return await self._router.handle(request)

    def figures(self) -> Mapping[str, float]:
        """Of all peers."""
        values = dict(self._router.statistics())
        for name, value in self._frame_peers.statistics().items():
            values[name] = values.get(name, 0.0) + value
        return values
