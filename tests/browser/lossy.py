"""The router in a worker of a test: with deadlines that a test can wait for, and with loss if wanted."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from engine.media.protocol import MediaEvent
from engine.media.router.router import Router, RouterConfig

MEDIA = range(128, 192)
"""First octets of RTP and RTCP (RFC 7983 section 7); ICE and DTLS have timers that a test has no time for."""


def open_router(config: Mapping[str, Any], emit: Callable[[MediaEvent], None]) -> Router:
    """A router on loopback; `loss` is the share of media datagrams dropped each way, drawn from `seed`."""
    settings = {name: config[name] for name in ("batched", "lost_seconds") if name in config}
    router = Router(RouterConfig(**settings), emit)
    if config.get("loss"):
        draw = random.Random(config["seed"]).random
        loss = config["loss"]
        router.mux.gate = lambda datagram: datagram[0] not in MEDIA or draw() >= loss
    return router
