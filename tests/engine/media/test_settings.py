"""Section `[media]`."""

from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine.app.configuration import ConfigurationFaultsError, read_configuration
from engine.errors import MediaError
from engine.media import protocol as p
from engine.media.ondemand import OnDemandHost, open_on_demand
from engine.media.readers import Readers
from engine.media.settings import MediaSettings
from tests.engine.media.rigs import OFFER, held, publish, wait_event


def left_behind(before: tuple[set[Any], ...]) -> list[Any]:
    """What is held now and was not before. Threads of earlier tests may end meanwhile."""
    return [one for now, then in zip(held(), before, strict=True) for one in now - then]


def host_settings(**values: Any) -> Any:
    return MediaSettings(**values)._host_settings()


def test_every_address_is_listened_on_and_the_advertised_one_replaces_those_of_its_family() -> None:
    settings = host_settings(listen=("0.0.0.0", "::"), port=40_000, advertised="203.0.113.7")
    assert settings.config["listening"] == [
        {"host": "0.0.0.0", "port": 40_000, "advertised": "203.0.113.7"},
        {"host": "::", "port": 40_000, "advertised": None},
    ]


def test_the_limits_are_the_workers_limits() -> None:
    limits = host_settings(lag_max_milliseconds=5, cpu_max_fraction=0.5, rss_max_bytes=1000).limits
    assert (limits.lag_max_milliseconds, limits.cpu_max_fraction, limits.rss_max_bytes) == (5, 0.5, 1000)


def test_how_viewers_are_spread_is_the_host_s() -> None:
    settings = host_settings(viewers_per_worker=10, linger_seconds=0)
    assert (settings.viewers_per_worker, settings.linger_seconds) == (10, 0)


async def test_a_host_is_opened_as_the_section_says() -> None:
    readers = Readers()
    settings = MediaSettings(driver="thread", lag_max_milliseconds=60_000, cpu_max_fraction=100)
    async with settings.open_host(readers) as host, readers.open() as events:
        answer = await host.request(publish(offer=OFFER))
        assert isinstance(answer, p.Answered)
        assert " 127.0.0.1 " in answer.candidates[0].candidate
        await host.request(p.ClosePeer(peer_id="ann", reason=p.CloseReason.REQUESTED))
        assert isinstance((await events.receive())[1][0], p.PeerClosed)


def test_every_fault_of_the_section_is_named() -> None:
    section = {
        "driver": "janus",
        "workers": -1,
        "listen": ["localhost"],
        "port": 70_000,
        "advertised": "nat",
        "viewers_per_worker": 0,
        "linger_seconds": -1,
        "cpu_max_fraction": 0,
    }
    with pytest.raises(ConfigurationFaultsError) as caught:
        read_configuration({"media": section}, [])
    assert [fault.key for fault in caught.value.faults] == [f"media.{name}" for name in section]
    assert caught.value.faults[0].reason == "must be one of fake, process, thread"
    with pytest.raises(ConfigurationFaultsError, match="must have an address"):
        read_configuration({"media": {"listen": []}}, [])


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"listen": ["0.0.0.0"], "advertised": "2001:db8::1"}, "advertised"),
        ({"advertised": "2001:db8::1"}, "advertised"),
        ({"workers": 3, "port": 65_534}, "port"),
    ],
)
def test_values_that_contradict_each_other_are_named(section: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationFaultsError) as caught:
        read_configuration({"media": section}, [])
    assert [fault.key for fault in caught.value.faults] == [f"media.{key}"]


@pytest.mark.parametrize(
    "section",
    [
        {"listen": ["127.0.0.1", "::"], "advertised": "2001:db8::1"},
        {"workers": 2, "port": 65_534},
        {"workers": 3, "port": 0},
    ],
)
def test_values_that_just_fit_each_other_are_read(section: dict[str, Any]) -> None:
    assert read_configuration({"media": section}, []).media.listen


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"listen": ["0.0.0.0"], "advertised": "0.0.0.0"}, "no address that peers can send to"),
        ({"listen": ["::"], "advertised": "::"}, "no address that peers can send to"),
        ({"advertised": "224.0.0.1"}, "no address that peers can send to"),
        ({"listen": ["224.0.0.1"]}, "no address of a machine"),
    ],
)
def test_an_address_of_nobody_is_a_fault(section: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationFaultsError, match=reason):
        read_configuration({"media": section}, [])


def test_the_section_is_read() -> None:
    read = read_configuration({"media": {"driver": "fake", "listen": ["::1"], "advertised": ""}}, [])
    assert read.media == MediaSettings(driver="fake", listen=("::1",))


DRIVERS = (pytest.param("process", marks=pytest.mark.slow), "thread")


@pytest.mark.parametrize("driver", DRIVERS)
async def test_an_address_that_cannot_be_had_is_a_media_error_each_time(driver: Any) -> None:
    before = held()
    settings = MediaSettings(driver=driver, workers=2, listen=("203.0.113.9",))
    async with open_on_demand(settings.open_host) as host:
        for _ in range(2):
            with pytest.raises(MediaError, match=r"cannot be opened: media worker . cannot start"):
                await host.warm_up()
    assert left_behind(before) == []


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("seconds", [0, 0.02, 0.2])
async def test_an_engine_that_is_left_while_workers_start_leaves_nothing(driver: Any, seconds: float) -> None:
    before = held()
    async with trio.open_nursery() as nursery:

        async def warm_up(host: OnDemandHost) -> None:
            # Whether it came so far is a race; what is left behind is not.
            with suppress(MediaError):
                await host.warm_up()

        async with open_on_demand(MediaSettings(driver=driver, workers=1).open_host) as host:
            nursery.start_soon(warm_up, host)
            await wait_all_tasks_blocked()
            with trio.move_on_after(seconds):
                await trio.sleep_forever()
    assert left_behind(before) == []


@pytest.mark.slow
async def test_worker_processes_are_reached_through_the_host() -> None:
    before = held()
    settings = MediaSettings(driver="process", workers=1, lag_max_milliseconds=60_000, cpu_max_fraction=100)
    async with open_on_demand(settings.open_host) as host, host.events() as events:
        assert isinstance(await host.request(publish(offer=OFFER), seconds=20), p.Answered)
        await host.request(p.ClosePeer(peer_id="ann"))
        assert isinstance(await wait_event(events, p.PeerClosed), p.PeerClosed)
    assert left_behind(before) == []


def test_a_patient_host_refuses_nobody_for_a_busy_moment_and_keeps_wider_limits() -> None:
    patient = MediaSettings(cpu_max_fraction=3.0).patient()
    assert patient.lag_max_milliseconds == 1_000.0
    assert patient.cpu_max_fraction == 3.0
    assert MediaSettings().patient().cpu_max_fraction == 2.0


def test_beside_loopback_an_address_of_the_machine_is_listened_on_for_firefox() -> None:
    assert MediaSettings().reached_from_beside("192.0.2.7").listen == ("127.0.0.1", "192.0.2.7")


@pytest.mark.parametrize(
    ("settings", "own"),
    [
        (MediaSettings(), None),
        (MediaSettings(), "127.0.0.1"),
        (MediaSettings(listen=("0.0.0.0",)), "192.0.2.7"),  # the wildcard has it already
        (MediaSettings(listen=("127.0.0.1", "192.0.2.8")), "192.0.2.7"),
        (MediaSettings(advertised="198.51.100.7"), "192.0.2.7"),
    ],
)
def test_what_is_reached_or_cannot_be_is_left_alone(settings: MediaSettings, own: str | None) -> None:
    assert settings.reached_from_beside(own) == settings
