"""`/metrics`: of media, with the names that dashboards are made of."""

from prometheus_client.parser import text_string_to_metric_families

from engine.app.metrics import exposition
from engine.media import protocol as p
from engine.media.fake import open_fake_host
from engine.media.figures import Figures
from tests.engine.app.test_serving import served
from tests.engine.media.rigs import publish

OFFER = "v=0 a secret offer"


def measured() -> Figures:
    figures = Figures(workers=2, spares=1, cascades=3, deaths=4, restarts=3, faults=5)
    lag = {"worker_lag_milliseconds": 12.0, "worker_cpu_fraction": 0.5, "worker_rss_bytes": 7e7}
    figures.measured(0, {**lag, "worker_accepting_count": 1.0, "peers_count": 2.0, "viewers_count": 1.0})
    figures.measured(1, {"peers_count": 3.0, "publishers_count": 3.0, "forwarded_packets": 1000.0})
    figures.died(1)
    figures.measured(1, {"peers_count": 1.0, "forwarded_packets": 10.0, "nacks_sent_count": 6.0})
    figures.refused(
        p.View(stream_id="s", peer_id="secret-bob", sdp_offer=OFFER), p.HostBusyError("overloaded")
    )
    return figures


async def test_media_is_told_with_one_series_for_each_worker_at_most() -> None:
    async with served() as server:
        text = exposition(server.engine.runtime, {}, {}, measured()).decode()
    found = {
        (sample.name.removeprefix("switchhook_media_"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("switchhook_media_")
    }
    expected = {
        ("workers",): 2.0,
        ("spare_workers",): 1.0,
        ("cascades",): 3.0,
        ("worker_deaths_total",): 5.0,
        ("worker_restarts_total",): 3.0,
        ("faults_total",): 5.0,
        ("peers",): 3.0,
        ("viewers",): 1.0,
        ("forwarded_packets_total",): 1010.0,
        ("nacks_sent_total",): 6.0,
        ("refusals_total", "HostBusyError", "View"): 1.0,
        ("worker_lag_seconds", "0"): 0.012,
        ("worker_cpu_fraction", "0"): 0.5,
        ("worker_rss_bytes", "0"): 7e7,
        ("worker_accepting", "0"): 1.0,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "secret" not in text


async def test_a_server_tells_the_figures_of_its_media_host() -> None:
    async with open_fake_host() as media, served(media=media) as server:
        await media.request(publish("secret-ann", "secret-stream"))
        text = (await server.ask("GET", "/metrics")).body.decode()
    assert "\nswitchhook_media_peers 1.0\n" in text
    assert "secret" not in text
