"""Words of the videochat handshake ("Videochat handshake API"): states, commands, events, messages."""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

import attrs

from engine.codec.wire import on_wire
from engine.vocabulary import Command, Event, Message, length

RING = "videochat.ring"
LINE = "videochat.line"
ROOM = "videochat.room"
SEAT = "videochat.seat"

PUSH = "videochat.push"
"""The port that reaches devices without a socket."""


class RingState(StrEnum):
    """One request to talk. The away states are ringing, with a party whose socket dropped."""

    NEW = "new"
    RINGING = "ringing"
    CALLER_AWAY = "caller_away"
    TARGET_AWAY = "target_away"
    BOTH_AWAY = "both_away"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"
    MERGED = "merged"
    GLARED = "glared"
    ENDED = "ended"


class LineState(StrEnum):
    """A user's telephone line: what rings at him or because of him."""

    FREE = "free"
    RINGING = "ringing"


class RoomState(StrEnum):
    """A videochat."""

    NEW = "new"
    SCHEDULED = "scheduled"
    OPEN = "open"
    WAITING = "waiting"
    ACTIVE = "active"
    ENDED = "ended"


class SeatState(StrEnum):
    """One user's place in one videochat."""

    ABSENT = "absent"
    RESERVED = "reserved"
    CONNECTED = "connected"
    BACKGROUND = "background"
    LOST = "lost"


class RingKind(StrEnum):
    """Two people, or a third one called into a videochat."""

    DIRECT = "direct"
    INVITE = "invite"


class Mode(StrEnum):
    """`videochatMode` of the source."""

    VIDEOCHAT = "videochat"
    CONFERENCE = "conference"
    NETWORK_CONFERENCE = "networkConference"


class Role(StrEnum):
    """The place of a user in a videochat; `permissions` of the source are made from it."""

    OWNER = "owner"
    PANELIST = "panelist"
    PRESENTER = "presenter"
    CO_PRESENTER = "co_presenter"
    PROMOTED = "promoted"
    PARTICIPANT = "participant"
    LISTENER = "listener"


class Glare(StrEnum):
    """What happens when two people ring each other."""

    MERGE = "merge"
    BUSY = "busy"


class PushType(StrEnum):
    """Push messages ("sibling text")."""

    REQUEST = "pushVideochatRequest"
    ACCEPTED = "pushVideochatAccepted"
    DECLINED = "pushVideochatDeclined"
    CANCELED = "pushVideochatCanceled"


# -- values


@attrs.frozen(kw_only=True)
class AvatarCard:
    """`avatar3D` of the source's user simple."""

    asset_id: str = ""
    asset_skins: Mapping[str, str] = attrs.field(factory=dict)
    avatar_url: str = ""
    avatar_user_id: str = ""


@attrs.frozen(kw_only=True)
class UserCard:
    """`user simple` of the source, as it was when it was shown."""

    id: str
    first_name: str = ""
    last_name: str = ""
    privacy_mode: int = 0
    avatar: str = ""
    avatar3d: AvatarCard | None = attrs.field(default=None, metadata=on_wire("avatar3D", omit_empty=True))
    company_name: str = ""
    company_title: str = ""


@attrs.frozen(kw_only=True)
class RoomCard:
    """What a seat in a videochat is made of."""

    videochat_id: str
    mode: Mode = Mode.VIDEOCHAT
    room: str = ""
    shared_secret: str = attrs.field(default="", repr=length)


@attrs.frozen(kw_only=True)
class Party:
    """One side of a ring."""

    card: UserCard
    device: str = ""
    """The device that asked; empty for a side that rings on all of them."""

    @property
    def user(self) -> str:
        """The user's id."""
        return self.card.id


# -- data


@attrs.frozen(kw_only=True)
class Ring:
    """Data of a request."""

    request_id: str
    kind: RingKind = RingKind.DIRECT
    initiator: Party | None = None
    target: Party | None = None
    room: RoomCard | None = None
    expires_at: float = 0.0
    """UTC seconds; the deadline stands while parties come and go."""
    caller_until: float = 0.0
    """UTC seconds until which a caller who is away is waited for; 0 while he is there."""
    target_until: float = 0.0
    """The same of the target."""
    push_reaches: bool = False
    """The target has devices that are told by push, whether he has a socket or not."""


