"""The served API against its own document: schemathesis asks, over HTTP, and holds each answer to it.

SWITCHHOOK_PROFILE=large asks twenty times as much.
"""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from queue import Queue
from typing import Any

import attrs
import httpx
import pytest
import schemathesis
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine.app.configuration import Configuration
from engine.app.engine import open_engine
from engine.app.openapi import openapi_document
from engine.media.fake import open_fake_host
from machines.conference import endpoints
from machines.conference.api import API
from machines.conference.oauth.service import ClientSettings, Role
from machines.conference.settings import ConferenceSettings
from tests.machines.conference.studio import OFFER, VIEW_OFFER
from tests.machines.conference.test_endpoints import BODIES

pytestmark = pytest.mark.slow

LARGE = os.environ.get("SWITCHHOOK_PROFILE") == "large"
EXAMPLES = 200 if LARGE else 10
"""Requests to each endpoint, of each kind: after the document, and against it."""

SECRET = "a secret of sixteen or more"
ROLES = {"ann": Role.USER, "bob": Role.USER, "hall": Role.SERVICE}
CLIENTS = {
    name: ClientSettings(secret=SECRET, organization="acme", role=role) for name, role in ROLES.items()
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(openapi_document([API]))
ENDPOINTS = [(one.method, one.path) for one in endpoints.ENDPOINTS]
ROOT = "/rtc-api/conferences/"
FORM = {"grant_type": "client_credentials", "client_id": "ann", "client_secret": SECRET}
CALLERS = {"bob": ("viewStream", "addViewStreamIceCandidates", "stopViewStream"), "hall": ("sendEvent",)}
"""Who asks for what is not Ann's to ask."""


@attrs.define(eq=False)
class Room:
    """A served conference: Ann publishes s1, Bob views it as v1. Renewed when somebody breaks it."""

    url: str
    http: httpx.Client
    tokens: dict[str, str] = attrs.field(factory=dict, repr=False)
    number: int = 0
    answers: Counter[int] = attrs.field(factory=Counter)

    @property
    def conference(self) -> str:
        return f"c{self.number}"

    def headers(self, user: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens[user]}"}

    def renew(self) -> None:
        """Begin anew in another conference."""
        self.number += 1
        for user in ("ann", "bob", "hall"):
            answer = self.http.post(endpoints.TOKEN.path, data=FORM | {"client_id": user})
            self.tokens[user] = answer.json()["access_token"]
            self.post(user, "users/endpoints", userEndpointId=f"{user}-1", keepAliveSeconds=3600)
        self.post("ann", "conferences/create", conferenceId=self.conference)
        for user in ("ann", "bob"):
            self.post(user, "conferences/join", **self.of(user))
        offered = {"conferenceStreamType": "CAM", "streamId": "s1", "sdpOffer": OFFER}
        self.post("ann", "conferences/publishStream", **self.of("ann"), **offered)
        self.post("bob", "conferences/viewStream", **self.of("bob"), **BODIES["viewStream"])
        viewed = {"streamId": "s1", "viewerId": "v1", "sdpOffer": VIEW_OFFER}
        self.post("bob", "conferences/viewStream", **self.of("bob"), **viewed)

    def post(self, user: str, path: str, **body: Any) -> None:
        answer = self.http.post(f"/rtc-api/{path}", json=body, headers=self.headers(user))
        assert answer.is_success, answer.text

    def of(self, user: str) -> dict[str, str]:
        return {"conferenceId": self.conference, "userEndpointId": f"{user}-1"}

    def ask(self, case: Any, user: str | None = None) -> int:
        """Ask, and hold the answer to the document."""
        headers = {} if user is None else self.headers(user)
        answer = case.call(base_url=self.url, headers=headers)
        case.validate_response(answer, checks=CHECKS)
        self.answers[answer.status_code] += 1
        return int(answer.status_code)


def run_server(stop: trio.Event, ready: Queue[Any]) -> None:
    trio.run(partial(serve, stop, ready))


async def serve(stop: trio.Event, ready: Queue[Any]) -> None:
    of_api = ConferenceSettings(poll_seconds=0.0, clients=CLIENTS)
    configuration = Configuration(settings={"conference": of_api})
    async with (
        open_fake_host() as media,
        open_engine(apis=[API], configuration=configuration, media=media) as engine,
        trio.open_nursery() as nursery,
    ):
        (address,) = await nursery.start(partial(engine.serve, "127.0.0.1:0", stop=stop))
        ready.put((address, trio.lowlevel.current_trio_token()))


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    stop, ready = trio.Event(), Queue[Any]()
    thread = threading.Thread(target=run_server, args=(stop, ready))
    thread.start()
    address, token = ready.get(timeout=10)
    with httpx.Client(base_url=address) as http:
        yield (made := Room(address, http))
    token.run_sync_soon(stop.set)
    thread.join(timeout=10)
    print(f"answers: {dict(sorted(made.answers.items()))}")


def words(room: Room) -> dict[str, st.SearchStrategy[Any]]:
    """What stands in a body when it shall mean something here."""
    return {
        "conferenceId": st.sampled_from([room.conference, room.conference, "c0"]),
        "userEndpointId": st.sampled_from(["ann-1", "bob-1", "hall-1", "joe-1"]),
        "streamId": st.sampled_from(["s1", "s1", "s2", "s3"]),
        "viewerId": st.sampled_from(["v1", "v1", "v2", "v3"]),
        "sdpOffer": st.sampled_from([OFFER, VIEW_OFFER, ""]),
        "videoBitrate": st.sampled_from([30_000, 29_999]),
        "event": st.just(BODIES["sendEvent"]["event"]),
    }


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_what_the_document_promises_is_done(room: Room, method: str, path: str) -> None:
    room.renew()
    name = path.removeprefix(ROOT)
    caller = next((user for user, names in CALLERS.items() if name in names), "ann")
    operation = SCHEMA[path][method]
    if path == endpoints.TOKEN.path:
        case = operation.Case(body=FORM, media_type="application/x-www-form-urlencoded")
        assert room.ask(case) == 200
        return
    if method == "GET":
        parameters = {"id": room.conference} if "{id}" in path else {}
        case = operation.Case(path_parameters=parameters)
    else:
        body: dict[str, Any] = {**room.of(caller), "keepAliveSeconds": 60, **BODIES.get(name, {})}
        body |= {"conferenceId": "new"} if name == "create" else {}
        body |= {"userEndpointId": "hall-1"} if name == "join" else {}
        body |= {"streamId": "s9"} if name == "publishStream" else {}
        case = operation.Case(body=body, media_type="application/json")
        caller = "hall" if name == "join" else caller
    assert room.ask(case, caller) in (200, 204)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_whatever_is_asked_is_answered_as_the_document_says(
    room: Room, method: str, path: str, mode: GenerationMode
) -> None:
    operation = SCHEMA[path][method]
    room.renew()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not LARGE,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def ask(case: Any, data: st.DataObject) -> None:
        if isinstance(case.body, dict):
            for name, word in words(room).items():
                if name in case.body and data.draw(st.booleans()):
                    case.body[name] = data.draw(word)
        if case.path_parameters and data.draw(st.booleans()):
            case.path_parameters["id"] = room.conference
        user = data.draw(st.sampled_from(["ann", "bob", "hall", "hall", None]))
        if room.ask(case, user) == 204:
            room.renew()

    try:
        ask()
    except LookupError as error:  # A GET without parameters has nothing that could be wrong.
        assert mode is GenerationMode.NEGATIVE
        print(error)
