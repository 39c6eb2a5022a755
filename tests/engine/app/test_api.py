"""What a service need not say."""

from typing import cast

import pytest

from engine.app.api import Endpoint, Found, Service
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
