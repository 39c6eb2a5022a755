"""What a service need not say."""

from typing import Any, cast

import pytest

from engine.app.api import Api, Endpoint, Found, Service
from engine.app.discovery import installed_apis
from engine.transport.application import Request
from engine.transport.sockets import Socket

REQUEST = Request("GET", "/x", "/x", (), {}, b"", "peer", secure=False)
FOUND = Found(Endpoint(method="GET", path="/x", summary="nothing"), {})


class Silent(Service):
    """A service whose API has neither sockets nor endpoints nor gauges."""


def test_a_service_without_gauges_has_none_and_answers_nothing_at_once() -> None:
    assert Silent().statistics() == {}
    assert Silent().respond_nowait(REQUEST, FOUND) is None


async def test_a_service_is_asked_for_nothing_that_its_api_has_not() -> None:
    with pytest.raises(AssertionError, match="no endpoint"):
        await Silent().respond(REQUEST, FOUND)

    class Opened:
        path = "/x"

    with pytest.raises(AssertionError, match="no socket"):
        Silent().open_socket(cast("Socket", Opened()))


def lacks(api: Api, settings: Any) -> list[str]:
    return [*api.lacks(settings)] if api.lacks is not None else []


@pytest.mark.parametrize("api", [pytest.param(one, id=one.name) for one in installed_apis()])
def test_what_development_makes_up_lacks_nothing(api: Api) -> None:
    assert api.development is not None
    assert lacks(api, api.development(api.settings()).settings) == []


def test_a_section_that_is_not_written_lacks_what_nobody_can_do_without() -> None:
    said = {api.name: lacks(api, api.settings()) for api in installed_apis()}
    assert {name: [one.partition(",")[0] for one in lines] for name, lines in said.items()} == {
        "conference": ["[conference.clients] is missing", "[conference.oauth] has no signing_key"],
        "videochat": ["[videochat.engine] is missing"],
    }
