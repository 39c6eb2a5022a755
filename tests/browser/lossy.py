"""The product's router in a worker of a test, behind a bad network."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from engine.media import routing
from engine.media.protocol import MediaEvent
from engine.media.router.router import Router

MEDIA = range(128, 192)
"""First octets of RTP and RTCP (RFC 7983 section 7); ICE and DTLS have timers that a test has no time for."""


def open_router(config: Mapping[str, Any], emit: Callable[[MediaEvent], None]) -> Router:
    """A router that loses the share `loss` of media datagrams each way, drawn from `seed`."""
    others = {name: value for name, value in config.items() if name not in ("loss", "seed")}
    # The batched path hands packets to the kernel without asking the gate.
    router = routing.open_router({**others, "batched": False}, emit)
    draw, loss = random.Random(config["seed"]).random, config["loss"]
    router.mux.gate = lambda datagram: datagram[0] not in MEDIA or draw() >= loss
    return router
