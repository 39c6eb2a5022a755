"""HTTP/1.1 responses to bytes."""

import re
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from engine.errors import LocalProtocolError
from engine.transport.application import Response

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
VALUE = re.compile("[\t\x20-\x7e\x80-\xff]*")
OURS = frozenset({"connection", "content-length", "content-type", "date", "transfer-encoding", "upgrade"})
BODILESS = frozenset({204, 304})
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def fault(status: int) -> Response:
    """What the server itself answers: the reason as JSON, and no details."""
    reason = HTTPStatus(status).phrase.lower()
    return Response(status, b'{"error":"%b"}' % reason.encode())


def encode_response(response: Response, *, date: bytes, keep: bool, bare: bool, old: bool = False) -> bytes:
    """Head and body in one piece. `bare` leaves the body out (HEAD); `old` answers an HTTP/1.0 client.

    Raises: LocalProtocolError: a header would break the message.
    """
    parts = [_status_line(response.status), date]
    parts += [_header(name, value) for name, value in response.headers]
    if not keep:
        parts.append(b"connection: close\r\n")
    elif old:
        parts.append(b"connection: keep-alive\r\n")
    if response.status in BODILESS:
        return b"".join((*parts, b"\r\n"))
    parts.append(_content_type(response.content_type))
    parts.append(b"content-length: %d\r\n\r\n" % len(response.body))
    if not bare:
        parts.append(response.body)
    return b"".join(parts)


@lru_cache(maxsize=128)
def _status_line(status: int) -> bytes:
    if not 200 <= status <= 599:
        raise LocalProtocolError(f"{status} is no status of a final response")
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())


@lru_cache(maxsize=128)
def _content_type(content_type: str) -> bytes:
    return _line("content-type", content_type) if content_type else b""


def _header(name: str, value: str) -> bytes:
    if name.lower() in OURS:
        raise LocalProtocolError(f"the server writes the header {name.lower()!r} itself")
    return _line(name, value)


def _line(name: str, value: str) -> bytes:
    if not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
        # The value may be a secret, and a name with a line break is not fit to print.
        raise LocalProtocolError("a response header has characters that a header may not have")
    return f"{name}: {value}\r\n".encode("latin-1")


@lru_cache(maxsize=1)
def date_line(at: int) -> bytes:
    """The Date header of a second since the epoch."""
    return f"date: {formatdate(at, usegmt=True)}\r\n".encode()
