"""Requests from bytes: forms that are accepted, and forms that smuggle."""

import pytest

from engine.transport.http1 import RequestReader, _name, _names
from engine.transport.limits import Limits

SMALL = Limits(head_bytes_max=200, body_bytes_max=50)


def read(data: bytes | str, *, limits: Limits = SMALL, step: int | None = None) -> RequestReader:
    reader = RequestReader(limits, "peer", False)
    raw = data.encode("latin-1") if isinstance(data, str) else data
    for start in range(0, len(raw), step or len(raw)):
        reader.feed(raw[start : start + (step or len(raw))])
    return reader


def one(data: str, **options):
    (request,) = read(data, **options).requests
    return request


@pytest.mark.parametrize("step", [None, 1, 3])
def test_a_request_is_the_same_however_its_bytes_are_cut(step):
    request = one(
        "POST /a%20b?x=1&y=%2B+z&empty HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nCookie: a=1\r\n"
        "Cookie: b=2\r\nContent-Length: 3\r\n\r\nabc",
        step=step,
    )
    assert (request.method, request.path, request.raw_path) == ("POST", "/a b", "/a%20b")
    assert request.query == (("x", "1"), ("y", "+ z"), ("empty", ""))
    assert request.headers == {"host": "h", "x-a": "1, 2", "cookie": "a=1; b=2", "content-length": "3"}
    assert (request.body, request.keep_alive, request.upgrade) == (b"abc", True, False)


def test_chunks_are_joined_and_trailers_ignored():
    request = one(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nContent-Type: evil\r\n\r\n"
    )
    assert request.body == b"abcde"
    assert "content-type" not in request.headers


def test_an_absolute_target_replaces_the_host():
    request = one("GET HTTP://example.org:80/a?b=c HTTP/1.1\r\nHost: other\r\n\r\n")
    assert (request.path, request.query, request.headers["host"]) == ("/a", (("b", "c"),), "example.org:80")


def test_an_absolute_target_without_a_path_asks_for_the_root():
    assert one("GET http://example.org?b=c HTTP/1.1\r\nHost: x\r\n\r\n").path == "/"


def test_the_asterisk_is_a_target():
    assert one("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").path == "*"


def test_http_1_0_needs_no_host_and_does_not_keep_the_connection():
    assert not one("GET / HTTP/1.0\r\n\r\n").keep_alive
    assert one("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep_alive


def test_pipelined_requests_come_in_order():
    reader = read("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\nGET /3")
    assert [request.path for request in reader.requests] == ["/1", "/2"]
    assert reader.inside
    assert reader.in_head


def test_what_follows_an_upgrade_is_kept():
    reader = read("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\nframes")
    assert reader.requests[0].upgrade
    assert reader.rest == b"frames"
    reader.feed(b"more")
    assert len(reader.requests) == 1


def test_a_wish_for_h2c_is_ignored_and_the_body_read():
    reader = read(
        "POST /a?b=c HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: 3\r\n\r\nabc"
        "GET /next HTTP/1.1\r\nHost: h\r\n\r\n",
        limits=Limits(),
    )
    first, second = reader.requests
    assert (first.path, first.query, first.body, first.upgrade) == ("/a", (("b", "c"),), b"abc", False)
    assert (second.path, reader.rest) == ("/next", None)


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n",
    ],
)
def test_an_ignored_upgrade_does_not_keep_a_connection_that_was_to_end(head):
    assert not one(head).keep_alive


def test_many_ignored_upgrades_may_come_at_once():
    wish = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert len(read(wish * 900).requests) == 900


