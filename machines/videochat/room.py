"""The room: one videochat, from its first seat to its end."""

import attrs

from engine.effects import Reply, Tell
from engine.machine.table import After, EndOnCrash, Ignore, Refuse, Row, Said, Table
from engine.vocabulary import Address, Command, Event
from machines.videochat import vocabulary as v
from machines.videochat.line import seat_address
from machines.videochat.reasons import Reason
from machines.videochat.ring import grant
from machines.videochat.vocabulary import RoomState as S

NEVER_JOINED_SECONDS = 300.0
"""How long a videochat waits for its first connection."""

ALONE_SECONDS = 20.0
"""How long a videochat stays with too few people: one of two, or nobody at all in a larger one."""

PARTICIPANTS_SHOWN = 10
"""`participants` of the requested event ("current videochat participants (max 10)")."""

OPENED = (S.OPEN, S.WAITING, S.ACTIVE)
JOINED = (S.WAITING, S.ACTIVE)


def begin(videochat_id: str) -> v.Room:
    """A videochat that nobody has opened."""
    return v.Room(card=v.RoomCard(videochat_id=videochat_id))


# -- guards


def by_participant(room: v.Room, command: v.InviteUser) -> bool:
    return _is_connected(room, command.inviter)


def is_unknown(room: v.Room, command: v.InviteUser) -> bool:
    return by_participant(room, command) and not command.target_exists


def is_inside(room: v.Room, command: v.InviteUser) -> bool:
    return by_participant(room, command) and _seat(room, command.target) is not None


def is_invited(room: v.Room, command: v.InviteUser) -> bool:
    return by_participant(room, command) and _invitation(room, command.target) is not None


def can_invite_newcomer(room: v.Room, command: v.InviteUser) -> bool:
    return (
        by_participant(room, command)
        and command.target_exists
        and not is_inside(room, command)
        and has_room(room, command)
    )


def has_room(room: v.Room, command: Command) -> bool:
    return len(room.seats) < room.limit


def can_admit(room: v.Room, command: v.AdmitUser) -> bool:
    return has_room(room, command) or _seat(room, command.card.id) is not None


def can_admit_among_enough(room: v.Room, command: v.AdmitUser) -> bool:
    """A third seat makes a group of two, and in a group one is enough."""
    return can_admit(room, command) and _is_enough(evolve(room, _admission(room, command)))


def may_merge(room: v.Room, command: v.MergeUser) -> bool:
    return _is_connected(room, command.by)


def can_merge(room: v.Room, command: v.MergeUser) -> bool:
    return may_merge(room, command) and (
        has_room(room, command) or _seat(room, command.caller.user) is not None
    )


def can_merge_among_enough(room: v.Room, command: v.MergeUser) -> bool:
    return can_merge(room, command) and _is_enough(evolve(room, _merging(room, command)))


def leaves_too_few(room: v.Room, command: v.NoteLeft) -> bool:
    return sits(room, command) and not _is_enough(evolve(room, v.UserLeft(user=command.user)))


def leaves_too_few_seats(room: v.Room, command: v.NoteLeft) -> bool:
    """Before anybody has connected, a seat that is kept counts for one that is taken."""
    return sits(room, command) and len(room.seats) - 1 < _needed(room)


def is_known_invitation(room: v.Room, command: v.DropInvitation) -> bool:
    return any(one.request_id == command.request_id for one in room.invitations)


def has_seat(room: v.Room, command: v.GetToken) -> bool:
    return _seat(room, command.sender) is not None


def sits_and_is_enough(room: v.Room, command: v.NoteConnected) -> bool:
    return sits(room, command) and _is_enough(evolve(room, v.UserConnected(user=command.user)))


def sits(room: v.Room, command: v.NoteConnected | v.NoteLeft) -> bool:
    return _seat(room, command.user) is not None


# -- reactions


def schedule(room: v.Room, command: v.ScheduleRoom) -> Said:
    card = v.RoomCard(
        videochat_id=room.card.videochat_id,
        mode=command.mode,
        room=f"videochat-{room.card.videochat_id}",
        shared_secret=command.stamp.cut("shared secret", 64),
    )
    return (v.RoomScheduled(card=card, limit=command.limit, owner=command.owner),)


def start(room: v.Room, command: v.StartRoom) -> Said:
    return (v.RoomStarted(), *(_take_seat(room, seat.card.id) for seat in room.seats))


def open_for_two(room: v.Room, command: v.OpenRoom) -> Said:
    return (
        v.RoomOpened(card=command.card, owner=command.owner, other=command.other, limit=command.limit),
        _take_seat(room, command.owner.id),
        _take_seat(room, command.other.id),
    )


