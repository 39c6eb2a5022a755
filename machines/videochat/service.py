"""The served videochat handshake: who is connected by which device, and what is done for each of them."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import structlog

from engine.app.api import Host, Service
from engine.app.strangers import Strangers
from engine.app.users import User
from engine.errors import JournalCorruptError, MediaError
from engine.media.access.issuers import development_issuer, issuer_of
from engine.media.access.port import Access, AccessIssuer, Seat
from engine.runtime.supervisor import contained
from engine.transport.application import Response, SocketApp
from engine.transport.sockets import Socket
from engine.vocabulary import Address
from machines.videochat import vocabulary as v
from machines.videochat import wire
from machines.videochat.cards import card_of
from machines.videochat.kept import KeptAnswers
from machines.videochat.session import Session, Target
from machines.videochat.settings import VideochatSettings

UID_MAX = 0x7FFF_FFFF
"""`uid` is a positive number that every engine takes."""

log = structlog.get_logger("switchhook.videochat")


class VideochatService(Service):
    """All sockets of `/videochat`, by user and device. Soft state: after a restart devices come back."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.settings: VideochatSettings = host.settings
        self.runtime = host.runtime
        self.frames = wire.Frames(host.codec)
        self.issuer = _issuer(self.settings)
        self.kept = KeptAnswers(host.clock)
        self._sessions: dict[str, dict[str, Session]] = {}
        self.strangers = Strangers(self.settings.authenticate_seconds)
        """Sockets that have not authenticated."""

    # -- the server's side

    def open_socket(self, socket: Socket) -> SocketApp | Response:
        """Accept a socket; it has to authenticate."""
        session = Session(self, socket)
        self.strangers.add(session)
        return session

    def statistics(self) -> Mapping[str, float]:
        """Gauges for `/metrics`."""
        return {
            "users_connected": len(self._sessions),
            "sockets": sum(len(devices) for devices in self._sessions.values()),
            "sockets_unauthenticated": len(self.strangers),
        }

    # -- presence

    def joined(self, session: Session) -> None:
        """A session has authenticated. The newest socket of a device wins."""
        self.strangers.forget(session)
        devices = self._sessions.setdefault(session.user.id, {})
        older = devices.get(session.device)
        devices[session.device] = session
        if older is not None:
            older.replaced()

    def returned(self, session: Session, line: v.Line) -> None:
        """A session has read its line: what was waiting for the device goes on."""
        if line.rings or line.seats:
            returned = v.ReturnDevice(device=session.device)
            self.runtime.tell(Address(v.LINE, session.user.id), returned)

    def left(self, session: Session) -> None:
        """A session's socket has closed; one that was replaced has left before."""
        self.strangers.forget(session)
        if not session.authenticated:
            return
        devices = self._sessions.get(session.user.id, {})
        if devices.get(session.device) is not session:
            return
        del devices[session.device]
        if not devices:
            del self._sessions[session.user.id]
        lost = v.LoseDevice(device=session.device, last=not devices)
        self.runtime.tell(Address(v.LINE, session.user.id), lost)

    def session_of(self, user: str, device: str) -> Session | None:
        """The socket of a device, if it has one."""
        return self._sessions.get(user, {}).get(device)

    def has_socket(self, user: str) -> bool:
        """Whether a ring would be heard at once."""
        return user in self._sessions

    async def look_up(self, user_id: str) -> Target:
        """Who that is, and whether a push reaches him.

        Raises:
            EngineError: the users cannot be read.
        """
        user = await self.host.users.get(user_id)
        if user is None:
            return Target()
        return Target(
            card=card_of(user),
            do_not_disturb=user.do_not_disturb,
            push_reaches=await self.host.pushes.reaches(user),
        )

    async def recover(self) -> None:
        """After a restart nobody is connected: give every party of a live call the time of a lost socket."""
        lost: dict[tuple[str, str], None] = {}
        for stream, _ in await self.runtime.journal.heads((f"live:{v.RING}", f"live:{v.ROOM}")):
            try:
                state = await self.runtime.read(stream)
            except JournalCorruptError as error:
                # One call's damage keeps nobody else from being served.
                log.error("call_unreadable", stream=stream, reason=str(error))
                continue
            for snapshot in state.members.values():
                lost |= dict.fromkeys(_parties(snapshot.data))
        asked = [(Address(v.LINE, user), v.LoseDevice(device=device, last=True)) for user, device in lost]
        for answer in await self.runtime.ask_all(asked):
            if answer.error is not None:
                log.error("loss_not_noted", reason=str(answer.error))

    # -- what sessions need

    def later(self, session: Session, task: Callable[[], Awaitable[None]]) -> None:
        """Run an async function of a session beside it; if it fails, the session alone is closed."""
        self.host.nursery.start_soon(self._run, session, task)

    async def _run(self, session: Session, task: Callable[[], Awaitable[None]]) -> None:
        with contained("session_failed", lambda _: session.fail()):
            await task()

    async def user_by_token(self, token: str) -> User | None:
        """Whose token this is."""
        return await self.host.users.by_token(token)

    def access_to(self, granted: v.SeatGranted) -> tuple[Access, int]:
        """A media token for a granted seat, made now; and the seat's numeric identity.

        Raises:
            MediaError: the engine gives none; the videochat is ended, for both sides.
        """
        uid = uid_of(granted)
        seat = Seat(
            room=granted.room.room,
            identity=granted.user,
            uid=uid,
            name=granted.name,
            can_publish=granted.role is not v.Role.LISTENER,
            can_subscribe=True,
            can_publish_data=True,
            is_admin=granted.role in (v.Role.OWNER, v.Role.PANELIST),
        )
        try:
            now = self.host.clock()
            return self.issuer.issue(seat, now=now, seconds=self.settings.token_seconds), uid
        except MediaError:
            log.error("token_not_issued", engine=self.issuer.engine, videochat=granted.room.videochat_id)
            ended = v.EndRoom(reason="no media token")
            self.runtime.tell(Address(v.ROOM, granted.room.videochat_id), ended)
            raise


def uid_of(granted: v.SeatGranted) -> int:
    """A number for this user in this videochat: the same each time, never 0."""
    digest = hashlib.blake2b(f"{granted.room.videochat_id}/{granted.user}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % UID_MAX + 1


def _parties(data: object) -> list[tuple[str, str]]:
    """(user, device) of everybody whose socket a live call counts on."""
    match data:
        case v.Ring(initiator=v.Party() as initiator, target=v.Party() as target):
            return [(initiator.user, initiator.device), (target.user, "")]
        case v.Room():
            return [(seat.card.id, "") for seat in data.seats if seat.connected]
        case _:
            return []


def _issuer(settings: VideochatSettings) -> AccessIssuer:
    if settings.engine:
        return issuer_of(settings.engine)
    return development_issuer()


@asynccontextmanager
async def open_service(host: Host) -> AsyncIterator[VideochatService]:
    """The service, with the calls of the journal taken over."""
    service = VideochatService(host)
    await service.recover()
    host.nursery.start_soon(service.strangers.turn_away)
    yield service
