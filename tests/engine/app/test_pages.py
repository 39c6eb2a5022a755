"""Pages of APIs."""

from typing import Any

import attrs
import pytest

from engine.app.api import Page
from engine.app.pages import POLICY, Pages
from engine.errors import LocalProtocolError
from engine.transport.application import Request
from tests.engine.app.parlour import PARLOUR

HTML = b"<!doctype html>\n<title>Parlour</title>\n"


def request(path: str, **headers: str) -> Request:
    more: Any = {"query": (), "body": b"", "peer": "", "secure": False}
    return Request(method="GET", path=path, raw_path=path, headers=headers, **more)


def with_pages(**pages: Page) -> Any:
    return attrs.evolve(PARLOUR, pages={f"/{name}": page for name, page in pages.items()})


def test_a_page_is_a_file_of_its_package_with_nothing_allowed_from_elsewhere() -> None:
    pages = Pages([PARLOUR], ())
    assert "/parlour.html" in pages
    assert "/" not in pages
    response = pages.respond(request("/parlour.html"))
    assert (response.status, response.body, response.content_type) == (200, HTML, "text/html; charset=utf-8")
    headers = dict(response.headers)
    assert headers["cache-control"] == "no-cache"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == POLICY
    assert POLICY.startswith("default-src 'self'; connect-src 'self' ws: wss:; media-src 'self' blob:;")
    assert "unsafe" not in POLICY


def test_a_browser_that_has_a_page_is_told_that_it_is_the_same() -> None:
    pages = Pages([PARLOUR], ())
    etag = dict(pages.respond(request("/parlour.html")).headers)["etag"]
    same = pages.respond(request("/parlour.html", **{"if-none-match": f'"old", {etag}'}))
    assert (same.status, same.body, dict(same.headers)["etag"]) == (304, b"", etag)
    assert pages.respond(request("/parlour.html", **{"if-none-match": '"old"'})).status == 200


def test_a_type_is_what_the_page_says() -> None:
    style = Page(package="tests.engine.app", file="parlour.html", content_type="text/css")
    assert Pages([with_pages(style=style)], ()).respond(request("/style")).content_type == "text/css"


@pytest.mark.parametrize(
    "page",
    [
        Page(package="tests.engine.app", file="missing.html"),
        Page(package="tests.engine.none", file="x"),
        Page(package="tests.engine", file="app"),
    ],
)
def test_a_file_that_is_missing_is_an_error_at_the_start(page: Page) -> None:
    with pytest.raises(LocalProtocolError, match="has no file"):
        Pages([with_pages(page=page)], ())


def test_a_path_that_is_taken_is_an_error_at_the_start() -> None:
    for apis, taken in (([PARLOUR, PARLOUR], ()), ([PARLOUR], {"/parlour.html"})):
        with pytest.raises(
            LocalProtocolError, match=r"the page /parlour\.html of the API parlour has a path"
        ):
            Pages(apis, taken)
