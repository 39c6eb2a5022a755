"""The videochat handshake as an installed API: its table of messages, and how it is opened."""

import secrets
from collections.abc import Iterator
from typing import Any

import attrs

from engine.app.api import Api, Development, MessageType, SocketRoute
from engine.app.discovery import words_of
from engine.media.access.issuers import DEVELOPMENT_URL
from machines.videochat import vocabulary, wire
from machines.videochat.service import open_service
from machines.videochat.settings import VideochatSettings
from machines.videochat.table import KINDS
from machines.videochat.upcasters import UPCASTERS

SOURCE = "Videochat handshake API"
SIBLING = "sibling text"

MESSAGES = (
    MessageType(
        name=wire.AUTHENTICATE,
        summary="First message of a socket; anything else first, or a bad token, gets a silent close",
        to_server=True,
        data=wire.Authenticate,
    ),
    MessageType(
        name="videochat:requestDirectVideochat",
        summary="Request direct videochat call with a user",
        to_server=True,
        data=wire.TargetUser,
        answer=wire.RequestId,
        source="Request direct videochat",
    ),
    MessageType(
        name="videochat:invite",
        summary="Invite user to an existing videochat",
        to_server=True,
        data=wire.InviteTarget,
        answer=wire.RequestId,
        source="Invite to videochat",
    ),
    MessageType(
        name="videochat:acceptVideochatRequest",
        summary="Accept incoming videochat call",
        to_server=True,
        data=wire.RequestId,
        answer=wire.SeatData,
        source="Accept videochat request",
    ),
    MessageType(
        name="videochat:declineVideochatRequest",
        summary="Decline videochat call; the initiator cancels by it",
        to_server=True,
        data=wire.RequestId,
        answer=wire.Nothing,
        source="Decline videochat request",
    ),
    MessageType(
        name="videochat:mergeToVideochat",
        summary="Take the caller of an incoming direct request into the current videochat",
        to_server=True,
        data=wire.MergeTarget,
        answer=wire.Nothing,
        source="Merge to videochat",
    ),
    MessageType(
        name="videochat:getToken",
        summary="A new media token for a seat; one is asked for at each connect",
        to_server=True,
        data=wire.VideochatId,
        answer=wire.SeatData,
        source=SIBLING,
    ),
    MessageType(
        name="videochat:onConnection",
        summary="The client's media is connected",
        to_server=True,
        data=wire.VideochatId,
        answer=wire.Nothing,
        source=SIBLING,
    ),
    MessageType(
        name="videochat:onDisconnection",
        summary="The client has left",
        to_server=True,
        data=wire.VideochatId,
        answer=wire.Nothing,
        source=SIBLING,
    ),
    MessageType(
        name="videochat:userGoesToBackgroundMode",
        summary="The app goes to the background; the seat stays",
        to_server=True,
        data=wire.VideochatId,
        answer=wire.Nothing,
        source=SIBLING,
    ),
    MessageType(
        name="videochat:userReturnsFromBackgroundMode",
        summary="The app is back",
        to_server=True,
        data=wire.VideochatId,
        answer=wire.Nothing,
        source=SIBLING,
    ),
    MessageType(
        name=wire.USER_INFO,
        summary="The socket is authenticated",
        to_server=False,
        data=wire.UserInfo,
        source=SIBLING,
    ),
    MessageType(
        name="videochat:videochatRequested",
        summary="Somebody rings",
        to_server=False,
        data=wire.RequestedData,
        source="Videochat requested event",
    ),
    MessageType(
        name="videochat:directVideochatRequestAccepted",
        summary="The call is answered; only the asking device hears it, because it carries a token",
        to_server=False,
        data=wire.SeatData,
        source="Direct videochat request accepted event",
    ),
    MessageType(
        name="videochat:videochatAccepted",
        summary="The request was accepted on one of the user's devices",
        to_server=False,
        data=wire.RequestId,
        source="Videochat accepted event",
    ),
    MessageType(
        name="videochat:videochatDeclined",
        summary="The request has ended without a yes",
        to_server=False,
        data=wire.RequestId,
        source="Videochat declined event",
    ),
    *(
        MessageType(
            name=f"videochat:{name}", summary=summary, to_server=False, data=wire.NoticeData, source=SIBLING
        )
        for name, summary in (
            ("identityConnected", "Somebody connected to the videochat"),
            ("identityDisconnected", "Somebody left the videochat"),
            ("userInvitedToVideochat", "Somebody was taken into the videochat"),
            ("videochatEnded", "The videochat is over"),
        )
    ),
    MessageType(
        name=wire.INVALID_CONNECTION,
        summary="Another socket of the same device has taken over; this one is closed",
        to_server=False,
        data=wire.Nothing,
        source=SIBLING,
    ),
)


def _values() -> tuple[type, ...]:
    """The data of the four machines, for snapshots."""
    return (vocabulary.Ring, vocabulary.Line, vocabulary.Room, vocabulary.Seat)


def _lacks(settings: Any) -> Iterator[str]:
    if not settings.engine:
        yield "[videochat.engine] is missing, so media tokens open nothing: name a media engine there"


def _development(settings: Any) -> Development:
    printed = {}
    if not settings.engine:
        # With these a LiveKit server of one's own can be started, and the tokens open its rooms.
        keys = {"key": f"dev-{secrets.token_hex(4)}", "secret": secrets.token_urlsafe(32)}
        engine = {"engine": "livekit", "url": DEVELOPMENT_URL, **keys}
        settings, printed = attrs.evolve(settings, engine=engine), {"engine": engine}
    return Development(settings=settings, printed=printed, users=("ann", "bob", "eve"))


def _demo(*arguments: Any, **options: Any) -> int:
    from machines.videochat.demo import run

    return run(*arguments, **options)


API = Api(
    name="videochat",
    title=SOURCE,
    kinds=KINDS,
    words=(*words_of(vocabulary), *_values()),
    upcasters=UPCASTERS,
    sockets=(SocketRoute(path="/videochat", summary=SOURCE, messages=MESSAGES),),
    errors=wire.ERRORS,
    settings=VideochatSettings,
    lacks=_lacks,
    webhook=lambda settings: settings.push,
    development=_development,
    open=open_service,
    demo=_demo,
)