@attrs.frozen(kw_only=True)
class RingRef:
    """What a line knows of one of its rings."""

    request_id: str
    peer: str
    kind: RingKind
    incoming: bool
    device: str = ""
    """Of an outgoing ring: the device that asked last; the answer goes there."""
    older_devices: tuple[str, ...] = ()
    """Devices that asked before it for the same ring."""
    videochat_id: str = ""


@attrs.frozen(kw_only=True)
class Line:
    """Data of a user's line."""

    user: str
    rings: tuple[RingRef, ...] = ()
    seats: tuple[str, ...] = ()
    """Videochats in which he is connected."""


@attrs.frozen(kw_only=True)
class SeatRef:
    """What a room knows of one of its seats, in the order of admission."""

    card: UserCard
    role: Role
    connected: bool = False


@attrs.frozen(kw_only=True)
class Invitation:
    """A ring that leads into this room."""

    user: str
    request_id: str


@attrs.frozen(kw_only=True)
class Room:
    """Data of a videochat."""

    card: RoomCard
    direct: bool = False
    """Never more than two seats so far: it ends when one is alone."""
    limit: int = 0
    """Seats, taken and reserved together."""
    seats: tuple[SeatRef, ...] = ()
    invitations: tuple[Invitation, ...] = ()


@attrs.frozen(kw_only=True)
class Seat:
    """Data of a seat."""

    videochat_id: str
    user: str


# -- commands to a line


@attrs.frozen(kw_only=True)
class RequestCall(Command):
    """`videochat:requestDirectVideochat`, sent to the line of `opponent`."""

    initiator: str
    opponent: str
    device: str = ""
    card: UserCard | None = None
    """The initiator's; made from his id when missing."""
    opponent_card: UserCard | None = None
    opponent_exists: bool = True
    opponent_reachable: bool = True
    """He has a socket, or a push reaches him."""
    push_reaches: bool = False
    """A push reaches him; it is sent even if he has a socket, because another device may sleep."""
    do_not_disturb: bool = False
    glare: Glare = Glare.MERGE
    ring_seconds: float = 60.0
    room_limit: int = 50
    """Seats of the videochat, if the two meet."""


@attrs.frozen(kw_only=True)
class BeRung(Command):
    """A room invites the owner of this line."""

    request_id: str
    initiator: Party
    target_card: UserCard
    room: RoomCard
    participants: tuple[UserCard, ...]
    counter: int
    reachable: bool
    push_reaches: bool = False
    do_not_disturb: bool
    ring_seconds: float


@attrs.frozen(kw_only=True)
class NoteOutgoing(Command):
    """The owner of this line rings somebody."""

    ring: RingRef


@attrs.frozen(kw_only=True)
class MoveCaller(Command):
    """The owner of this line asked again, from another device, for a ring of his."""

    request_id: str
    device: str


@attrs.frozen(kw_only=True)
class CloseRing(Command):
    """One of the line's rings has ended."""

    request_id: str
    state: RingState
    reason: str = ""
    aloud: bool = True
    """Whether the owner's sockets are told."""
    skip: str | None = None
    """The device that need not be told: it did it."""
    grant: "SeatGranted | None" = None
    """What the asking device of an accepted ring gets."""


@attrs.frozen(kw_only=True)
class GrantSeat(Command):
    """Give `device` of the line's owner a seat that it did not ask for in so many words (glare)."""

    device: str
    grant: "SeatGranted"


@attrs.frozen(kw_only=True)
class LoseDevice(Command):
    """A socket of the line's owner dropped."""

    device: str
    last: bool
    """He has no other socket."""


@attrs.frozen(kw_only=True)
class ReturnDevice(Command):
    """A device of the line's owner has a socket again."""

    device: str


@attrs.frozen(kw_only=True)
class NoteSeated(Command):
    """The owner is connected to a videochat."""

    videochat_id: str
    only_one: bool = True
    """Policy `one_videochat_per_user`: his older seats are left."""


@attrs.frozen(kw_only=True)
class NoteUnseated(Command):
    """The owner is connected to that videochat no more."""

    videochat_id: str


@attrs.frozen(kw_only=True)
class Notify(Command):
    """Tell the owner's sockets something about a videochat he sits in."""

    message: "RoomNotice"


