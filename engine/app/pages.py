"""Pages that APIs bring along: files of their packages, as strict as browsers can be told to be."""

from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from importlib.resources import files

from engine.app.api import Api, Page
from engine.errors import LocalProtocolError
from engine.transport.application import Request, Response

POLICY = "; ".join(
    (
        "default-src 'self'",
        # Not every browser takes 'self' for the WebSockets of its own origin.
        "connect-src 'self' ws: wss:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline, and nothing from elsewhere."""


class Pages:
    """The pages of all APIs, read once."""

    def __init__(self, apis: Iterable[Api], taken: Collection[str]) -> None:
        """Raises LocalProtocolError when a path is in `taken` or has two pages, or a file is missing."""
        self._responses: dict[str, Response] = {}
        for api in apis:
            for path, page in api.pages.items():
                if path in taken or path in self._responses:
                    raise LocalProtocolError(
                        f"the page {path} of the API {api.name} has a path that is taken"
                    )
                self._responses[path] = _response(page)

    def __contains__(self, path: str) -> bool:
        return path in self._responses

    def respond(self, request: Request) -> Response:
        """The page at a path that has one, or that it is still the same."""
        response = self._responses[request.path]
        known = request.headers.get("if-none-match", "")
        if dict(response.headers)["etag"] in map(str.strip, known.split(",")):
            return Response(304, headers=response.headers)
        return response


def _response(page: Page) -> Response:
    try:
        body = files(page.package).joinpath(page.file).read_bytes()
    except (OSError, ModuleNotFoundError) as error:
        raise LocalProtocolError(f"{page.package} has no file {page.file}") from error
    return Response(200, body, content_type=page.content_type, headers=tuple(_headers(body).items()))


def _headers(body: bytes) -> Mapping[str, str]:
    return {
        "cache-control": "no-cache",
        "content-security-policy": POLICY,
        "etag": f'"{sha256(body).hexdigest()[:32]}"',
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
