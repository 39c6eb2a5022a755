"""Whose pages may use the server: CORS for requests, and the same rule for WebSockets."""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

import attrs

from engine.transport.application import Request, Response

ANY = "*"
PREFLIGHT_SECONDS = 600
"""How long a browser may remember what it may ask."""


class Origins:
    """The origins whose pages are allowed besides the server's own.

    Credentials of browsers are never allowed: tokens are sent by programs, and there are no cookies.
    """

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a WebSocket may be opened. Only browsers say an origin, and pages cannot forge it."""
        origin = headers.get("origin")
        return origin is None or self._allows(origin) or _is_own(origin, headers.get("host", ""))

    def preflight(self, request: Request, methods: Collection[str]) -> Response | None:
        """The answer to a browser that asks what it may ask; None when it is not one, or may not."""
        if request.method != "OPTIONS" or "access-control-request-method" not in request.headers:
            return None
        if not methods or not self._allows(request.headers.get("origin", "")):
            return None
        headers = {
            "access-control-allow-methods": ", ".join(sorted(methods)),
            # Whatever it wants to send: what a header may say is for the services to check.
            "access-control-allow-headers": request.headers.get("access-control-request-headers", ""),
            "access-control-max-age": str(PREFLIGHT_SECONDS),
        }
        return Response(204, headers=tuple(headers.items()))

    def marked(self, request: Request, response: Response) -> Response:
        """The response with what lets a page of an allowed origin read it."""
        if not self._allowed:
            return response
        headers = response.headers
        if ANY not in self._allowed:
            headers = (*headers, ("vary", "Origin"))
        origin = request.headers.get("origin", "")
        if self._allows(origin):
            shown = ANY if ANY in self._allowed else origin
            headers = (
                *headers,
                ("access-control-allow-origin", shown),
                ("access-control-expose-headers", ANY),
            )
        return attrs.evolve(response, headers=headers)

    def _allows(self, origin: str) -> bool:
        return bool(origin) and (ANY in self._allowed or origin in self._allowed)


def _is_own(origin: str, host: str) -> bool:
    """By host and port alone: what ends TLS in front of us changes the scheme."""
    return urlsplit(origin).netloc == host.lower() != ""
