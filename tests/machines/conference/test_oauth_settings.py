"""The sections of the configuration: every fault named by its key, no secret quoted."""

import hashlib
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from docs.examples.doorbell.api import API
from engine.app.configuration import Configuration, ConfigurationFaultsError, faults_of, read_configuration
from engine.errors import ConfigurationError
from machines.conference.oauth.service import ClientSettings, OauthSettings, Role, check_clients
from machines.conference.oauth.settings import client_faults

SECRET = "a secret of any kind"
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ\n-----END PUBLIC KEY-----\n"


@attrs.frozen(kw_only=True)
class Section:
    """A section as the conference API has one."""

    oauth: OauthSettings = attrs.field(factory=OauthSettings)
    clients: Mapping[str, ClientSettings] = attrs.field(factory=dict, validator=check_clients)


def read(**values: Any) -> Configuration:
    api = attrs.evolve(API, name="conference", settings=Section)
    return read_configuration({"conference": values}, [api])


def faults(**values: Any) -> list[str]:
    with pytest.raises(ConfigurationFaultsError) as caught:
        read(**values)
    assert SECRET not in str(caught.value)
    return [str(one) for one in faults_of(caught.value)]


def test_a_section_is_read() -> None:
    desk = {"secret": SECRET, "organization": "acme", "role": "AGENT", "user": "ann"}
    section = read(oauth={"access_seconds": 60}, clients={"desk": desk}).settings["conference"]
    assert section.oauth == OauthSettings(access_seconds=60)
    assert section.clients == {
        "desk": ClientSettings(secret=SECRET, organization="acme", role=Role.AGENT, user="ann")
    }


def test_without_a_section_there_are_no_clients_and_the_documented_times() -> None:
    settings = OauthSettings()
    assert (settings.access_seconds, settings.refresh_seconds) == (3600, 86_400)
    assert (settings.failures_max, settings.failure_seconds) == (10, 60.0)
    assert client_faults({}) == []


def test_a_client_has_the_least_role_unless_told() -> None:
    assert ClientSettings().role is Role.USER


@pytest.mark.parametrize(
    ("desk", "fault"),
    [
        ({}, "conference.clients.desk: needs secret or secret_sha256, not both"),
        ({"secret": SECRET, "secret_sha256": "0" * 64}, "conference.clients.desk: needs secret or"),
        ({"secret": "x" * 15}, "conference.clients.desk.secret: must have 16 characters or more"),
        ({"secret_sha256": "0" * 63}, "conference.clients.desk.secret_sha256: must be 64 hexadecimal"),
        ({"secret_sha256": "g" * 64}, "conference.clients.desk.secret_sha256: must be 64 hexadecimal"),
        (
            {"secret_sha256": hashlib.sha256().hexdigest().upper()},
            "conference.clients.desk.secret_sha256: is the digest of an empty secret",
        ),
        ({"role": "agent"}, "conference.clients.desk.role: must be one of AGENT, SERVICE, USER"),
        ({"user": "x" * 129}, "conference.clients.desk.user: must be 1 to 128 printable characters"),
        ({"user": "a\tb"}, "conference.clients.desk.user: must be 1 to 128 printable characters"),
        ({"organization": "\n"}, "conference.clients.desk.organization: must be 1 to 128 printable"),
        ({"secret": 5}, "conference.clients.desk.secret: must be text"),
        ({"colour": "red"}, "conference.clients.desk.colour: unknown"),
    ],
)
def test_a_fault_of_a_client_is_named_by_its_key(desk: dict[str, Any], fault: str) -> None:
    (found,) = faults(clients={"desk": {"organization": "acme", **desk}})
    assert found.startswith(fault)


def test_a_client_needs_an_organization() -> None:
    assert faults(clients={"desk": {"secret": SECRET}}) == [
        "conference.clients.desk.organization: is missing"
    ]


def test_all_faults_are_told_together() -> None:
    assert len(faults(clients={"desk": {}, "hall": {"organization": "acme"}})) == 3


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "x" * 129, f"{SECRET}\n"])
def test_a_client_id_is_plain_and_a_wrong_one_is_not_quoted(name: str) -> None:
    for client in ({"secret": SECRET, "organization": "acme"}, {}):
        (fault,) = faults(clients={name: client})
        assert fault == "conference.clients: a client id is 1 to 128 of ASCII, no space, no colon"


@pytest.mark.parametrize("name", ["a", "x" * 128, "a.b/c@d!~", "3f2c-9"])
def test_other_client_ids_are_taken(name: str) -> None:
    read(clients={name: {"secret": "x" * 16, "organization": "o" * 128, "user": "u" * 128}})


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("x" * 31, "must have 32 bytes or more"),
        (PUBLIC_KEY, "must be a secret text, and is a key of a pair"),
        ("ssh-rsa " + "A" * 64, "must be a secret text, and is a key of a pair"),
    ],
)
def test_a_wrong_signing_key_is_named_and_not_quoted(key: str, reason: str) -> None:
    assert faults(oauth={"signing_key": key}) == [f"conference.oauth.signing_key: {reason}"]


@pytest.mark.parametrize("key", ["x" * 32, "é" * 16, "\U0001f600" * 8])
def test_a_signing_key_is_measured_in_bytes(key: str) -> None:
    assert OauthSettings(signing_key=key).signing_key == key


@pytest.mark.parametrize(
    ("field", "least", "most", "step"),
    [
        ("access_seconds", 60, 86_400, 1),
        ("refresh_seconds", 60, 31 * 86_400, 1),
        ("failures_max", 1, 1000, 1),
        ("failure_seconds", 1.0, 86_400.0, 0.5),
    ],
)
def test_numbers_have_limits_on_both_sides(field: str, least: float, most: float, step: float) -> None:
    # Beside the least of the other time, so that the two do not contradict each other.
    beside = {"access_seconds": 60} if field == "refresh_seconds" else {}
    for value in (least, most):
        OauthSettings(**{field: value, **beside})
    for value in (least - step, most + step, float("nan")):
        with pytest.raises(ConfigurationError, match=f"{field}: must be"):
            OauthSettings(**{field: value})


def test_a_refresh_token_lives_as_long_as_what_it_renews() -> None:
    assert OauthSettings(access_seconds=600, refresh_seconds=600).refresh_seconds == 600
    reason = "must not be less than access_seconds"
    wanted = {"access_seconds": 600, "refresh_seconds": 599}
    assert faults(oauth=wanted) == [f"conference.oauth.refresh_seconds: {reason}"]


def test_secrets_do_not_print() -> None:
    settings = ClientSettings(secret=SECRET), ClientSettings(secret_sha256="ab" * 32)
    text = repr((*settings, OauthSettings(signing_key=SECRET * 2)))
    assert SECRET not in text
    assert "ab" * 32 not in text
