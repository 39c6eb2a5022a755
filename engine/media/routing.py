"""What runs inside a worker unless something else is asked for: a switchboard, from plain settings."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from engine.errors import ConfigurationError
from engine.media.frame_peer.peers import FramePeers
from engine.media.protocol import MediaEvent
from engine.media.router.ice_mux import Listening
from engine.media.router.router import Router, RouterConfig
from engine.media.settings import PORT_MAX
from engine.media.switchboard import Switchboard


def open_router(config: Mapping[str, Any], emit: Callable[[MediaEvent], None]) -> Switchboard:
    """A router and peers with frames that are not open yet, from RouterConfig's settings by name.

    Each of `listening` is a mapping of Listening's settings. Every worker has ports of its own: the one that
    is given belongs to worker 0, the next to worker 1, and so on.

    Raises:
        ConfigurationError: a setting is unknown, or there is no such port.
    """
    settings = dict(config)
    worker = settings.pop("worker")
    if "listening" in settings:
        settings["listening"] = tuple(_listening(each, worker) for each in _entries(settings["listening"]))
    try:
        router_config = RouterConfig(**settings)
    except TypeError as error:
        raise ConfigurationError("media", str(error).partition(" ")[2]) from error
    frame_peers = FramePeers(emit, connect_seconds=router_config.connect_seconds)
    return Switchboard(Router(router_config, emit), frame_peers)


def _entries(listening: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(listening, Sequence) or not all(isinstance(each, Mapping) for each in listening):
        raise ConfigurationError("media.listening", "is not a list of tables")
    return listening


def _listening(entry: Mapping[str, Any], worker: int) -> Listening:
    try:
        first = Listening(**entry)
    except TypeError as error:
        raise ConfigurationError("media.listening", str(error).partition(" ")[2]) from error
    if not first.port:
        return first
    port = first.port + worker
    if not 0 < port <= PORT_MAX:
        raise ConfigurationError("media.listening", f"worker {worker} would have port {port}")
    return attrs.evolve(first, port=port)
