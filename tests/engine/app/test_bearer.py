"""Where a request carries its token."""

from enum import StrEnum

import pytest

from engine.app.bearer import bearer_of
from engine.app.tokens import TokenError, TokenFault

IN_QUERY = (("v", "3"), ("access_token", "a.b-c"))


def fault(headers: dict[str, str], query: tuple[tuple[str, str], ...], parameter: str) -> StrEnum:
    with pytest.raises(TokenError) as caught:
        bearer_of(headers, query, parameter)
    return caught.value.fault


@pytest.mark.parametrize("header", ["Bearer a.b-c", "bearer a.b-c", "BEARER  a.b-c "])
@pytest.mark.parametrize("parameter", ["", "access_token"])
def test_a_token_is_in_the_header(header: str, parameter: str) -> None:
    assert bearer_of({"authorization": header}, (), parameter) == "a.b-c"


def test_a_token_has_every_character_of_its_grammar() -> None:
    assert bearer_of({"authorization": "Bearer aZ09-._~+/=="}, ()) == "aZ09-._~+/=="


def test_a_token_may_be_in_a_named_parameter_of_the_query() -> None:
    assert bearer_of({}, IN_QUERY, "access_token") == "a.b-c"


def test_where_no_parameter_is_named_the_query_is_not_looked_at() -> None:
    assert fault({}, IN_QUERY, "") is TokenFault.MISSING
    assert bearer_of({"authorization": "Bearer other"}, IN_QUERY) == "other"


@pytest.mark.parametrize(
    ("headers", "query"),
    [({}, IN_QUERY + IN_QUERY), ({"authorization": "Bearer a.b-c"}, IN_QUERY)],
)
def test_two_tokens_are_one_too_many(headers: dict[str, str], query: tuple[tuple[str, str], ...]) -> None:
    assert fault(headers, query, "access_token") is TokenFault.SEVERAL


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
@pytest.mark.parametrize("parameter", ["", "access_token"])
def test_a_header_of_another_form_is_malformed(header: str, parameter: str) -> None:
    assert fault({"authorization": header}, IN_QUERY, parameter) is TokenFault.MALFORMED
