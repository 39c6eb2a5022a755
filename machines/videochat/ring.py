"""The ring: one request to talk, from the first ring to its one final state ("Videochat handshake API")."""

import attrs

from engine.effects import Ask, Push, Reply, Tell
from engine.machine.table import After, EndOnCrash, Ignore, Refuse, Row, Said, Table
from engine.vocabulary import Address, Command, Event, Message, Stamp
from machines.videochat import vocabulary as v
from machines.videochat.reasons import Reason
from machines.videochat.vocabulary import RingState as S

CALLER_GRACE_SECONDS = 10.0
"""How long a ring goes on without its caller's socket."""

TARGET_GRACE_SECONDS = 10.0
"""How long a ring goes on without any socket of the target, when no push reaches him."""

RING_SECONDS_MIN, RING_SECONDS_MAX = 5.0, 180.0
"""Bounds of the ring time; a ring keeps to them whatever the settings say."""

LIVE = (S.RINGING, S.CALLER_AWAY, S.TARGET_AWAY, S.BOTH_AWAY)
PUSHES = {
    S.ACCEPTED: v.PushType.ACCEPTED,
    S.MERGED: v.PushType.ACCEPTED,
    S.DECLINED: v.PushType.DECLINED,
    S.TIMED_OUT: v.PushType.DECLINED,
    S.CANCELED: v.PushType.CANCELED,
    S.ENDED: v.PushType.CANCELED,
}
"""How sleeping devices of the target are told to stop; sockets hear the same with fewer words."""

FINAL = frozenset({S.ACCEPTED, S.DECLINED, S.CANCELED, S.TIMED_OUT, S.MERGED, S.GLARED, S.ENDED})


def begin(request_id: str) -> v.Ring:
    """A request that nobody has made."""
    return v.Ring(request_id=request_id)


# -- guards


def by_target(ring: v.Ring, command: v.AcceptCall | v.DeclineCall | v.MergeCall) -> bool:
    return ring.target is not None and command.sender == ring.target.user


def by_initiator(ring: v.Ring, command: v.AcceptCall | v.DeclineCall | v.MergeCall | v.AskAgain) -> bool:
    return ring.initiator is not None and command.sender == ring.initiator.user


def by_party(ring: v.Ring, command: v.AcceptCall | v.DeclineCall | v.MergeCall) -> bool:
    return by_target(ring, command) or by_initiator(ring, command)


def by_initiator_elsewhere(ring: v.Ring, command: v.AskAgain) -> bool:
    return by_initiator(ring, command) and command.device != _initiator(ring).device


def target_accepts_directly(ring: v.Ring, command: v.AcceptCall) -> bool:
    return by_target(ring, command) and ring.kind is v.RingKind.DIRECT


def target_accepts_invitation(ring: v.Ring, command: v.AcceptCall) -> bool:
    return by_target(ring, command) and ring.kind is v.RingKind.INVITE


def target_merges_directly(ring: v.Ring, command: v.MergeCall) -> bool:
    return by_target(ring, command) and ring.kind is v.RingKind.DIRECT


def only_sockets_reach(ring: v.Ring, command: v.LoseTarget) -> bool:
    return not ring.push_reaches


# -- reactions


def start(ring: v.Ring, command: v.StartRing) -> Said:
    seconds = min(max(command.ring_seconds, RING_SECONDS_MIN), RING_SECONDS_MAX)
    started = v.RingStarted(
        kind=command.kind,
        initiator=command.initiator,
        target=command.target,
        room=command.room,
        expires_at=command.at + seconds,
        push_reaches=command.push_reaches,
    )
    return (started, *_push_request(ring.request_id, started))


def start_glared(ring: v.Ring, command: v.StartGlared) -> Said:
    return (v.RingGlared(initiator=command.initiator, target=command.target),)


def accept(ring: v.Ring, command: v.AcceptCall) -> Said:
    room = new_room(command.stamp)
    return (
        v.RingAccepted(device=command.device, videochat_id=room.videochat_id),
        Reply(grant(room, _target(ring), v.Role.PARTICIPANT, _initiator(ring))),
        *_connect_both(ring, room, command.room_limit),
    )


def accept_invitation(ring: v.Ring, command: v.AcceptCall) -> Said:
    assert ring.room is not None, "an invitation leads into a room"
    target = _target(ring)
    return (
        v.RingAccepted(device=command.device, videochat_id=ring.room.videochat_id),
        Reply(grant(ring.room, target, v.Role.PARTICIPANT, _initiator(ring))),
        Tell(
            Address(v.ROOM, ring.room.videochat_id),
            v.AdmitUser(card=target.card, request_id=ring.request_id),
        ),
        *_close_target(ring, S.ACCEPTED),
        # The inviter has no accepted event: he sees the identity connect.
        _close(ring, _initiator(ring), S.ACCEPTED, aloud=False),
    )


