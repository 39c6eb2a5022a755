"""What the conference API offers to the engine: machines, words, endpoints, sockets, settings, service."""

import inspect
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from engine.app.api import Api, Bearer, Development, Host, MessageType, SocketRoute
from engine.app.discovery import words_of
from machines.conference import endpoints, vocabulary, wire_events
from machines.conference import wire_listening as listening
from machines.conference.callers import Role
from machines.conference.oauth.service import ClientSettings
from machines.conference.pages import PAGES
from machines.conference.peers import open_peers
from machines.conference.refusals import ERRORS
from machines.conference.requests import RESPONDERS
from machines.conference.service import ConferenceService
from machines.conference.settings import ConferenceSettings
from machines.conference.table import KINDS

SOURCE = "RTC API, Conferences"

DEVELOPMENT_ORGANIZATION = "dev"

MESSAGES = (
    MessageType(
        name=listening.FOLLOW,
        summary="Hear a conference's events from a version on",
        to_server=True,
        data=listening.Follow,
    ),
    MessageType(
        name=listening.UNFOLLOW,
        summary="Hear no more of a conference",
        to_server=True,
        data=listening.Unfollow,
    ),
    MessageType(
        name=listening.ACKNOWLEDGE,
        summary="A sent event has arrived, and is not told again",
        to_server=True,
        data=listening.Acknowledge,
    ),
    MessageType(
        name=listening.FOLLOWING,
        summary="The events that were asked for follow",
        to_server=False,
        data=listening.Following,
    ),
    MessageType(
        name=listening.ERROR,
        summary="A message was not understood, or not done",
        to_server=False,
        data=listening.Problem,
    ),
    *(
        MessageType(name=name, summary=_summary, to_server=False, data=shape, source="ConferenceEvent")
        for name, shape in wire_events.EVENTS.items()
        if shape is not wire_events.ConferenceNetworkIndicatorUpdatedEvent
        for _summary in ((inspect.getdoc(shape) or "").partition("\n")[0].rstrip("."),)
    ),
)


def _values() -> tuple[type, ...]:
    """The data of the machines, for snapshots."""
    return (
        vocabulary.Conference,
        vocabulary.Seat,
        vocabulary.Feed,
        vocabulary.Delivery,
        vocabulary.Endpoint,
    )


@asynccontextmanager
async def open_service(host: Host) -> AsyncIterator[ConferenceService]:
    """The service, with its feeds swept."""
    service = ConferenceService(host, RESPONDERS)
    host.nursery.start_soon(service.feeds.sweep)
    host.nursery.start_soon(service.let_go_when_stopping)
    host.nursery.start_soon(service.close_expired)
    yield service


def _lacks(settings: Any) -> Iterator[str]:
    if not settings.clients:
        yield (
            "[conference.clients] is missing, so nobody can get a token: add a section "
            "[conference.clients.NAME] with organization and secret, or try --dev"
        )
    if not settings.oauth.signing_key:
        yield "[conference.oauth] has no signing_key, so tokens die with the process: give it 32 bytes"


def _development(settings: Any) -> Development:
    """A signing key, and clients for three people and a program of one organization, where none are."""
    if not settings.oauth.signing_key:
        oauth = attrs.evolve(settings.oauth, signing_key=secrets.token_urlsafe(32))
        settings = attrs.evolve(settings, oauth=oauth)
    if settings.clients:
        return Development(settings=settings, printed={})
    made = {
        name: ClientSettings(
            secret=secrets.token_urlsafe(16),
            organization=DEVELOPMENT_ORGANIZATION,
            role=Role.SERVICE if name == "service" else Role.USER,
        )
        for name in ("ann", "bob", "eve", "service")
    }
    printed = {name: client.secret for name, client in made.items()}
    return Development(settings=attrs.evolve(settings, clients=made), printed={"clients": printed})


def _demo(*arguments: Any, **options: Any) -> int:
    # Imported when it is shown: it brings the client and a media library along.
    from machines.conference.demo import run

    return run(*arguments, **options)


API = Api(
    name="conference",
    title=SOURCE,
    kinds=KINDS,
    words=(*words_of(vocabulary), *_values()),
    endpoints=endpoints.ENDPOINTS,
    pages=PAGES,
    security=Bearer(token_path=endpoints.TOKEN.path),
    sockets=(SocketRoute(path=endpoints.EVENTS_PATH, summary="Events of conferences", messages=MESSAGES),),
    errors=ERRORS,
    settings=ConferenceSettings,
    lacks=_lacks,
    development=_development,
    crew=open_peers,
    media=True,
    open=open_service,
    demo=_demo,
)
