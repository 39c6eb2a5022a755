"""HTTP/1.1 requests from bytes, by httptools; strict where leniency lets requests be smuggled. No I/O."""

import re
from collections import deque
from urllib.parse import unquote

import httptools

from engine.transport.application import Request
from engine.transport.limits import Limits

HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]+)(:[0-9]{0,5})?")
BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
CONTROL = re.compile("[\x00-\x1f\x7f]")

ONCE = frozenset({"host", "content-length", "content-type", "authorization", "transfer-encoding", "expect"})
"""Headers of which a second one leaves open which is meant."""

NAMES_MAX = 512
_names: dict[bytes, str] = {}
"""Header names seen so far: equal strings are shared by all requests. Full at `NAMES_MAX`."""


class BadRequestError(Exception):
    """The request cannot be served; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class RequestReader:
    """Feeds bytes to the parser and collects complete requests, in order.

    After a fault or an upgrade it takes no more bytes.
    """

    __slots__ = (
        "_body",
        "_head_bytes",
        "_headers",
        "_limits",
        "_parser",
        "_peer",
        "_raw_bytes",
        "_secure",
        "_url",
        "begun",
        "fault",
        "in_head",
        "inside",
        "requests",
        "rest",
        "wants_continue",
    )

    def __init__(self, limits: Limits, peer: str, secure: bool) -> None:
        self._limits = limits
        self._peer = peer
        self._secure = secure
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._head_bytes = 0
        self._raw_bytes = 0
        self.requests: deque[Request] = deque()
        self.begun = 0
        """Requests of which at least one byte has come."""
        self.inside = False
        """True between a request's first byte and its last."""
        self.in_head = False
        self.wants_continue = False
        self.fault: int | None = None
        """The status to answer when `requests` are answered; nothing follows it."""
        self.rest: bytes | None = None
        """What came after an upgrade request, once there was one."""

    def feed(self, data: bytes) -> None:
        """Parse what came."""
        while data and self.fault is None and self.rest is None:
            data = self._parse(data)

    def _parse(self, data: bytes) -> bytes:
        """What is to be parsed next: nothing, but for an upgrade that we ignore."""
        begun, end = self.begun, None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            end = upgrade.args[0]
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, BadRequestError):
                raise
            self.fault = error.__context__.status
        except httptools.HttpParserError:
            self.fault = 400
        # Not in the clause above: an exception raised while another is handled loses its own context.
        if end is not None:
            return self._upgraded(data[end:])
        if self.fault is None:
            self._count(len(data) if begun == self.begun else 0)
        return b""

    def _upgraded(self, rest: bytes) -> bytes:
        """The parser has stopped behind a head that asks for an upgrade."""
        if self.requests[-1].headers.get("upgrade", "").lower() == "websocket":
            self.rest = rest
            return b""
        # Java's client asks for h2c with every request, and its body follows as plain HTTP/1.1: to ignore
        # such a wish, as RFC 9110 section 7.8 lets us, the head is read again without it.
        request = self.requests.pop()
        del request.headers["upgrade"], request.headers["connection"]
        version = self._parser.get_http_version()
        lines = [f"{request.method} {self._url.decode('ascii')} HTTP/{version}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        lines += [] if request.keep_alive else ["connection: close"]
        self._parser = httptools.HttpRequestParser(self)
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + rest

    def _count(self, raw_bytes: int) -> None:
        """Bound what callbacks do not see: unfinished names and values, chunk extensions, trailers.

        The read in which a request began is not counted; it is bounded by the size of one read.
        """
        if not self.inside:
            return
        self._raw_bytes += raw_bytes
        if self.in_head and self._raw_bytes > self._limits.head_bytes_max:
            self.fault = 431
        elif self._raw_bytes > self._limits.head_bytes_max + 2 * self._limits.body_bytes_max:
            self.fault = 413

    # Called by the parser

    def on_message_begin(self) -> None:
        """Start anew."""
        self.begun += 1
        self.inside = self.in_head = True
        self.wants_continue = False
        self._url = b""
        self._headers = {}
        self._body = bytearray()
        self._head_bytes = self._raw_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._count_head(len(url))
        self._url += url

    def on_header(self, name: bytes, value: bytes | None) -> None:
        """Take a header; trailers are counted and ignored."""
        value = value or b""
        self._count_head(len(name) + len(value) + 4)
        if self.in_head:
            self._add_header(_name(name), value.decode("latin-1").strip(" \t"))

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head_bytes_max:
            raise BadRequestError(431)

    def _add_header(self, name: str, value: str) -> None:
        before = self._headers.get(name)
        if before is None:
            self._headers[name] = value
        elif name in ONCE:
            raise BadRequestError(400)
        else:
            self._headers[name] = before + ("; " if name == "cookie" else ", ") + value

    def on_headers_complete(self) -> None:
        """Refuse what needs no body to be refused."""
        self.in_head = False
        version = self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise BadRequestError(505)
        if self._parser.get_method() == b"CONNECT":
            raise BadRequestError(501)
        self._check_host(version)
        self._check_body()
        self._check_expectation(version)

    def _check_host(self, version: str) -> None:
        host = self._headers.get("host")
        if host is None:
            if version == "1.1":
                raise BadRequestError(400)
        elif not HOST.fullmatch(host):
            raise BadRequestError(400)

    def _check_body(self) -> None:
        if self._headers.get("transfer-encoding", "chunked").lower() != "chunked":
            raise BadRequestError(501)
        # The parser has made sure that it is a number, and the only one.
        length = int(self._headers.get("content-length") or 0)
        if length > self._limits.body_bytes_max:
            raise BadRequestError(413)
        if self._headers.get("upgrade", "").lower() == "websocket" and (
            length or "transfer-encoding" in self._headers
        ):
            # The parser would take that body for the first frames.
            raise BadRequestError(400)

    def _check_expectation(self, version: str) -> None:
        expectation = self._headers.get("expect")
        if expectation is None or version == "1.0":
            return
        if expectation.lower() != "100-continue":
            raise BadRequestError(417)
        self.wants_continue = True

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self.wants_continue = False
        self._body += body
        if len(self._body) > self._limits.body_bytes_max:
            raise BadRequestError(413)

    def on_message_complete(self) -> None:
        """Keep the request for its turn."""
        self.inside = self.wants_continue = False
        raw_path, query = self._split_target()
        self.requests.append(
            Request(
                method=self._parser.get_method().decode("ascii"),
                path=_decode(raw_path),
                raw_path=raw_path,
                query=_pairs(query) if query else (),
                headers=self._headers,
                body=bytes(self._body),
                peer=self._peer,
                secure=self._secure,
                keep_alive=self._parser.should_keep_alive(),
                upgrade=self._parser.should_upgrade(),
            )
        )
        self._headers = {}
        self._body = bytearray()

    def _split_target(self) -> tuple[str, str]:
        """Path and query of the four forms of a target (RFC 9112 section 3.2)."""
        try:
            target = self._url.decode("ascii")
        except UnicodeDecodeError:
            raise BadRequestError(400) from None
        if "#" in target:
            raise BadRequestError(400)
        if target[:1] != "/" and target != "*":
            target = self._strip_authority(target)
        path, _, query = target.partition("?")
        return path or "/", query

    def _strip_authority(self, target: str) -> str:
        """An absolute target's authority replaces the Host header (RFC 9112 section 3.2.2)."""
        scheme, separator, rest = target.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            raise BadRequestError(400)
        end = min((index for mark in "/?" if (index := rest.find(mark)) >= 0), default=len(rest))
        if not HOST.fullmatch(rest[:end]):
            raise BadRequestError(400)
        self._headers["host"] = rest[:end]
        return rest[end:]


def _name(name: bytes) -> str:
    known = _names.get(name)
    if known is None:
        known = name.decode("latin-1").lower()
        if len(_names) < NAMES_MAX:
            _names[name] = known
    return known


def _decode(text: str) -> str:
    """Percent-decode strictly: whole escapes, UTF-8, no control characters."""
    if "%" not in text:
        return text
    if BAD_ESCAPE.search(text):
        raise BadRequestError(400)
    try:
        text = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise BadRequestError(400) from None
    if CONTROL.search(text):
        raise BadRequestError(400)
    return text


def _pairs(query: str) -> tuple[tuple[str, str], ...]:
    pairs = (part.partition("=") for part in query.replace("+", " ").split("&") if part)
    return tuple((_decode(name), _decode(value)) for name, _, value in pairs)
