"""The token endpoint: who gets which token, and what everybody else is told."""

import base64
import hashlib
import hmac
from typing import Any

import pytest
from structlog.testing import capture_logs

from engine.app import digests
from engine.app.configuration import ConfigurationFaultsError
from machines.conference.oauth.clients import Clients
from machines.conference.oauth.service import Caller, ClientSettings, OauthSettings, Role
from tests.machines.conference.tokenshop import (
    CLIENTS,
    FORM,
    KEY,
    SECRETS,
    Shop,
    basic,
    problem,
    request,
    told,
)

GRANT = (("grant_type", "client_credentials"),)
CREDENTIALS = (("client_id", "desk"), ("client_secret", SECRETS["desk"]))
WRONG = "client id or client secret is missing or wrong"


# -- what is given


def test_a_client_gets_a_token_for_itself_by_form() -> None:
    shop = Shop()
    answer = shop.tokens("desk")
    assert shop.oauth.tokens.read_access(answer["access_token"]) == Caller(
        user="desk", organization="acme", role=Role.AGENT
    )


def test_the_answer_has_the_fields_of_the_source() -> None:
    answer = Shop(settings=OauthSettings(signing_key=KEY, access_seconds=90)).tokens("desk")
    assert {name: answer[name] for name in answer if not name.endswith("_token")} == {
        "token_type": "bearer",
        "expires_in": 90,
        "sub": "desk",
        "organization": "acme",
        "jti": f"{1:032x}",
        "scope": "conference",
    }
    assert set(answer) - {"token_type", "expires_in", "sub", "organization", "jti", "scope"} == {
        "access_token",
        "refresh_token",
    }


def test_a_client_gets_a_token_by_query() -> None:
    answer = Shop().oauth.respond_nowait(request(query=GRANT + CREDENTIALS))
    assert told(answer)["sub"] == "desk"


def test_parameters_may_be_in_the_query_and_in_the_form() -> None:
    body = f"client_secret={SECRETS['desk']}&client_id=desk"
    assert Shop().oauth.respond_nowait(request(query=GRANT, body=body, headers=FORM)).status == 200


def test_a_client_gets_a_token_by_basic() -> None:
    headers = basic("desk", SECRETS["desk"])
    assert told(Shop().oauth.respond_nowait(request(query=GRANT, headers=headers)))["sub"] == "desk"


def test_basic_is_percent_decoded() -> None:
    secret = "a+b c%20d:é" * 2
    shop = Shop({"a%b&c": ClientSettings(secret=secret, organization="acme")})
    headers = basic("a%b&c", secret)
    assert told(shop.oauth.respond_nowait(request(query=GRANT, headers=headers)))["sub"] == "a%b&c"


@pytest.mark.parametrize("scheme", ["basic", "BASIC"])
def test_the_name_of_the_scheme_has_no_case(scheme: str) -> None:
    headers = {name: value.replace("Basic", scheme) for name, value in basic("desk", SECRETS["desk"]).items()}
    assert Shop().oauth.respond_nowait(request(query=GRANT, headers=headers)).status == 200


def test_the_client_id_may_stand_beside_basic_when_it_is_the_same() -> None:
    answer = Shop().oauth.respond_nowait(
        request(query=(*GRANT, ("client_id", "desk")), headers=basic("desk", SECRETS["desk"]))
    )
    assert answer.status == 200


def test_a_secret_may_be_configured_by_its_digest() -> None:
    digest = hashlib.sha256(SECRETS["desk"].encode()).hexdigest().upper()
    shop = Shop({"desk": ClientSettings(secret_sha256=digest, organization="acme")})
    assert shop.tokens("desk")["sub"] == "desk"


def test_a_client_may_be_a_user_of_another_name() -> None:
    settings = ClientSettings(secret=SECRETS["desk"], organization="acme", user="ann")
    assert Shop({"desk": settings}).tokens("desk")["sub"] == "ann"