def answer_by_glare(ring: v.Ring, command: v.AnswerByGlare) -> Said:
    room = new_room(command.stamp)
    target, initiator = _target(ring), _initiator(ring)
    return (
        v.RingAccepted(device=command.sender.device, videochat_id=room.videochat_id, by_glare=True),
        Tell(
            Address(v.RING, command.request_id),
            v.StartGlared(initiator=command.sender, target=initiator),
            fresh=True,
        ),
        *_connect_both(ring, room, command.room_limit),
        Tell(
            Address(v.LINE, target.user),
            v.GrantSeat(
                device=command.sender.device, grant=grant(room, target, v.Role.PARTICIPANT, initiator)
            ),
        ),
    )


def decline(ring: v.Ring, command: v.DeclineCall) -> Said:
    return (v.RingDeclined(reason="declined"), Reply(v.Acknowledged()), *_close_all(ring, S.DECLINED))


def cancel(ring: v.Ring, command: v.DeclineCall) -> Said:
    return (
        v.RingCanceled(reason="canceled"),
        Reply(v.Acknowledged()),
        *_close_all(ring, S.CANCELED, skip=command.device),
    )


def merge(ring: v.Ring, command: v.MergeCall) -> Said:
    target = _target(ring)
    return (
        v.RingMerged(videochat_id=command.videochat_id),
        Reply(v.Acknowledged()),
        # The room tells the initiator's line, with what a seat needs; it refuses for all of us.
        Tell(
            Address(v.ROOM, command.videochat_id),
            v.MergeUser(
                by=target.user, by_card=target.card, caller=_initiator(ring), request_id=ring.request_id
            ),
        ),
        *_close_target(ring, S.MERGED),
    )


def expire(ring: v.Ring, command: v.ExpireRing) -> Said:
    return (v.RingExpired(), *_close_all(ring, S.TIMED_OUT, reason="no_answer"))


def give_up_caller(ring: v.Ring, command: v.ExpireCaller) -> Said:
    return (v.RingCanceled(reason="caller_gone"), *_close_all(ring, S.CANCELED, reason="caller_gone"))


def give_up_target(ring: v.Ring, command: v.ExpireTarget) -> Said:
    return (v.RingDeclined(reason="target_gone"), *_close_all(ring, S.DECLINED, reason="target_gone"))


def end(ring: v.Ring, command: v.EndRing) -> Said:
    return (v.RingEnded(reason="room_ended"), *_close_lines(ring, S.ENDED, reason="room_ended"))


def crash(ring: v.Ring, command: Command) -> Said:
    if ring.initiator is None:
        return (v.RingEnded(reason="crashed"),)
    return (v.RingEnded(reason="crashed"), *_close_all(ring, S.ENDED, reason="crashed"))


def lose_caller(ring: v.Ring, command: v.LoseCaller) -> Said:
    return (v.PartyLost(caller=True, until=command.at + CALLER_GRACE_SECONDS),)


def return_caller(ring: v.Ring, command: v.ReturnCaller) -> Said:
    return (v.PartyReturned(caller=True),)


def lose_target(ring: v.Ring, command: v.LoseTarget) -> Said:
    return (v.PartyLost(caller=False, until=command.at + TARGET_GRACE_SECONDS),)


def return_target(ring: v.Ring, command: v.ReturnTarget) -> Said:
    return (v.PartyReturned(caller=False),)


def move_caller(ring: v.Ring, command: v.AskAgain) -> Said:
    moved = v.MoveCaller(request_id=ring.request_id, device=command.device)
    return (
        v.CallerMoved(device=command.device),
        Tell(Address(v.LINE, _initiator(ring).user), moved),
    )


def evolve(ring: v.Ring, event: Event) -> v.Ring:
    match event:
        case v.RingStarted():
            return attrs.evolve(
                ring,
                kind=event.kind,
                initiator=event.initiator,
                target=event.target,
                room=event.room,
                expires_at=event.expires_at,
                push_reaches=event.push_reaches,
            )
        case v.RingGlared():
            return attrs.evolve(ring, initiator=event.initiator, target=event.target)
        case v.PartyLost(caller=True):
            return attrs.evolve(ring, caller_until=event.until)
        case v.PartyLost():
            return attrs.evolve(ring, target_until=event.until)
        case v.PartyReturned(caller=True):
            return attrs.evolve(ring, caller_until=0.0)
        case v.PartyReturned():
            return attrs.evolve(ring, target_until=0.0)
        case v.CallerMoved():
            initiator = attrs.evolve(_initiator(ring), device=event.device)
            return attrs.evolve(ring, initiator=initiator, caller_until=0.0)
        case _:
            return ring


