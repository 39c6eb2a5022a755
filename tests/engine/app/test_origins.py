"""Whose pages may use the server."""

from typing import Any

import pytest

from engine.app.origins import Origins
from engine.transport.application import Request, Response
from engine.transport.limits import Limits

APP, OTHER = "https://app.example.org", "https://other.example.org"
ANSWER = Response(200, b"{}", headers=(("location", "/x"),))


def request(method: str = "GET", **headers: str) -> Request:
    more: Any = {"path": "/", "raw_path": "/", "query": (), "body": b"", "peer": "", "secure": False}
    return Request(method=method, headers={name.replace("_", "-"): v for name, v in headers.items()}, **more)


def marks(allowed: tuple[str, ...], origin: str) -> dict[str, str]:
    marked = Origins(allowed).marked(request(origin=origin), ANSWER)
    assert (marked.status, marked.body, marked.headers[0]) == (200, b"{}", ("location", "/x"))
    return dict(marked.headers[1:])


def test_without_origins_an_answer_stays_as_it_is() -> None:
    assert Origins().marked(request(origin=APP), ANSWER) is ANSWER


def test_an_allowed_origin_may_read_answers_and_another_may_not() -> None:
    allowed = {"access-control-allow-origin": APP, "access-control-expose-headers": "*", "vary": "Origin"}
    assert marks((APP,), APP) == allowed
    assert marks((APP,), OTHER) == {"vary": "Origin"}
    assert marks((APP,), f"{APP}.evil.org") == {"vary": "Origin"}


def test_a_star_lets_everybody_read() -> None:
    everybody = {"access-control-allow-origin": "*", "access-control-expose-headers": "*"}
    assert marks(("*",), OTHER) == everybody
    assert marks(("*", APP), APP) == everybody
    assert dict(Origins(("*",)).marked(request(), ANSWER).headers) == {"location": "/x"}


ASKED = {"access_control_request_method": "POST", "access_control_request_headers": "authorization"}


def test_a_preflight_of_an_allowed_origin_is_told_what_it_may_ask() -> None:
    response = Origins((APP,)).preflight(request("OPTIONS", origin=APP, **ASKED), {"POST", "GET"})
    assert response is not None
    assert (response.status, dict(response.headers)) == (
        204,
        {
            "access-control-allow-methods": "GET, POST",
            "access-control-allow-headers": "authorization",
            "access-control-max-age": "600",
        },
    )


@pytest.mark.parametrize(
    ("asked", "methods"),
    [
        (request("OPTIONS", origin=OTHER, **ASKED), {"GET"}),
        (request("OPTIONS", **ASKED), {"GET"}),
        (request("OPTIONS", origin=APP), {"GET"}),
        (request("POST", origin=APP, **ASKED), {"GET"}),
        (request("OPTIONS", origin=APP, **ASKED), frozenset()),
    ],
)
def test_what_is_no_preflight_or_may_not_ask_is_left_to_others(asked: Request, methods: set[str]) -> None:
    assert Origins((APP,)).preflight(asked, methods) is None


@pytest.mark.parametrize(
    ("allowed", "headers", "admitted"),
    [
        ((), {"host": "calls.example.org"}, True),
        ((), {"host": "calls.example.org", "origin": "https://calls.example.org"}, True),
        ((), {"host": "Calls.Example.org", "origin": "https://calls.example.org"}, True),
        ((), {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080"}, True),
        ((), {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8081"}, False),
        ((), {"host": "calls.example.org", "origin": APP}, False),
        ((), {"host": "calls.example.org", "origin": "null"}, False),
        ((), {"host": "", "origin": "null"}, False),
        ((), {"origin": APP}, False),
        ((APP,), {"host": "calls.example.org", "origin": APP}, True),
        ((APP,), {"host": "calls.example.org", "origin": OTHER}, False),
        (("*",), {"host": "calls.example.org", "origin": "null"}, True),
    ],
)
def test_a_websocket_is_for_programs_for_pages_of_the_server_and_for_allowed_ones(
    allowed: tuple[str, ...], headers: dict[str, str], admitted: bool
) -> None:
    assert Origins(allowed).admits(headers) is admitted


@pytest.mark.parametrize(
    "origin", ["*", APP, "http://localhost:5173", "http://[::1]:80", "capacitor://localhost"]
)
def test_an_origin_is_written_as_browsers_write_it(origin: str) -> None:
    assert Limits(allowed_origins=(origin,)).allowed_origins == (origin,)


@pytest.mark.parametrize(
    "origin", ["", "app.example.org", f"{APP}/", "https://App.example.org", "https://*.org"]
)
def test_anything_else_is_no_origin(origin: str) -> None:
    with pytest.raises(ValueError, match="origins as browsers write them"):
        Limits(allowed_origins=(APP, origin))
