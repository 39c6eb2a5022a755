"""Anything at all at the token endpoint, in the header and as a token: an answer or a fault, nothing else."""

import base64
import json
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.app.bearer import bearer_of
from engine.app.tokens import TokenError
from tests.machines.conference.test_oauth_tokens import claims, hand_made
from tests.machines.conference.tokenshop import FORM, SECRETS, Shop, basic, request

pytestmark = pytest.mark.slow

calm = settings(deadline=None, max_examples=300)

WORDS = st.sampled_from(
    ["client_credentials", "refresh_token", "desk", "hall", SECRETS["desk"], "AGENT", "SERVICE", "", "ann"]
)
NAMES = st.sampled_from(
    ["grant_type", "client_id", "client_secret", "refresh_token", "user_id", "role", "scope", "access_token"]
)
ANY_TEXT = st.text(st.characters(codec=None), max_size=40)
queries = st.lists(st.tuples(NAMES | ANY_TEXT, WORDS | ANY_TEXT), max_size=6).map(tuple)
forms = st.lists(st.tuples(NAMES, WORDS | st.text(string.printable)), max_size=6).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode()
)
bodies = forms | st.binary(max_size=60)
credentials = st.sampled_from([*basic("desk", SECRETS["desk"]).values(), *basic("x", "y").values()])
authorizations = (
    credentials
    | st.binary(max_size=30).map(lambda raw: "Basic " + base64.b64encode(raw).decode())
    | st.text(st.characters(max_codepoint=255), max_size=40).map(lambda text: "Basic " + text)
    | ANY_TEXT
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "authorization": authorizations,
        "content-type": st.sampled_from([*FORM.values(), "text/plain", ";", ""]) | ANY_TEXT,
    },
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.sampled_from(sorted(claims()))


@calm
@given(queries, bodies, headers)
def test_any_request_is_answered_by_a_grant_or_a_refusal(
    query: tuple[tuple[str, str], ...], body: bytes, sent: dict[str, str]
) -> None:
    answer = Shop().oauth.respond_nowait(request(query=query, body=body, headers=sent))
    fields = set(json.loads(answer.body))
    if answer.status == 200:
        assert {"access_token", "refresh_token"} < fields
    else:
        assert answer.status in (400, 401)
        assert fields == {"error", "error_description"}


@calm
@given(headers, queries, st.booleans())
def test_any_header_and_query_give_a_token_or_a_fault(
    sent: dict[str, str], query: tuple[tuple[str, str], ...], is_socket: bool
) -> None:
    try:
        token = bearer_of(sent, query, "access_token" if is_socket else "")
    except TokenError:
        return
    assert token in sent.get("authorization", "") or ("access_token", token) in query


@calm
@given(
    ANY_TEXT
    | st.lists(st.binary(max_size=20).map(lambda raw: base64.urlsafe_b64encode(raw).decode())).map(".".join)
)
def test_any_text_is_refused_as_a_token(token: str) -> None:
    _refused(token)


@calm
@given(st.dictionaries(CLAIMS, json_values, min_size=1, max_size=3), st.booleans())
def test_any_claims_under_our_signature_are_refused_or_are_those_of_a_caller(
    changed: dict[str, Any], at_header: bool
) -> None:
    header: dict[str, Any] = {"alg": "HS256", "typ": "JWT"}
    token = hand_made(header | changed if at_header else header, claims() if at_header else claims(**changed))
    try:
        caller = Shop().oauth.tokens.read_access(token)
    except TokenError:
        return
    assert isinstance(caller.user, str)
    assert isinstance(caller.organization, str)


@calm
@given(json_values, json_values)
def test_any_json_under_our_signature_is_refused(header: Any, payload: Any) -> None:
    _refused(hand_made(header, payload))
    _refused(hand_made({"alg": "HS256"}, payload))


def _refused(token: str) -> None:
    try:
        Shop().oauth.tokens.read_access(token)
    except TokenError:
        return
    raise AssertionError("a token that we never made was taken")
