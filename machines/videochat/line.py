"""The line: one user's telephone. It decides who is busy, and it is what the user's sockets follow."""

import attrs

from engine.effects import Reply, Send, Tell
from engine.machine.table import Crash, EndOnCrash, Ignore, RebuildOnCrash, Refuse, Row, Said, Table
from engine.vocabulary import Address, Command, Event, Message
from machines.videochat import vocabulary as v
from machines.videochat.reasons import Reason
from machines.videochat.vocabulary import LineState as S

BOTH = (S.FREE, S.RINGING)


def begin(user: str) -> v.Line:
    """A line that has never rung."""
    return v.Line(user=user)


# -- guards


def is_unknown(line: v.Line, command: v.RequestCall) -> bool:
    return not command.opponent_exists


def is_self(line: v.Line, command: v.RequestCall) -> bool:
    return command.initiator == line.user


def rings_back(line: v.Line, command: v.RequestCall) -> bool:
    """The owner rings the one who is ringing him now: glare."""
    return command.glare is v.Glare.MERGE and _outgoing_to(line, command.initiator) is not None


def is_repeated(line: v.Line, command: v.RequestCall) -> bool:
    """The same pair in the same direction rings already."""
    return _incoming_from(line, command.initiator, v.RingKind.DIRECT) is not None


def can_ring(line: v.Line, command: v.RequestCall) -> bool:
    if is_unknown(line, command) or is_self(line, command):
        return False
    return command.opponent_reachable and not command.do_not_disturb


def can_be_invited(line: v.Line, command: v.BeRung) -> bool:
    return command.reachable and not command.do_not_disturb


def knows_ring(line: v.Line, command: v.CloseRing) -> bool:
    return _ring(line, command.request_id) is not None


def closes_last_ring(line: v.Line, command: v.CloseRing) -> bool:
    return knows_ring(line, command) and len(line.rings) == 1


def rings_elsewhere(line: v.Line, command: v.MoveCaller) -> bool:
    known = _ring(line, command.request_id)
    return known is not None and known.device != command.device


def concerns_somebody(line: v.Line, command: v.LoseDevice | v.ReturnDevice) -> bool:
    return bool(_concerned(line, command))


def sits_there(line: v.Line, command: v.NoteUnseated) -> bool:
    return command.videochat_id in line.seats


def sits_elsewhere(line: v.Line, command: v.NoteSeated) -> bool:
    return command.videochat_id not in line.seats


# -- reactions


def ring(line: v.Line, command: v.RequestCall) -> Said:
    request_id = command.stamp.cut("request", 24)
    initiator, target = _parties(command)
    incoming = v.RingRef(request_id=request_id, peer=command.initiator, kind=v.RingKind.DIRECT, incoming=True)
    outgoing = v.RingRef(
        request_id=request_id,
        peer=line.user,
        kind=v.RingKind.DIRECT,
        incoming=False,
        device=command.device,
    )
    started = v.StartRing(
        kind=v.RingKind.DIRECT,
        initiator=initiator,
        target=target,
        ring_seconds=command.ring_seconds,
        push_reaches=command.push_reaches,
    )
    return (
        v.RingArrived(ring=incoming, card=initiator.card),
        Reply(v.RequestMade(request_id=request_id)),
        Tell(Address(v.RING, request_id), started, fresh=True),
        Tell(Address(v.LINE, command.initiator), v.NoteOutgoing(ring=outgoing)),
    )


def ring_same(line: v.Line, command: v.RequestCall) -> Said:
    known = _incoming_from(line, command.initiator, v.RingKind.DIRECT)
    assert known is not None, "guarded by is_repeated"
    again = v.AskAgain(sender=command.initiator, device=command.device)
    return (
        Reply(v.RequestMade(request_id=known.request_id)),
        Tell(Address(v.RING, known.request_id), again),
    )


def meet_glare(line: v.Line, command: v.RequestCall) -> Said:
    known = _outgoing_to(line, command.initiator)
    assert known is not None, "guarded by rings_back"
    glared_id = command.stamp.cut("request", 24)
    answered = v.AnswerByGlare(
        sender=_parties(command)[0], request_id=glared_id, room_limit=command.room_limit
    )
    return (
        v.GlareMet(request_id=known.request_id, glared_id=glared_id),
        Reply(v.RequestMade(request_id=glared_id)),
        Tell(Address(v.RING, known.request_id), answered),
    )


