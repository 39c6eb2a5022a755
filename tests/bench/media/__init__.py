"""The media router beside what nothing can be cheaper than, beside aiortc's own relay, and beside Janus.

What is asked was measured where `calibrate` was 2.7 us a packet, so most ratios here are scaled to that.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from engine.media.router.fanout import batching_is_possible
from tests.bench.media import control, forwarding, janus, peering, relay
from tests.bench.media.stage import CORES, Options
from tests.bench.report import Figure

SECTIONS: Mapping[str, Callable[[Options], Iterator[Figure]]] = {
    "forward": forwarding.forward,
    "capacity": forwarding.capacity,
    "audio": forwarding.audio,
    "ingress": forwarding.ingress,
    "connect": peering.connect,
    "memory": peering.memory,
    "bridge": control.bridge,
    "stall": control.stall,
    "ends": control.ends,
    "relay": relay.relay,
    "janus": janus.janus,
}


def figures(
    sections: Sequence[str] = (), *, seconds: float | None = None, realtime: bool = False
) -> Iterator[Figure]:
    """The named sections, or all of them, in the order above; then what the machine was like."""
    if not batching_is_possible() or len(CORES) < 2:
        yield Figure("nothing was measured", 0, "", note="needs 64-bit Linux and two cores")
        return
    options = Options(seconds=seconds or Options().seconds, realtime=realtime)
    before = os.getloadavg()[0]
    for name, section in SECTIONS.items():
        if not sections or name in sections:
            yield from section(options)
    note = f"of {os.cpu_count()} cores; {before:.1f} before; the bench itself included"
    yield Figure("load average", os.getloadavg()[0], "", note=note)
