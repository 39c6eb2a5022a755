"""Section `[media]` of the configuration, and the host that it asks for."""

from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from typing import Any, Literal, TypeAlias

import attrs
from attrs.validators import ge, gt, instance_of, le

from engine.errors import ConfigurationError
from engine.media.cascade import LINGER_SECONDS
from engine.media.frames import Limits
from engine.media.host import HostSettings
from engine.media.placement import VIEWERS_PER_WORKER
from engine.media.protocol import MediaHost
from engine.media.readers import Readers

Driver: TypeAlias = Literal["process", "thread", "fake"]

PORT_MAX = 65_535
PATIENT_LAG_MILLISECONDS, PATIENT_CPU_FRACTION = 1_000.0, 2.0
_LIMITS = Limits()


def _addresses(_settings: object, _field: object, value: tuple[str, ...]) -> None:
    if not value:
        raise ValueError("must have an address")
    for address in value:
        if ip_address(address).is_multicast:
            raise ValueError(f"{address} is no address of a machine")


def _address_or_none(_settings: object, _field: object, value: str) -> None:
    # Peers that are told of it would send to nobody.
    if value and (ip_address(value).is_unspecified or ip_address(value).is_multicast):
        raise ValueError(f"{value} is no address that peers can send to")


def _is_same_family(one: str, other: str) -> bool:
    return ip_address(one).version == ip_address(other).version


@attrs.frozen(kw_only=True)
class MediaSettings:
    """The media host of an engine. It is opened when an API first needs it."""

    driver: Driver = "process"
    """Where media runs: `process`, `thread` (small installations, tests) or `fake` (no media at all)."""
    workers: int = attrs.field(default=0, validator=[instance_of(int), ge(0)])
    """Media workers; 0 is a process for each core, or one thread."""
    listen: tuple[str, ...] = attrs.field(default=("127.0.0.1",), validator=_addresses)
    """Addresses of this machine that take media, each IPv4, IPv6, or the wildcard of either."""
    port: int = attrs.field(default=0, validator=[instance_of(int), ge(0), le(PORT_MAX)])
    """UDP port of the first worker, the next one's is one higher; 0 lets the system choose."""
    advertised: str = attrs.field(default="", validator=_address_or_none)
    """Told to peers in place of an address of `listen` of its family: the outer side of a one-to-one NAT."""
    viewers_per_worker: int = attrs.field(default=VIEWERS_PER_WORKER, validator=[instance_of(int), gt(0)])
    """Where so many view, the next is put on another worker, and his stream is carried there once."""
    spare: bool = attrs.field(default=True, validator=instance_of(bool))
    """Keep one more process ready, about 45 MB, to take the place of a worker that dies or is replaced."""
    linger_seconds: float = attrs.field(default=LINGER_SECONDS, validator=ge(0))
    """How long a stream is still carried to a worker whose last viewer of it has gone."""
    lag_max_milliseconds: float = attrs.field(default=_LIMITS.lag_max_milliseconds, validator=gt(0))
    """A worker that is so late takes no new peer."""
    cpu_max_fraction: float = attrs.field(default=_LIMITS.cpu_max_fraction, validator=gt(0))
    """Of one core; a worker that takes more takes no new peer."""
    rss_max_bytes: int = attrs.field(default=_LIMITS.rss_max_bytes or 0, validator=gt(0))
    """A worker process with so much memory drains and ends, and a fresh one takes its place."""

    def __attrs_post_init__(self) -> None:
        if self.advertised and not any(_is_same_family(self.advertised, one) for one in self.listen):
            # No peer would be told of it.
            raise ConfigurationError("advertised", "must be of the family of an address of `listen`")
        if self.port and self.port + self.workers - 1 > PORT_MAX:
            raise ConfigurationError("port", f"must leave {self.workers} workers a port up to {PORT_MAX}")

    def patient(self) -> "MediaSettings":
        """For a machine that runs browsers beside the workers: a busy moment refuses nobody, and nothing is
        kept that is seldom needed.
        """
        return attrs.evolve(
            self,
            spare=False,
            lag_max_milliseconds=max(self.lag_max_milliseconds, PATIENT_LAG_MILLISECONDS),
            cpu_max_fraction=max(self.cpu_max_fraction, PATIENT_CPU_FRACTION),
        )

    def reached_from_beside(self, own: str | None) -> "MediaSettings":
        """With `own`, an address of this machine, where only loopback is listened on: Firefox sends no media
        there.
        """
        is_alone = all(ip_address(one).is_loopback for one in self.listen)
        if own is None or own in self.listen or self.advertised or not is_alone:
            return self
        return attrs.evolve(self, listen=(*self.listen, own))

    def open_host(self, readers: Readers) -> AbstractAsyncContextManager[MediaHost]:
        """The host that is asked for; its events go to `readers`."""
        # Imported here, so that a program without media loads nothing of it.
        from engine.media.open import open_media

        return open_media(
            self.driver, workers=self.workers or None, settings=self._host_settings(), readers=readers
        )

    def _host_settings(self) -> HostSettings:
        limits = Limits(
            lag_max_milliseconds=self.lag_max_milliseconds,
            cpu_max_fraction=self.cpu_max_fraction,
            rss_max_bytes=self.rss_max_bytes,
        )
        config = {"listening": [self._listening(host) for host in self.listen]}
        return HostSettings(
            config=config,
            limits=limits,
            viewers_per_worker=self.viewers_per_worker,
            linger_seconds=self.linger_seconds,
            spare=self.spare,
        )

    def _listening(self, host: str) -> dict[str, Any]:
        is_told = self.advertised and _is_same_family(self.advertised, host)
        return {"host": host, "port": self.port, "advertised": self.advertised if is_told else None}
