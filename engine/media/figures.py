"""What a media host counts for whoever watches it from outside: sums, and how each worker is. No ids."""

from collections import Counter
from collections.abc import Mapping

import attrs

GAUGES: Mapping[str, str] = {
    "peers_count": "Peers, of whatever kind",
    "publishers_count": "Peers that send a stream",
    "viewers_count": "Peers that are sent one",
    "frame_peers_count": "Peers that play or record",
}
"""What they are, by name in a worker's figures."""

COUNTERS: Mapping[str, str] = {
    "received_packets": "RTP packets taken from publishers",
    "missed_packets": "RTP packets of publishers that did not come in their turn",
    "recovered_packets": "RTP packets of publishers that came late or when asked for",
    "forwarded_packets": "RTP packets sent to viewers, each viewer's counted",
    "resent_packets": "RTP packets sent again because a viewer asked",
    "fanout_dropped_packets": "RTP packets to viewers that the system did not take",
    "strange_packets": "Datagrams of nobody that is known",
    "nacks_sent_count": "Requests to publishers for missing packets (NACK)",
    "nacks_received_count": "Requests of viewers for missing packets (NACK)",
    "plis_sent_count": "Requests to publishers for key frames (PLI)",
    "plis_received_count": "Requests of viewers for key frames (PLI, FIR)",
}
"""What only goes up while a worker lives."""

OF_WORKERS: Mapping[str, str] = {
    "worker_lag_milliseconds": "Lateness of the worker, 99th percentile",
    "worker_cpu_fraction": "Of one core",
    "worker_rss_bytes": "Memory of the worker",
    "worker_accepting_count": "Whether the worker takes new peers",
}
"""Told for each worker by itself."""


@attrs.define(eq=False)
class Figures:
    """Of a host, as of the last time that each worker measured itself."""

    by_worker: dict[int, Mapping[str, float]] = attrs.field(factory=dict)
    """Those that run and have measured themselves."""
    workers: int = 0
    spares: int = 0
    cascades: int = 0
    deaths: int = 0
    """Of workers, attempts to start one included."""
    restarts: int = 0
    """Workers that took the place of one that had died."""
    faults: int = 0
    """Of which the media side has told."""
    refusals: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """By class of the request and of the error."""
    _ended: Counter[str] = attrs.field(factory=Counter)
    """What workers had counted that are gone."""

    def measured(self, worker: int, values: Mapping[str, float]) -> None:
        """What a worker says of itself."""
        self.by_worker[worker] = values

    def died(self, worker: int) -> None:
        """It is gone; what it did stays counted."""
        self.deaths += 1
        values = self.by_worker.pop(worker, {})
        self._ended.update({name: int(values.get(name, 0)) for name in COUNTERS})

    def refused(self, request: object, error: Exception) -> None:
        """A request has ended so."""
        self.refusals[type(request).__name__, type(error).__name__] += 1

    def total(self, name: str) -> float:
        """Of all workers, and for a counter of those that are gone as well."""
        return self._ended[name] + sum(values.get(name, 0.0) for values in self.by_worker.values())
