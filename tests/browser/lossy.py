"""The product's router in a worker of a test, behind a bad network."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from engine.media.frame_peer.peers import FramePeers
from engine.media.protocol import MediaEvent
from engine.media.router.ice_mux import Listening, SocketAddress
from engine.media.router.peer import Peer
from engine.media.router.router import Router, RouterConfig
from engine.media.switchboard import Switchboard

MEDIA = range(128, 192)
"""First octets of RTP and RTCP (RFC 7983 section 7); ICE and DTLS have timers that a test has no time for."""


def open_router(config: Mapping[str, Any], emit: Callable[[MediaEvent], None]) -> Switchboard:
    """A router that loses the share `loss` of media datagrams each way, drawn from `seed`.

    Peers whose id is among `spared` lose nothing.
    """
    ours = ("loss", "seed", "spared", "worker", "listening")
    others = {name: value for name, value in config.items() if name not in ours}
    if "listening" in config:
        others["listening"] = tuple(Listening(**one) for one in config["listening"])
    # The batched path hands packets to the kernel without asking the gate.
    router = Router(RouterConfig(**others, batched=False), emit)
    draw, loss, spared = random.Random(config["seed"]).random, config["loss"], config.get("spared", ())

    def passes(datagram: bytes, address: SocketAddress) -> bool:
        if datagram[0] not in MEDIA:
            return True
        endpoint = router.mux.endpoint_at(address)
        peer = endpoint.receiver if endpoint is not None else None
        return (isinstance(peer, Peer) and peer.id in spared) or draw() >= loss

    router.mux.gate = passes
    return Switchboard(router, FramePeers(emit))
