"""The wire form of the videochat handshake: frames, shapes of `data`, and the one table of error codes.

The source names endpoints, events and the fields of `data`, `event` and `error`, but no envelope: the frame
`{"type", "data", "event", "error"}` is ours, and this file is the only one that knows it.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from engine.app.api import ErrorCode
from engine.codec.wire import WireCodec
from engine.media.access.port import Access
from engine.vocabulary import length
from machines.videochat import vocabulary as v
from machines.videochat.reasons import Reason

PREFIX = "videochat:"

AUTHENTICATE = "authenticate"
USER_INFO = "user_info"
INVALID_CONNECTION = "invalidConnection"


# -- requests


@attrs.frozen(kw_only=True)
class Authenticate:
    """First message of a socket. Ours."""

    token: str = attrs.field(repr=length)
    device: str = ""
    """Names the device; a random name is given where it is missing."""
    since: int | None = None
    """`event.id` of the last event that the device has, to hear exactly what came after it."""


@attrs.frozen(kw_only=True)
class TargetUser:
    """Request of requestDirectVideochat."""

    target_user: str


@attrs.frozen(kw_only=True)
class InviteTarget:
    """Request of invite."""

    target_user: str
    videochat_id: str


@attrs.frozen(kw_only=True)
class RequestId:
    """Request of accept and decline; answer of request and invite; data of most events."""

    videochat_request_id: str


@attrs.frozen(kw_only=True)
class MergeTarget:
    """Request of mergeToVideochat."""

    videochat_id: str
    videochat_request_id: str


@attrs.frozen(kw_only=True)
class VideochatId:
    """Request of the sibling text's connection reports."""

    videochat_id: str


# -- answers and events


@attrs.frozen(kw_only=True)
class Permissions:
    """`permissions` of an answered call."""

    is_moderator: bool
    is_owner: bool
    is_panelist: bool
    is_presenter: bool
    is_co_presenter: bool
    is_promoted: bool
    is_participant: bool
    is_listener: bool


@attrs.frozen(kw_only=True)
class SeatData:
    """Data of an accepted call: answer of acceptVideochatRequest, event directVideochatRequestAccepted."""

    videochat_id: str
    videochat_mode: str
    videochat_engine: str
    videochat_app_id: str
    videochat_url: str
    room: str
    identity: str
    uid: int
    token: str = attrs.field(repr=length)
    shared_secret: str = attrs.field(repr=length)
    user: v.UserCard
    permissions: Permissions


@attrs.frozen(kw_only=True)
class RequestedData:
    """Data of videochatRequested."""

    videochat_request_id: str
    user: v.UserCard
    participants: tuple[v.UserCard, ...]
    counter: int


@attrs.frozen(kw_only=True)
class NoticeData:
    """Data of the sibling text's events about a videochat."""

    videochat_id: str
    room: str
    user: v.UserCard | None = None
    participant_count: int = 0


@attrs.frozen(kw_only=True)
class UserInfo:
    """Data of user_info. `user` is the source's; the rest is ours."""

    user: v.UserCard
    device: str
    since: int
    """The version that the device now starts from."""


@attrs.frozen(kw_only=True)
class Nothing:
    """Data where there is none."""


# -- frames


@attrs.frozen(kw_only=True)
class EventRef:
    """`event` of a frame."""

    id: str = ""
    date: int | float | str | None = None


@attrs.frozen(kw_only=True)
class Incoming:
    """A frame from a client."""

    type: str
    data: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    event: EventRef = EventRef()


@attrs.frozen(kw_only=True)
class WireError:
    """`error` of a frame; `status` is true when there is one."""

    status: bool = False
    code: int = 0
    message: str = ""


NO_ERROR = WireError()

