"""The token that a request shows (RFC 6750)."""

import re
from collections.abc import Mapping, Sequence

from engine.app.tokens import TokenError, TokenFault

_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*) *", re.IGNORECASE)
"""RFC 6750, section 2.1."""


def bearer_of(headers: Mapping[str, str], query: Sequence[tuple[str, str]] = (), parameter: str = "") -> str:
    """The token in `Authorization: Bearer`, or in the named parameter of the query.

    Browsers cannot set headers of a WebSocket. Elsewhere the query is better not looked at, because it is
    logged on the way (section 5.3).

    Raises:
        TokenError: there is none, or more than one, or its form is wrong.
    """
    header = headers.get("authorization")
    found = [value for name, value in query if parameter and name == parameter]
    if header is not None:
        found.append(_bearer(header))
    if len(found) > 1:
        raise TokenError(TokenFault.SEVERAL)
    if not found:
        raise TokenError(TokenFault.MISSING)
    return found[0]


def _bearer(header: str) -> str:
    match = _BEARER.fullmatch(header)
    if match is None:
        raise TokenError(TokenFault.MALFORMED)
    return match[1]