def invite(room: v.Room, command: v.InviteUser) -> Said:
    request_id = command.stamp.cut("request", 24)
    inviter = _seat(room, command.inviter)
    assert inviter is not None, "guarded by by_participant"
    connected = tuple(seat.card for seat in room.seats if seat.connected)
    rung = v.BeRung(
        request_id=request_id,
        initiator=v.Party(card=inviter.card, device=command.device),
        target_card=command.target_card or v.UserCard(id=command.target),
        room=room.card,
        participants=connected[:PARTICIPANTS_SHOWN],
        counter=len(connected),
        reachable=command.target_reachable,
        push_reaches=command.push_reaches,
        do_not_disturb=command.do_not_disturb,
        ring_seconds=command.ring_seconds,
    )
    return (
        v.UserInvited(user=command.target, request_id=request_id),
        Reply(v.RequestMade(request_id=request_id)),
        Tell(Address(v.LINE, command.target), rung),
    )


def invite_same(room: v.Room, command: v.InviteUser) -> Said:
    known = _invitation(room, command.target)
    assert known is not None, "guarded by is_invited"
    again = v.AskAgain(sender=command.inviter, device=command.device)
    return (
        Reply(v.RequestMade(request_id=known.request_id)),
        Tell(Address(v.RING, known.request_id), again),
    )


def admit(room: v.Room, command: v.AdmitUser) -> Said:
    return (
        _admission(room, command),
        _take_seat(room, command.card.id),
        *_stop_asking(room, command.card.id, accepted=command.request_id),
    )


def merge(room: v.Room, command: v.MergeUser) -> Said:
    caller, admitted = command.caller, _merging(room, command)
    is_new = _seat(room, caller.user) is None
    closed = v.CloseRing(
        request_id=command.request_id,
        state=v.RingState.MERGED,
        grant=grant(room.card, caller, admitted.role, v.Party(card=command.by_card)),
    )
    return (
        admitted,
        _take_seat(room, caller.user),
        Tell(Address(v.LINE, caller.user), closed),
        *_stop_asking(room, caller.user),
        *(_notices(room, "userInvitedToVideochat", caller.card, skip=command.by) if is_new else ()),
    )


def drop_invitation(room: v.Room, command: v.DropInvitation) -> Said:
    return (v.InvitationDropped(request_id=command.request_id),)


def note_connected(room: v.Room, command: v.NoteConnected) -> Said:
    seat = _seat(room, command.user)
    assert seat is not None, "guarded by sits"
    after = evolve(room, v.UserConnected(user=command.user))
    return (
        v.UserConnected(user=command.user),
        *_notices(after, "identityConnected", seat.card, skip=command.user),
    )


def note_left(room: v.Room, command: v.NoteLeft) -> Said:
    seat = _seat(room, command.user)
    assert seat is not None, "guarded by sits"
    after = evolve(room, v.UserLeft(user=command.user))
    heir = _heir(after) if seat.role is v.Role.OWNER else None
    changed = () if heir is None else (v.OwnerChanged(user=heir.card.id),)
    told = _notices(after, "identityDisconnected", seat.card) if seat.connected else ()
    return (v.UserLeft(user=command.user), *changed, *told)


def give_token(room: v.Room, command: v.GetToken) -> Said:
    seat = _seat(room, command.sender)
    assert seat is not None, "guarded by has_seat"
    others = [one for one in room.seats if one is not seat]
    peer = others[0].card if others else seat.card
    return (Reply(grant(room.card, v.Party(card=seat.card), seat.role, v.Party(card=peer))),)


def expire(room: v.Room, command: v.ExpireRoom) -> Said:
    return _end(room, "nobody there")


def end(room: v.Room, command: v.EndRoom) -> Said:
    return _end(room, command.reason)


def crash(room: v.Room, command: Command) -> Said:
    return _end(room, "crashed")


def evolve(room: v.Room, event: Event) -> v.Room:
    match event:
        case v.RoomScheduled():
            return _scheduled(room, event)
        case v.RoomOpened():
            owner = v.SeatRef(card=event.owner, role=v.Role.OWNER)
            other = v.SeatRef(card=event.other, role=v.Role.PARTICIPANT)
            return attrs.evolve(room, card=event.card, direct=True, limit=event.limit, seats=(owner, other))
        case v.UserInvited():
            invitation = v.Invitation(user=event.user, request_id=event.request_id)
            return attrs.evolve(room, invitations=(*room.invitations, invitation))
        case v.InvitationDropped():
            invitations = tuple(one for one in room.invitations if one.request_id != event.request_id)
            return attrs.evolve(room, invitations=invitations)
        case v.UserAdmitted():
            return _admitted(room, event)
        case v.UserConnected():
            return _with_seat(room, event.user, connected=True)
        case v.UserLeft():
            seats = tuple(seat for seat in room.seats if seat.card.id != event.user)
            return attrs.evolve(room, seats=seats)
        case v.OwnerChanged():
            return _with_seat(room, event.user, role=v.Role.OWNER)
        case v.RoomEnded():
            return attrs.evolve(room, seats=(), invitations=())
        case _:
            return room