def test_an_answer_is_stored_nowhere() -> None:
    for answer in (Shop().oauth.respond_nowait(request(query=GRANT + CREDENTIALS)), Shop().ask()):
        assert ("cache-control", "no-store") in answer.headers


def test_parameters_without_a_value_count_as_omitted() -> None:
    assert Shop().tokens("desk", user_id="", role="", scope="")["sub"] == "desk"


def test_unknown_parameters_and_scopes_change_nothing() -> None:
    assert Shop().tokens("desk", scope="moon", colour="red")["scope"] == "conference"


# -- tokens for others


@pytest.mark.parametrize("client", ["hall", "desk"])
def test_a_service_and_an_agent_get_tokens_for_users_of_their_organization(client: str) -> None:
    shop = Shop()
    token = shop.tokens(client, user_id="ann")["access_token"]
    assert shop.oauth.tokens.read_access(token) == Caller(user="ann", organization="acme", role=Role.USER)


def test_a_service_gets_tokens_for_agents() -> None:
    shop = Shop()
    token = shop.tokens("hall", user_id="ann", role="AGENT")["access_token"]
    assert shop.oauth.tokens.read_access(token).role is Role.AGENT


def test_the_role_of_a_user_may_be_named() -> None:
    shop = Shop()
    token = shop.tokens("desk", user_id="ann", role="USER")["access_token"]
    assert shop.oauth.tokens.read_access(token).role is Role.USER


@pytest.mark.parametrize(
    ("client", "role"),
    [("hall", "SERVICE"), ("desk", "AGENT"), ("desk", "SERVICE"), ("kiosk", "USER"), ("kiosk", "AGENT")],
)
def test_nobody_gets_a_role_that_is_not_his_to_give(client: str, role: str) -> None:
    answer = Shop().ask(
        grant_type="client_credentials",
        client_id=client,
        client_secret=SECRETS[client],
        user_id="ann",
        role=role,
    )
    described = f"the client may not speak for a user of role {role}"
    assert problem(answer) == (400, "unauthorized_client", described)


@pytest.mark.parametrize("user", ["x", "é" * 128, "a b/c"])
def test_a_user_id_has_1_to_128_printable_characters(user: str) -> None:
    assert Shop().tokens("desk", user_id=user)["sub"] == user


@pytest.mark.parametrize("user", ["x" * 129, "a\nb", "a\x7f", "\u200b"])
def test_another_user_id_is_an_invalid_request(user: str) -> None:
    answer = Shop().ask(
        grant_type="client_credentials", client_id="desk", client_secret=SECRETS["desk"], user_id=user
    )
    assert problem(answer) == (400, "invalid_request", "user_id must be 1 to 128 printable characters")


@pytest.mark.parametrize(
    ("parameters", "described"),
    [
        ({"role": "USER"}, "role is for a user_id"),
        ({"role": "KING", "user_id": "ann"}, "role must be one of SERVICE, AGENT, USER"),
        ({"role": "user", "user_id": "ann"}, "role must be one of SERVICE, AGENT, USER"),
    ],
)
def test_a_role_is_one_of_ours_and_for_a_user(parameters: dict[str, str], described: str) -> None:
    answer = Shop().ask(
        grant_type="client_credentials", client_id="hall", client_secret=SECRETS["hall"], **parameters
    )
    assert problem(answer) == (400, "invalid_request", described)


# -- requests that cannot be understood


