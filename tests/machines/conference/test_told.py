"""Every kind of event as clients read it, and the settings of the API."""

from typing import Any

import attrs
import pytest
from trio.testing import MockClock

from engine.errors import ConfigurationError
from machines.conference import vocabulary as v
from machines.conference.api import API
from machines.conference.events import told
from machines.conference.oauth.service import Role
from machines.conference.settings import ConferenceSettings
from tests.machines.conference.studio import studio

UPDATES: tuple[tuple[str, dict[str, Any], str, dict[str, Any]], ...] = (
    (
        "updateMetadata",
        {"operation": "SET", "key": "ON_HOLD", "value": "true"},
        "ConferenceMetadataUpdatedEvent",
        {"key": "ON_HOLD", "operation": "SET", "value": "true"},
    ),
    (
        "updateParticipantMetadata",
        {"newMetadata": {"name": "Ann", "roles": None}},
        "ConferenceParticipantMetadataUpdatedEvent",
        {"newMetadata": {"name": "Ann", "roles": None}},
    ),
    (
        "updateStreamMetadata",
        {"streamId": "s1", "newMetadata": {"portraitMode": True}},
        "ConferenceStreamMetadataUpdatedEvent",
        {"streamId": "s1", "newMetadata": {"portraitMode": True}},
    ),
    (
        "updatePublishedStreamBitrate",
        {"videoBitrate": 100_000},
        "ConferenceStreamBitrateUpdatedEvent",
        {"streamId": "s1", "videoBitrate": 100_000},
    ),
    (
        "interaction",
        {"interactionId": "i1"},
        "ConferenceInteractionUpdatedEvent",
        {"interactionId": "i1"},
    ),
    ("unpublishStream", {"streamId": "s1"}, "ConferenceStreamUnpublishedEvent", {"streamId": "s1"}),
    ("leave", {"reason": "done"}, "ConferenceLeftEvent", {"reason": "done"}),
    ("end", {"reason": "over"}, "ConferenceEndedEvent", {"reason": "over"}),
)


async def test_each_change_is_told_with_its_fields_its_author_and_the_version_before_it(
    autojump_clock: MockClock,
) -> None:
    async with studio() as stage:
        await stage.enter("ann")
        await stage.publish("ann")
        for version, (name, more, kind, fields) in enumerate(UPDATES, 2):
            status, problem = await stage.post("ann", f"conferences/{name}", **stage.of("ann"), **more)
            assert status == 204, problem
            _, (event,) = await stage.get("ann", "conferences/c1/events", v=version)
            common = {"type": kind, "conferenceVersion": version, "userId": "ann", "conferenceId": "c1"}
            assert common.items() <= event.items()
            assert {key: event[key] for key in fields} == fields


def test_an_event_that_clients_do_not_know_is_a_fault_of_ours() -> None:
    with pytest.raises(AssertionError, match="ViewDropped"):
        told("c1", "acme", v.ViewDropped(stream_id="s1", viewer_id="v1"), 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("empty_seconds", 0),
        ("poll_seconds", -0.1),
        ("bitrate_min_bps", 0),
        ("bitrate_max_bps", -1),
        ("bitrate_max_bps", 2**31),
        ("bitrate_min_bps", 8_000_001),
        ("delivery_seconds", float("nan")),
    ],
)
def test_settings_that_cannot_be_are_refused_by_their_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        attrs.evolve(ConferenceSettings(), **{name: value})


def test_one_bitrate_alone_may_be_asked_for() -> None:
    settings = ConferenceSettings(bitrate_min_bps=9_000_000, bitrate_max_bps=9_000_000)
    assert settings.bitrate_min_bps == settings.bitrate_max_bps


def test_development_has_clients_for_three_people_and_a_program_unless_some_are_configured() -> None:
    assert API.development is not None
    made = API.development(ConferenceSettings())
    assert {name: client.role for name, client in made.settings.clients.items()} == {
        "ann": Role.USER,
        "bob": Role.USER,
        "eve": Role.USER,
        "service": Role.SERVICE,
    }
    printed = made.printed["clients"]
    assert len(set(printed.values())) == 4
    assert not any(secret in repr(made) for secret in printed.values())
    assert API.development(made.settings).printed == {}