# -- commands to a ring


@attrs.frozen(kw_only=True)
class StartRing(Command):
    """A new request."""

    kind: RingKind
    initiator: Party
    target: Party
    room: RoomCard | None = None
    ring_seconds: float = 60.0
    push_reaches: bool = False


@attrs.frozen(kw_only=True)
class StartGlared(Command):
    """A request that met its counterpart and never rang."""

    initiator: Party
    target: Party


@attrs.frozen(kw_only=True)
class AcceptCall(Command):
    """`videochat:acceptVideochatRequest`."""

    SCHEMA: ClassVar[int] = 2

    sender: str
    device: str = ""
    room_limit: int = 50
    """Seats of the videochat that a direct call makes."""


@attrs.frozen(kw_only=True)
class DeclineCall(Command):
    """`videochat:declineVideochatRequest`."""

    sender: str
    device: str = ""


@attrs.frozen(kw_only=True)
class MergeCall(Command):
    """`videochat:mergeToVideochat`."""

    sender: str
    videochat_id: str
    device: str = ""


@attrs.frozen(kw_only=True)
class AnswerByGlare(Command):
    """The target of this ring rang its initiator: that is a yes."""

    sender: Party
    request_id: str
    """Of the second request, which never rings."""
    room_limit: int = 50


@attrs.frozen(kw_only=True)
class AskAgain(Command):
    """Somebody asked once more for what this ring already asks."""

    sender: str
    device: str


@attrs.frozen
class LoseCaller(Command):
    """The asking device's socket dropped."""


@attrs.frozen
class ReturnCaller(Command):
    """The asking device is back."""


@attrs.frozen
class LoseTarget(Command):
    """The target's last socket dropped."""


@attrs.frozen
class ReturnTarget(Command):
    """The target has a socket again."""


@attrs.frozen
class ExpireRing(Command):
    """Nobody answered in time."""


@attrs.frozen
class ExpireCaller(Command):
    """The caller did not come back in time."""


@attrs.frozen
class ExpireTarget(Command):
    """The target did not come back in time."""


@attrs.frozen
class EndRing(Command):
    """The room that the ring leads into has ended."""


# -- commands to a room


@attrs.frozen(kw_only=True)
class ScheduleRoom(Command):
    """Make a room before anybody calls (embedding only)."""

    mode: Mode = Mode.CONFERENCE
    limit: int = 50
    owner: UserCard | None = None


@attrs.frozen
class StartRoom(Command):
    """The owner of a scheduled room starts it (embedding only)."""


@attrs.frozen(kw_only=True)
class OpenRoom(Command):
    """Two people have found each other."""

    card: RoomCard
    owner: UserCard
    other: UserCard
    limit: int = 50


@attrs.frozen(kw_only=True)
class InviteUser(Command):
    """`videochat:invite`, sent to the room."""

    videochat_id: str
    inviter: str
    target: str
    device: str = ""
    target_card: UserCard | None = None
    target_exists: bool = True
    target_reachable: bool = True
    push_reaches: bool = False
    """As in `RequestCall`."""
    do_not_disturb: bool = False
    ring_seconds: float = 60.0


@attrs.frozen(kw_only=True)
class AdmitUser(Command):
    """An invited user accepted; an embedding program may admit somebody without a ring."""

    card: UserCard
    request_id: str = ""


@attrs.frozen(kw_only=True)
class MergeUser(Command):
    """A participant takes his caller in."""

    by: str
    by_card: UserCard
    caller: Party
    request_id: str


@attrs.frozen(kw_only=True)
class DropInvitation(Command):
    """A ring into this room ended without a yes."""

    request_id: str


@attrs.frozen(kw_only=True)
class NoteConnected(Command):
    """A seat is connected."""

    user: str


@attrs.frozen(kw_only=True)
class NoteLeft(Command):
    """A seat is empty again."""

    user: str


@attrs.frozen(kw_only=True)
class GetToken(Command):
    """`videochat:getToken`: a new token for a seat; one is asked for at each connect."""

    sender: str


@attrs.frozen
class ExpireRoom(Command):
    """Too few people for too long."""


@attrs.frozen(kw_only=True)
class EndRoom(Command):
    """End the videochat for everybody (embedding only)."""

    reason: str = "ended"


