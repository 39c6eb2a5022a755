"""Endpoints by method and path."""

from typing import Any

import pytest

from engine.app.api import Endpoint
from engine.app.routes import Routes
from engine.errors import LocalProtocolError
from engine.transport.application import Request


def endpoint(line: str) -> Endpoint:
    method, path = line.split()
    return Endpoint(method=method, path=path, summary=line)


def routes(*lines: str) -> Routes:
    return Routes(map(endpoint, lines))


def request(line: str) -> Request:
    method, path = line.split()
    more: Any = {"query": (), "headers": {}, "body": b"", "peer": "", "secure": False}
    return Request(method=method, path=path, raw_path=path, **more)


ROOMS = routes(
    "GET /",
    "GET /rooms",
    "POST /rooms",
    "GET /rooms/{id}",
    "DELETE /rooms/{id}",
    "GET /rooms/open",
    "GET /rooms/{id}/guests/{guest}",
    "GET /rooms/open/guests/{name}",
    "GET /rooms/{room}/guests/all",
    "GET /rooms/",
)


@pytest.mark.parametrize(
    ("asked", "found", "parameters"),
    [
        ("GET /", "GET /", {}),
        ("GET /rooms", "GET /rooms", {}),
        ("GET /rooms/", "GET /rooms/", {}),
        ("POST /rooms", "POST /rooms", {}),
        ("HEAD /rooms", "GET /rooms", {}),
        ("GET /rooms/7", "GET /rooms/{id}", {"id": "7"}),
        ("DELETE /rooms/7", "DELETE /rooms/{id}", {"id": "7"}),
        ("GET /rooms/open", "GET /rooms/open", {}),
        ("GET /rooms/%6Fpen", "GET /rooms/open", {}),
        ("GET /rooms/a%2Fb%20c", "GET /rooms/{id}", {"id": "a/b c"}),
        ("GET /rooms/7/guests/ann", "GET /rooms/{id}/guests/{guest}", {"id": "7", "guest": "ann"}),
        ("GET /rooms/7/guests/all", "GET /rooms/{room}/guests/all", {"room": "7"}),
        ("GET /rooms/open/guests/all", "GET /rooms/open/guests/{name}", {"name": "all"}),
    ],
)
def test_a_request_finds_its_endpoint_and_words_win_over_parameters(
    asked: str, found: str, parameters: dict[str, str]
) -> None:
    route = ROOMS.find(request(asked))
    assert route is not None
    assert (route.endpoint.summary, route.parameters) == (found, parameters)


@pytest.mark.parametrize(
    ("asked", "methods"),
    [
        ("GET /none", []),
        ("GET /rooms/7/guests", []),
        ("GET /rooms/7/guests/", []),
        ("GET /rooms//guests/ann", []),
        ("PUT /rooms", ["GET", "HEAD", "POST"]),
        ("DELETE /rooms/open", ["GET", "HEAD"]),
        ("POST /rooms/7", ["DELETE", "GET", "HEAD"]),
    ],
)
def test_what_is_not_there_is_told_from_a_method_that_a_path_has_not(asked: str, methods: list[str]) -> None:
    assert ROOMS.find(request(asked)) is None
    assert sorted(ROOMS.methods(request(asked))) == methods


def test_head_is_not_made_up_where_there_is_no_get() -> None:
    only = routes("POST /rooms")
    assert only.find(request("HEAD /rooms")) is None
    assert only.methods(request("HEAD /rooms")) == {"POST"}


def test_what_stands_in_a_path_does_not_print() -> None:
    assert "secret" not in repr(ROOMS.find(request("GET /rooms/secret")))


def test_two_endpoints_for_the_same_requests_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match=r"two endpoints GET /rooms/\{name\}"):
        routes("GET /rooms/{id}", "GET /rooms/{name}")