# Sections are those of "Videochat handshake API". Where it is silent the sibling text's codes are used;
# codes from 10012 on are ours.
ERRORS = (
    ErrorCode(
        reason=Reason.UNKNOWN_USER, code=1021, message="user not found", source="Request direct videochat"
    ),
    ErrorCode(
        reason=Reason.UNAVAILABLE,
        code=10011,
        message="user is not available",
        source="Request direct videochat",
    ),
    ErrorCode(reason=Reason.NO_PERMISSION, code=10002, message="no permission", source="sibling text"),
    ErrorCode(reason=Reason.ROOM_FULL, code=10009, message="the videochat is full", source="sibling text"),
    ErrorCode(
        reason=Reason.NOT_STARTED,
        code=10010,
        message="the conference has not been started",
        source="sibling text",
    ),
    ErrorCode(reason=Reason.REQUEST_NOT_FOUND, code=10012, message="videochat request not found"),
    ErrorCode(reason=Reason.REQUEST_CLOSED, code=10013, message="videochat request is closed"),
    ErrorCode(reason=Reason.ALREADY_ACCEPTED, code=10014, message="videochat request is already accepted"),
    ErrorCode(reason=Reason.NOT_DIRECT, code=10015, message="only a direct videochat request can be merged"),
    ErrorCode(reason=Reason.VIDEOCHAT_NOT_FOUND, code=10016, message="videochat not found"),
    ErrorCode(reason=Reason.EXISTS, code=10017, message="it exists already"),
    ErrorCode(reason="bad_request", code=10400, message="the request is malformed"),
    ErrorCode(reason="unknown_type", code=10404, message="there is no such request"),
    ErrorCode(reason="event_id_reused", code=10409, message="this event.id was used for another request"),
    ErrorCode(reason="media_engine", code=10502, message="the media engine gave no token"),
    ErrorCode(reason="overloaded", code=10503, message="too busy, try again"),
    ErrorCode(reason="internal", code=10500, message="internal error"),
)

_BY_REASON = {error.reason: error for error in ERRORS}


def error_of(reason: str, detail: str = "") -> WireError:
    """The wire form of a refusal; an unknown reason is an internal error."""
    known = _BY_REASON.get(reason) or _BY_REASON["internal"]
    message = f"{known.message}: {detail}" if detail else known.message
    return WireError(status=True, code=known.code, message=message)


class Frames:
    """Writes frames."""

    def __init__(self, codec: WireCodec) -> None:
        self._codec = codec
        self._encode = msgspec.json.Encoder().encode

    def answer(self, frame: Incoming, at: float, data: object = None, error: WireError = NO_ERROR) -> str:
        """The answer to `frame`: same type, same `event.id`."""
        return self._frame(frame.type, frame.event.id, at, data, error)

    def event(
        self, name: str, event_id: str, at: float, data: object = None, error: WireError = NO_ERROR
    ) -> str:
        """An event frame; `event_id` is the version in the user's log, or empty outside of it."""
        return self._frame(name, event_id, at, data, error)

    def _frame(self, name: str, event_id: str, at: float, data: object, error: WireError) -> str:
        value = {} if data is None else self._codec.to_value(data)
        return self._encode(
            {
                "type": name,
                "data": value,
                "event": {"id": event_id, "date": round(at * 1000)},
                "error": {"status": error.status, "code": error.code, "message": error.message},
            }
        ).decode()


def permissions_of(role: v.Role) -> Permissions:
    """`permissions` of the source, from the role."""
    return Permissions(
        is_moderator=role in (v.Role.OWNER, v.Role.PANELIST),
        is_owner=role is v.Role.OWNER,
        is_panelist=role is v.Role.PANELIST,
        is_presenter=role is v.Role.PRESENTER,
        is_co_presenter=role is v.Role.CO_PRESENTER,
        is_promoted=role is v.Role.PROMOTED,
        is_participant=role is v.Role.PARTICIPANT,
        is_listener=role is v.Role.LISTENER,
    )


def seat_data(granted: v.SeatGranted, access: Access, uid: int) -> SeatData:
    """The data of an accepted call."""
    return SeatData(
        videochat_id=granted.room.videochat_id,
        videochat_mode=granted.room.mode.value,
        videochat_engine=access.engine,
        videochat_app_id=access.app_id,
        videochat_url=access.url,
        room=granted.room.room,
        identity=granted.user,
        uid=uid,
        token=access.token,
        shared_secret=granted.room.shared_secret,
        user=granted.peer,
        permissions=permissions_of(granted.role),
    )
