"""One socket of the videochat handshake: authentication, requests in their order, the user's log."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import msgspec
import structlog

from engine.app.inbox import Inbox
from engine.effects import Send
from engine.errors import TRY_AGAIN, EngineError, MediaError, RemoteProtocolError
from engine.machine.step import Outcome
from engine.runtime.answers import Answer
from engine.runtime.followers import Follower
from engine.transport.sockets import Socket
from engine.vocabulary import Address, Command
from machines.videochat import vocabulary as v
from machines.videochat import wire
from machines.videochat.cards import card_of
from machines.videochat.kept import KEPT_SECONDS
from machines.videochat.line import seat_address
from machines.videochat.replay import missed_without_cursor

if TYPE_CHECKING:
    from engine.app.users import User
    from machines.videochat.service import VideochatService

TAKEN_OVER = 4409
"""Close code of a socket whose device has opened another one."""

TURNED_AWAY = 1008
"""Close code of a socket that did not authenticate; no reason goes with it, whatever was wrong."""

log = structlog.get_logger("switchhook.videochat")

Prepared: TypeAlias = tuple[Address, Command]


@attrs.frozen(kw_only=True)
class Target:
    """What was found out about a user before a request to him is decided."""

    card: v.UserCard | None = None
    """None when there is no such user."""
    do_not_disturb: bool = False
    push_reaches: bool = False


class Session:
    """The receiver of one socket's messages."""

    def __init__(self, service: "VideochatService", socket: Socket) -> None:
        self._service = service
        self._socket = socket
        self._inbox = Inbox(socket, self._receive)
        self._gone = False
        self._follower: Follower | None = None
        self.authenticated = False
        self.user: User
        self.card: v.UserCard
        self.device = ""

    # -- the socket's side

    def on_message(self, socket: Socket, text: str) -> None:  # noqa: ARG002 - there is one socket a session
        """Take a frame; one is in hand at a time, so that answers come in the order of requests."""
        self._inbox.put(text)

    def on_close(self, socket: Socket, code: int) -> None:  # noqa: ARG002 - part of the port
        """The socket is gone, and what it had not been answered is not answered."""
        self._gone = True
        self._inbox.clear()
        if self._follower is not None:
            self._service.runtime.followers.leave(self._follower)
        self._service.left(self)

    def turn_away(self) -> None:
        """Close without a word."""
        self._inbox.clear()
        self._socket.close(TURNED_AWAY)

    def fail(self) -> None:
        """Something of ours raised: close this socket, so that the device begins anew."""
        self._socket.close(1011)

    def replaced(self) -> None:
        """Another socket of the same device has authenticated."""
        if self._follower is not None:
            self._service.runtime.followers.leave(self._follower)
        self._tell_event(wire.INVALID_CONNECTION, "")
        self._socket.close(TAKEN_OVER, "taken over")

    # -- authentication

    def _receive(self, text: str) -> None:
        if self.authenticated:
            self._take(text)
        else:
            self._authenticate(text)

    def _authenticate(self, text: str) -> None:
        codec = self._service.host.codec
        try:
            frame = codec.decode(text, wire.Incoming)
            if frame.type != wire.AUTHENTICATE:
                self.turn_away()
                return
            asked = codec.decode_value(frame.data, wire.Authenticate, "$.data")
        except RemoteProtocolError:
            self.turn_away()
            return
        self._inbox.hold()
        self._service.later(self, partial(self._admit, asked))

    async def _admit(self, asked: wire.Authenticate) -> None:
        try:
            user = await self._service.user_by_token(asked.token)
        except EngineError as error:
            log.error("users_unreadable", reason=str(error))
            user = None
        if self._gone:
            return
        if user is None:
            self.turn_away()
            return
        self.user, self.card = user, card_of(user)
        self.device = asked.device or secrets.token_hex(8)
        self.authenticated = True
        self._service.joined(self)
        await self._follow(asked.since)
        self._inbox.go_on()

    async def _follow(self, since: int | None) -> None:
        """Say who it is, then what it missed, then what comes."""
        runtime = self._service.runtime
        stream = runtime.family.stream_of(Address(v.LINE, self.user.id))
        try:
            head = (await runtime.read(stream)).version
            missed: list[tuple[int, float, Send]] = []
            if since is None and head:
                missed = await missed_without_cursor(runtime, self.user.id, self.device, head)
            line = (await runtime.snapshot(Address(v.LINE, self.user.id))).data
        except EngineError as error:
            log.error("log_unreadable", reason=str(error))
            self._socket.close(1011)
            return
        if self._gone:
            return
        # A cursor from another history (a restored backup) cannot be honoured: begin at what there is.
        start = head if since is None else min(since, head)
        info = wire.UserInfo(user=self.card, device=self.device, since=start)
        self._tell_event(wire.USER_INFO, "", info)
        for version, at, send in missed:
            self._deliver(version, at, send)
        self._follower = runtime.followers.follow(stream, start, self._deliver, self.fail)
        self._service.returned(self, line)

    # -- requests

    def _take(self, text: str) -> None:
        codec = self._service.host.codec
        try:
            frame = codec.decode(text, wire.Incoming)
        except RemoteProtocolError as fault:
            # Without a type there is nothing that an answer could repeat.
            blank = wire.Incoming(type="error")
            self._answer(blank, error=wire.error_of("bad_request", str(fault)))
            return
        if self._is_repeated(frame):
            return
        prepare = _REQUESTS.get(frame.type)
        if prepare is None:
            self._answer(frame, error=wire.error_of("unknown_type"))
            return
        try:
            shape, make = prepare
            data: Any = codec.decode_value(frame.data, shape, "$.data")
        except RemoteProtocolError as fault:
            self._answer(frame, error=wire.error_of("bad_request", str(fault)))
            return
        self._inbox.hold()
        target = getattr(data, "target_user", None)
        if target is None:
            self._submit(frame, make(self, data, Target()))
        else:
            self._service.later(self, partial(self._look_up, frame, make, data, target))

    async def _look_up(self, frame: wire.Incoming, make: "Make", data: object, target: str) -> None:
        """What must be fetched arrives with the command: who the target is, and whether he can be reached."""
        try:
            found = await self._service.look_up(target)
        except EngineError as error:
            log.error("users_unreadable", reason=str(error))
            self._answer(frame, error=_failure(error))
            self._inbox.go_on()
            return
        self._submit(frame, make(self, data, found))

    def _submit(self, frame: wire.Incoming, prepared: Prepared) -> None:
        to, command = prepared
        done = partial(self._answered, frame)
        self._service.runtime.submit(to, command, done, command_id=self._command_id(frame))

    def _command_id(self, frame: wire.Incoming) -> str:
        """Names the request in the journal, so that it is done once although the server dies in between.

        A client may begin again to count its ids: another body, or a later period, is another request.
        """
        if not frame.event.id:
            return ""
        period = int(self._service.host.clock() // KEPT_SECONDS)
        return f"{self.user.id}/{self.device}/{frame.event.id}/{_digest(frame).hex()[:16]}/{period}"

    def _answered(self, frame: wire.Incoming, answer: Answer) -> None:
        # The device may have come back on another socket meanwhile: the answer goes where the device is.
        heir = self._service.session_of(self.user.id, self.device) or self
        heir._answer_with(frame, answer)
        self._inbox.go_on()

    def _answer_with(self, frame: wire.Incoming, answer: Answer) -> None:
        if answer.error is not None:
            self._answer(frame, error=_failure(answer.error))
        elif answer.outcome is Outcome.REFUSED:
            self._answer(frame, error=wire.error_of(answer.reason))
        elif isinstance(answer.message, v.SeatGranted):
            try:
                self._answer(frame, self._seat(answer.message))
            except MediaError:
                self._answer(frame, error=wire.error_of("media_engine"))
        elif isinstance(answer.message, v.RequestMade):
            self._answer(frame, wire.RequestId(videochat_request_id=answer.message.request_id))
        else:
            self._answer(frame)

    # -- requests sent again

    def _is_repeated(self, frame: wire.Incoming) -> bool:
        """Answer a request whose `event.id` was used; remember it when it was not."""
        if not frame.event.id:
            return False
        kept = self._service.kept.of(self.user.id, self.device)
        body = _digest(frame)
        known = kept.get(frame.event.id)
        if known is None:
            kept.begin(frame.event.id, body)
            return False
        if known.body != body:
            self._tell(self._frame(frame, error=wire.error_of("event_id_reused")))
        elif known.answer is not None:
            self._tell(known.answer)
        # Without an answer yet: the one that is on its way serves both.
        return True

    # -- writing

    def _answer(
        self, frame: wire.Incoming, data: object = None, *, error: wire.WireError = wire.NO_ERROR
    ) -> None:
        text = self._frame(frame, data, error=error)
        if frame.event.id:
            kept = self._service.kept.of(self.user.id, self.device)
            # Where trying again is what the client should do, it must not hear the same answer.
            kept.end(frame.event.id, None if error.code in _PASSING else text)
        self._tell(text)

    def _frame(
        self, frame: wire.Incoming, data: object = None, *, error: wire.WireError = wire.NO_ERROR
    ) -> str:
        return self._service.frames.answer(frame, self._service.host.clock(), data, error)

    def _deliver(self, version: int, at: float, send: Send) -> None:
        if (send.only is not None and send.only != self.device) or send.skip == self.device:
            return
        message = send.message
        match message:
            case v.VideochatRequested():
                requested = wire.RequestedData(
                    videochat_request_id=message.request_id,
                    user=message.user,
                    participants=message.participants,
                    counter=message.counter,
                )
                self._tell_event("videochat:videochatRequested", str(version), requested, at=at)
            case v.VideochatAccepted():
                self._tell_event("videochat:videochatAccepted", str(version), _ref(message), at=at)
            case v.VideochatDeclined():
                self._tell_event("videochat:videochatDeclined", str(version), _ref(message), at=at)
            case v.SeatGranted():
                self._tell_granted(version, at, message)
            case v.RoomNotice():
                notice = wire.NoticeData(
                    videochat_id=message.videochat_id,
                    room=message.room,
                    user=message.user,
                    participant_count=message.participant_count,
                )
                self._tell_event(f"{wire.PREFIX}{message.name}", str(version), notice, at=at)
            case _:
                raise AssertionError(f"no frame for {type(message).__name__}")

    def _tell_granted(self, version: int, at: float, message: v.SeatGranted) -> None:
        name = "videochat:directVideochatRequestAccepted"
        try:
            self._tell_event(name, str(version), self._seat(message), at=at)
        except MediaError:
            self._tell_event(name, str(version), None, at=at, error=wire.error_of("media_engine"))

    def _seat(self, granted: v.SeatGranted) -> wire.SeatData:
        access, uid = self._service.access_to(granted)
        return wire.seat_data(granted, access, uid)

    def _tell_event(
        self,
        name: str,
        event_id: str,
        data: object = None,
        *,
        at: float | None = None,
        error: wire.WireError = wire.NO_ERROR,
    ) -> None:
        when = self._service.host.clock() if at is None else at
        self._tell(self._service.frames.event(name, event_id, when, data, error))

    def _tell(self, text: str) -> None:
        if not self._gone:
            self._socket.send(text)

    # -- commands

    def request_call(self, data: wire.TargetUser, target: Target) -> Prepared:
        """requestDirectVideochat."""
        settings = self._service.settings
        command = v.RequestCall(
            initiator=self.user.id,
            opponent=data.target_user,
            device=self.device,
            card=self.card,
            opponent_card=target.card,
            opponent_exists=target.card is not None,
            opponent_reachable=target.push_reaches or self._service.has_socket(data.target_user),
            push_reaches=target.push_reaches,
            do_not_disturb=target.do_not_disturb,
            glare=settings.glare,
            ring_seconds=settings.ring_seconds,
            room_limit=settings.room_limit,
        )
        return Address(v.LINE, data.target_user), command

    def invite(self, data: wire.InviteTarget, target: Target) -> Prepared:
        """invite."""
        command = v.InviteUser(
            videochat_id=data.videochat_id,
            inviter=self.user.id,
            target=data.target_user,
            device=self.device,
            target_card=target.card,
            target_exists=target.card is not None,
            target_reachable=target.push_reaches or self._service.has_socket(data.target_user),
            push_reaches=target.push_reaches,
            do_not_disturb=target.do_not_disturb,
            ring_seconds=self._service.settings.ring_seconds,
        )
        return Address(v.ROOM, data.videochat_id), command

    def accept(self, data: wire.RequestId, _target: object) -> Prepared:
        """acceptVideochatRequest."""
        command = v.AcceptCall(
            sender=self.user.id,
            device=self.device,
            room_limit=self._service.settings.room_limit,
        )
        return Address(v.RING, data.videochat_request_id), command

    def decline(self, data: wire.RequestId, _target: object) -> Prepared:
        """declineVideochatRequest."""
        command = v.DeclineCall(sender=self.user.id, device=self.device)
        return Address(v.RING, data.videochat_request_id), command

    def merge(self, data: wire.MergeTarget, _target: object) -> Prepared:
        """mergeToVideochat."""
        command = v.MergeCall(sender=self.user.id, device=self.device, videochat_id=data.videochat_id)
        return Address(v.RING, data.videochat_request_id), command

    def get_token(self, data: wire.VideochatId, _target: object) -> Prepared:
        """getToken."""
        return Address(v.ROOM, data.videochat_id), v.GetToken(sender=self.user.id)

    def connect(self, data: wire.VideochatId, _target: object) -> Prepared:
        """onConnection."""
        command = v.ConnectSeat(only_one=self._service.settings.one_videochat_per_user)
        return seat_address(data.videochat_id, self.user.id), command

    def leave(self, data: wire.VideochatId, _target: object) -> Prepared:
        """onDisconnection."""
        return seat_address(data.videochat_id, self.user.id), v.LeaveSeat()

    def hide(self, data: wire.VideochatId, _target: object) -> Prepared:
        """userGoesToBackgroundMode."""
        return seat_address(data.videochat_id, self.user.id), v.HideSeat()

    def show(self, data: wire.VideochatId, _target: object) -> Prepared:
        """userReturnsFromBackgroundMode."""
        return seat_address(data.videochat_id, self.user.id), v.ShowSeat()


Make: TypeAlias = Callable[[Session, "object", Target], Prepared]

_REQUESTS: Mapping[str, tuple[type, Make]] = {
    "videochat:requestDirectVideochat": (wire.TargetUser, Session.request_call),  # type: ignore[dict-item]
    "videochat:invite": (wire.InviteTarget, Session.invite),  # type: ignore[dict-item]
    "videochat:acceptVideochatRequest": (wire.RequestId, Session.accept),  # type: ignore[dict-item]
    "videochat:declineVideochatRequest": (wire.RequestId, Session.decline),  # type: ignore[dict-item]
    "videochat:mergeToVideochat": (wire.MergeTarget, Session.merge),  # type: ignore[dict-item]
    "videochat:getToken": (wire.VideochatId, Session.get_token),  # type: ignore[dict-item]
    "videochat:onConnection": (wire.VideochatId, Session.connect),  # type: ignore[dict-item]
    "videochat:onDisconnection": (wire.VideochatId, Session.leave),  # type: ignore[dict-item]
    "videochat:userGoesToBackgroundMode": (wire.VideochatId, Session.hide),  # type: ignore[dict-item]
    "videochat:userReturnsFromBackgroundMode": (wire.VideochatId, Session.show),  # type: ignore[dict-item]
}
"""Shape of the data, and what makes a command of it; each shape goes with its own maker."""

_PASSING = frozenset(wire.error_of(reason).code for reason in ("overloaded", "internal"))


def _failure(error: EngineError) -> wire.WireError:
    return wire.error_of("overloaded" if isinstance(error, TRY_AGAIN) else "internal")


def _digest(frame: wire.Incoming) -> bytes:
    body = msgspec.json.encode([frame.type, frame.data], order="sorted")
    return hashlib.blake2b(body, digest_size=16).digest()


def _ref(message: v.VideochatAccepted | v.VideochatDeclined) -> wire.RequestId:
    return wire.RequestId(videochat_request_id=message.request_id)
