"""Responses to bytes."""

import pytest

from engine.errors import LocalProtocolError
from engine.transport.answers import date_line, encode_response, fault
from engine.transport.application import Response

DATE = b"date: x\r\n"


def encode(response: Response, *, keep: bool = True, bare: bool = False, old: bool = False) -> bytes:
    return encode_response(response, date=DATE, keep=keep, bare=bare, old=old)


def test_a_response_has_its_length_and_type():
    assert encode(Response(200, b"{}")) == (
        b"HTTP/1.1 200 OK\r\ndate: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    )


def test_a_bare_response_has_the_length_of_the_body_it_leaves_out():
    assert encode(Response(200, b"{}"), bare=True).endswith(b"content-length: 2\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(status):
    assert b"content" not in encode(Response(status, b"ignored"))


def test_headers_are_written_and_the_end_announced():
    data = encode(Response(201, content_type="", headers=(("location", "/a"),)), keep=False)
    assert b"location: /a\r\nconnection: close\r\n" in data
    assert b"content-type" not in data


def test_an_old_client_is_told_that_the_connection_stays():
    assert b"connection: keep-alive\r\n" in encode(Response(200), old=True)


def test_a_status_of_the_applications_own_has_no_phrase():
    assert encode(Response(299)).startswith(b"HTTP/1.1 299 \r\n")


@pytest.mark.parametrize(
    "response",
    [
        Response(101),
        Response(600),
        Response(200, content_type="a\r\nb"),
        Response(200, headers=(("a b", "c"),)),
        Response(200, headers=(("a", "b\nc"),)),
        Response(200, headers=(("a", "\u2603"),)),
        Response(200, headers=(("Content-Length", "5"),)),
    ],
)
def test_a_response_that_would_break_the_message_is_an_error(response):
    with pytest.raises(LocalProtocolError):
        encode(response)


def test_a_fault_says_its_reason_and_no_more():
    assert fault(431).body == b'{"error":"request header fields too large"}'


def test_the_date_is_written_as_http_wants_it():
    assert date_line(0) == b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


def test_a_response_does_not_print_its_secrets():
    assert "s3cret" not in repr(Response(200, b"s3cret", headers=(("set-cookie", "s3cret"),)))