@pytest.mark.parametrize(
    ("parts", "described"),
    [
        ({"query": CREDENTIALS}, "grant_type is missing"),
        ({"query": (*CREDENTIALS, ("grant_type", ""))}, "grant_type is missing"),
        ({"query": (*GRANT, *GRANT, *CREDENTIALS)}, "a parameter is sent twice"),
        ({"query": (*CREDENTIALS, ("scope", ""), ("scope", ""))}, "a parameter is sent twice"),
        (
            {"query": GRANT + CREDENTIALS, "body": "client_id=desk", "headers": FORM},
            "a parameter is sent twice",
        ),
        (
            {"query": GRANT + CREDENTIALS, "body": "{}", "headers": {"content-type": "application/json"}},
            "the form must be sent as application/x-www-form-urlencoded",
        ),
        ({"body": "a=b"}, "the form must be sent as application/x-www-form-urlencoded"),
        ({"body": b"a=\xff", "headers": FORM}, "the form is not UTF-8, or has more than 100 fields"),
        ({"body": "a=%ff", "headers": FORM}, "the form is not UTF-8, or has more than 100 fields"),
        (
            {"body": "&".join(f"a{n}=b" for n in range(101)), "headers": FORM},
            "the form is not UTF-8, or has more than 100 fields",
        ),
        ({"body": "a=" + "b" * 16_383, "headers": FORM}, "the body is longer than 16384 bytes"),
        (
            {"query": GRANT + CREDENTIALS, "headers": basic("desk", SECRETS["desk"])},
            "there are credentials in the header and in the parameters",
        ),
        (
            {"query": (*GRANT, ("client_id", "hall")), "headers": basic("desk", SECRETS["desk"])},
            "there are credentials in the header and in the parameters",
        ),
    ],
)
def test_a_request_that_cannot_be_understood_is_an_invalid_request(
    parts: dict[str, Any], described: str
) -> None:
    assert problem(Shop().oauth.respond_nowait(request(**parts))) == (400, "invalid_request", described)


def test_a_form_may_be_as_long_as_its_limit_and_name_its_charset() -> None:
    start = f"grant_type=client_credentials&client_id=desk&client_secret={SECRETS['desk']}&colour="
    body = start + "b" * (16_384 - len(start))
    headers = {"content-type": "Application/X-WWW-Form-Urlencoded; charset=UTF-8"}
    assert Shop().oauth.respond_nowait(request(body=body, headers=headers)).status == 200


@pytest.mark.parametrize("grant", ["password", "authorization_code", "client credentials"])
def test_another_grant_is_not_supported(grant: str) -> None:
    answer = Shop().ask(grant_type=grant, client_id="desk", client_secret=SECRETS["desk"])
    described = "grant_type is client_credentials or refresh_token"
    assert problem(answer) == (400, "unsupported_grant_type", described)


# -- clients that are not who they say


@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"client_secret": SECRETS["desk"]},
        {"client_id": "desk"},
        {"client_id": "desk", "client_secret": SECRETS["hall"]},
        {"client_id": "desk", "client_secret": SECRETS["desk"] + " "},
        {"client_id": "Desk", "client_secret": SECRETS["desk"]},
        {"client_id": "stranger", "client_secret": ""},
    ],
)
def test_missing_and_wrong_credentials_are_told_alike(credentials: dict[str, str]) -> None:
    answer = Shop().ask(grant_type="client_credentials", **credentials)
    assert problem(answer) == (401, "invalid_client", WRONG)
    assert "www-authenticate" not in dict(answer.headers)


@pytest.mark.parametrize(
    "header",
    [
        basic("desk", "wrong")["authorization"],
        basic("", SECRETS["desk"])["authorization"],
        "Basic",
        "Basic !!!!",
        "Basic é",
        basic("desk", SECRETS["desk"])["authorization"].replace("Z", "Z!"),
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Basic " + base64.b64encode(b"%ff:secret").decode(),
        "Bearer " + base64.b64encode(f"desk:{SECRETS['desk']}".encode()).decode(),
    ],
)
def test_who_uses_the_header_is_challenged_there(header: str) -> None:
    answer = Shop().oauth.respond_nowait(request(query=GRANT, headers={"authorization": header}))
    assert problem(answer) == (401, "invalid_client", WRONG)
    assert dict(answer.headers)["www-authenticate"] == 'Basic realm="conference", charset="UTF-8"'


