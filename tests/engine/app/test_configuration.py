"""One TOML file, checked as a whole."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs
import pytest

from engine.app.configuration import (
    Configuration,
    ConfigurationFaultsError,
    default_configuration,
    faults_of,
    load_configuration,
    read_configuration,
)
from engine.app.discovery import installed_apis
from engine.errors import ConfigurationError
from engine.transport.limits import Limits
from machines.videochat.api import API
from machines.videochat.settings import VideochatSettings
from machines.videochat.vocabulary import Glare


class Colour(StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


def _even(_settings: object, field: "attrs.Attribute[Any]", value: int) -> None:
    if value % 2:
        raise ConfigurationError(field.name, "must be even")


@attrs.frozen(kw_only=True)
class Inner:
    """A section in a section."""

    url: str = ""


@attrs.frozen(kw_only=True)
class Range:
    """A section whose values have to fit each other."""

    least: int = 10
    most: int = 20

    def __attrs_post_init__(self) -> None:
        if self.least > self.most:
            raise ConfigurationError("least", "must not be more than most")


@attrs.frozen(kw_only=True)
class Settings:
    """One field of every kind."""

    text: str = ""
    number: float = 1.0
    count: int = attrs.field(default=2, validator=_even)
    on: bool = False
    colour: Colour = Colour.RED
    maybe: int | None = None
    inner: Inner = attrs.field(factory=Inner)
    names: Mapping[str, int] = attrs.field(factory=dict)
    several: tuple[str, ...] = ()
    sections: tuple[Inner, ...] = ()
    range: Range = attrs.field(factory=Range)


PHONES = attrs.evolve(API, name="phones", settings=Settings)


def read(**values: Any) -> Any:
    return read_configuration({"phones": values}, [PHONES]).settings_of(PHONES)


def faults(**values: Any) -> dict[str, str]:
    with pytest.raises(ConfigurationFaultsError) as caught:
        read(**values)
    return {fault.key.removeprefix("phones."): fault.reason for fault in caught.value.faults}


def test_every_kind_of_value_is_read() -> None:
    got = read(
        text="a",
        number=3,
        count=4,
        on=True,
        colour="blue",
        maybe=5,
        inner={"url": "u"},
        names={"a": 1},
        several=["x", "y"],
        sections=[{"url": "v"}],
    )
    assert got == Settings(
        text="a",
        number=3.0,
        count=4,
        on=True,
        colour=Colour.BLUE,
        maybe=5,
        inner=Inner(url="u"),
        names={"a": 1},
        several=("x", "y"),
        sections=(Inner(url="v"),),
    )
    assert isinstance(got.number, float)


@pytest.mark.parametrize(
    ("values", "key", "reason"),
    [
        ({"text": 5}, "text", "must be text"),
        ({"number": "5"}, "number", "must be a finite number"),
        ({"number": True}, "number", "must be a finite number"),
        ({"number": float("nan")}, "number", "must be a finite number"),
        ({"number": float("inf")}, "number", "must be a finite number"),
        ({"count": 2.0}, "count", "must be a whole number"),
        ({"count": True}, "count", "must be a whole number"),
        ({"count": 3}, "count", "must be even"),
        ({"on": 1}, "on", "must be true or false"),
        ({"colour": "green"}, "colour", "must be one of blue, red"),
        ({"colour": ["red"]}, "colour", "must be one of blue, red"),
        ({"maybe": "5"}, "maybe", "must be a whole number"),
        ({"inner": 5}, "inner", "must be a section"),
        ({"inner": {"url": 5}}, "inner.url", "must be text"),
        ({"inner": {"uri": "u"}}, "inner.uri", "unknown; there are url"),
        ({"names": []}, "names", "must be a section"),
        ({"names": {"a": "1"}}, "names.a", "must be a whole number"),
        ({"several": "x"}, "several", "must be a list"),
        ({"several": ["x", 5]}, "several[1]", "must be text"),
        ({"sections": [{"url": 5}]}, "sections[0].url", "must be text"),
        ({"range": {"least": 31, "most": 30}}, "range.least", "must not be more than most"),
        ({"range": {"least": 21}}, "range.least", "must not be more than most"),
    ],
)
def test_a_wrong_value_is_named_by_its_key(values: dict[str, Any], key: str, reason: str) -> None:
    assert faults(**values) == {key: reason}


def test_values_that_fit_each_other_need_not_fit_each_other_s_defaults() -> None:
    assert read(range={"least": 30, "most": 30}).range == Range(least=30, most=30)
    assert read(range={"most": 5, "least": 1}).range == Range(least=1, most=5)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigurationFaultsError) as caught:
        read_configuration(
            {"server": {"ping_seconds": 0, "pong_seconds": "x"}, "radio": {}, "phones": 5}, [PHONES]
        )
    told = [(fault.key, fault.reason) for fault in caught.value.faults]
    assert [key for key, _ in told] == ["server.ping_seconds", "server.pong_seconds", "radio", "phones"]
    assert told[2][1] == "there is no such section; there are journal, media, phones, server"
    assert str(caught.value).count(";") >= 3
    assert caught.value.key.startswith("server.ping_seconds")


def test_an_empty_file_is_every_default(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("")
    assert load_configuration(path) == default_configuration() == Configuration()
    assert default_configuration().settings_of(API) == VideochatSettings()


def test_the_file_of_a_server_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        "[server]\nsockets_max = 5\n[videochat]\nring_seconds = 30\nglare = 'busy'\n"
        "[videochat.engine]\nengine = 'livekit'\nkey = 'k'\nurl = 'wss://a'\n"
        f"secret = '{'s' * 32}'\n"
    )
    configuration = load_configuration(path)
    assert configuration.server == Limits(sockets_max=5)
    settings = configuration.settings_of(API)
    assert (settings.ring_seconds, settings.glare) == (30.0, Glare.BUSY)
    assert "s" * 32 not in repr(configuration) + repr(settings)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"[server", "is not TOML"), (b"a = '\xff'", "is not UTF-8"), (None, "cannot be read: No such file")],
)
def test_what_is_no_toml_file_is_one_fault(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "c.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationFaultsError) as caught:
        load_configuration(path)
    (fault,) = caught.value.faults
    assert fault.key == str(path)
    assert fault.reason.startswith(reason)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFaultsError, match="Is a directory"):
        load_configuration(tmp_path)


def test_a_single_error_is_its_own_fault() -> None:
    error = ConfigurationError("a", "b")
    assert faults_of(error) == (error,)


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        ({"ring_seconds": 4.9}, ["ring_seconds"]),
        ({"ring_seconds": 180.1}, ["ring_seconds"]),
        ({"room_limit": 0, "authenticate_seconds": -1}, ["room_limit", "authenticate_seconds"]),
        ({"token_seconds": 0.5}, ["token_seconds"]),
        ({"token_seconds": 86_401}, ["token_seconds"]),
        ({"engine": {"engine": "zoom"}}, ["engine.engine"]),
        ({"engine": {"key": "k"}}, ["engine.engine"]),
        ({"engine": {"engine": "agora", "app_id": "x", "colour": "y"}}, None),
        ({"engine": {"engine": "agora", "app_id": 5}}, ["engine.app_id"]),
    ],
)
def test_a_wrong_setting_of_the_videochat_is_named(values: dict[str, Any], keys: list[str] | None) -> None:
    with pytest.raises(ConfigurationFaultsError) as caught:
        read_configuration({"videochat": values}, installed_apis())
    expected = keys or ["engine.certificate", "engine.app_id", "engine.colour"]
    assert [fault.key for fault in caught.value.faults] == [f"videochat.{key}" for key in expected]


@pytest.mark.parametrize("values", [{"ring_seconds": 5}, {"ring_seconds": 180}, {"token_seconds": 1}])
def test_the_ends_of_a_range_belong_to_it(values: dict[str, Any]) -> None:
    read_configuration({"videochat": values}, installed_apis())
