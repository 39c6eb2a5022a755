"""The page at `/console/conference`: a client of this API in the browser, and a way to see that all works."""

from collections.abc import Mapping

from engine.app.api import Page

PATH = "/console/conference"

_PACKAGE = "machines.conference"
_SCRIPT = "text/javascript; charset=utf-8"
_TYPES = {
    "main.js": _SCRIPT,
    "api.js": _SCRIPT,
    "conference.js": _SCRIPT,
    "feed.js": _SCRIPT,
    "peer.js": _SCRIPT,
    "room.js": _SCRIPT,
    "tiles.js": _SCRIPT,
    "versions.js": _SCRIPT,
    "words.js": _SCRIPT,
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""What the page loads, by file name."""

PAGES: Mapping[str, Page] = {
    PATH: Page(package=_PACKAGE, file="console/index.html"),
    **{
        f"{PATH}/{name}": Page(package=_PACKAGE, file=f"console/{name}", content_type=content_type)
        for name, content_type in _TYPES.items()
    },
}