@pytest.mark.parametrize("client_id", ["desk", "stranger", "\ud800"])
def test_a_stranger_is_compared_like_a_client(client_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return original(one, other)

    original = hmac.compare_digest
    monkeypatch.setattr(digests.hmac, "compare_digest", compare)
    assert Clients(CLIENTS).authenticate(client_id, "wrong") is None
    assert compared == [(32, 32)]


def test_no_refusal_quotes_what_was_sent() -> None:
    sent = "sentinel-1234567890"
    shop = Shop()
    refused = [
        shop.ask(grant_type=sent, client_id="desk", client_secret=SECRETS["desk"]),
        shop.ask(grant_type="client_credentials", client_id=sent, client_secret=sent),
        shop.refresh("desk", sent),
        shop.ask(
            grant_type="client_credentials",
            client_id="hall",
            client_secret=SECRETS["hall"],
            user_id="ann",
            role=sent,
        ),
    ]
    assert all(answer.status >= 400 and sent.encode() not in answer.body for answer in refused)


# -- refreshing


def test_a_refresh_token_gives_new_tokens_for_the_same_caller() -> None:
    shop = Shop()
    first = shop.tokens("hall", user_id="ann", role="AGENT")
    shop.now += 7200
    second = told(shop.refresh("hall", first["refresh_token"]))
    assert shop.oauth.tokens.read_access(second["access_token"]) == Caller(
        user="ann", organization="acme", role=Role.AGENT
    )
    assert second["jti"] != first["jti"]
    assert shop.refresh("hall", second["refresh_token"]).status == 200


def test_a_refresh_token_works_until_its_last_second() -> None:
    shop = Shop()
    token = shop.tokens("desk")["refresh_token"]
    shop.now += 86_400
    assert shop.refresh("desk", token).status == 200
    shop.now += 1
    assert problem(shop.refresh("desk", token)) == (400, "invalid_grant", "the token has expired")


def test_an_access_token_refreshes_nothing() -> None:
    shop = Shop()
    answer = shop.refresh("desk", shop.tokens("desk")["access_token"])
    assert problem(answer) == (400, "invalid_grant", "the token is no refresh token")


def test_a_refresh_token_is_for_the_client_that_got_it() -> None:
    shop = Shop()
    answer = shop.refresh("hall", shop.tokens("desk", user_id="ann")["refresh_token"])
    assert problem(answer) == (400, "invalid_grant", "the token was given to another client")


def test_a_removed_client_can_refresh_nothing() -> None:
    shop = Shop()
    token = shop.tokens("desk")["refresh_token"]
    shop.clients = {"hall": CLIENTS["hall"]}
    shop.reopen()
    assert problem(shop.refresh("desk", token))[:2] == (401, "invalid_client")
    assert problem(shop.refresh("hall", token))[:2] == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("client", "parameters", "organization", "role", "status"),
    [
        ("hall", {}, "acme", Role.SERVICE, 200),
        ("hall", {}, "acme", Role.AGENT, 400),
        ("hall", {}, "other", Role.SERVICE, 400),
        ("hall", {"user_id": "ann"}, "acme", Role.AGENT, 200),
        ("hall", {"user_id": "ann"}, "acme", Role.USER, 400),
        ("hall", {"user_id": "ann"}, "other", Role.SERVICE, 400),
        ("hall", {"user_id": "ann", "role": "AGENT"}, "acme", Role.AGENT, 400),
    ],
)
def test_a_refresh_token_gives_no_more_than_the_client_may_have_now(
    client: str, parameters: dict[str, str], organization: str, role: Role, status: int
) -> None:
    shop = Shop()
    token = shop.tokens(client, **parameters)["refresh_token"]
    shop.clients = {client: ClientSettings(secret=SECRETS[client], organization=organization, role=role)}
    shop.reopen()
    answer = shop.refresh(client, token)
    assert answer.status == status
    if status == 400:
        described = "the client may not have such a token any more"
        assert problem(answer)[1:] == ("invalid_grant", described)