# -- parts of reactions


def new_room(stamp: Stamp) -> v.RoomCard:
    """A videochat of two: id, room name and end-to-end secret are cut from the command's entropy."""
    videochat_id = stamp.cut("videochat", 24)
    return v.RoomCard(
        videochat_id=videochat_id,
        room=f"videochat-{videochat_id}",
        shared_secret=stamp.cut("shared secret", 64),
    )


def grant(room: v.RoomCard, seat: v.Party, role: v.Role, peer: v.Party) -> v.SeatGranted:
    """What `seat` needs to enter `room`."""
    name = " ".join(part for part in (seat.card.first_name, seat.card.last_name) if part)
    return v.SeatGranted(room=room, user=seat.user, name=name or seat.user, role=role, peer=peer.card)


def _connect_both(ring: v.Ring, room: v.RoomCard, limit: int) -> Said:
    target, initiator = _target(ring), _initiator(ring)
    return (
        Tell(
            Address(v.ROOM, room.videochat_id),
            v.OpenRoom(card=room, owner=initiator.card, other=target.card, limit=limit),
            fresh=True,
        ),
        *_close_target(ring, S.ACCEPTED),
        Tell(
            Address(v.LINE, initiator.user),
            v.CloseRing(
                request_id=ring.request_id,
                state=S.ACCEPTED,
                grant=grant(room, initiator, v.Role.OWNER, target),
            ),
        ),
    )


def _close_all(ring: v.Ring, state: S, *, reason: str = "", skip: str | None = None) -> Said:
    lines = _close_lines(ring, state, reason=reason, skip=skip)
    if ring.room is None:
        return lines
    dropped = v.DropInvitation(request_id=ring.request_id)
    return (*lines, Tell(Address(v.ROOM, ring.room.videochat_id), dropped))


def _close_lines(ring: v.Ring, state: S, *, reason: str = "", skip: str | None = None) -> Said:
    return (
        *_close_target(ring, state, reason=reason),
        _close(ring, _initiator(ring), state, reason=reason, skip=skip),
    )


def _close_target(ring: v.Ring, state: S, *, reason: str = "") -> Said:
    """Every way out comes by here once, so that no phone goes on ringing."""
    target = _target(ring)
    closed = _close(ring, target, state, reason=reason)
    if not ring.push_reaches:
        return (closed,)
    ended = v.PushedEnd(request_id=ring.request_id, reason=reason)
    return (closed, _push(PUSHES[state], target, ended))


def _close(
    ring: v.Ring, party: v.Party, state: S, *, reason: str = "", skip: str | None = None, aloud: bool = True
) -> Tell:
    closed = v.CloseRing(request_id=ring.request_id, state=state, reason=reason, skip=skip, aloud=aloud)
    return Tell(Address(v.LINE, party.user), closed)


def _push_request(request_id: str, started: v.RingStarted) -> Said:
    if not started.push_reaches:
        return ()
    request = v.PushedRequest(
        request_id=request_id,
        user=started.initiator.card,
        expires_at=round(started.expires_at * 1000),
    )
    return (_push(v.PushType.REQUEST, started.target, request),)


def _push(kind: v.PushType, target: v.Party, message: Message) -> Ask:
    return Ask(v.PUSH, Push(type=kind, to=target.user, message=message))


def _initiator(ring: v.Ring) -> v.Party:
    assert ring.initiator is not None, "a live ring has an initiator"
    return ring.initiator


def _target(ring: v.Ring) -> v.Party:
    assert ring.target is not None, "a live ring has a target"
    return ring.target


def _expires_at(ring: v.Ring) -> float:
    return ring.expires_at


def _caller_until(ring: v.Ring) -> float:
    return ring.caller_until


def _target_until(ring: v.Ring) -> float:
    return ring.target_until


_ASKS = (v.AcceptCall, v.DeclineCall, v.MergeCall)
_NOTES = (
    v.AskAgain,
    v.LoseCaller,
    v.ReturnCaller,
    v.LoseTarget,
    v.ReturnTarget,
    v.ExpireRing,
    v.ExpireCaller,
    v.ExpireTarget,
    v.EndRing,
)

