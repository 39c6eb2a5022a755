"""The figures of the demonstration."""

import statistics

import attrs


@attrs.frozen(kw_only=True)
class Figures:
    """Of one moment."""

    viewers: int
    packets: int
    packets_per_second: float
    lost: int
    latency_ms: tuple[float, float, float]
    """Percentiles 50, 95 and 99; from the encoder of the publisher to the viewer's count of the packet."""
    cpu_fraction: float
    """The worker's, of one core."""

    @property
    def loss_fraction(self) -> float:
        """Of what viewers should have."""
        return self.lost / max(1, self.packets + self.lost)

    def cells(self) -> list[tuple[str, str]]:
        """(name, value) as they are shown."""
        shares = " / ".join(f"{one:.1f}" for one in self.latency_ms)
        return [
            ("viewers", f"{self.viewers}"),
            ("packets", f"{self.packets}"),
            ("packets/s", f"{self.packets_per_second:.0f}"),
            ("lost", f"{self.lost} ({100 * self.loss_fraction:.2f} %)"),
            ("latency p50 / p95 / p99", f"{shares} ms"),
            ("worker CPU", f"{100 * self.cpu_fraction:.1f} %"),
            ("per viewer", f"{100 * self.cpu_fraction / max(1, self.viewers):.2f} %"),
        ]


def percentiles(values: list[float]) -> tuple[float, float, float]:
    """50, 95 and 99; zeros when there are too few to say."""
    if len(values) < 2:
        return 0.0, 0.0, 0.0
    cuts = statistics.quantiles(values, n=100)
    return cuts[49], cuts[94], cuts[98]
