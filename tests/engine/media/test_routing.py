"""A router from plain settings."""

from typing import Any

import pytest

from engine.errors import ConfigurationError
from engine.media.routing import open_router


def opened(**config: Any) -> Any:
    return open_router({"worker": 2, **config}, lambda _: None)


def test_each_worker_has_the_next_port() -> None:
    listening = [{"host": "127.0.0.1", "port": 4000}, {"host": "::1", "port": 0}]
    router = opened(listening=listening, connect_seconds=3.0)
    config = router._router._config
    assert [each.port for each in config.listening] == [4002, 0]
    assert config.connect_seconds == 3.0


def test_without_settings_it_has_its_own() -> None:
    assert opened()._router._config.listening[0].host == "127.0.0.1"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"colour": "red"}, "media: got an unexpected keyword argument 'colour'"),
        ({"listening": [{"hosts": "a"}]}, "media.listening: "),
        ({"listening": [{"host": "127.0.0.1", "port": 65534}]}, "worker 2 would have port 65536"),
        ({"listening": "127.0.0.1"}, "is not a list of tables"),
        ({"listening": ["127.0.0.1"]}, "is not a list of tables"),
    ],
)
def test_a_wrong_setting_is_named(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        opened(**config)