def test_a_fault_behind_an_ignored_upgrade_is_the_clients():
    reader = read(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert (len(reader.requests), reader.fault) == (1, 501)


def test_a_client_may_wait_for_permission_to_send_its_body():
    head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    assert read(head).wants_continue
    assert not read(head + "x").wants_continue
    assert not read(head.replace("1.1", "1.0")).wants_continue


REFUSED = {
    "no host": (400, "GET / HTTP/1.1\r\n\r\n"),
    "empty host": (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    "two hosts": (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "a host with a path": (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "a host with a user": (400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    "both lengths": (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    ),
    "both lengths, other order": (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    ),
    "two equal lengths": (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    ),
    "two lengths in one": (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"),
    "a signed length": (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"),
    "a negative length": (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc"),
    "bare line feeds": (400, "GET / HTTP/1.1\nHost: a\n\n"),
    "a bare line feed in the head": (400, "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
    "a bare carriage return": (400, "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
    "a folded header": (400, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
    "a space before the colon": (400, "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"),
    "a nul in a value": (400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n"),
    "a header without a name": (400, "GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n"),
    "a bad chunk size": (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
    "a chunk ended by a line feed": (
        400,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n",
    ),
    "a hidden transfer coding": (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n"),
    "two transfer codings": (501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    "a tunnel": (501, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an unknown expectation": (417, "GET / HTTP/1.1\r\nHost: a\r\nExpect: a miracle\r\n\r\n"),
    "another version": (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "no version": (505, "GET /\r\n\r\n"),
    "no HTTP": (400, "\x16\x03\x01\x02\x00"),
    "the preface of HTTP/2": (400, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "half an escape": (400, "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a wrong escape": (400, "GET /?a=%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an escape that is not UTF-8": (400, "GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an escaped nul": (400, "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "raw bytes in the target": (400, "GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a fragment": (400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "another scheme": (400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a user in the target": (400, "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a long target": (431, f"GET /{'a' * 200} HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a long header": (431, f"GET / HTTP/1.1\r\nHost: a\r\nX: {'a' * 200}\r\n\r\n"),
    "many headers": (431, "GET / HTTP/1.1\r\nHost: a\r\n" + "X: y\r\n" * 40 + "\r\n"),
    "a long trailer": (
        431,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + f"X: {'y' * 200}\r\n\r\n",
    ),
    "a long body announced": (413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 51\r\n\r\n"),
    "a long body in chunks": (
        413,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n33\r\n" + "x" * 51 + "\r\n0\r\n\r\n",
    ),
    "an upgrade with a body": (
        400,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n",
    ),
}


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, step):
    status, data = REFUSED[name]
    reader = read(data, step=step)
    assert (reader.fault, list(reader.requests)) == (status, [])


def test_a_body_of_the_greatest_size_is_taken():
    body = "x" * 50
    assert one(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n{body}").body == body.encode()


@pytest.mark.parametrize(("size", "fault"), [(200, None), (201, 431)])
def test_an_unfinished_head_is_bounded_by_its_raw_bytes(size, fault):
    reader = read("GET / HTTP/1.1\r\nHost: a\r\nX: y")
    for _ in range(size):
        reader.feed(b"y")
    assert reader.fault == fault


def test_endless_chunk_extensions_are_bounded():
    reader = read("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=")
    for _ in range(31):
        reader.feed(b"y" * 10)
    assert reader.fault == 413


def test_requests_before_a_fault_are_kept_and_nothing_after_it():
    reader = read("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nnonsense\r\n\r\n")
    reader.feed(b"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
    assert [request.path for request in reader.requests] == ["/1"]
    assert reader.fault == 400


def test_header_names_are_shared_up_to_a_limit():
    assert _name(b"X-Shared") is _name(b"X-Shared")
    before = dict(_names)
    try:
        _names.update({b"%d" % number: "x" for number in range(600)})
        assert _name(b"X-One-More") == "x-one-more"
        assert b"X-One-More" not in _names
    finally:
        _names.clear()
        _names.update(before)


def test_a_fault_of_ours_is_not_taken_for_the_clients():
    reader = RequestReader(None, "peer", False)  # type: ignore[arg-type]  the fault
    with pytest.raises(Exception, match="callback"):
        reader.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


def test_a_request_does_not_print_its_secrets():
    request = one(
        "POST /p?token=s3cret HTTP/1.1\r\nHost: h\r\nAuthorization: s3cret\r\nContent-Length: 6\r\n\r\ns3cret"
    )
    assert "s3cret" not in repr(request)