# -- parts


def _admission(room: v.Room, command: v.AdmitUser) -> v.UserAdmitted:
    role = _role(room, command.card.id)
    return v.UserAdmitted(card=command.card, role=role, request_id=command.request_id)


def _merging(room: v.Room, command: v.MergeUser) -> v.UserAdmitted:
    role = _role(room, command.caller.user)
    return v.UserAdmitted(card=command.caller.card, role=role, request_id=command.request_id)


def _stop_asking(room: v.Room, user: str, accepted: str = "") -> tuple[Tell, ...]:
    """He came in by another way than the ring that still asks him in."""
    invited = _invitation(room, user)
    if invited is None or invited.request_id == accepted:
        return ()
    return (Tell(Address(v.RING, invited.request_id), v.EndRing()),)


def _scheduled(room: v.Room, event: v.RoomScheduled) -> v.Room:
    seats = (v.SeatRef(card=event.owner, role=v.Role.OWNER),) if event.owner is not None else ()
    return attrs.evolve(room, card=event.card, limit=event.limit, seats=seats)


def _admitted(room: v.Room, event: v.UserAdmitted) -> v.Room:
    seats = room.seats
    if _seat(room, event.card.id) is None:
        seats = (*seats, v.SeatRef(card=event.card, role=event.role))
    return attrs.evolve(
        room,
        seats=seats,
        invitations=tuple(one for one in room.invitations if one.user != event.card.id),
        direct=room.direct and len(seats) <= 2,
    )


def _with_seat(room: v.Room, user: str, **changes: object) -> v.Room:
    seats = tuple(
        attrs.evolve(seat, **changes) if seat.card.id == user else seat  # type: ignore[arg-type]  # as said
        for seat in room.seats
    )
    return attrs.evolve(room, seats=seats)


def _end(room: v.Room, reason: str) -> Said:
    everybody = _notices(room, "videochatEnded")
    return (
        v.RoomEnded(reason=reason),
        *(Tell(Address(v.RING, one.request_id), v.EndRing()) for one in room.invitations),
        *(Tell(seat_address(room.card.videochat_id, seat.card.id), v.CloseSeat()) for seat in room.seats),
        *everybody,
    )


def _notices(room: v.Room, name: str, user: v.UserCard | None = None, skip: str = "") -> tuple[Tell, ...]:
    """Tell the lines of those who are connected."""
    message = v.RoomNotice(
        name=name,
        videochat_id=room.card.videochat_id,
        room=room.card.room,
        user=user,
        participant_count=_connected(room),
    )
    return tuple(
        Tell(Address(v.LINE, seat.card.id), v.Notify(message=message))
        for seat in room.seats
        if seat.connected and seat.card.id != skip
    )


def _take_seat(room: v.Room, user: str) -> Tell:
    return Tell(seat_address(room.card.videochat_id, user), v.TakeSeat())


def _heir(room: v.Room) -> v.SeatRef | None:
    """The longest seated panelist, else the longest seated; one who never came only if nobody is there."""
    there = [seat for seat in room.seats if seat.connected] or room.seats
    panelists = [seat for seat in there if seat.role is v.Role.PANELIST]
    return next(iter([*panelists, *there]), None)


def _role(room: v.Room, user: str) -> v.Role:
    """The role that the user has, or gets when he comes in."""
    seat = _seat(room, user)
    return v.Role.PARTICIPANT if seat is None else seat.role


def _seat(room: v.Room, user: str) -> v.SeatRef | None:
    return next((seat for seat in room.seats if seat.card.id == user), None)


def _invitation(room: v.Room, user: str) -> v.Invitation | None:
    return next((one for one in room.invitations if one.user == user), None)


def _is_connected(room: v.Room, user: str) -> bool:
    return any(seat.connected for seat in room.seats if seat.card.id == user)


def _connected(room: v.Room) -> int:
    return sum(seat.connected for seat in room.seats)


def _needed(room: v.Room) -> int:
    return 2 if room.direct else 1


