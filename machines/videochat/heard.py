"""What a client of the videochat handshake hears: frames read into events and answers, and its errors."""

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from engine.codec.wire import WireCodec
from engine.errors import EngineError, TransportError
from machines.videochat import vocabulary as v
from machines.videochat import wire

T = TypeVar("T")
NO_EVENT = wire.EventRef()

# -- errors


class VideochatError(EngineError):
    """The server answered with an error: `code` is the documented number, such as 10011."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class AuthenticationError(EngineError):
    """The server closed the socket instead of welcoming it: the token is not good."""


class TakenOverError(TransportError):
    """Another socket of the same device has authenticated. Connecting again would only close that one."""


# -- events


@attrs.frozen(kw_only=True)
class Heard:
    """An event of the server."""

    version: int | None
    """Its place in the user's log, and the `since` of a program that comes back; None outside of it."""
    date: int | float | str | None = None
    """When it happened, as the server wrote it; ours writes UTC milliseconds."""


@attrs.frozen(kw_only=True)
class Requested(Heard):
    """`videochat:videochatRequested`: somebody rings."""

    request_id: str
    user: v.UserCard
    participants: tuple[v.UserCard, ...]
    counter: int


@attrs.frozen(kw_only=True)
class DirectAccepted(Heard):
    """`videochat:directVideochatRequestAccepted`: this device's call is answered, or was merged."""

    seat: wire.SeatData


@attrs.frozen(kw_only=True)
class Accepted(Heard):
    """`videochat:videochatAccepted`: the request was accepted on one of the user's devices."""

    request_id: str


@attrs.frozen(kw_only=True)
class Declined(Heard):
    """`videochat:videochatDeclined`: the request has ended without a yes."""

    request_id: str


@attrs.frozen(kw_only=True)
class Notice(Heard):
    """Something about a videochat in which the user sits ("sibling text")."""

    name: str
    """`identityConnected`, `identityDisconnected`, `userInvitedToVideochat` or `videochatEnded`."""
    videochat_id: str
    room: str
    user: v.UserCard | None
    participant_count: int


@attrs.frozen(kw_only=True)
class Failed(Heard):
    """An event that carries an error instead of its data, such as a seat for which there is no token."""

    name: str
    code: int
    message: str


@attrs.frozen(kw_only=True)
class Other(Heard):
    """An event that neither the source nor the sibling text names."""

    name: str
    content: Mapping[str, Any] = attrs.field(repr=False)


# -- frames


@attrs.frozen(kw_only=True)
class Frame:
    """A frame from a server. A host that sends less than ours (no `event`, no `error`) is understood."""

    type: str
    data: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    event: wire.EventRef = NO_EVENT
    error: wire.WireError = wire.NO_ERROR


@attrs.frozen(kw_only=True)
class Welcome:
    """Data of user_info."""

    user: v.UserCard
    since: int | None = None
    """The head of the user's log, or the cursor that the server honours. Ours."""


NOTICES = frozenset({"identityConnected", "identityDisconnected", "userInvitedToVideochat", "videochatEnded"})


class Reader:
    """Reads what a server sends."""

    def __init__(self, codec: WireCodec) -> None:
        self.codec = codec

    def frame(self, text: str) -> Frame:
        """The frame in `text`.

        Raises:
            RemoteProtocolError: it is none.
        """
        return self.codec.decode(text, Frame)

    def welcome(self, frame: Frame) -> Welcome:
        """The data of user_info.

        Raises:
            RemoteProtocolError: it is not as the sibling text says.
        """
        return self.codec.decode_value(frame.data, Welcome, "$.data")

    def event(self, frame: Frame) -> Heard:
        """The event that a frame carries.

        Raises:
            RemoteProtocolError: its data are not as the source says.
        """
        version, date = version_of(frame), frame.event.date
        name = frame.type.removeprefix(wire.PREFIX)
        if frame.error.status:
            code, message = frame.error.code, frame.error.message
            return Failed(version=version, date=date, name=name, code=code, message=message)
        match name:
            case "videochatRequested":
                requested = self._data(frame, wire.RequestedData)
                return Requested(
                    version=version,
                    date=date,
                    request_id=requested.videochat_request_id,
                    user=requested.user,
                    participants=requested.participants,
                    counter=requested.counter,
                )
            case "directVideochatRequestAccepted":
                return DirectAccepted(version=version, date=date, seat=self._data(frame, wire.SeatData))
            case "videochatAccepted":
                request_id = self._data(frame, wire.RequestId).videochat_request_id
                return Accepted(version=version, date=date, request_id=request_id)
            case "videochatDeclined":
                request_id = self._data(frame, wire.RequestId).videochat_request_id
                return Declined(version=version, date=date, request_id=request_id)
            case _ if name in NOTICES:
                notice = self._data(frame, wire.NoticeData)
                return Notice(
                    version=version,
                    date=date,
                    name=name,
                    videochat_id=notice.videochat_id,
                    room=notice.room,
                    user=notice.user,
                    participant_count=notice.participant_count,
                )
            case _:
                return Other(version=version, date=date, name=frame.type, content=frame.data)

    def _data(self, frame: Frame, shape: type[T]) -> T:
        return self.codec.decode_value(frame.data, shape, "$.data")


def version_of(frame: Frame) -> int | None:
    """The version that the frame's `event.id` is, or None."""
    number = frame.event.id
    return int(number) if number.isascii() and number.isdigit() else None
