"""Where a request carries its token, and what it is told without one."""

import pytest

from machines.conference.oauth.service import Role, TokenError, TokenFault, bearer_of, unauthorized
from tests.machines.conference.tokenshop import Shop, problem, request

IN_QUERY = (("v", "3"), ("access_token", "a.b-c"))


def fault(headers: dict[str, str], query: tuple[tuple[str, str], ...], *, is_socket: bool) -> TokenFault:
    with pytest.raises(TokenError) as caught:
        bearer_of(headers, query, is_socket=is_socket)
    return caught.value.fault


@pytest.mark.parametrize("header", ["Bearer a.b-c", "bearer a.b-c", "BEARER  a.b-c "])
@pytest.mark.parametrize("is_socket", [False, True])
def test_a_token_is_in_the_header(header: str, is_socket: bool) -> None:
    assert bearer_of({"authorization": header}, (), is_socket=is_socket) == "a.b-c"


def test_a_token_has_every_character_of_its_grammar() -> None:
    assert bearer_of({"authorization": "Bearer aZ09-._~+/=="}, ()) == "aZ09-._~+/=="


def test_a_socket_may_carry_its_token_in_the_query() -> None:
    assert bearer_of({}, IN_QUERY, is_socket=True) == "a.b-c"


def test_nothing_else_may() -> None:
    assert fault({}, IN_QUERY, is_socket=False) is TokenFault.MISSING
    assert bearer_of({"authorization": "Bearer other"}, IN_QUERY) == "other"


@pytest.mark.parametrize(
    ("headers", "query"),
    [({}, IN_QUERY + IN_QUERY), ({"authorization": "Bearer a.b-c"}, IN_QUERY)],
)
def test_two_tokens_are_one_too_many(headers: dict[str, str], query: tuple[tuple[str, str], ...]) -> None:
    assert fault(headers, query, is_socket=True) is TokenFault.SEVERAL


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearera",
        "Basic a",
        "Bearer a b",
        "Bearer a, Bearer b",
        "Bearer é",
        "Bearer =a",
    ],
)
@pytest.mark.parametrize("is_socket", [False, True])
def test_a_header_of_another_form_is_malformed(header: str, is_socket: bool) -> None:
    assert fault({"authorization": header}, IN_QUERY, is_socket=is_socket) is TokenFault.MALFORMED


def test_the_caller_of_a_request_is_told_by_its_token() -> None:
    shop = Shop()
    token = shop.tokens("desk", user_id="ann")["access_token"]
    caller = shop.oauth.caller_of(request(headers={"authorization": f"Bearer {token}"}))
    assert (caller.user, caller.organization, caller.role) == ("ann", "acme", Role.USER)


def test_a_request_without_a_token_has_no_caller() -> None:
    with pytest.raises(TokenError, match="there is no token"):
        Shop().oauth.caller_of(request(query=IN_QUERY))


def test_who_shows_no_token_is_asked_for_one() -> None:
    answer = unauthorized(TokenError(TokenFault.MISSING))
    assert problem(answer) == (401, "invalid_token", "there is no token")
    assert answer.headers == (("www-authenticate", 'Bearer realm="conference"'),)


@pytest.mark.parametrize("reason", [one for one in TokenFault if one is not TokenFault.MISSING])
def test_who_shows_a_wrong_token_is_told_why(reason: TokenFault) -> None:
    answer = unauthorized(TokenError(reason))
    assert problem(answer) == (401, "invalid_token", reason.value)
    challenge = f'Bearer realm="conference", error="invalid_token", error_description="{reason.value}"'
    assert answer.headers == (("www-authenticate", challenge),)