def _is_enough(room: v.Room) -> bool:
    return _connected(room) >= _needed(room)


_ENTER = (v.InviteUser, v.AdmitUser, v.MergeUser, v.GetToken)
_NOTES = (v.NoteConnected, v.NoteLeft, v.DropInvitation, v.ExpireRoom)

TABLE: Table[S, v.Room] = Table(
    name="room",
    initial=S.NEW,
    final=frozenset({S.ENDED}),
    start=begin,
    evolve=evolve,
    crash=EndOnCrash(S.ENDED, crash),
    waits={
        S.NEW: "nobody has opened it",
        S.SCHEDULED: "its owner starts it",
        S.ACTIVE: "enough people are inside; each seat has its own lease",
    },
    rows=(
        Row(S.NEW, v.OpenRoom, S.OPEN, open_for_two),
        Row(S.NEW, v.ScheduleRoom, S.SCHEDULED, schedule),
        Row(S.SCHEDULED, v.StartRoom, S.OPEN, start),
        Row(JOINED, v.InviteUser, None, invite_same, when=is_invited),
        Row(JOINED, v.InviteUser, None, invite, when=can_invite_newcomer),
        Row(S.WAITING, v.AdmitUser, S.ACTIVE, admit, when=can_admit_among_enough),
        # Whoever was just let in gets the whole time to connect.
        Row(S.WAITING, v.AdmitUser, S.WAITING, admit, when=can_admit, again=True),
        Row((S.OPEN, S.ACTIVE), v.AdmitUser, None, admit, when=can_admit),
        Row(S.WAITING, v.MergeUser, S.ACTIVE, merge, when=can_merge_among_enough),
        Row(S.WAITING, v.MergeUser, S.WAITING, merge, when=can_merge, again=True),
        Row(S.ACTIVE, v.MergeUser, None, merge, when=can_merge),
        Row(JOINED, v.DropInvitation, None, drop_invitation, when=is_known_invitation),
        Row((S.OPEN, S.WAITING), v.NoteConnected, S.ACTIVE, note_connected, when=sits_and_is_enough),
        Row(S.OPEN, v.NoteConnected, S.WAITING, note_connected, when=sits),
        Row(JOINED, v.NoteConnected, None, note_connected, when=sits),
        Row(S.OPEN, v.NoteLeft, S.WAITING, note_left, when=leaves_too_few_seats),
        Row(S.ACTIVE, v.NoteLeft, S.WAITING, note_left, when=leaves_too_few),
        Row(OPENED, v.NoteLeft, None, note_left, when=sits),
        Row(OPENED, v.GetToken, None, give_token, when=has_seat),
        Row((S.OPEN, S.WAITING), v.ExpireRoom, S.ENDED, expire),
        Row((S.SCHEDULED, *OPENED), v.EndRoom, S.ENDED, end),
    ),
    timers=(
        After(S.OPEN, v.ExpireRoom, seconds=NEVER_JOINED_SECONDS, name="never_joined"),
        After(S.WAITING, v.ExpireRoom, seconds=ALONE_SECONDS, name="alone"),
    ),
    asides=(
        Refuse(JOINED, v.InviteUser, Reason.UNKNOWN_USER, when=is_unknown),
        Refuse(JOINED, v.InviteUser, Reason.UNAVAILABLE, when=is_inside),
        Refuse(JOINED, v.InviteUser, Reason.ROOM_FULL, when=by_participant),
        Refuse(JOINED, v.MergeUser, Reason.ROOM_FULL, when=may_merge),
        Refuse(OPENED, (v.InviteUser, v.MergeUser), Reason.NO_PERMISSION),
        Refuse(OPENED, v.AdmitUser, Reason.ROOM_FULL),
        Refuse(OPENED, v.GetToken, Reason.NO_PERMISSION),
        Refuse(S.SCHEDULED, _ENTER, Reason.NOT_STARTED),
        Refuse((S.NEW, S.ENDED), (*_ENTER, v.StartRoom, v.EndRoom), Reason.VIDEOCHAT_NOT_FOUND),
        Refuse((S.SCHEDULED, *OPENED, S.ENDED), (v.OpenRoom, v.ScheduleRoom), Reason.EXISTS),
        Ignore(OPENED, v.StartRoom, "it is started"),
        Ignore(OPENED, (v.NoteConnected, v.NoteLeft), "he has no seat"),
        Ignore(OPENED, v.DropInvitation, "it is known"),
        Ignore(S.ACTIVE, v.ExpireRoom, "late timer"),
        Ignore((S.NEW, S.SCHEDULED, S.ENDED), _NOTES, "nobody is inside"),
    ),
)