def be_rung(line: v.Line, command: v.BeRung) -> Said:
    incoming = v.RingRef(
        request_id=command.request_id,
        peer=command.initiator.user,
        kind=v.RingKind.INVITE,
        incoming=True,
        videochat_id=command.room.videochat_id,
    )
    outgoing = attrs.evolve(incoming, peer=line.user, incoming=False, device=command.initiator.device)
    started = v.StartRing(
        kind=v.RingKind.INVITE,
        initiator=command.initiator,
        target=v.Party(card=command.target_card),
        room=command.room,
        ring_seconds=command.ring_seconds,
        push_reaches=command.push_reaches,
    )
    arrived = v.RingArrived(
        ring=incoming,
        card=command.initiator.card,
        participants=command.participants,
        counter=command.counter,
    )
    return (
        arrived,
        Tell(Address(v.RING, command.request_id), started, fresh=True),
        Tell(Address(v.LINE, command.initiator.user), v.NoteOutgoing(ring=outgoing)),
    )


def note_outgoing(line: v.Line, command: v.NoteOutgoing) -> Said:
    return (v.RingPlaced(ring=command.ring),)


def move_caller(line: v.Line, command: v.MoveCaller) -> Said:
    return (v.RingMoved(request_id=command.request_id, device=command.device),)


def close_ring(line: v.Line, command: v.CloseRing) -> Said:
    known = _ring(line, command.request_id)
    assert known is not None, "guarded by knows_ring"
    return (
        v.RingClosed(
            request_id=command.request_id,
            state=command.state,
            incoming=known.incoming,
            reason=command.reason,
            aloud=command.aloud,
            skip=command.skip,
            device=known.device,
            older_devices=known.older_devices,
            grant=command.grant,
        ),
    )


def offer_seat(line: v.Line, command: v.GrantSeat) -> Said:
    return (v.SeatOffered(device=command.device, grant=command.grant),)


def pass_on(line: v.Line, command: v.LoseDevice | v.ReturnDevice) -> Said:
    return _concerned(line, command)


def sit(line: v.Line, command: v.NoteSeated) -> Said:
    older = line.seats if command.only_one else ()
    return (
        v.LineSeated(videochat_id=command.videochat_id),
        *(Tell(seat_address(one, line.user), v.LeaveSeat()) for one in older),
    )


def unseat(line: v.Line, command: v.NoteUnseated) -> Said:
    return (v.LineUnseated(videochat_id=command.videochat_id),)


def notify(line: v.Line, command: v.Notify) -> Said:
    return (v.Notified(message=command.message),)


def reset(line: v.Line, command: Command) -> Said:
    """End what rings, for both sides; a running videochat does not end because its owner's line does."""
    closed = (
        v.RingClosed(
            request_id=one.request_id, state=v.RingState.ENDED, incoming=one.incoming, reason="crashed"
        )
        for one in line.rings
    )
    ended = (Tell(Address(v.RING, one.request_id), Crash("a line of its crashed")) for one in line.rings)
    return (*closed, v.LineReset(), *ended)


def evolve(line: v.Line, event: Event) -> v.Line:
    match event:
        case v.RingArrived() | v.RingPlaced():
            return attrs.evolve(line, rings=(*line.rings, event.ring))
        case v.RingMoved():
            return attrs.evolve(line, rings=tuple(_moved(one, event) for one in line.rings))
        case v.RingClosed():
            rings = tuple(one for one in line.rings if one.request_id != event.request_id)
            return attrs.evolve(line, rings=rings)
        case v.LineSeated():
            return attrs.evolve(line, seats=(*line.seats, event.videochat_id))
        case v.LineUnseated():
            seats = tuple(one for one in line.seats if one != event.videochat_id)
            return attrs.evolve(line, seats=seats)
        case v.LineReset():
            return attrs.evolve(line, rings=())
        case _:
            return line


def announce(address: Address, event: Event) -> tuple[Send, ...]:
    """What the owner's sockets are told by an event of the line."""
    match event:
        case v.RingArrived():
            message: Message = v.VideochatRequested(
                request_id=event.ring.request_id,
                user=event.card,
                participants=event.participants,
                counter=event.counter,
            )
            return (Send(to=address.key, message=message),)
        case v.RingClosed():
            return _announce_closed(address.key, event)
        case v.SeatOffered():
            return (Send(to=address.key, message=event.grant, only=event.device),)
        case v.Notified():
            return (Send(to=address.key, message=event.message),)
        case _:
            return ()


def is_terminal(event: Event) -> bool:
    """Whether the event ends a ring: a device that comes back is told those of the last minutes."""
    return isinstance(event, v.RingClosed | v.SeatOffered)


def seat_address(videochat_id: str, user: str) -> Address:
    """Where a user's seat in a videochat is."""
    return Address(v.SEAT, f"{videochat_id}/{user}")


