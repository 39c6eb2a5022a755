"""Who sends a request, and what he is told without a token."""

import pytest

from engine.app.tokens import TokenError, TokenFault
from machines.conference.oauth.service import Role, unauthorized
from tests.machines.conference.tokenshop import Shop, problem, request


def test_the_caller_of_a_request_is_told_by_its_token() -> None:
    shop = Shop()
    token = shop.tokens("desk", user_id="ann")["access_token"]
    caller = shop.oauth.caller_of(request(headers={"authorization": f"Bearer {token}"}))
    assert (caller.user, caller.organization, caller.role) == ("ann", "acme", Role.USER)


def test_a_request_without_a_token_has_no_caller() -> None:
    with pytest.raises(TokenError, match="there is no token"):
        Shop().oauth.caller_of(request(query=(("access_token", "a.b-c"),)))


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