def test_empty_credentials_beside_basic_count_as_omitted() -> None:
    answer = Shop().oauth.respond_nowait(
        request(
            query=(*GRANT, ("client_id", ""), ("client_secret", "")), headers=basic("desk", SECRETS["desk"])
        )
    )
    assert answer.status == 200


def test_to_refresh_takes_a_refresh_token() -> None:
    answer = Shop().ask(grant_type="refresh_token", client_id="desk", client_secret=SECRETS["desk"])
    assert problem(answer) == (400, "invalid_request", "refresh_token is missing")


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "x" * 8193])
def test_what_is_no_token_refreshes_nothing(token: str) -> None:
    assert problem(Shop().refresh("desk", token)) == (400, "invalid_grant", "the token is malformed")


# -- too many wrong secrets


def wrong(shop: Shop, *, client: str = "desk", peer: str = "192.0.2.1") -> int:
    return shop.ask(grant_type="client_credentials", client_id=client, client_secret="?", peer=peer).status


def test_ten_wrong_secrets_in_a_minute_are_looked_at_and_one_more_is_not() -> None:
    shop = Shop()
    assert [wrong(shop) for _ in range(11)] == [401] * 10 + [429]


def test_a_right_secret_is_not_looked_at_either_until_the_minute_is_over() -> None:
    shop = Shop()
    for _ in range(10):
        wrong(shop)
    shop.now += 59.5
    answer = shop.ask(grant_type="client_credentials", client_id="desk", client_secret=SECRETS["desk"])
    assert problem(answer) == (429, "slow_down", "too many wrong secrets for this client id")
    assert dict(answer.headers)["retry-after"] == "1"
    shop.now += 0.5
    assert shop.tokens("desk")["sub"] == "desk"


def test_other_addresses_and_other_clients_are_not_slowed_down() -> None:
    shop = Shop()
    for _ in range(10):
        wrong(shop)
    assert wrong(shop, peer="192.0.2.2") == 401
    assert wrong(shop, client="hall") == 401


def test_who_names_no_client_tries_no_secret() -> None:
    shop = Shop(settings=OauthSettings(signing_key=KEY, failures_max=1))
    answers = [shop.ask(grant_type="client_credentials", client_secret="?") for _ in range(2)]
    assert [answer.status for answer in answers] == [401, 401]


def test_a_stranger_is_slowed_down_like_a_client() -> None:
    shop = Shop()
    assert [wrong(shop, client="stranger") for _ in range(11)][-2:] == [401, 429]


def test_a_blocked_client_is_logged_by_name_and_a_stranger_without() -> None:
    shop = Shop(settings=OauthSettings(signing_key=KEY, failures_max=2))
    with capture_logs() as logs:
        for client in ("desk", "desk", "secret in the wrong field", "secret in the wrong field"):
            wrong(shop, client=client)
    blocked = {"event": "client_blocked", "log_level": "warning", "peer": "192.0.2.1"}
    assert logs == [blocked | {"client": "desk"}, blocked | {"client": ""}]


def test_other_faults_are_no_wrong_secrets() -> None:
    shop = Shop(settings=OauthSettings(signing_key=KEY, failures_max=1))
    shop.refresh("desk", "x")
    shop.ask(grant_type="client_credentials")
    assert shop.tokens("desk")["sub"] == "desk"


# -- at the start


def test_a_made_up_key_is_used_and_never_told() -> None:
    with capture_logs() as logs:
        shop = Shop(settings=OauthSettings())
    assert f"{1:064x}" not in str(logs)
    shop.oauth.tokens.read_access(shop.tokens("desk")["access_token"])


def test_a_configured_key_outlives_the_process() -> None:
    shop = Shop()
    token = shop.tokens("desk")["access_token"]
    shop.reopen()
    assert shop.oauth.tokens.read_access(token).user == "desk"


def test_clients_are_checked_together() -> None:
    with pytest.raises(ConfigurationFaultsError, match="needs secret or secret_sha256"):
        Shop({"desk": ClientSettings(organization="acme")})