# -- commands to a seat


@attrs.frozen
class TakeSeat(Command):
    """Keep the seat for its user."""


@attrs.frozen(kw_only=True)
class ConnectSeat(Command):
    """`videochat:onConnection`: the user's media is connected."""

    only_one: bool = True


@attrs.frozen(kw_only=True)
class LeaveSeat(Command):
    """`videochat:onDisconnection`, or the media engine's own report."""

    by_engine: bool = False
    """The media engine noticed; the user did not ask for it."""


@attrs.frozen
class LoseSeat(Command):
    """The user's last socket dropped."""


@attrs.frozen
class ReturnSeat(Command):
    """The user has a socket again."""


@attrs.frozen
class HideSeat(Command):
    """`videochat:userGoesToBackgroundMode`."""


@attrs.frozen
class ShowSeat(Command):
    """`videochat:userReturnsFromBackgroundMode`."""


@attrs.frozen
class ExpireSeat(Command):
    """The user did not come, or did not come back."""


@attrs.frozen
class CloseSeat(Command):
    """The room has ended."""


# -- messages


@attrs.frozen(kw_only=True)
class Acknowledged(Message):
    """It is done; the answer has no data."""


@attrs.frozen(kw_only=True)
class RequestMade(Message):
    """Answer to a request and to an invitation."""

    request_id: str


@attrs.frozen(kw_only=True)
class SeatGranted(Message):
    """Everything a client needs to enter a videochat but the token, which is made when this is sent."""

    room: RoomCard
    user: str
    """Whose seat."""
    name: str
    role: Role
    peer: UserCard
    """`user` of the source: the person on the other side."""


@attrs.frozen(kw_only=True)
class VideochatRequested(Message):
    """`videochat:videochatRequested`."""

    request_id: str
    user: UserCard
    participants: tuple[UserCard, ...] = ()
    counter: int = 0


@attrs.frozen(kw_only=True)
class VideochatAccepted(Message):
    """`videochat:videochatAccepted`."""

    request_id: str


@attrs.frozen(kw_only=True)
class VideochatDeclined(Message):
    """`videochat:videochatDeclined`."""

    request_id: str


@attrs.frozen(kw_only=True)
class RoomNotice(Message):
    """Something about a videochat for those who sit in it."""

    name: str
    """`identityConnected`, `identityDisconnected`, `videochatEnded`, `userInvitedToVideochat`."""
    videochat_id: str
    room: str
    user: UserCard | None = None
    participant_count: int = 0


# -- push messages


@attrs.frozen(kw_only=True)
class PushedRequest(Message):
    """Data of `pushVideochatRequest`."""

    request_id: str = attrs.field(metadata=on_wire("videochatRequestId"))
    user: UserCard
    """Who rings."""
    expires_at: int
    """Milliseconds since 1970, as every date outside; a push that comes later is of no use."""


@attrs.frozen(kw_only=True)
class PushedEnd(Message):
    """Data of the pushes that stop the ringing."""

    request_id: str = attrs.field(metadata=on_wire("videochatRequestId"))
    reason: str = ""
    """Such as `no_answer`; empty when somebody wanted it so."""


# -- events of a line


@attrs.frozen(kw_only=True)
class RingArrived(Event):
    """The line rings."""

    ring: RingRef
    card: UserCard
    participants: tuple[UserCard, ...] = ()
    counter: int = 0


@attrs.frozen(kw_only=True)
class RingPlaced(Event):
    """The owner rings somebody."""

    ring: RingRef


@attrs.frozen(kw_only=True)
class RingMoved(Event):
    """The owner's newest asking device is the one that gets the answer."""

    request_id: str
    device: str


@attrs.frozen(kw_only=True)
class GlareMet(Event):
    """Somebody rang the owner whom the owner was ringing."""

    request_id: str
    glared_id: str


@attrs.frozen(kw_only=True)
class RingClosed(Event):
    """A ring of the line has ended."""

    request_id: str
    state: RingState
    incoming: bool
    reason: str = ""
    aloud: bool = True
    skip: str | None = None
    device: str = ""
    older_devices: tuple[str, ...] = ()
    grant: SeatGranted | None = None


