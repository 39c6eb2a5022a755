"""What `/metrics` says. Labels are kinds, outcomes and workers; never a user, a call or a token."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from engine.app.api import Service
from engine.app.push import Pushes
from engine.media.figures import COUNTERS, GAUGES, OF_WORKERS, Figures
from engine.runtime.runtime import Runtime


def exposition(
    runtime: Runtime, services: Mapping[str, Service], pushes: Mapping[str, Pushes], media: Figures
) -> bytes:
    """The present figures in the Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_EngineCollector(runtime, services, pushes))
    registry.register(_MediaCollector(media))
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


class _MediaCollector(Collector):
    """Figures of the media host, whoever uses it."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        yield _gauge("workers", "Media workers that run", figures.workers)
        yield _gauge("spare_workers", "Workers that wait to take the place of one that ends", figures.spares)
        yield _gauge(
            "cascades", "Streams carried to a worker that they are not published on", figures.cascades
        )
        yield _counter("worker_deaths", "Ends of workers, and failures to start one", figures.deaths)
        yield _counter("worker_restarts", "Workers that took the place of one that ended", figures.restarts)
        yield _counter("faults", "Errors in the media side that disturbed nothing else", figures.faults)
        for name, text in GAUGES.items():
            yield _gauge(name.removesuffix("_count"), text, figures.total(name))
        for name, text in COUNTERS.items():
            yield _counter(name.removesuffix("_count"), text, figures.total(name))
        yield self._refusals()
        for name, text in OF_WORKERS.items():
            yield self._of_workers(name, text)

    def _refusals(self) -> Metric:
        metric = CounterMetricFamily(
            "switchhook_media_refusals", "Requests that ended in an error", labels=["request", "error"]
        )
        for labels, count in sorted(self._figures.refusals.items()):
            metric.add_metric([*labels], count)
        return metric

    def _of_workers(self, name: str, text: str) -> Metric:
        # Prometheus has seconds.
        called, unit = name.removesuffix("_count").replace("_milliseconds", "_seconds"), 1.0
        if called.endswith("_seconds"):
            unit = 0.001
        metric = GaugeMetricFamily(f"switchhook_media_{called}", text, labels=["worker"])
        for worker, values in sorted(self._figures.by_worker.items()):
            if name in values:
                metric.add_metric([str(worker)], unit * values[name])
        return metric


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"switchhook_media_{name}", text, value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"switchhook_media_{name}", text, value)