def _announce_closed(user: str, event: v.RingClosed) -> tuple[Send, ...]:
    if event.grant is not None:
        # It carries a token: only the device that asked last may have it. Those before it stop ringing.
        accepted = v.VideochatAccepted(request_id=event.request_id)
        older = {*event.older_devices} - {event.device}
        return (
            Send(to=user, message=event.grant, only=event.device),
            *(Send(to=user, message=accepted, only=device) for device in sorted(older)),
        )
    if not event.aloud:
        return ()
    answered = event.state in (v.RingState.ACCEPTED, v.RingState.MERGED)
    kind = v.VideochatAccepted if answered else v.VideochatDeclined
    return (Send(to=user, message=kind(request_id=event.request_id), skip=event.skip),)


def _concerned(line: v.Line, command: v.LoseDevice | v.ReturnDevice) -> tuple[Tell, ...]:
    lost = isinstance(command, v.LoseDevice)
    everywhere = not isinstance(command, v.LoseDevice) or command.last
    tells: list[Tell] = []
    for one in line.rings:
        address = Address(v.RING, one.request_id)
        if not one.incoming and one.device == command.device:
            tells.append(Tell(address, v.LoseCaller() if lost else v.ReturnCaller()))
        if one.incoming and everywhere:
            tells.append(Tell(address, v.LoseTarget() if lost else v.ReturnTarget()))
    if everywhere:
        for videochat_id in line.seats:
            seat = seat_address(videochat_id, line.user)
            tells.append(Tell(seat, v.LoseSeat() if lost else v.ReturnSeat()))
    return tuple(tells)


def _parties(command: v.RequestCall) -> tuple[v.Party, v.Party]:
    initiator = command.card or v.UserCard(id=command.initiator)
    opponent = command.opponent_card or v.UserCard(id=command.opponent)
    return v.Party(card=initiator, device=command.device), v.Party(card=opponent)


def _moved(ring: v.RingRef, event: v.RingMoved) -> v.RingRef:
    if ring.request_id != event.request_id:
        return ring
    older = tuple(one for one in (*ring.older_devices, ring.device) if one != event.device)
    return attrs.evolve(ring, device=event.device, older_devices=older)


def _ring(line: v.Line, request_id: str) -> v.RingRef | None:
    return next((one for one in line.rings if one.request_id == request_id), None)


def _outgoing_to(line: v.Line, user: str) -> v.RingRef | None:
    return next(
        (
            one
            for one in line.rings
            if not one.incoming and one.peer == user and one.kind is v.RingKind.DIRECT
        ),
        None,
    )


def _incoming_from(line: v.Line, user: str, kind: v.RingKind) -> v.RingRef | None:
    return next((one for one in line.rings if one.incoming and one.peer == user and one.kind is kind), None)


TABLE: Table[S, v.Line] = Table(
    name="line",
    initial=S.FREE,
    final=frozenset(),
    start=begin,
    evolve=evolve,
    crash=RebuildOnCrash(3, EndOnCrash(S.FREE, reset)),
    waits={
        S.FREE: "a line is there for as long as its owner",
        S.RINGING: "each ring has a deadline of its own and tells the line when it ends",
    },
    rows=(
        Row(S.FREE, v.RequestCall, S.RINGING, ring, when=can_ring),
        Row(S.RINGING, v.RequestCall, None, meet_glare, when=rings_back),
        Row(S.RINGING, v.RequestCall, None, ring_same, when=is_repeated),
        Row(S.FREE, v.BeRung, S.RINGING, be_rung, when=can_be_invited),
        Row(BOTH, v.NoteOutgoing, S.RINGING, note_outgoing),
        Row(S.RINGING, v.MoveCaller, None, move_caller, when=rings_elsewhere),
        Row(S.RINGING, v.CloseRing, S.FREE, close_ring, when=closes_last_ring),
        Row(S.RINGING, v.CloseRing, None, close_ring, when=knows_ring),
        Row(BOTH, v.GrantSeat, None, offer_seat),
        Row(BOTH, v.LoseDevice, None, pass_on, when=concerns_somebody),
        Row(BOTH, v.ReturnDevice, None, pass_on, when=concerns_somebody),
        Row(BOTH, v.NoteSeated, None, sit, when=sits_elsewhere),
        Row(BOTH, v.NoteUnseated, None, unseat, when=sits_there),
        Row(BOTH, v.Notify, None, notify),
    ),
    asides=(
        Refuse(BOTH, v.RequestCall, Reason.UNKNOWN_USER, when=is_unknown),
        # The source has two codes; being in a videochat is not busy, or nobody could be merged.
        Refuse(BOTH, (v.RequestCall, v.BeRung), Reason.UNAVAILABLE),
        Ignore(BOTH, v.MoveCaller, "it is known"),
        Ignore(BOTH, v.CloseRing, "the line was reset and knows nothing of it"),
        Ignore(BOTH, (v.LoseDevice, v.ReturnDevice), "nothing of his hangs on that device"),
        Ignore(BOTH, v.NoteSeated, "it is known"),
        Ignore(BOTH, v.NoteUnseated, "it is known"),
    ),
)