@attrs.frozen(kw_only=True)
class SeatOffered(Event):
    """A device of the owner gets a seat."""

    device: str
    grant: SeatGranted


@attrs.frozen(kw_only=True)
class LineSeated(Event):
    """The owner is connected to a videochat."""

    videochat_id: str


@attrs.frozen(kw_only=True)
class LineUnseated(Event):
    """The owner is connected to that videochat no more."""

    videochat_id: str


@attrs.frozen(kw_only=True)
class Notified(Event):
    """The owner's sockets were told about his videochat."""

    message: RoomNotice


@attrs.frozen(kw_only=True)
class LineReset(Event):
    """A rule of the line raised; it starts anew with nothing ringing. Seats are kept."""


# -- events of a ring


@attrs.frozen(kw_only=True)
class RingStarted(Event):
    """The request exists and rings."""

    kind: RingKind
    initiator: Party
    target: Party
    room: RoomCard | None
    expires_at: float
    push_reaches: bool = False


@attrs.frozen(kw_only=True)
class RingGlared(Event):
    """The request exists and was answered by its counterpart."""

    initiator: Party
    target: Party


@attrs.frozen(kw_only=True)
class RingAccepted(Event):
    """The target said yes."""

    device: str
    videochat_id: str
    by_glare: bool = False


@attrs.frozen(kw_only=True)
class RingDeclined(Event):
    """The target said no, or could not be reached any more."""

    reason: str


@attrs.frozen(kw_only=True)
class RingCanceled(Event):
    """The initiator took it back, or was gone for good."""

    reason: str


@attrs.frozen(kw_only=True)
class RingExpired(Event):
    """Nobody answered."""


@attrs.frozen(kw_only=True)
class RingMerged(Event):
    """The target took the initiator into a running videochat."""

    videochat_id: str


@attrs.frozen(kw_only=True)
class RingEnded(Event):
    """Its room ended, or a rule of ours raised."""

    reason: str


@attrs.frozen(kw_only=True)
class PartyLost(Event):
    """A party's socket dropped."""

    caller: bool
    until: float
    """UTC seconds until which it is waited for."""


@attrs.frozen(kw_only=True)
class PartyReturned(Event):
    """A party has a socket again."""

    caller: bool


@attrs.frozen(kw_only=True)
class CallerMoved(Event):
    """The caller asked again, and from this device."""

    device: str


# -- events of a room


@attrs.frozen(kw_only=True)
class RoomScheduled(Event):
    """The room exists; nobody may come in yet."""

    card: RoomCard
    limit: int
    owner: UserCard | None


@attrs.frozen(kw_only=True)
class RoomStarted(Event):
    """A scheduled room has begun."""


@attrs.frozen(kw_only=True)
class RoomOpened(Event):
    """A videochat of two has begun."""

    card: RoomCard
    owner: UserCard
    other: UserCard
    limit: int


@attrs.frozen(kw_only=True)
class UserInvited(Event):
    """Somebody is being rung into the room."""

    user: str
    request_id: str


@attrs.frozen(kw_only=True)
class InvitationDropped(Event):
    """That ring ended without a yes."""

    request_id: str


@attrs.frozen(kw_only=True)
class UserAdmitted(Event):
    """A user got a seat."""

    card: UserCard
    role: Role
    request_id: str


@attrs.frozen(kw_only=True)
class UserConnected(Event):
    """A user is in."""

    user: str


@attrs.frozen(kw_only=True)
class UserLeft(Event):
    """A user is out."""

    user: str


@attrs.frozen(kw_only=True)
class OwnerChanged(Event):
    """The owner left, and another one took over."""

    user: str


@attrs.frozen(kw_only=True)
class RoomEnded(Event):
    """The videochat is over."""

    reason: str


# -- events of a seat


@attrs.frozen
class SeatReserved(Event):
    """The seat is kept."""


@attrs.frozen
class SeatConnected(Event):
    """The user sits."""


@attrs.frozen
class SeatHidden(Event):
    """The user's app is in the background."""


@attrs.frozen
class SeatLost(Event):
    """The user's sockets are gone."""


@attrs.frozen
class SeatReturned(Event):
    """The user is back."""


@attrs.frozen(kw_only=True)
class SeatLeft(Event):
    """The seat is empty."""

    reason: str
