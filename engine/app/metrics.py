"""What `/metrics` says. Labels are kinds, commands and outcomes; never a user, a call or a token."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from engine.app.api import Service
from engine.app.push import Pushes
from engine.runtime.runtime import Runtime


def exposition(runtime: Runtime, services: Mapping[str, Service], pushes: Mapping[str, Pushes]) -> bytes:
    """The present figures in the Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_EngineCollector(runtime, services, pushes))
    return generate_latest(registry)


class _EngineCollector(Collector):
    """Reads the figures when it is asked; nothing is counted twice and nothing global is kept."""

    def __init__(
        self, runtime: Runtime, services: Mapping[str, Service], pushes: Mapping[str, Pushes]
    ) -> None:
        self._runtime = runtime
        self._services = services
        self._pushes = pushes

    def collect(self) -> Iterator[Metric]:
        yield self._commands()
        yield self._pushed()
        for name, count in self._runtime.dispatcher.statistics().items():
            yield GaugeMetricFamily(f"switchhook_{name}", f"Dispatcher: {name}", count)
        yield GaugeMetricFamily("switchhook_timers", "Entries of the timer heap", len(self._runtime.timers))
        yield GaugeMetricFamily("switchhook_followers", "Followers of streams", len(self._runtime.followers))
        yield GaugeMetricFamily(
            "switchhook_call_scopes", "Calls that own something", len(self._runtime.scopes)
        )
        for api, service in self._services.items():
            for name, value in service.statistics().items():
                yield GaugeMetricFamily(f"switchhook_{api}_{name}", f"{api}: {name}", value)

    def _commands(self) -> Metric:
        counter = CounterMetricFamily(
            "switchhook_commands", "Commands by outcome", labels=["kind", "command", "outcome"]
        )
        for (kind, command, outcome), count in sorted(self._runtime.dispatcher.counts.items()):
            counter.add_metric([kind, command, outcome], count)
        return counter

    def _pushed(self) -> Metric:
        counter = CounterMetricFamily(
            "switchhook_pushes", "Pushes by outcome", labels=["api", "type", "outcome"]
        )
        for api, pushes in self._pushes.items():
            for (kind, outcome), count in sorted(pushes.counts.items()):
                counter.add_metric([api, kind, outcome], count)
        return counter