TABLE: Table[S, v.Ring] = Table(
    name="ring",
    initial=S.NEW,
    final=FINAL,
    start=begin,
    evolve=evolve,
    crash=EndOnCrash(S.ENDED, crash),
    waits={S.NEW: "nobody has made this request"},
    rows=(
        Row(S.NEW, v.StartRing, S.RINGING, start),
        Row(S.NEW, v.StartGlared, S.GLARED, start_glared),
        Row(LIVE, v.AcceptCall, S.ACCEPTED, accept, when=target_accepts_directly),
        Row(LIVE, v.AcceptCall, S.ACCEPTED, accept_invitation, when=target_accepts_invitation),
        Row(LIVE, v.AnswerByGlare, S.ACCEPTED, answer_by_glare),
        Row(LIVE, v.DeclineCall, S.DECLINED, decline, when=by_target),
        Row(LIVE, v.DeclineCall, S.CANCELED, cancel, when=by_initiator),
        Row(LIVE, v.MergeCall, S.MERGED, merge, when=target_merges_directly),
        Row(LIVE, v.ExpireRing, S.TIMED_OUT, expire),
        Row(LIVE, v.EndRing, S.ENDED, end),
        Row(S.CALLER_AWAY, v.AskAgain, S.RINGING, move_caller, when=by_initiator),
        Row(S.BOTH_AWAY, v.AskAgain, S.TARGET_AWAY, move_caller, when=by_initiator),
        Row((S.RINGING, S.TARGET_AWAY), v.AskAgain, None, move_caller, when=by_initiator_elsewhere),
        Row(S.RINGING, v.LoseCaller, S.CALLER_AWAY, lose_caller),
        Row(S.TARGET_AWAY, v.LoseCaller, S.BOTH_AWAY, lose_caller),
        Row(S.CALLER_AWAY, v.ReturnCaller, S.RINGING, return_caller),
        Row(S.BOTH_AWAY, v.ReturnCaller, S.TARGET_AWAY, return_caller),
        Row(S.RINGING, v.LoseTarget, S.TARGET_AWAY, lose_target, when=only_sockets_reach),
        Row(S.CALLER_AWAY, v.LoseTarget, S.BOTH_AWAY, lose_target, when=only_sockets_reach),
        Row(S.TARGET_AWAY, v.ReturnTarget, S.RINGING, return_target),
        Row(S.BOTH_AWAY, v.ReturnTarget, S.CALLER_AWAY, return_target),
        Row((S.CALLER_AWAY, S.BOTH_AWAY), v.ExpireCaller, S.CANCELED, give_up_caller),
        Row((S.TARGET_AWAY, S.BOTH_AWAY), v.ExpireTarget, S.DECLINED, give_up_target),
    ),
    timers=(
        After(LIVE, v.ExpireRing, due=_expires_at, name="ring"),
        # Read from the data: the other party's coming and going enters a state and must not prolong them.
        After((S.CALLER_AWAY, S.BOTH_AWAY), v.ExpireCaller, due=_caller_until, name="caller"),
        After((S.TARGET_AWAY, S.BOTH_AWAY), v.ExpireTarget, due=_target_until, name="target"),
    ),
    asides=(
        # A stranger hears what he would hear of an id that does not exist, so ids cannot be probed.
        Refuse(LIVE, v.AcceptCall, Reason.NO_PERMISSION, when=by_initiator),
        Refuse(LIVE, v.MergeCall, Reason.NO_PERMISSION, when=by_initiator),
        Refuse(LIVE, v.MergeCall, Reason.NOT_DIRECT, when=by_target),
        # He is in a videochat now and has to leave that: "closed" would let him think that he is in none.
        Refuse((S.ACCEPTED, S.MERGED, S.GLARED), v.DeclineCall, Reason.ALREADY_ACCEPTED, when=by_initiator),
        Refuse(tuple(FINAL), _ASKS, Reason.REQUEST_CLOSED, when=by_party),
        Refuse((S.NEW, *LIVE, *FINAL), _ASKS, Reason.REQUEST_NOT_FOUND),
        Refuse((S.NEW, *FINAL), v.AnswerByGlare, Reason.REQUEST_CLOSED),
        Refuse((*LIVE, *FINAL), (v.StartRing, v.StartGlared), Reason.EXISTS),
        Ignore(LIVE, v.AskAgain, "it is the same device, or another participant who invites"),
        Ignore((S.CALLER_AWAY, S.BOTH_AWAY), v.LoseCaller, "he is away already"),
        Ignore((S.TARGET_AWAY, S.BOTH_AWAY), v.LoseTarget, "he is away already"),
        Ignore((S.RINGING, S.CALLER_AWAY), v.LoseTarget, "a push reaches him"),
        Ignore((S.RINGING, S.TARGET_AWAY), (v.ReturnCaller, v.ExpireCaller), "he was not away"),
        Ignore((S.RINGING, S.CALLER_AWAY), (v.ReturnTarget, v.ExpireTarget), "he was not away"),
        Ignore((S.NEW, *FINAL), _NOTES, "nothing rings"),
    ),
)
